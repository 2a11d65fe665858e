package badgerdb

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// noise is what no compression makes smaller.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // never fails
	return b
}

func number(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// fill writes values until there is no room, and returns how many there are.
func fill(t *testing.T, db *DB, value []byte) (n uint32) {
	t.Helper()
	for ; n < 10_000; n++ {
		err := db.Write(func(b *Batch) error { return b.SetLong(number(n), value) })
		if errors.Is(err, ErrFull) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("it does not fill")
	return 0
}

// A database takes no more than its quota. When part of it is deleted the disk gets that back, and writing goes on in
// the same process.
func TestB12_QuotaRefusesAndRecovers(t *testing.T) {
	t.Parallel()
	if _, err := OpenWith(Options{Dir: t.TempDir(), Quota: QuotaMin - 1}); err == nil {
		t.Error("a quota that nothing fits in is taken")
	}
	dir := t.TempDir()
	db, err := OpenWith(Options{Dir: dir, Quota: QuotaMin})
	if err != nil {
		t.Fatal(err)
	}
	value := noise(300 << 10)
	for range 2 {
		n := fill(t, db, value)
		taken, err := Taken(dir)
		if err != nil {
			t.Fatal(err)
		}
		if n < 50 || taken > 2*QuotaMin {
			t.Fatalf("full after %d values with %d MiB on disk", n, taken>>20)
		}
		if err := db.View(func(txn *badger.Txn) error { _, err := txn.Get(partKey(number(0), 0)); return err }); err != nil {
			t.Fatalf("reads must go on: %v", err)
		}
		err = db.Shrink(func(b *Batch) error {
			for i := range n {
				if err := b.Delete(partKey(number(i), 0)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if taken, err = Taken(dir); err != nil || taken > QuotaMin*3/4 {
			t.Fatalf("everything is deleted, and %d MiB are still on disk, %v", taken>>20, err)
		}
	}
	// What was deleted does not come back either.
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	err = open(t, dir).View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			t.Errorf("key %q is there", it.Item().Key())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
