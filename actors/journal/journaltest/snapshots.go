package journaltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
)

// SnapshotStore is what RunSnapshots needs to know of one kind of snapshots.
type SnapshotStore struct {
	// Open opens the store, as a process does at its start. The suite closes it before it opens it again.
	Open func() (journal.Snapshots, error)
	// Damage spoils the newest generation (0) or the one before (1) of the closed store.
	Damage func(t *testing.T, generation int)
	// Crash does what a Save does that dies before its end, on the closed store; nil if a Save cannot die half way.
	Crash func(t *testing.T, seq uint64)
}

// RunSnapshots is the conformance suite of journal.Snapshots. newStore makes a place of its own for each test.
func RunSnapshots(t *testing.T, newStore func(t *testing.T) SnapshotStore) {
	for _, test := range []struct {
		name string
		run  func(s *snapTest)
	}{
		{"Empty", (*snapTest).empty},
		{"F30_SaveLoadReopen", (*snapTest).saveLoad},
		{"Sizes", (*snapTest).sizes},
		{"Older", (*snapTest).older},
		{"SameAgain", (*snapTest).sameAgain},
		{"S5_Fallback", (*snapTest).fallback},
		{"S5_Crash", (*snapTest).crash},
		{"Cancelled", (*snapTest).cancelled},
		{"Closed", (*snapTest).closed},
		{"F30_Recover", (*snapTest).recover},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			s := &snapTest{T: t, ctx: ctx, store: newStore(t)}
			defer s.close() // before what the store has put up for the test comes down
			s.open()
			test.run(s)
		})
	}
}

type snapTest struct {
	*testing.T
	ctx   context.Context
	store SnapshotStore
	snaps journal.Snapshots
}

func (s *snapTest) open() {
	s.Helper()
	snaps, err := s.store.Open()
	if err != nil {
		s.Fatalf("open: %v", err)
	}
	s.snaps = snaps
}

func (s *snapTest) close() {
	s.Helper()
	if s.snaps == nil {
		return
	}
	snaps := s.snaps
	s.snaps = nil
	if err := snaps.Close(); err != nil {
		s.Fatalf("close: %v", err)
	}
}

func (s *snapTest) reopen() {
	s.Helper()
	s.close()
	s.open()
}

// entries is what the suite saves as snapshot of record seq.
func entries(seq uint64) [][]byte {
	list := [][]byte{{}}
	for i := range seq%7 + 1 {
		list = append(list, fmt.Appendf(nil, "entry %d of %d", i, seq))
	}
	return list
}

func (s *snapTest) save(seq uint64) {
	s.Helper()
	if err := s.snaps.Save(s.ctx, seq, entries(seq)); err != nil {
		s.Fatalf("save %d: %v", seq, err)
	}
}

func (s *snapTest) want(seq uint64, want [][]byte) {
	s.Helper()
	got, list, err := s.snaps.Load(s.ctx)
	if err != nil || got != seq || !slices.EqualFunc(list, want, bytes.Equal) {
		s.Fatalf("loaded snapshot of record %d with %d entries, %v; want record %d with %d", got, len(list), err, seq, len(want))
	}
}

func (s *snapTest) empty() {
	s.want(0, nil)
	s.reopen()
	s.want(0, nil)
}

func (s *snapTest) saveLoad() {
	for _, seq := range []uint64{1, 2, 10, 500, 501, 1 << 40} {
		s.save(seq)
		s.want(seq, entries(seq))
	}
	s.reopen()
	s.want(1<<40, entries(1<<40))
	s.save(1<<40 + 1)
	s.want(1<<40+1, entries(1<<40+1))
}

func (s *snapTest) sizes() {
	many := make([][]byte, 5000)
	for i := range many {
		many[i] = fmt.Append(nil, i)
	}
	for seq, list := range [][][]byte{
		{bytes.Repeat([]byte("x"), 5<<20)},
		{bytes.Repeat([]byte("x"), 512<<10), bytes.Repeat([]byte("y"), 1<<20), {}, bytes.Repeat([]byte("z"), 1<<20+1)},
		many,
		{},
	} {
		if err := s.snaps.Save(s.ctx, uint64(seq+1), list); err != nil {
			s.Fatal(err)
		}
		s.want(uint64(seq+1), list)
		s.reopen()
		s.want(uint64(seq+1), list)
	}
}

