package ledger_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/troupe-sched/troupe/cluster/store/badgerdb"
	"github.com/troupe-sched/troupe/node/ledger"
	"github.com/troupe-sched/troupe/node/ledger/ledgertest"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestMemory(t *testing.T) {
	ledgertest.RunStore(t,
		func(*testing.T) ledger.Store { return ledger.Memory() },
		func(_ *testing.T, s ledger.Store) ledger.Store {
			s.(*ledger.Mem).Reopen()
			return s
		})
}

func TestS5_Badger(t *testing.T) {
	dirs := map[ledger.Store]string{}
	openIn := func(t *testing.T, dir string) ledger.Store {
		t.Helper()
		s, err := ledger.Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		dirs[s] = dir
		t.Cleanup(func() { s.Close() })
		return s
	}
	ledgertest.RunStore(t,
		func(t *testing.T) ledger.Store { return openIn(t, t.TempDir()) },
		func(t *testing.T, s ledger.Store) ledger.Store { return openIn(t, dirs[s]) })
}

// An entry that this version does not know is an error, not a gap.
func TestUnknownEntriesFailLoudly(t *testing.T) {
	for name, kv := range map[string][2]string{
		"kind":  {"z0123456789abcdef", ""},
		"key":   {"s", ""},
		"value": {"s0123456789abcdef", "\xff\xff"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			db, err := badgerdb.Open(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Update(func(txn *badger.Txn) error { return txn.Set([]byte(kv[0]), []byte(kv[1])) }); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			s, err := ledger.Open(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := s.Load(); !errors.Is(err, ledger.ErrCorrupt) {
				t.Fatal(err)
			}
		})
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	s, err := ledger.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := ledger.Open(dir, nil); !errors.Is(err, badgerdb.ErrLocked) {
		t.Fatal(err)
	}
	if _, err := ledger.Open(filepath.Join(os.DevNull, "x"), nil); err == nil {
		t.Fatal("opened where no directory can be")
	}
}

// A value that is too large fails its write alone, and the store goes on.
func TestTooLarge(t *testing.T) {
	s, err := ledger.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	done := make(chan error, 9)
	for i := range uint64(9) {
		state := &v1.AttemptState{}
		if i == 5 {
			state.Result = make([]byte, 2<<20)
		}
		s.Write([]ledger.Entry{{Key: ledger.Key{Kind: ledger.End, A: i}, Value: state}}, func(err error) { done <- err })
	}
	for i := range 9 {
		if err := <-done; (err != nil) != (i == 5) {
			t.Errorf("write %d: %v", i, err)
		}
	}
}
