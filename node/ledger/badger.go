package ledger

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"github.com/troupe-sched/troupe/cluster/store/badgerdb"
)

const (
	// mergeBytes bounds what one transaction takes from several writes; badger's own limit is a megabyte.
	mergeBytes = 512 << 10
	// waitingMax bounds writes that wait; one more fails with ErrBusy.
	waitingMax = 4096
)

// ErrBusy: too many writes wait already.
var ErrBusy = errors.New("ledger: too many writes wait")

// Badger is a Store on disk. Writes that wait while the disk is busy share one transaction and one sync.
type Badger struct {
	db *badgerdb.DB

	mu      sync.Mutex
	idle    sync.Cond // no writer runs
	waiting []write
	writing bool
	closed  bool
}

type write struct {
	batch []encoded
	size  int
	done  func(error)
}

// Open opens the ledger in dir, made if it is not there. One process at a time can have it open.
func Open(dir string, log *slog.Logger) (*Badger, error) {
	db, err := badgerdb.Open(dir, log)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", fullAs(err))
	}
	b := &Badger{db: db}
	b.idle.L = &b.mu
	return b, nil
}

// Load implements Store.
func (b *Badger) Load() ([]Entry, error) {
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	var out []Entry
	err := b.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			item := it.Item()
			err := item.Value(func(value []byte) error {
				e, err := decode(item.Key(), value)
				out = append(out, e)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ledger: load: %w", err)
	}
	return out, nil
}

// Write implements Store.
func (b *Badger) Write(changes []Entry, done func(error)) {
	batch, err := encode(changes)
	w := write{batch: batch, done: done}
	for _, e := range batch {
		w.size += len(e.key) + len(e.value)
	}
	b.mu.Lock()
	switch {
	case err != nil:
	case b.closed:
		err = ErrClosed
	case len(b.waiting) >= waitingMax:
		err = ErrBusy
	}
	if err != nil {
		b.mu.Unlock()
		done(err)
		return
	}
	b.waiting = append(b.waiting, w)
	start := !b.writing
	b.writing = true
	b.mu.Unlock()
	if start {
		go b.run()
	}
}

// run writes until nothing waits.
func (b *Badger) run() {
	for {
		b.mu.Lock()
		group := b.take()
		if len(group) == 0 {
			b.writing = false
			b.idle.Broadcast()
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		err := b.commit(group)
		for _, w := range group {
			if err != nil && len(group) > 1 { // one must not fail for what another has in it
				w.done(b.commit([]write{w}))
				continue
			}
			w.done(err)
		}
	}
}

// take is the writes that go into the next transaction; the caller holds mu.
func (b *Badger) take() []write {
	n, size := 0, 0
	for n < len(b.waiting) && (n == 0 || size+b.waiting[n].size <= mergeBytes) {
		size += b.waiting[n].size
		n++
	}
	group := b.waiting[:n:n]
	if b.waiting = b.waiting[n:]; len(b.waiting) == 0 {
		b.waiting = nil
	}
	return group
}

func (b *Badger) commit(group []write) error {
	empty, write := true, b.db.Keep
	for _, w := range group {
		empty = empty && len(w.batch) == 0
		if slices.ContainsFunc(w.batch, func(e encoded) bool { return e.begins }) {
			write = b.db.Update
		}
	}
	if empty {
		return nil
	}
	err := write(func(txn *badger.Txn) error {
		for _, w := range group {
			for _, e := range w.batch {
				if err := set(txn, e); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ledger: write: %w", fullAs(err))
	}
	return nil
}

func set(txn *badger.Txn, e encoded) error {
	if e.value == nil {
		return txn.Delete(e.key)
	}
	if len(e.value) > badgerdb.ValueMax {
		return fmt.Errorf("value of %d bytes, limit %d", len(e.value), badgerdb.ValueMax)
	}
	return txn.Set(e.key, e.value)
}

// fullAs says in this package's words that there is no room.
func fullAs(err error) error {
	if errors.Is(err, badgerdb.ErrFull) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// Close implements Store.
func (b *Badger) Close() error {
	b.mu.Lock()
	b.closed = true
	for b.writing {
		b.idle.Wait()
	}
	b.mu.Unlock()
	if err := b.db.Close(); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}
