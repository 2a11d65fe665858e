package badgerlog

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/journal/journaltest"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb/smalldisk"
)

// appended is the answer to one append.
func appended(log journal.Log, seq uint64, data []byte) error {
	done := make(chan error, 1)
	log.Append(seq, data, func(err error) { done <- err })
	return <-done
}

// fill appends records until there is no room, and returns the first that found none.
func fill(t *testing.T, log journal.Log, from uint64) uint64 {
	t.Helper()
	for seq := from; seq < from+5000; seq++ {
		switch err := appended(log, seq, journaltest.Noise(seq, 256<<10)); {
		case errors.Is(err, journal.ErrFull):
			return seq
		case err != nil:
			t.Fatal(err)
		}
	}
	t.Fatal("it does not fill")
	return 0
}

// wantNoise reads the log and holds it against what was appended.
func wantNoise(t *testing.T, log journal.Log, from, to uint64) {
	t.Helper()
	next := from
	err := log.Read(context.Background(), from, func(seq uint64, data []byte) error {
		if seq != next || string(data) != string(journaltest.Noise(seq, 256<<10)) {
			t.Errorf("record %d is not what was appended as %d", seq, next)
		}
		next++
		return nil
	})
	if err != nil || next != to+1 {
		t.Fatalf("the log ends before record %d, %v; want %d", next, err, to)
	}
}

// A journal that met a full disk goes on, in the same process, with the record that found no room.
func TestTrapFullDisk_B12_TheJournalGoesOnWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	disk := smalldisk.Mount(t, 200<<20)
	log, err := open(filepath.Join(disk, "db"))
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(disk, "other")
	full := uint64(1)
	for _, size := range []string{"size=230m", "size=260m"} {
		full = fill(t, log, full)
		if err := os.WriteFile(other, make([]byte, 70<<20), 0o600); err != nil { // more than badger may yet give back
			t.Fatal(err)
		}
		for range 3 { // again and again, and never half
			if err := appended(log, full, journaltest.Noise(full, 256<<10)); !errors.Is(err, journal.ErrFull) {
				t.Fatal(err)
			}
		}
		wantNoise(t, log, 1, full-1)
		if err := os.Remove(other); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("", disk, "", unix.MS_REMOUNT, size); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if log, err = open(filepath.Join(disk, "db")); err != nil {
		t.Fatal(err)
	}
	wantNoise(t, log, 1, full-1)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

// A journal that takes its quota goes on when its records are trimmed: what they took leaves the disk.
func TestB12_M2_TrimmingMakesRoomWithinTheQuota(t *testing.T) {
	t.Parallel()
	db, err := badgerdb.OpenWith(badgerdb.Options{Dir: t.TempDir(), Quota: badgerdb.QuotaMin})
	if err != nil {
		t.Fatal(err)
	}
	log, err := New(db)
	if err != nil {
		t.Fatal(err)
	}
	full := uint64(1)
	for range 2 {
		first := full
		if full = fill(t, log, first); full < first+50 {
			t.Fatalf("full again after %d records", full-first)
		}
		if err := log.Trim(context.Background(), full-1); err != nil {
			t.Fatal(err)
		}
		if err := appended(log, full, journaltest.Noise(full, 256<<10)); err != nil {
			t.Fatalf("after the trim: %v", err)
		}
		full++
		wantNoise(t, log, full-2, full-1)
	}
	if err := errors.Join(log.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
}
