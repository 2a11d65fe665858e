package objectsnap

import (
	"context"
	"testing"

	"github.com/troupe-sched/troupe/actors/journal/journaltest"
	"github.com/troupe-sched/troupe/cluster/natsd"
)

// BenchmarkSnapshot saves and loads a state of 64 MiB in entries of 4 KiB, on a server that syncs every write.
func BenchmarkSnapshot(b *testing.B) {
	s := opened(b, connect(b, start(b, natsd.Options{})), Options{Cell: newCell()})
	const size = 64 << 20
	all := journaltest.Noise(1, size)
	var entries [][]byte
	for len(all) > 0 {
		entries, all = append(entries, all[:4096]), all[4096:]
	}
	seq := uint64(0)
	b.Run("save", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			seq++
			if err := s.Save(context.Background(), seq, entries); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("load", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			if got, _, err := s.Load(context.Background()); err != nil || got != seq {
				b.Fatal(got, err)
			}
		}
	})
}
