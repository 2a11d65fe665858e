package memlog

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/journal/journaltest"
)

func TestLog(t *testing.T) {
	journaltest.RunLog(t, func(t *testing.T) journaltest.LogStore {
		log := New(Options{})
		reopen := func() (journal.Log, error) { return log.Reopen(), nil }
		return journaltest.LogStore{
			Open: reopen, Second: reopen,
			Remove: func(t *testing.T, seq uint64) {
				log.disk.records = slices.Delete(log.disk.records, int(seq)-1, int(seq))
			},
			Flip: func(t *testing.T, seq uint64) {
				r := bytes.Clone(log.disk.records[seq-1])
				r[len(r)/2] ^= 4
				log.disk.records[seq-1] = r
			},
			Small: func(*testing.T) journal.Log { return New(Options{BytesMax: 3 << 20}) },
		}
	})
}

func TestSnapshots(t *testing.T) {
	journaltest.RunSnapshots(t, func(t *testing.T) journaltest.SnapshotStore {
		disk := NewSnapshots()
		return journaltest.SnapshotStore{
			Open: func() (journal.Snapshots, error) {
				disk = disk.Reopen()
				return disk, nil
			},
			Damage: func(t *testing.T, generation int) {
				g := &disk.kept[len(disk.kept)-1-generation]
				g.entries = append(slices.Clone(g.entries), []byte("one too many"))
			},
		}
	})
}

// The answer comes within the call: a seeded world replays.
func TestS4_AnswersWithinTheCall(t *testing.T) {
	log := New(Options{})
	answered := false
	log.Append(1, []byte("x"), func(err error) { answered = err == nil })
	if !answered {
		t.Fatal("done was not called within Append")
	}
}

func TestTrimFreesRoom(t *testing.T) {
	log := New(Options{BytesMax: 1000})
	for seq := uint64(1); seq <= 100; seq++ {
		log.Append(seq, bytes.Repeat([]byte("x"), 100), func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		})
		if err := log.Trim(context.Background(), seq); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, window := range []int{1, 64} {
		b.Run(fmt.Sprint("window=", window), func(b *testing.B) {
			journaltest.BenchAppend(b, New(Options{BytesMax: 1 << 40}), window)
		})
	}
}
