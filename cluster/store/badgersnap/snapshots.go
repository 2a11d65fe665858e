// Package badgersnap keeps snapshots of the cell's state in badger, as checked generations: the entries first, then, in
// one write, the key that says that they are there, how many, and with which checksum.
package badgersnap

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb"
)

const (
	// current is the key whose value alone says which generations there are.
	current = "snap/current"
	// prefix is that of the entries: prefix + generation + number of the entry, big endian, each a long value.
	prefix = "snap/gen/"
	// keep is how many generations are kept.
	keep = 2
)

// Snapshots keeps snapshots in one badger database. It implements journal.Snapshots.
type Snapshots struct {
	db *badgerdb.DB

	mu     sync.Mutex // held by Save and Load
	closed bool
}

var _ journal.Snapshots = (*Snapshots)(nil)

// generation describes one snapshot. Generations are numbered on their own: a snapshot of the same record may be saved
// again without writing into the old one.
type generation struct {
	ID     uint64 `json:"id"`
	Seq    uint64 `json:"seq"`
	Count  uint32 `json:"count"`
	SHA256 []byte `json:"sha256"`
}

// New keeps snapshots in db, which stays the caller's to close. There must be one Snapshots a database; a journal may
// share it.
func New(db *badgerdb.DB) *Snapshots { return &Snapshots{db: db} }

// Save implements journal.Snapshots.
func (s *Snapshots) Save(ctx context.Context, seq uint64, entries [][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return journal.ErrClosed
	}
	if err := s.save(ctx, seq, entries); err != nil {
		return fmt.Errorf("badgersnap: snapshot of record %d: %w", seq, portError(err))
	}
	return nil
}

func (s *Snapshots) save(ctx context.Context, seq uint64, entries [][]byte) error {
	kept, err := s.generations()
	if err != nil && !errors.Is(err, journal.ErrCorrupt) {
		return err
	}
	if seq == 0 || len(kept) > 0 && seq < kept[0].Seq {
		return errors.New("it must not be older than the last one")
	}
	g := generation{Seq: seq, Count: uint32(len(entries)), SHA256: sum(entries)}
	if g.ID, err = s.freeID(); err != nil {
		return err
	}
	err = s.db.Write(func(b *badgerdb.Batch) error {
		for i, e := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := b.SetLong(key(g.ID, uint32(i)), e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	kept = append([]generation{g}, kept[:min(len(kept), keep-1)]...)
	value, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	if err := s.db.Update(func(txn *badger.Txn) error { return txn.Set([]byte(current), value) }); err != nil {
		return err
	}
	return s.sweep(kept)
}

func key(id uint64, entry uint32) []byte {
	k := binary.BigEndian.AppendUint64(append(make([]byte, 0, len(prefix)+12), prefix...), id)
	return binary.BigEndian.AppendUint32(k, entry)
}

// generations lists those that there are, newest first.
func (s *Snapshots) generations() (list []generation, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get([]byte(current))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error { return json.Unmarshal(v, &list) })
	})
	if err != nil {
		return nil, fmt.Errorf("%w: list of generations: %w", journal.ErrCorrupt, err)
	}
	return list, nil
}

// freeID is beyond every generation of which there is a key, also of one that a crash has left unfinished.
func (s *Snapshots) freeID() (id uint64, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		opts := badger.DefaultIteratorOptions
		opts.Prefix, opts.PrefetchValues, opts.Reverse = []byte(prefix), false, true
		it := txn.NewIterator(opts)
		defer it.Close()
		it.Seek(append(key(1<<64-1, 1<<32-1), 0xff, 0xff, 0xff, 0xff))
		if it.Valid() {
			id = idOf(it.Item().Key()) + 1
		}
		return nil
	})
	return id, err
}

func idOf(key []byte) uint64 {
	if len(key) < len(prefix)+8 {
		return 0
	}
	return binary.BigEndian.Uint64(key[len(prefix):])
}

// sweep deletes the entries of all generations that are not kept.
func (s *Snapshots) sweep(kept []generation) error {
	err := s.db.Write(func(b *badgerdb.Batch) error {
		return s.db.View(func(txn *badger.Txn) error {
			opts := badger.DefaultIteratorOptions
			opts.Prefix, opts.PrefetchValues = []byte(prefix), false
			it := txn.NewIterator(opts)
			defer it.Close()
			it.Rewind()
		keys:
			for it.Valid() {
				k := it.Item().KeyCopy(nil)
				for _, g := range kept {
					if idOf(k) == g.ID {
						it.Seek(key(g.ID+1, 0))
						continue keys
					}
				}
				if err := b.Delete(k); err != nil {
					return err
				}
				it.Next()
			}
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("it is saved, but older ones could not be deleted: %w", err)
	}
	return nil
}

// Kept implements journal.Snapshots.
func (s *Snapshots) Kept(ctx context.Context) ([]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, journal.ErrClosed
	}
	kept, err := s.generations()
	if err != nil {
		return nil, fmt.Errorf("badgersnap: %w", err)
	}
	var list []uint64
	for _, g := range kept {
		list = append(list, g.Seq)
	}
	return list, ctx.Err()
}

// Load implements journal.Snapshots.
func (s *Snapshots) Load(ctx context.Context) (seq uint64, entries [][]byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, nil, journal.ErrClosed
	}
	kept, err := s.generations()
	if err != nil {
		return 0, nil, fmt.Errorf("badgersnap: %w", err)
	}
	var bad error
	for _, g := range kept {
		entries, err := s.load(ctx, g)
		if err == nil {
			return g.Seq, entries, nil
		}
		if ctx.Err() != nil {
			return 0, nil, ctx.Err()
		}
		bad = errors.Join(bad, fmt.Errorf("snapshot of record %d: %w", g.Seq, err))
	}
	if bad != nil {
		return 0, nil, fmt.Errorf("badgersnap: %w: no snapshot is whole: %w", journal.ErrCorrupt, bad)
	}
	return 0, nil, nil
}

func (s *Snapshots) load(ctx context.Context, g generation) (entries [][]byte, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		opts := badger.DefaultIteratorOptions
		opts.Prefix, opts.PrefetchSize = key(g.ID, 0)[:len(prefix)+8], 16
		it := txn.NewIterator(opts)
		defer it.Close()
		it.Rewind()
		for it.Valid() {
			if err := ctx.Err(); err != nil {
				return err
			}
			_, data, err := badgerdb.ReadLong(it)
			if err != nil {
				return err
			}
			entries = append(entries, data)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case uint32(len(entries)) != g.Count:
		return nil, fmt.Errorf("it has %d entries of %d", len(entries), g.Count)
	case string(sum(entries)) != string(g.SHA256):
		return nil, errors.New("its entries do not match its checksum")
	}
	return entries, nil
}

// sum is the checksum over all entries and where they begin.
func sum(entries [][]byte) []byte {
	h := sha256.New()
	for _, e := range entries {
		h.Write(binary.AppendUvarint(nil, uint64(len(e))))
		h.Write(e)
	}
	return h.Sum(nil)
}

// Close implements journal.Snapshots.
func (s *Snapshots) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// portError names an error of a write by the words of the port.
func portError(err error) error {
	if errors.Is(err, badgerdb.ErrFull) {
		return fmt.Errorf("%w: %w", journal.ErrFull, err)
	}
	return err
}
