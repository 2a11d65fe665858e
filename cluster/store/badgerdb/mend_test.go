package badgerdb

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// After a power cut the names of new files may be on the disk, and nothing of what was in them, which nobody was told to be
// durable: a memtable's log and a value log at once.
func TestS5_FilesWithoutBytesAreMended(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(txn *badger.Txn) error { return txn.Set([]byte("a"), []byte("1")) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"00002.mem", "00003.mem", "000002.vlog"} {
		if file := filepath.Join(dir, name); !slices.Contains(glob(t, dir), file) {
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	db, err = Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(func(txn *badger.Txn) error { _, err := txn.Get([]byte("a")); return err })
	if err != nil {
		t.Errorf("what was durable is gone: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func glob(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}
