package journal_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/journal/journaltest"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestS5_BeginAndRecover(t *testing.T) {
	ctx := context.Background()
	log := memlog.New(memlog.Options{})
	for want := uint64(1); want <= 3; want++ {
		log = log.Reopen()
		state, err := journal.Recover(ctx, log, nil)
		if err != nil {
			t.Fatal(err)
		}
		epoch, err := journal.Begin(ctx, log, state, "here", time.Unix(0, int64(want)))
		if err != nil || epoch != want || state.Seq() != want {
			t.Fatalf("epoch %d at record %d, %v; want %d", epoch, state.Seq(), err, want)
		}
	}
}

// Of two masters that begin at the same place one is refused, and all that it tries after that.
func TestS5_OnlyOneMasterBegins(t *testing.T) {
	ctx := context.Background()
	first := memlog.New(memlog.Options{})
	second := first.Reopen()
	a, b := model.NewState(), model.NewState()
	if _, err := journal.Begin(ctx, second, b, "b", time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Begin(ctx, first, a, "a", time.Unix(1, 0)); !errors.Is(err, journal.ErrFenced) {
		t.Fatalf("the later one: %v, want %v", err, journal.ErrFenced)
	}
}

// mute never answers.
type mute struct{ journal.Log }

func (mute) Append(uint64, []byte, func(error)) {}

func TestBeginEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := journal.Begin(ctx, mute{}, model.NewState(), "a", time.Unix(1, 0))
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "not known") {
		t.Fatal(err)
	}
}

// Whatever was saved and trimmed on the way, recovery comes to the same bytes, and says so if it cannot.
func TestS5_F30_RecoverFromAnySnapshotAndTrim(t *testing.T) {
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		stored, full := journaltest.Draw(t, 30)
		log, snaps := memlog.New(memlog.Options{}), memlog.NewSnapshots()
		state := model.NewState()
		saved := uint64(0)
		for i, s := range stored {
			seq := uint64(i + 1)
			log.Append(seq, s.Data, func(err error) {
				if err != nil {
					t.Fatal(err)
				}
			})
			if err := journal.Replay(state, seq, s.Data); err != nil {
				t.Fatal(err)
			}
			if rapid.IntRange(0, 5).Draw(t, "snapshot") == 0 {
				if err := snaps.Save(ctx, seq, state.Entries()); err != nil {
					t.Fatal(err)
				}
				saved = seq
			}
		}
		cut := uint64(rapid.IntRange(1, len(stored)).Draw(t, "trim"))
		if err := log.Trim(ctx, cut); err != nil {
			t.Fatal(err)
		}
		got, err := journal.Recover(ctx, log, snaps)
		if possible := saved+1 >= cut; possible != (err == nil) {
			t.Fatalf("snapshot of record %d, log from record %d: %v", saved, cut, err)
		} else if !possible {
			if !errors.Is(err, journal.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if got.Digest() != full.Digest() {
			t.Fatalf("snapshot of record %d, log from record %d: another state", saved, cut)
		}
	})
}

// Events applied one by one ahead of their record, as the journal does, lead where replay does.
func TestS5_StagedEventsAreReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stored, full := journaltest.Draw(t, 20)
		state := model.NewState()
		for i, s := range stored {
			rec, hash, err := journal.DecodeRecord(s.Data)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 || len(rec.Events) > 0 && rec.Events[0].GetEpochStarted() != nil {
				err = state.Apply(rec, hash)
			} else {
				for _, ev := range rec.Events {
					if err := state.Stage(ev); err != nil {
						t.Fatal(err)
					}
				}
				err = state.Seal(rec, hash)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if state.Digest() != full.Digest() {
			t.Fatal("another state")
		}
	})
}

