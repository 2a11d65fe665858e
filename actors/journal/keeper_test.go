package journal_test

import (
	"context"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/journal/journaltest"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
)

// mortal counts the steps that a keeper takes outside, and dies at one of them: before or after it was taken.
type mortal struct{ left int }

var errDied = errors.New("died")

func (m *mortal) step(do func() error) error {
	if m.left--; m.left < 0 {
		return errDied
	}
	err := do()
	if m.left--; m.left < 0 {
		return errDied
	}
	return err
}

type mortalSnaps struct {
	journal.Snapshots
	m *mortal
}

func (s mortalSnaps) Save(ctx context.Context, seq uint64, entries [][]byte) error {
	return s.m.step(func() error { return s.Snapshots.Save(ctx, seq, entries) })
}

type mortalLog struct {
	journal.Log
	m *mortal
}

func (l mortalLog) Trim(ctx context.Context, seq uint64) error {
	return l.m.step(func() error { return l.Log.Trim(ctx, seq) })
}

// Wherever the master dies between the steps of saving, it and every other master come to the state of the whole log.
func TestS5_F30_AKeeperMayDieAtEveryStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stored, full := journaltest.Draw(t, 25)
		every := uint64(rapid.IntRange(1, 4).Draw(t, "every"))
		log, local, shared := memlog.New(memlog.Options{}), memlog.NewSnapshots(), memlog.NewSnapshots()
		m := &mortal{left: rapid.IntRange(0, 40).Draw(t, "steps")}
		keeper := journal.NewKeeper(mortalLog{log, m}, mortalSnaps{local, m}, mortalSnaps{shared, m})
		state := model.NewState()
		for i, s := range stored {
			seq := uint64(i + 1)
			put(t, log, seq, s.Data)
			if err := journal.Replay(state, seq, s.Data); err != nil {
				t.Fatal(err)
			}
			if seq%every == 0 && m.left >= 0 {
				saved := make(chan error, 1)
				keeper.Save(seq, state.Entries(), func(err error) { saved <- err })
				if err := <-saved; (err != nil) != (m.left < 0) {
					t.Fatalf("%d steps are left, and the save says %v", m.left, err)
				}
				keeper.Close()
			}
		}
		for name, snaps := range map[string][]journal.Snapshots{"itself": {local, shared}, "another": {nil, shared}, "one with an empty disk": {memlog.NewSnapshots(), shared}} {
			got, err := journal.Recover(context.Background(), log.Reopen(), snaps...)
			if err != nil || got.Digest() != full.Digest() {
				t.Fatalf("%s: %v", name, err)
			}
		}
	})
}

// A disk of its own that is full keeps no master from sharing its snapshots, nor the log from being trimmed.
func TestF30_SharedSnapshotsGoOnWithoutTheOwn(t *testing.T) {
	log, _, state := chain(t, "host")
	shared := memlog.NewSnapshots()
	keeper := journal.NewKeeper(log, mortalSnaps{memlog.NewSnapshots(), &mortal{}}, shared)
	early := model.NewState()
	if err := log.Read(t.Context(), 1, func(seq uint64, data []byte) error {
		if seq > 3 {
			return nil
		}
		return journal.Replay(early, seq, data)
	}); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*model.State{early, state} {
		saved := make(chan error, 1)
		keeper.Save(s.Seq(), s.Entries(), func(err error) { saved <- err })
		if err := <-saved; !errors.Is(err, errDied) {
			t.Fatalf("the disk that failed is not told of: %v", err)
		}
		keeper.Close()
	}
	if kept, err := shared.Kept(t.Context()); err != nil || len(kept) != 2 || kept[0] != 6 {
		t.Fatalf("shared are %v: %v", kept, err)
	}
	if first, _, err := log.Bounds(t.Context()); err != nil || first != 4 {
		t.Fatalf("the log begins with record %d: %v", first, err)
	}
}
