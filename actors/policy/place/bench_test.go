package place

import (
	"fmt"
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
)

// fleetOf is n nodes of 64 cores in racks of 40.
func fleetOf(n int) *Fleet {
	f := NewFleet(Options{})
	for i := range n {
		f.Put(model.NodeID(fmt.Sprint("n", i)), Node{
			Capacity: model.Resources{64_000, 256 << 30, 1 << 40, 10e9}, Drivers: []string{"func", "process"},
			Attributes: map[string]string{"os": "linux", "arch": "amd64", "rack": fmt.Sprint(i / 40)},
		})
	}
	return f
}

func core(spread string) Shape {
	s := Shape{Resources: model.Resources{1000, 1 << 30, 0, 0}, Driver: "process"}
	s.Spread = spread
	s.Constraints = []model.Constraint{{Attribute: "os", Op: model.OpEqual, Values: []string{"linux"}}}
	return s
}

// BenchmarkFill fills a fleet with one stage, 64 slots a node, in one decision, and frees it again.
func BenchmarkFill(b *testing.B) {
	for _, spread := range []string{"", "rack", "node"} {
		for _, nodes := range []int{1000, 10_000} {
			b.Run(fmt.Sprintf("spread=%s/nodes=%d", spread, nodes), func(b *testing.B) {
				f := fleetOf(nodes)
				s := f.Stage(core(spread))
				var out []Assignment
				b.ReportAllocs()
				for b.Loop() {
					out = f.Place(s, Ask{Slots: 64 * nodes}, out[:0])
					if left := f.Place(s, Ask{Slots: 1}, nil); s.Total() != 64*nodes || len(left) != 0 {
						b.Fatalf("%d slots, %v left", s.Total(), left)
					}
					for _, a := range out {
						f.Give(s, a.Node, s.Slots(a))
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*64*nodes), "ns/slot")
			})
		}
	}
}

// BenchmarkGrant is one slot at a time in a full fleet, each freed slot refilled.
func BenchmarkGrant(b *testing.B) {
	for _, nodes := range []int{100, 1000, 10_000, 100_000} {
		b.Run(fmt.Sprint("nodes=", nodes), func(b *testing.B) {
			f := fleetOf(nodes)
			s := f.Stage(core(""))
			out := f.Place(s, Ask{Slots: 64 * nodes}, nil)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				f.Give(s, NodeIndex(i*7919%nodes), Slots{Each: s.shape.Resources, Count: 1})
				if out = f.Place(s, Ask{Slots: 1}, out[:0]); len(out) != 1 {
					b.Fatal("no room")
				}
			}
		})
	}
}

// BenchmarkAsk is what people ask: why nothing fits, and how the cell is used.
func BenchmarkAsk(b *testing.B) {
	f := fleetOf(10_000)
	for i := range 200 {
		s := core("")
		s.Resources[model.CPU] += int64(i)
		s.Band = model.Band(1 + i%2)
		f.Place(f.Stage(s), Ask{Slots: 1000}, nil)
	}
	big := core("rack")
	big.Resources[model.Memory] = 1 << 45
	s := f.Stage(big)
	b.Run("explain", func(b *testing.B) {
		for b.Loop() {
			if e := f.Explain(s); e.Fit != 0 {
				b.Fatal(e)
			}
		}
	})
	b.Run("packing", func(b *testing.B) {
		for b.Loop() {
			if p := f.Packing(); p.Used == 0 {
				b.Fatal(p)
			}
		}
	})
}
