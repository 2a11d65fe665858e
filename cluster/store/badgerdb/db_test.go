package badgerdb

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

func open(t testing.TB, dir string) *DB {
	t.Helper()
	db, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestReadsAndWritesSurviveAReopen(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "on", "the", "way")
	db := open(t, dir)
	if err := db.Update(func(txn *badger.Txn) error { return txn.Set([]byte("a"), []byte("1")) }); err != nil {
		t.Fatal(err)
	}
	long := bytes.Repeat([]byte("long"), 1<<19)
	err := db.Write(func(b *Batch) error {
		if err := b.Set([]byte("b"), []byte("2")); err != nil {
			return err
		}
		if err := b.SetLong([]byte("c"), long); err != nil {
			return err
		}
		return b.Delete([]byte("a"))
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err = db.View(func(txn *badger.Txn) error {
			if _, err := txn.Get([]byte("a")); !errors.Is(err, badger.ErrKeyNotFound) {
				t.Errorf("a is not deleted: %v", err)
			}
			if _, err := txn.Get([]byte("b")); err != nil {
				t.Errorf("b: %v", err)
			}
			it := txn.NewIterator(badger.DefaultIteratorOptions)
			defer it.Close()
			it.Seek([]byte("c"))
			k, v, err := ReadLong(it)
			if string(k) != "c" || !bytes.Equal(v, long) {
				t.Errorf("key %q has %d bytes", k, len(v))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		vlogs, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
		if err != nil || len(vlogs) == 0 {
			t.Fatal("no value log", err)
		}
		for _, v := range vlogs {
			if info, err := os.Stat(v); err != nil || info.Size() > 1000 {
				t.Errorf("the value log is in use: %v has %d bytes, %v", v, info.Size(), err)
			}
		}
		db = open(t, dir)
	}
}

func TestAFailedWriteReportsItsCause(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	cause := errors.New("cause")
	if err := db.Write(func(*Batch) error { return cause }); !errors.Is(err, cause) {
		t.Error(err)
	}
	if err := db.Write(func(b *Batch) error { return b.Set([]byte("k"), make([]byte, ValueMax+1)) }); err == nil {
		t.Error("a value beyond ValueMax is taken")
	}
}

func TestTornValuesAreFound(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	long := make([]byte, 3*partMax)
	for name, spoil := range map[string]func(b *Batch) error{
		"first": func(b *Batch) error { return b.Delete(partKey([]byte("k"), 0)) },
		"mid":   func(b *Batch) error { return b.Delete(partKey([]byte("k"), 1)) },
		"last":  func(b *Batch) error { return b.Delete(partKey([]byte("k"), 2)) },
		"not a part": func(b *Batch) error {
			return b.Set(partKey([]byte("k"), 1), []byte{7})
		},
		"strange key": func(b *Batch) error { return b.Set([]byte("j"), nil) },
	} {
		if err := db.Write(func(b *Batch) error { return b.SetLong([]byte("k"), long) }); err != nil {
			t.Fatal(err)
		}
		if err := db.Write(spoil); err != nil {
			t.Fatal(err)
		}
		err := db.View(func(txn *badger.Txn) error {
			it := txn.NewIterator(badger.DefaultIteratorOptions)
			defer it.Close()
			it.Rewind()
			_, _, err := ReadLong(it)
			return err
		})
		if !errors.Is(err, ErrTorn) {
			t.Errorf("%s: %v, want %v", name, err, ErrTorn)
		}
	}
}

func TestASecondProcessIsKeptOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir)
	if _, err := Open(dir, nil); !errors.Is(err, ErrLocked) {
		t.Fatalf("%v, want %v", err, ErrLocked)
	}
}

func TestRoomIsAskedForFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := OpenWith(Options{Dir: dir, Reserve: 1 << 60}); !errors.Is(err, ErrFull) {
		t.Fatalf("open: %v, want %v", err, ErrFull)
	}
	if _, err := OpenWith(Options{}); err == nil {
		t.Fatal("a database in no directory is opened")
	}
	db := open(t, dir)
	db.reserve = 1 << 60
	never := func(*badger.Txn) error { t.Error("it writes"); return nil }
	if err := db.Update(never); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), dir) {
		t.Errorf("update: %v", err)
	}
	if err := db.Write(func(*Batch) error { t.Error("it writes"); return nil }); !errors.Is(err, ErrFull) {
		t.Errorf("write: %v", err)
	}
	if err := db.View(func(*badger.Txn) error { return nil }); err != nil {
		t.Errorf("reads must go on: %v", err)
	}
	// Room that goes while a long write is under way ends it.
	db.reserve = 1
	err := db.Write(func(b *Batch) error {
		db.reserve = 1 << 60
		for i := range 100 {
			if err := b.SetLong(fmt.Append(nil, i), make([]byte, 1<<20)); err != nil {
				return err
			}
		}
		return nil
	})
	if !errors.Is(err, ErrFull) {
		t.Errorf("a long write: %v", err)
	}
	db.reserve = 1
}

func TestBadgersLinesGoToOurLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	db, err := Open(t.TempDir(), slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); !strings.Contains(s, "level=DEBUG") || !strings.Contains(s, "badger=") || strings.Contains(s, `\n"`) {
		t.Fatalf("log is %s", s)
	}
}

const killedDir = "TROUPE_TEST_BADGERDB_DIR"

// What was confirmed is there after a kill, and the database opens at once.
func TestB14_KillLosesNothing(t *testing.T) {
	if dir := os.Getenv(killedDir); dir != "" {
		writeUntilKilled(dir)
	}
	t.Parallel()
	dir := t.TempDir()
	for round := range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestB14_KillLosesNothing$")
		cmd.Env = append(os.Environ(), killedDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		confirmed := 0
		for confirmed < 50*(round+1) {
			if _, err := fmt.Fscanln(out, &confirmed); err != nil {
				t.Fatalf("the writer stopped at %d: %v", confirmed, err)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for { // what it said before it died
			if _, err := fmt.Fscanln(out, &confirmed); err != nil {
				break
			}
		}
		_ = cmd.Wait() // killed, as it should be
		db := open(t, dir)
		err = db.View(func(txn *badger.Txn) error {
			_, err := txn.Get(fmt.Append(nil, confirmed))
			return err
		})
		if err != nil {
			t.Fatalf("write %d was confirmed: %v", confirmed, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// writeUntilKilled writes numbered keys and says which are durable. It goes on where the one before it was killed.
func writeUntilKilled(dir string) {
	db, err := Open(dir, nil)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for n := 1; n < 1_000_000; n++ {
		if err := db.Update(func(txn *badger.Txn) error { return txn.Set(fmt.Append(nil, n), make([]byte, 2000)) }); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}
