package jetstreamlog

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/journal/journaltest"
	"github.com/troupe-sched/troupe/cluster/natsd"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb/smalldisk"
)

const fullSize = 256 << 10

func fullRecord(seq uint64) []byte { return journaltest.Noise(seq, fullSize) }

// appended is the answer to one append.
func appended(log journal.Log, seq uint64) chan error {
	done := make(chan error, 1)
	log.Append(seq, fullRecord(seq), func(err error) { done <- err })
	return done
}

func wantFullRecords(t *testing.T, log journal.Log, last uint64) {
	t.Helper()
	next := uint64(1)
	err := log.Read(t.Context(), 1, func(seq uint64, data []byte) error {
		if seq != next || string(data) != string(fullRecord(seq)) {
			t.Errorf("record %d is not what was appended as %d", seq, next)
		}
		next++
		return nil
	})
	if err != nil || next != last+1 {
		t.Fatalf("the log ends before record %d, %v; want %d", next, err, last)
	}
}

// Who asks for room is told that there is none before the server meets a full disk, and goes on when there is.
func TestTrapFullDisk_B12_RoomIsAskedForBeforeTheServerIsStuck(t *testing.T) {
	t.Parallel()
	disk := smalldisk.Mount(t, 200<<20)
	s := start(t, natsd.Options{Dir: filepath.Join(disk, "nats"), StoreMax: 190 << 20})
	log := open(t, connect(t, s), Options{Cell: newCell(), Room: s.Room})
	other := filepath.Join(disk, "other")
	seq := uint64(1)
	for range 2 {
		for ; seq%20 != 0; seq++ {
			if err := <-appended(log, seq); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(other, make([]byte, 150<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := <-appended(log, seq); !errors.Is(err, journal.ErrFull) || !errors.Is(err, natsd.ErrFull) {
				t.Fatalf("on a full disk: %v", err)
			}
		}
		wantFullRecords(t, log, seq-1)
		if err := os.Remove(other); err != nil {
			t.Fatal(err)
		}
		if err := <-appended(log, seq); err != nil {
			t.Fatalf("with room again: %v", err)
		}
		seq++
	}
	wantFullRecords(t, log, seq-1)
}

// A server that did meet a full disk answers nobody until it is started again. The append that it left without an answer
// is stored then, once.
func TestTrapFullDisk_B12_AnAppendOutlivesTheStuckServer(t *testing.T) {
	t.Parallel()
	disk := smalldisk.Mount(t, 160<<20)
	s := start(t, natsd.Options{Dir: filepath.Join(disk, "nats"), StoreMax: 150 << 20})
	log := open(t, connect(t, s), Options{Cell: newCell(), Patience: time.Minute})
	if err := <-appended(log, 1); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(disk, "other")
	if err := os.WriteFile(other, make([]byte, 157<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	seq := uint64(2)
	var waiting chan error
	for waiting == nil {
		done := appended(log, seq)
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			seq++
		case <-time.After(500 * time.Millisecond): // many times what an answer takes
			waiting = done
		}
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil {
		t.Fatalf("record %d: %v", seq, err)
	}
	wantFullRecords(t, log, seq)
}
