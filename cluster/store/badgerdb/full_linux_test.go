package badgerdb

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/troupe-sched/troupe/cluster/store/badgerdb/smalldisk"
)

// A disk that fills up, by us and by others, gives ErrFull and never a SIGBUS; with room again, all goes on.
func TestFullDiskRefusesAndRecovers(t *testing.T) {
	dir := smalldisk.Mount(t, 256<<20)
	db, err := Open(filepath.Join(dir, "db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 300<<10) // that no compression makes smaller
	if _, err := rand.NewChaCha8([32]byte{}).Read(value); err != nil {
		t.Fatal(err)
	}
	fill := func() (n uint32) {
		t.Helper()
		for ; n < 10_000; n++ {
			err := db.Write(func(b *Batch) error {
				return b.SetLong([]byte{byte(n >> 8), byte(n)}, value)
			})
			if errors.Is(err, ErrFull) {
				return n
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		t.Fatal("the small disk does not fill")
		return 0
	}
	if n := fill(); n < 100 {
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
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
