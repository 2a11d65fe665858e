package badgerdb

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// What badger does by itself loses confirmed writes in a power cut, does not look at checksums, lets a second process in
// if asked to, and takes hundreds of megabytes. Each of these is set, and stays set.
func TestTrapDefaults(t *testing.T) {
	t.Parallel()
	o := open(t, t.TempDir()).db.Opts()
	if !o.SyncWrites {
		t.Error("writes are confirmed before they are on disk")
	}
	if o.ChecksumVerificationMode != options.OnTableAndBlockRead || !o.VerifyValueChecksum {
		t.Error("checksums are not verified")
	}
	if o.BypassLockGuard {
		t.Error("the lock of the directory is bypassed")
	}
	if memory := o.MemTableSize*int64(o.NumMemtables+1) + o.BlockCacheSize + o.IndexCacheSize; memory > 40<<20 {
		t.Errorf("memtables and caches take %d MiB", memory>>20)
	}
	if o.ValueThreshold <= ValueMax {
		t.Error("values go to the value log, which needs garbage collection")
	}
	if o.ValueLogFileSize > 16<<20 {
		t.Errorf("a value log of %d MiB is mapped", o.ValueLogFileSize>>20)
	}
}

// A process that is killed while badger makes a new write-ahead log leaves a file of no bytes, over which the next open
// stumbles.
func TestTrapEmptyWriteAheadLogAfterAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir)
	if err := db.Update(func(txn *badger.Txn) error { return txn.Set([]byte("a"), []byte("1")) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(dir, fmt.Sprintf("%05d.mem", len(logs)+1))
	if err := os.WriteFile(next, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir)
	err = again.View(func(txn *badger.Txn) error { _, err := txn.Get([]byte("a")); return err })
	if err != nil {
		t.Fatal(err)
	}
}

// A second process is kept out, and let in as soon as the first was killed.
func TestTrapLockOfAKilledProcess(t *testing.T) {
	if dir := os.Getenv(killedDir); dir != "" {
		writeUntilKilled(dir)
	}
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestTrapLockOfAKilledProcess$")
	cmd.Env = append(os.Environ(), killedDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n := 0
	if _, err := fmt.Fscanln(out, &n); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, nil); !errors.Is(err, ErrLocked) {
		t.Errorf("beside a living process: %v, want %v", err, ErrLocked)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	open(t, dir) // at once: the lock goes a moment after the process
	_ = cmd.Wait()
}

// One transaction takes only so much; a Write takes any number of keys.
func TestTrapTransactionTooBig(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	const keys = 200_000
	key := func(i int) []byte { return fmt.Appendf(nil, "%08d", i) }
	err := db.Update(func(txn *badger.Txn) error {
		for i := range keys {
			if err := txn.Set(key(i), nil); err != nil {
				return err
			}
		}
		return nil
	})
	if !errors.Is(err, badger.ErrTxnTooBig) {
		t.Fatalf("%d keys in one transaction: %v", keys, err)
	}
	err = db.Write(func(b *Batch) error {
		for i := range keys {
			if err := b.Set(key(i), nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(func(txn *badger.Txn) error { _, err := txn.Get(key(keys - 1)); return err })
	if err != nil {
		t.Fatal(err)
	}
}

// Keys that badger cannot keep, or keeps for itself, are errors and not panics.
func TestTrapKeysThatCannotBe(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	for _, key := range []string{"", "!badger!x", strings.Repeat("k", 65_001)} {
		if err := db.Write(func(b *Batch) error { return b.Set([]byte(key), nil) }); err == nil {
			t.Errorf("a key of %d bytes, %.10q, is taken", len(key), key)
		}
	}
	if err := db.Write(func(b *Batch) error { return b.Set([]byte("k"), nil) }); err != nil {
		t.Errorf("a write after them: %v", err)
	}
}
