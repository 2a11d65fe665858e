package place

import (
	"fmt"
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
)

// fleetOf is n nodes of 64 cores in racks of 40.
func fleetOf(n int) *Fleet {
	f := NewFleet()
	for i := range n {
		f.Put(model.NodeID(fmt.Sprintf("n%d", i)), model.Resources{64_000, 256 << 30, 1 << 40, 10e9},
			map[string]string{"os": "linux", "arch": "amd64", "rack": fmt.Sprint(i / 40)}, []string{"func", "process"})
	}
	return f
}

func core(spread string) Shape {
	return Shape{
		Resources: model.Resources{1000, 1 << 30, 0, 0}, Driver: "process", Spread: spread,
		Constraints: []model.Constraint{{Attribute: "os", Op: model.OpEqual, Values: []string{"linux"}}},
	}
}

// BenchmarkFill fills a fleet with one class, 64 slots a node, in one decision, and frees it again.
func BenchmarkFill(b *testing.B) {
	for _, spread := range []string{"", "rack", "node"} {
		for _, nodes := range []int{1000, 10_000, 100_000} {
			b.Run(fmt.Sprintf("spread=%s/nodes=%d", spread, nodes), func(b *testing.B) {
				f, s := fleetOf(nodes), core(spread)
				id := f.Class(s)
				var out []Assignment
				b.ReportAllocs()
				for b.Loop() {
					out = f.Place(id, 64*nodes, nil, out[:0])
					for _, a := range out {
						f.Take(a.Node, s.Resources, a.Count)
					}
					if left := f.Place(id, 1, nil, nil); len(out) != nodes || len(left) != 0 {
						b.Fatalf("%d nodes, %v left", len(out), left)
					}
					for _, a := range out {
						f.Give(a.Node, s.Resources, a.Count)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*64*nodes), "ns/slot")
			})
		}
	}
}

// BenchmarkGrant is one slot at a time, each freed slot refilled: first in a half empty fleet, then in a full one. The
// figure must not depend on the number of nodes.
func BenchmarkGrant(b *testing.B) {
	for _, full := range []bool{false, true} {
		for _, nodes := range []int{1000, 10_000, 100_000} {
			b.Run(fmt.Sprintf("full=%v/nodes=%d", full, nodes), func(b *testing.B) {
				f, s := fleetOf(nodes), core("")
				id := f.Class(s)
				for i := range nodes {
					f.Take(NodeIndex(i), s.Resources, 63)
					if full {
						f.Take(NodeIndex(i), s.Resources, 1)
					}
				}
				out := f.Place(id, 1, nil, nil)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					n := NodeIndex(i * 7919 % nodes)
					f.Give(n, s.Resources, 1)
					out = f.Place(id, 1, nil, out[:0])
					f.Take(out[0].Node, s.Resources, 1)
				}
			})
		}
	}
}

// BenchmarkManyClasses grants in turn for classes that all see each other's grants.
func BenchmarkManyClasses(b *testing.B) {
	for _, classes := range []int{1, 10, 60, 120} {
		b.Run(fmt.Sprintf("classes=%d", classes), func(b *testing.B) {
			f := fleetOf(1000)
			var ids []ClassID
			for i := range classes {
				s := core("")
				s.Resources[model.CPU] += int64(i)
				ids = append(ids, f.Class(s))
			}
			var out []Assignment
			var past [10_000]Assignment // node and class of the grants that still hold
			for i := 0; b.Loop(); i++ {
				id, old := ids[i%classes], &past[i*7919%len(past)]
				if old.Count > 0 {
					f.Give(old.Node, f.Shape(ids[old.Count-1]).Resources, 1)
				}
				out = f.Place(id, 1, nil, out[:0])
				f.Take(out[0].Node, f.Shape(id).Resources, 1)
				*old = Assignment{out[0].Node, i%classes + 1}
			}
		})
	}
}

// BenchmarkBrute is the full scan for every slot, for the ratio to BenchmarkFill with the same number of nodes.
func BenchmarkBrute(b *testing.B) {
	for _, spread := range []string{"", "node"} {
		for _, nodes := range []int{100, 1000} {
			b.Run(fmt.Sprintf("spread=%s/nodes=%d", spread, nodes), func(b *testing.B) {
				f, s := fleetOf(nodes), core(spread)
				const slots = 64
				for b.Loop() {
					if out := brute(f, s, slots, func(NodeIndex) int { return 0 }); len(out) == 0 {
						b.Fatal("nothing placed")
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*slots), "ns/slot")
			})
		}
	}
}

func BenchmarkExplain(b *testing.B) {
	f, s := fleetOf(10_000), core("")
	s.Resources[model.Memory] = 1 << 45
	id := f.Class(s)
	for b.Loop() {
		if e := f.Explain(id); e.Fit != 0 {
			b.Fatal(e)
		}
	}
}
