package backfill

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// bigWorld is a cell of n nodes that are nearly full of slots of one core.
func bigWorld(n, slots int) (*Timeline, func(int32) Amount, func(func(int32) bool)) {
	r := rand.New(rand.NewPCG(1, 1))
	t := &Timeline{}
	free := make([]Amount, n)
	for node := range free {
		free[node] = Amount{r.Int64N(1000), 1 << 30}
		for i := range slots {
			t.Add(int32(node), uint64(i), Amount{1000, 1 << 20}, r.Int64N(1e8))
		}
	}
	all := func(yield func(int32) bool) {
		for node := range free {
			if !yield(int32(node)) {
				return
			}
		}
	}
	return t, func(node int32) Amount { return free[node] }, all
}

func BenchmarkReserve(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		t, free, all := bigWorld(n, 40)
		for _, need := range []Need{
			{Each: Amount{16_000}, Count: 1},
			{Each: Amount{4_000}, Count: 5 * n},
		} {
			b.Run(fmt.Sprintf("nodes=%d/slots=%d", n, need.Count), func(b *testing.B) {
				b.ReportAllocs()
				var c Calendar
				for b.Loop() {
					c.Reset()
					if _, ok := c.Reserve(t, need, 0, all, free); !ok {
						b.Fatal("it never fits")
					}
				}
			})
		}
	}
}

func BenchmarkRoom(b *testing.B) {
	t, free, all := bigWorld(10_000, 40)
	var c Calendar
	if _, ok := c.Reserve(t, Need{Each: Amount{16_000}, Count: 5000}, 0, all, free); !ok {
		b.Fatal("it never fits")
	}
	node := int32(0)
	b.ReportAllocs()
	for b.Loop() {
		node = (node + 1) % 10_000
		if room := c.Room(node, free(node), 1e6); room[0] > 1000 {
			b.Fatal(room)
		}
	}
}

func BenchmarkKey(b *testing.B) {
	w := Waiting{Since: 5, Serial: 7, Duration: 3600e3, Share: 1000}
	now := int64(1e9)
	for b.Loop() {
		now++
		Slowdown.Key(&w, now)
	}
}
