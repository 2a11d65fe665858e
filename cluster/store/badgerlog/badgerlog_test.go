package badgerlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/journal/journaltest"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb/smalldisk"
)

// owner is a Log that closes its database with itself.
type owner struct {
	*Log
	db *badgerdb.DB
}

func (o owner) Close() error { return errors.Join(o.Log.Close(), o.db.Close()) }

func open(dir string) (journal.Log, error) {
	db, err := badgerdb.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	log, err := New(db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return owner{log, db}, nil
}

func TestLog(t *testing.T) {
	journaltest.RunLog(t, func(t *testing.T) journaltest.LogStore {
		dir := t.TempDir()
		return journaltest.LogStore{
			Open:   func() (journal.Log, error) { return open(dir) },
			Remove: func(t *testing.T, seq uint64) { remove(t, dir, seq) },
			Flip:   func(t *testing.T, seq uint64) { flipTable(t, dir) },
			Small: func(t *testing.T) journal.Log {
				log, err := open(filepath.Join(smalldisk.Mount(t, 190<<20), "db"))
				if err != nil {
					t.Fatal(err)
				}
				return log
			},
		}
	})
}

// remove deletes a record as no Log would.
func remove(t *testing.T, dir string, seq uint64) {
	t.Helper()
	db, err := badgerdb.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Write(func(b *badgerdb.Batch) error { return b.Delete(append(key(seq), 0, 0, 0, 0)) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// flipTable flips a bit in the middle of the one table that a closed log is.
func flipTable(t *testing.T, dir string) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) != 1 {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	flip(t, tables[0], 500)
}

func flip(t *testing.T, file string, offset int) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[offset] ^= 0x10
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// begun is a log of n records, still open, and the state that they lead to.
func begun(t *testing.T, dir string, n int) (journal.Log, *model.State) {
	t.Helper()
	log, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	state := model.NewState()
	for i := range n {
		if _, err := journal.Begin(context.Background(), log, state, "host", time.Unix(int64(i), 0)); err != nil {
			t.Fatal(err)
		}
	}
	return log, state
}

// image copies the directory of an open database: what a kill of its process would leave.
func image(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "image")
	if err := os.CopyFS(to, os.DirFS(dir).(fs.ReadDirFS)); err != nil {
		t.Fatal(err)
	}
	return to
}

// recoverImage opens what a crash left and reads it whole.
func recoverImage(dir string) (*model.State, error) {
	log, err := open(dir)
	if err != nil {
		return nil, err
	}
	state, err := journal.Recover(context.Background(), log, nil)
	return state, errors.Join(err, log.Close())
}

func TestB14_KillLosesNoRecord(t *testing.T) {
	dir := t.TempDir()
	_, state := begun(t, dir, 20)
	got, err := recoverImage(image(t, dir))
	if err != nil || got.Digest() != state.Digest() {
		t.Fatalf("after a kill: %v", err)
	}
}

// badger drops what follows a damaged entry of its write-ahead log without a word. The log must not.
func TestS5_FlippedBitInTheWriteAheadLog(t *testing.T) {
	dir := t.TempDir()
	_, state := begun(t, dir, 20)
	whole := image(t, dir)
	wals, err := filepath.Glob(filepath.Join(whole, "*.mem"))
	if err != nil || len(wals) != 1 {
		t.Fatalf("%d write-ahead logs, %v", len(wals), err)
	}
	found := 0
	for offset := 20; offset < 20*150; offset += 271 {
		spoiled := image(t, whole)
		flip(t, filepath.Join(spoiled, filepath.Base(wals[0])), offset)
		got, err := recoverImage(spoiled)
		switch {
		case errors.Is(err, journal.ErrCorrupt):
			found++
		case err != nil:
			t.Errorf("bit flipped at %d: %v, want %v", offset, err, journal.ErrCorrupt)
		case got.Digest() != state.Digest():
			t.Errorf("bit flipped at %d: record %d of %d is taken for the last", offset, got.Seq(), state.Seq())
		}
	}
	if found < 6 {
		t.Fatalf("only %d flips hit a record", found)
	}
}

// A power cut may leave the last write half on disk and the mark behind: what is whole is the log.
func TestB14_TornTailIsNotThere(t *testing.T) {
	dir := t.TempDir()
	log, _ := begun(t, dir, 3)
	image := image(t, dir)
	stored := make(chan error, 1)
	log.Append(4, make([]byte, journal.MaxRecord), func(err error) { stored <- err })
	if err := <-stored; err != nil {
		t.Fatal(err)
	}
	db, err := badgerdb.Open(image, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The first parts of record 4, and not its last.
	err = db.Write(func(b *badgerdb.Batch) error {
		for part := range byte(2) {
			if err := b.Set(append(key(4), 0, 0, 0, part), []byte{1, 'x'}); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	again, err := open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, last, err := again.Bounds(context.Background()); err != nil || last != 3 {
		t.Fatalf("the log ends with record %d, %v; want 3", last, err)
	}
	again.Append(4, []byte("whole"), func(err error) { stored <- err })
	again.Append(5, []byte("next"), func(err error) { stored <- err })
	if err := errors.Join(<-stored, <-stored); err != nil {
		t.Fatal(err)
	}
	got := ""
	err = again.Read(context.Background(), 4, func(_ uint64, data []byte) error { got += string(data) + " "; return nil })
	if err != nil || got != "whole next " {
		t.Fatalf("read %q, %v", got, err)
	}
}

func TestDamagedMarkIsDoneWithout(t *testing.T) {
	dir := t.TempDir()
	_, state := begun(t, dir, 3)
	spoiled := image(t, dir)
	flip(t, filepath.Join(spoiled, "journal.mark"), 7)
	got, err := recoverImage(spoiled)
	if err != nil || got.Digest() != state.Digest() {
		t.Fatal(err)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, window := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint("window=", window), func(b *testing.B) {
			log, err := open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			journaltest.BenchAppend(b, log, window)
			if err := log.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