func (s *snapTest) older() {
	if err := s.snaps.Save(s.ctx, 0, entries(0)); err == nil {
		s.Fatal("a snapshot of no record is saved")
	}
	s.save(10)
	if err := s.snaps.Save(s.ctx, 9, entries(9)); err == nil {
		s.Fatal("a snapshot older than the last is saved")
	}
	s.want(10, entries(10))
}

func (s *snapTest) sameAgain() {
	s.save(10)
	if err := s.snaps.Save(s.ctx, 10, entries(3)); err != nil {
		s.Fatalf("save again, as a process does that restarts and ends without a record: %v", err)
	}
	s.want(10, entries(3))
}

func (s *snapTest) fallback() {
	for seq := uint64(1); seq <= 5; seq++ {
		s.save(seq)
	}
	s.close()
	s.store.Damage(s.T, 0)
	s.open()
	s.want(4, entries(4))
	s.save(6) // beside the damaged one
	s.want(6, entries(6))
	s.reopen()
	s.want(6, entries(6))
	s.save(7)
	s.close()
	s.store.Damage(s.T, 1)
	s.open()
	s.want(7, entries(7))
	s.close()
	s.store.Damage(s.T, 0)
	s.open()
	if seq, _, err := s.snaps.Load(s.ctx); !errors.Is(err, journal.ErrCorrupt) {
		s.Fatalf("both generations are damaged, yet load gives record %d, %v", seq, err)
	}
	s.save(8)
	s.want(8, entries(8))
}

func (s *snapTest) crash() {
	if s.store.Crash == nil {
		s.Skip("a save cannot die half way")
	}
	s.close()
	s.store.Crash(s.T, 1)
	s.open()
	s.want(0, nil)
	s.save(1)
	s.save(2)
	s.close()
	s.store.Crash(s.T, 3)
	s.open()
	s.want(2, entries(2))
	s.save(3)
	s.want(3, entries(3))
	s.close()
	s.store.Damage(s.T, 0)
	s.open()
	s.want(2, entries(2))
}

func (s *snapTest) cancelled() {
	s.save(1)
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if err := s.snaps.Save(ctx, 2, entries(2)); !errors.Is(err, context.Canceled) {
		s.Fatalf("save without a context: %v", err)
	}
	s.want(1, entries(1))
}

func (s *snapTest) closed() {
	s.save(1)
	snaps := s.snaps
	s.close()
	if err := snaps.Save(s.ctx, 2, entries(2)); !errors.Is(err, journal.ErrClosed) {
		s.Fatalf("save: %v", err)
	}
	if _, _, err := snaps.Load(s.ctx); !errors.Is(err, journal.ErrClosed) {
		s.Fatalf("load: %v", err)
	}
	if err := snaps.Close(); err != nil {
		s.Fatalf("close again: %v", err)
	}
}

// recover goes through journal.Recover: newest snapshot, the one before, the whole log.
func (s *snapTest) recover() {
	log := &list{}
	state := model.NewState()
	for i := range 9 {
		if _, err := journal.Begin(s.ctx, log, state, "host", time.Unix(int64(i), 0)); err != nil {
			s.Fatal(err)
		}
		if i%3 == 2 && i < 8 {
			if err := s.snaps.Save(s.ctx, state.Seq(), state.Entries()); err != nil {
				s.Fatal(err)
			}
		}
	}
	for damaged := range 3 {
		if damaged > 0 {
			s.close()
			s.store.Damage(s.T, damaged-1)
			s.open()
		}
		got, err := journal.Recover(s.ctx, log, s.snaps)
		if err != nil || got.Digest() != state.Digest() {
			s.Fatalf("%d snapshots are damaged: %v", damaged, err)
		}
	}
	log.first = 4
	if _, err := journal.Recover(s.ctx, log, s.snaps); !errors.Is(err, journal.ErrCorrupt) {
		s.Fatalf("no snapshot is whole and the log is trimmed: %v", err)
	}
}

// list is the plainest log there can be.
type list struct {
	journal.Log
	records [][]byte
	first   uint64
}

func (l *list) Bounds(context.Context) (uint64, uint64, error) {
	return max(l.first, 1), uint64(len(l.records)), nil
}

func (l *list) Read(_ context.Context, from uint64, fn func(uint64, []byte) error) error {
	for seq := from; seq <= uint64(len(l.records)); seq++ {
		if err := fn(seq, l.records[seq-1]); err != nil {
			return err
		}
	}
	return nil
}

func (l *list) Append(_ uint64, data []byte, done func(error)) {
	l.records = append(l.records, data)
	done(nil)
}
