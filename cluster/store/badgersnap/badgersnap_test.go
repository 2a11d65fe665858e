package badgersnap

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/journal/journaltest"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb/smalldisk"
)

// owner is a Snapshots that closes its database with itself.
type owner struct {
	*Snapshots
	db *badgerdb.DB
}

func (o owner) Close() error { return errors.Join(o.Snapshots.Close(), o.db.Close()) }

func open(dir string) (owner, error) {
	db, err := badgerdb.Open(dir, nil)
	if err != nil {
		return owner{}, err
	}
	return owner{New(db), db}, nil
}

func mustOpen(t testing.TB, dir string) owner {
	t.Helper()
	s, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustClose(t testing.TB, s owner) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// damages are the ways in which a generation can be spoiled.
var damages = []struct {
	name string
	do   func(b *badgerdb.Batch, id uint64) error
}{
	{"an entry is changed", func(b *badgerdb.Batch, id uint64) error {
		return b.Set(append(key(id, 0), 0, 0, 0, 0), []byte{0, 'c', 'h', 'a', 'n', 'g', 'e', 'd'})
	}},
	{"an entry is lost", func(b *badgerdb.Batch, id uint64) error { return b.Delete(append(key(id, 0), 0, 0, 0, 0)) }},
	{"an entry is one too many", func(b *badgerdb.Batch, id uint64) error { return b.SetLong(key(id, 1<<30), []byte("x")) }},
	{"an entry lacks its last part", func(b *badgerdb.Batch, id uint64) error {
		return b.Set(append(key(id, 0), 0, 0, 0, 0), []byte{1})
	}},
}

func TestS5_EveryDamageIsFound(t *testing.T) {
	for _, damage := range damages {
		t.Run(damage.name, func(t *testing.T) {
			s := mustOpen(t, t.TempDir())
			defer mustClose(t, s)
			for seq := uint64(1); seq <= 2; seq++ {
				if err := s.Save(t.Context(), seq, [][]byte{[]byte("one"), []byte("two")}); err != nil {
					t.Fatal(err)
				}
			}
			list, err := s.generations()
			if err != nil {
				t.Fatal(err)
			}
			if err := s.db.Write(func(b *badgerdb.Batch) error { return damage.do(b, list[0].ID) }); err != nil {
				t.Fatal(err)
			}
			if seq, _, err := s.Load(t.Context()); err != nil || seq != 1 {
				t.Fatalf("loaded the snapshot of record %d, %v; the newest is spoiled, the one before is not", seq, err)
			}
		})
	}
}

func TestSnapshots(t *testing.T) {
	journaltest.RunSnapshots(t, func(t *testing.T) journaltest.SnapshotStore {
		dir := t.TempDir()
		n := 0
		return journaltest.SnapshotStore{
			Open: func() (journal.Snapshots, error) { return open(dir) },
			Damage: func(t *testing.T, generation int) {
				s := mustOpen(t, dir)
				defer mustClose(t, s)
				list, err := s.generations()
				if err != nil {
					t.Fatal(err)
				}
				// Now one way, now another.
				damage := damages[n%len(damages)]
				n++
				if err := s.db.Write(func(b *badgerdb.Batch) error { return damage.do(b, list[generation].ID) }); err != nil {
					t.Fatal(err)
				}
			},
			Crash: func(t *testing.T, seq uint64) {
				s := mustOpen(t, dir)
				id, err := s.freeID()
				if err != nil {
					t.Fatal(err)
				}
				err = s.db.Write(func(b *badgerdb.Batch) error {
					for i := range uint32(50) {
						if err := b.SetLong(key(id, i), []byte("never finished")); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				mustClose(t, s)
			},
		}
	})
}

// Two generations are kept, and nothing of those before them or of unfinished ones.
func TestOldGenerationsGo(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer mustClose(t, s)
	for seq := uint64(1); seq <= 10; seq++ {
		if err := s.Save(context.Background(), seq, [][]byte{{1}, {2}}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.generations()
	if err != nil || len(list) != 2 || list[0].Seq != 10 || list[1].Seq != 9 {
		t.Fatalf("generations %v, %v", list, err)
	}
	for id := range list[0].ID + 1 {
		entries, err := s.load(context.Background(), generation{ID: id, Count: 2, SHA256: sum([][]byte{{1}, {2}})})
		if kept := id == list[0].ID || id == list[1].ID; kept != (err == nil) || !kept && len(entries) != 0 {
			t.Errorf("generation %d: %d entries, %v", id, len(entries), err)
		}
	}
}

// A disk without room for another snapshot leaves those that are there.
func TestFullDiskKeepsTheLastSnapshot(t *testing.T) {
	s := mustOpen(t, filepath.Join(smalldisk.Mount(t, 200<<20), "db"))
	defer mustClose(t, s)
	ctx := context.Background()
	if err := s.Save(ctx, 1, [][]byte{[]byte("small")}); err != nil {
		t.Fatal(err)
	}
	big := make([][]byte, 60)
	for i := range big {
		big[i] = journaltest.Noise(uint64(i), 1<<20)
	}
	if err := s.Save(ctx, 2, big); !errors.Is(err, journal.ErrFull) {
		t.Fatalf("%v, want %v", err, journal.ErrFull)
	}
	if seq, entries, err := s.Load(ctx); err != nil || seq != 1 || len(entries) != 1 {
		t.Fatalf("snapshot of record %d with %d entries, %v", seq, len(entries), err)
	}
}

func BenchmarkSave(b *testing.B) {
	entries := make([][]byte, 10_000)
	for i := range entries {
		entries[i] = fmt.Appendf(nil, "%01000d", i)
	}
	s, err := open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	seq := uint64(0)
	b.SetBytes(10_000 * 1000)
	for b.Loop() {
		seq++
		if err := s.Save(context.Background(), seq, entries); err != nil {
			b.Fatal(err)
		}
	}
	mustClose(b, s)
}
