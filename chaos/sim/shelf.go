package sim

import (
	"cmp"
	"context"
	"slices"

	"github.com/troupe-sched/troupe/actors/journal"
)

// shelf holds snapshots: those of one master, or those that all share. It implements journal.Snapshots.
type shelf struct{ gens []generation } // oldest first, at most two

type generation struct {
	seq     uint64
	entries [][]byte
	damaged bool
}

var _ journal.Snapshots = (*shelf)(nil)

// Save implements journal.Snapshots.
func (s *shelf) Save(_ context.Context, seq uint64, entries [][]byte) error {
	s.gens = slices.DeleteFunc(s.gens, func(g generation) bool { return g.seq == seq })
	s.gens = append(s.gens, generation{seq: seq, entries: entries})
	slices.SortFunc(s.gens, func(a, b generation) int { return cmp.Compare(a.seq, b.seq) })
	if len(s.gens) > 2 {
		s.gens = s.gens[1:]
	}
	return nil
}

// Kept implements journal.Snapshots.
func (s *shelf) Kept(context.Context) (list []uint64, err error) {
	for _, g := range slices.Backward(s.gens) {
		list = append(list, g.seq)
	}
	return list, nil
}

// Load implements journal.Snapshots: the newest that holds, or the one before it.
func (s *shelf) Load(context.Context) (seq uint64, entries [][]byte, err error) {
	for _, g := range slices.Backward(s.gens) {
		if !g.damaged {
			return g.seq, g.entries, nil
		}
	}
	return 0, nil, nil
}

// Close implements journal.Snapshots.
func (s *shelf) Close() error { return nil }

// newest is the sequence of the newest one, 0 if there is none.
func (s *shelf) newest() uint64 {
	if n := len(s.gens); n > 0 {
		return s.gens[n-1].seq
	}
	return 0
}

// damage spoils the newest snapshot, if there is one to fall back to.
func (s *shelf) damage() bool {
	n := len(s.gens)
	if n < 2 || s.gens[n-1].damaged || s.gens[n-2].damaged {
		return false
	}
	s.gens[n-1].damaged = true
	return true
}
