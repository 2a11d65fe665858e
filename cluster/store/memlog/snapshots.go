package memlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"

	"github.com/troupe-sched/troupe/actors/journal"
)

// Snapshots keeps two generations in memory. It implements journal.Snapshots.
type Snapshots struct {
	mu     sync.Mutex
	closed bool
	// kept are the generations, oldest first, at most two.
	kept []generation
}

var _ journal.Snapshots = (*Snapshots)(nil)

type generation struct {
	seq     uint64
	entries [][]byte
	sum     [32]byte
}

// NewSnapshots makes an empty store.
func NewSnapshots() *Snapshots { return &Snapshots{} }

// Reopen returns another handle on what is stored now, as a restarted process would have it.
func (s *Snapshots) Reopen() *Snapshots {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Snapshots{kept: append([]generation(nil), s.kept...)}
}

// Save implements journal.Snapshots.
func (s *Snapshots) Save(ctx context.Context, seq uint64, entries [][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return journal.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if n := len(s.kept); seq == 0 || n > 0 && seq < s.kept[n-1].seq {
		return fmt.Errorf("snapshot of record %d: it must not be older than the last one", seq)
	}
	g := generation{seq: seq, sum: sum(entries)}
	for _, e := range entries {
		g.entries = append(g.entries, bytes.Clone(e))
	}
	s.kept = append(s.kept[max(0, len(s.kept)-1):len(s.kept):len(s.kept)], g)
	return nil
}

// Kept implements journal.Snapshots.
func (s *Snapshots) Kept(ctx context.Context) ([]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, journal.ErrClosed
	}
	var list []uint64
	for _, g := range slices.Backward(s.kept) {
		list = append(list, g.seq)
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
	for i := len(s.kept) - 1; i >= 0; i-- {
		if g := s.kept[i]; sum(g.entries) == g.sum {
			return g.seq, append([][]byte(nil), g.entries...), ctx.Err()
		}
	}
	if len(s.kept) > 0 {
		return 0, nil, fmt.Errorf("%w: no snapshot of %d matches its checksum", journal.ErrCorrupt, len(s.kept))
	}
	return 0, nil, ctx.Err()
}

// Close implements journal.Snapshots.
func (s *Snapshots) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

func sum(entries [][]byte) [32]byte {
	h := sha256.New()
	for _, e := range entries {
		fmt.Fprintf(h, "%d:", len(e))
		h.Write(e)
	}
	return [32]byte(h.Sum(nil))
}
