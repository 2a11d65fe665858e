package ledger_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/cluster/store/badgerdb"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb/smalldisk"
	"github.com/troupe-sched/troupe/node/ledger"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// A ledger on a disk that others have filled refuses what begins, then everything, and goes on reading; with room again it
// writes, without being opened again, and what it had confirmed is there.
func TestTrapFullDisk_B12_TheLedgerGoesOnWhenThereIsRoom(t *testing.T) {
	disk := smalldisk.Mount(t, badgerdb.Reserve+(40<<20))
	dir := filepath.Join(disk, "ledger")
	s, err := ledger.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	write := func(kind ledger.Kind, a uint64, value proto.Message) error {
		s.Write([]ledger.Entry{{Key: ledger.Key{Kind: kind, A: a}, Value: value}}, func(err error) { done <- err })
		return <-done
	}
	other := filepath.Join(disk, "other")
	for round := range uint64(2) {
		if err := write(ledger.Slot, round, &v1.LedgerSlot{Launch: &v1.Launch{Slot: round}}); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			others int
			ends   error
		}{{60 << 20, nil}, {140 << 20, ledger.ErrFull}} {
			if err := os.WriteFile(other, make([]byte, step.others), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if err := write(ledger.Slot, 100+round, &v1.LedgerSlot{}); !errors.Is(err, ledger.ErrFull) {
					t.Fatalf("a launch on a full disk: %v, want %v", err, ledger.ErrFull)
				}
				if err := write(ledger.Template, 100, &v1.Template{}); !errors.Is(err, ledger.ErrFull) {
					t.Fatalf("a template on a full disk: %v, want %v", err, ledger.ErrFull)
				}
				for kind, value := range map[ledger.Kind]proto.Message{
					ledger.Head: &v1.LedgerHead{Epoch: 1}, ledger.End: &v1.AttemptState{}, ledger.Slot: &v1.LedgerSlot{Ended: true}, ledger.Released: nil,
				} {
					if err := write(kind, 7, value); !errors.Is(err, step.ends) {
						t.Fatalf("with %d MiB of others, %c: %v, want %v", step.others>>20, kind, err, step.ends)
					}
				}
			}
			entries, err := s.Load()
			if err != nil || len(entries) != int(round)+4 {
				t.Fatalf("%d entries, %v", len(entries), err)
			}
		}
		if err := os.Remove(other); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = ledger.Open(dir, nil); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if entries, err := s.Load(); err != nil || len(entries) != 5 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
}
