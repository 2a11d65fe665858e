package jetstreamlog

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/troupe-sched/troupe/cluster/natsd"
)

// BenchmarkRead reads and follows a journal of small records, as a master does that begins; one operation is a record.
func BenchmarkRead(b *testing.B) {
	s := start(b, natsd.Options{SyncLazily: true})
	log := open(b, connect(b, s), Options{Cell: newCell()})
	const n = 50_000
	stored := make(chan error, n)
	for from := uint64(1); from <= n; from += 1000 {
		for seq := from; seq < from+1000; seq++ {
			log.Append(seq, fmt.Appendf(nil, "%200d", seq), func(err error) { stored <- err })
		}
		for range 1000 {
			if err := <-stored; err != nil {
				b.Fatal(err)
			}
		}
	}
	over := errors.New("over")
	until := func(last uint64) func(uint64, []byte) error {
		return func(seq uint64, _ []byte) error {
			if seq == last {
				return over
			}
			return nil
		}
	}
	for name, read := range map[string]func(context.Context, uint64, func(uint64, []byte) error) error{"read": log.Read, "tail": log.Tail} {
		b.Run(name, func(b *testing.B) {
			for left := b.N; left > 0; left -= n {
				if err := read(context.Background(), 1, until(uint64(min(left, n)))); !errors.Is(err, over) {
					b.Fatal(err)
				}
			}
		})
	}
}
