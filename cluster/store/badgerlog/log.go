// Package badgerlog keeps the journal of a one-process cell in badger. All appends that wait while one write goes to
// disk share the next: the more load, the more records a write.
package badgerlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb"
	"github.com/troupe-sched/troupe/cluster/store/group"
)

const (
	// groupMax is the most bytes of records that share a write, so that the first of them is not kept waiting long.
	groupMax = 4 << 20
	// trimMax is the most records that one Trim forgets, so that it ends soon; the next goes on.
	trimMax = 100_000
)

// Log is the journal in one badger database. It implements journal.Log. A record is a long value under the key
// "log/" + sequence, big endian.
type Log struct {
	db     *badgerdb.DB
	mark   *mark
	writer *group.Writer

	mu    sync.Mutex
	first uint64        // the first record kept
	last  uint64        // the last record on disk
	grown chan struct{} // closed, and another one put there, when last moves
}

var _ journal.Log = (*Log)(nil)

// New opens the journal in db, which stays the caller's to close, after the Log. There must be one Log a database.
func New(db *badgerdb.DB) (*Log, error) { return NewAt(db, 1) }

// NewAt is New for a journal that is restored: if it is empty, its first record will be the one of that number.
func NewAt(db *badgerdb.DB, first uint64) (*Log, error) {
	l := &Log{db: db, first: first, last: first - 1, grown: make(chan struct{})}
	if err := l.findBounds(); err != nil {
		return nil, fmt.Errorf("badgerlog: %w", err)
	}
	var err error
	if l.mark, err = openMark(db.Dir()); err != nil {
		return nil, fmt.Errorf("badgerlog: %w", err)
	}
	switch seq, err := l.mark.read(); {
	case err != nil:
		return nil, errors.Join(fmt.Errorf("badgerlog: %w", err), l.mark.close())
	case seq > l.last:
		err := fmt.Errorf("badgerlog: %w: records up to %d were stored in %s, but the log ends with record %d", journal.ErrCorrupt, seq, db.Dir(), l.last)
		return nil, errors.Join(err, l.mark.close())
	}
	l.writer = group.New(l.last, groupMax, l.store)
	return l, nil
}

const prefix = "log/"

func key(seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, len(prefix)+8), prefix...), seq)
}

func seqOf(key []byte) (uint64, error) {
	if len(key) != len(prefix)+8 {
		return 0, fmt.Errorf("%w: key %q", journal.ErrCorrupt, key)
	}
	return binary.BigEndian.Uint64(key[len(prefix):]), nil
}

func iterate(txn *badger.Txn, reverse bool) *badger.Iterator {
	opts := badger.DefaultIteratorOptions
	opts.Prefix, opts.PrefetchSize, opts.Reverse = []byte(prefix), 8, reverse
	return txn.NewIterator(opts)
}

// findBounds finds the first record and the last whole one.
func (l *Log) findBounds() error {
	var torn uint64
	err := l.db.View(func(txn *badger.Txn) error {
		it := iterate(txn, false)
		defer it.Close()
		it.Rewind()
		for ; it.Valid(); it.Next() {
			k, part, err := badgerdb.LongKey(it.Item().Key())
			if err != nil {
				return damaged(err)
			}
			if part != 0 { // the rest of a record that a Trim was deleting when the process died
				continue
			}
			if l.first, err = seqOf(k); err != nil {
				return err
			}
			if l.last, torn, err = findLast(txn, it); err != nil {
				return err
			}
			return nil
		}
		return nil
	})
	if err != nil || torn == 0 {
		return err
	}
	return l.remove(torn, torn)
}

// findLast finds the last whole record, and a last one of which only a part came to disk before a crash.
func findLast(txn *badger.Txn, forward *badger.Iterator) (last, torn uint64, err error) {
	it := iterate(txn, true)
	defer it.Close()
	it.Seek(append(key(1<<64-1), 0xff, 0xff, 0xff, 0xff))
	if !it.Valid() {
		return 0, 0, nil
	}
	k, _, err := badgerdb.LongKey(it.Item().Key())
	if err != nil {
		return 0, 0, damaged(err)
	}
	if last, err = seqOf(k); err != nil {
		return 0, 0, err
	}
	forward.Seek(key(last))
	switch _, _, err := badgerdb.ReadLong(forward); {
	case errors.Is(err, badgerdb.ErrTorn):
		return last - 1, last, nil
	case err != nil:
		return 0, 0, damaged(err)
	}
	return last, 0, nil
}