// chain stores six records of a host and returns them with the state they lead to.
func chain(t *testing.T, host string) (*memlog.Log, [][]byte, *model.State) {
	t.Helper()
	log, state := memlog.New(memlog.Options{}), model.NewState()
	for i := range 6 {
		if _, err := journal.Begin(context.Background(), log, state, host, time.Unix(int64(i), 0)); err != nil {
			t.Fatal(err)
		}
	}
	var records [][]byte
	err := log.Read(context.Background(), 1, func(_ uint64, data []byte) error {
		records = append(records, data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return log, records, state
}

func store(t *testing.T, records ...[]byte) *memlog.Log {
	t.Helper()
	log := memlog.New(memlog.Options{})
	for i, r := range records {
		log.Append(uint64(i+1), r, func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		})
	}
	return log
}

func TestS5_WhatIsNotTheLogIsRefused(t *testing.T) {
	ctx := context.Background()
	log, r, state := chain(t, "one")
	_, other, foreign := chain(t, "another")
	snapshot := func(s *model.State) *memlog.Snapshots {
		snaps := memlog.NewSnapshots()
		if err := snaps.Save(ctx, s.Seq(), s.Entries()); err != nil {
			t.Fatal(err)
		}
		return snaps
	}
	unreadable := memlog.NewSnapshots()
	if err := unreadable.Save(ctx, 6, [][]byte{[]byte("not a state")}); err != nil {
		t.Fatal(err)
	}
	mislabelled := memlog.NewSnapshots()
	if err := mislabelled.Save(ctx, 5, state.Entries()); err != nil {
		t.Fatal(err)
	}
	trimmed := store(t, r...)
	if err := trimmed.Trim(ctx, 3); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		log   journal.Log
		snaps journal.Snapshots
		want  string // "" for the state of the whole log
	}{
		"whole":                           {log, nil, ""},
		"with its snapshot":               {log, snapshot(state), ""},
		"snapshot that cannot be read":    {log, unreadable, ""},
		"snapshot under another number":   {log, mislabelled, ""},
		"trimmed, with its snapshot":      {trimmed, snapshot(state), ""},
		"trimmed, without":                {trimmed, nil, "begins with record 3"},
		"trimmed, snapshot unreadable":    {trimmed, unreadable, "no snapshot can be used"},
		"record left out":                 {store(t, r[0], r[1], r[3]), nil, "is record 4"},
		"record twice":                    {store(t, r[0], r[1], r[1]), nil, "is record 2"},
		"records swapped":                 {store(t, r[0], r[2], r[1]), nil, "is record 3"},
		"record of another log":           {store(t, r[0], r[1], other[2]), nil, "hash"},
		"log shorter than its snapshot":   {store(t, r[:4]...), snapshot(state), "the log has lost records"},
		"empty log beside a snapshot":     {store(t), snapshot(state), "the log has lost records"},
		"snapshot of another log":         {log, snapshot(foreign), "does not belong to this log"},
		"record that contradicts another": {store(t, r[0], contradiction(t, r[0])), nil, "no queue"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := journal.Recover(ctx, test.log, test.snaps)
			if test.want == "" {
				if err != nil || got.Digest() != state.Digest() {
					t.Fatalf("it is the log, and yet: %v", err)
				}
				return
			}
			if !errors.Is(err, journal.ErrCorrupt) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %v and %q", err, journal.ErrCorrupt, test.want)
			}
		})
	}
}

// mum are snapshots that cannot be asked just now.
type mum struct{ journal.Snapshots }

func (mum) Kept(context.Context) ([]uint64, error) { return nil, errDeaf }

// Snapshots that do not answer are no damage: what is needed of them may be there later.
func TestS5_SnapshotsThatDoNotAnswerAreNoDamage(t *testing.T) {
	log, _, state := chain(t, "host")
	if got, err := journal.Recover(t.Context(), log, nil, mum{}); err != nil || got.Digest() != state.Digest() {
		t.Fatalf("the log is whole, and yet: %v", err)
	}
	if err := log.Trim(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Recover(t.Context(), log, nil, mum{}); !errors.Is(err, errDeaf) || errors.Is(err, journal.ErrCorrupt) {
		t.Fatalf("%v, want %v", err, errDeaf)
	}
}

// contradiction is a second record that is whole and follows the first, and removes a queue that is not there.
func contradiction(t *testing.T, first []byte) []byte {
	t.Helper()
	_, hash, err := journal.DecodeRecord(first)
	if err != nil {
		t.Fatal(err)
	}
	return encode(t, &v1.Record{Seq: 2, Epoch: 1, Prev: hash[:], Events: []*v1.Event{
		{Kind: &v1.Event_QueueRemoved{QueueRemoved: &v1.QueueRemoved{Queue: "q"}}}}})
}
