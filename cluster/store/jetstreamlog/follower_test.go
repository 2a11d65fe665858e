package jetstreamlog

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/journal/journaltest"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/natsd"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
)

// A master follows over its own connection, takes over, and the one before it is fenced from then on.
func TestB30_S5_AFollowerTakesOverAStream(t *testing.T) {
	type drawn struct {
		stored []journaltest.Stored
		state  *model.State
	}
	d := rapid.Custom(func(t *rapid.T) drawn {
		stored, state := journaltest.Draw(t, 60)
		return drawn{stored, state}
	}).Filter(func(d drawn) bool { return len(d.stored) >= 30 }).Example(5)
	s := start(t, natsd.Options{})
	opts := Options{Cell: newCell()}
	leader, log := open(t, connect(t, s), opts), open(t, connect(t, s), opts)
	wrote := make(chan uint64, len(d.stored))
	f := journal.NewFollower(log, memlog.NewSnapshots(), journal.FollowerOptions{
		Now: time.Now, SnapshotRecords: 7, Wrote: func(seq, _ uint64) { wrote <- seq },
	})
	if err := f.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	end := make(chan error, 1)
	go func() { end <- f.Run(t.Context()) }()
	prefix := model.NewState()
	for i, r := range d.stored {
		seq := uint64(i + 1)
		if err := appendOne(leader, seq, string(r.Data)); err != nil {
			t.Fatal(err)
		}
		if err := journal.Replay(prefix, seq, r.Data); err != nil {
			t.Fatal(err)
		}
		if got := <-wrote; got != seq {
			t.Fatalf("the follower applies record %d after %d", got, seq-1)
		}
		f.View(func(s *model.State) {
			if s.Digest() != prefix.Digest() {
				t.Fatalf("the follower is somewhere else than the replay at record %d", seq)
			}
		})
	}
	state, err := f.Take(t.Context())
	if err != nil || state.Digest() != d.state.Digest() {
		t.Fatal(err)
	}
	if err := <-end; err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := journal.Begin(t.Context(), log, state, "b", time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := appendOne(leader, state.Seq(), "zombie"); !errors.Is(err, journal.ErrFenced) {
		t.Fatalf("the deposed master: %v, want %v", err, journal.ErrFenced)
	}
}