// Append implements journal.Log.
func (l *Log) Append(seq uint64, data []byte, done func(error)) { l.writer.Append(seq, data, done) }

// store brings records to disk.
func (l *Log) store(first uint64, records [][]byte) error {
	last := first + uint64(len(records)) - 1
	err := l.db.Write(func(b *badgerdb.Batch) error {
		for i, data := range records {
			if err := b.SetLong(key(first+uint64(i)), data); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = l.mark.write(last)
	}
	if err != nil {
		return fmt.Errorf("badgerlog: records %d to %d: %w", first, last, portError(err))
	}
	l.mu.Lock()
	l.last = last
	close(l.grown)
	l.grown = make(chan struct{})
	l.mu.Unlock()
	return nil
}

// Close implements journal.Log. What was appended before is still brought to disk and answered.
func (l *Log) Close() error {
	l.writer.Close()
	return l.mark.close()
}

// Bounds implements journal.Log.
func (l *Log) Bounds(context.Context) (first, last uint64, err error) {
	if l.writer.Closed() {
		return 0, 0, journal.ErrClosed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first, l.last, nil
}

// Read implements journal.Log.
func (l *Log) Read(ctx context.Context, from uint64, fn func(seq uint64, data []byte) error) error {
	first, last, err := l.Bounds(ctx)
	if err != nil {
		return err
	}
	if from < first {
		return fmt.Errorf("%w: record %d, the first kept is %d", journal.ErrTrimmed, from, first)
	}
	return l.db.View(func(txn *badger.Txn) error {
		it := iterate(txn, false)
		defer it.Close()
		it.Seek(key(from))
		for want := from; want <= last; want++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			k, data, err := badgerdb.ReadLong(it)
			if err != nil {
				return fmt.Errorf("record %d: %w", want, damaged(err))
			}
			if seq, err := seqOf(k); err != nil || seq != want {
				return fmt.Errorf("%w: record %d where record %d belongs", journal.ErrCorrupt, seq, want)
			}
			if err := fn(want, data); err != nil {
				return err
			}
		}
		return nil
	})
}

// Tail implements journal.Log.
func (l *Log) Tail(ctx context.Context, from uint64, fn func(seq uint64, data []byte) error) error {
	return group.Tail(ctx, l, from, fn, l.writer.Gone(), func() <-chan struct{} {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.grown
	})
}

// Trim implements journal.Log.
func (l *Log) Trim(ctx context.Context, seq uint64) error {
	first, last, err := l.Bounds(ctx)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if seq = min(seq, last, first+trimMax); seq <= first {
		return nil
	}
	// Out of bounds first and deleted then, so that no new reader starts in what is going.
	l.mu.Lock()
	l.first = seq
	l.mu.Unlock()
	if err := l.remove(0, seq-1); err != nil {
		return fmt.Errorf("badgerlog: trim to record %d: %w", seq, portError(err))
	}
	return nil
}

// remove deletes records, the oldest first.
func (l *Log) remove(from, to uint64) error {
	return l.db.Shrink(func(b *badgerdb.Batch) error {
		return l.db.View(func(txn *badger.Txn) error {
			opts := badger.DefaultIteratorOptions
			opts.Prefix, opts.PrefetchValues = []byte(prefix), false
			it := txn.NewIterator(opts)
			defer it.Close()
			for it.Seek(key(from)); it.Valid(); it.Next() {
				k, _, err := badgerdb.LongKey(it.Item().Key())
				if err != nil {
					return damaged(err)
				}
				if seq, err := seqOf(k); err != nil || seq > to {
					return err
				}
				if err := b.Delete(it.Item().KeyCopy(nil)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// damaged names an error of reading by the word of the port.
func damaged(err error) error {
	if errors.Is(err, journal.ErrCorrupt) {
		return err
	}
	return fmt.Errorf("%w: %w", journal.ErrCorrupt, err)
}

// portError names an error of a write by the words of the port.
func portError(err error) error {
	switch {
	case errors.Is(err, badgerdb.ErrFull):
		return fmt.Errorf("%w: %w", journal.ErrFull, err)
	case errors.Is(err, badger.ErrDBClosed), errors.Is(err, badger.ErrBlockedWrites):
		return fmt.Errorf("%w: %w", journal.ErrClosed, err)
	}
	return err
}
