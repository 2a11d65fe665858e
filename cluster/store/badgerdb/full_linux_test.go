package badgerdb

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"

	"github.com/troupe-sched/troupe/cluster/store/badgerdb/smalldisk"
)

// A disk that fills up, by us and by others, gives ErrFull and never a SIGBUS; with room again, all goes on.
func TestTrapFullDisk_B12_RefusesAndRecovers(t *testing.T) {
	dir := smalldisk.Mount(t, 256<<20)
	db, err := Open(filepath.Join(dir, "db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	value := noise(300 << 10)
	if n := fill(t, db, value); n < 100 {
		t.Fatalf("full after %d writes", n)
	}
	// Others take a good part of what is in reserve.
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, make([]byte, Reserve/3), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if db, err = Open(filepath.Join(dir, "db"), nil); err != nil {
			t.Fatalf("a full store must open to be read: %v", err)
		}
	}
	err = db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		n := 0
		for it.Rewind(); it.Valid(); n++ {
			if _, v, err := ReadLong(it); err != nil || !bytes.Equal(v, value) {
				t.Fatalf("value %d: %d bytes, %v", n, len(v), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	db = leaveAndResume(t, db, filepath.Join(dir, "most"))
	if err := db.Room(); !errors.Is(err, ErrFull) {
		t.Fatalf("a full disk: %v, want %v", err, ErrFull)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	// Room comes back while the database is open: it need not be opened again.
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=300m"); err != nil {
		t.Fatal(err)
	}
	if err := db.Write(func(b *Batch) error { return b.SetLong([]byte{0xff, 0xff}, value) }); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// leaveAndResume closes a database while others take all of its disk, and opens it again: it cannot be closed, and must
// not be locked for this process.
func leaveAndResume(t *testing.T, db *DB, others string) *DB {
	t.Helper()
	free, err := Free(db.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(others, make([]byte, free-memTable), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); !errors.Is(err, ErrFull) {
		t.Fatalf("closed without room: %v", err)
	}
	again, err := Open(db.Dir(), nil)
	if err != nil {
		t.Fatalf("what was left cannot be opened again: %v", err)
	}
	if err := again.View(func(txn *badger.Txn) error { _, err := txn.Get(partKey(number(0), 0)); return err }); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(db.Dir(), nil); err == nil {
		t.Fatal("it is open twice")
	}
	if err := os.Remove(others); err != nil {
		t.Fatal(err)
	}
	return again
}
