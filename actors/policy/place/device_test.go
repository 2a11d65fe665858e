package place

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
)

// mixedFleet is nodes of a few sizes, some with devices, in an order drawn by chance.
func mixedFleet(r *rand.Rand, score string, workload []Expected) *Fleet {
	f := NewFleet(Options{Score: score, Exact: true, Workload: workload})
	for i := range 30 {
		what := Node{Capacity: model.Resources{16_000 << r.IntN(3), 64 * gi << r.IntN(2), 0, 0}}
		for range []int{0, 0, 1, 4, 8}[r.IntN(5)] {
			what.Devices = append(what.Devices, Device{"gpu", "A"})
		}
		f.Put(model.NodeID(fmt.Sprint("n", i)), what)
	}
	return f
}

func drawSlot(r *rand.Rand) Shape {
	s := Shape{Resources: model.Resources{500 * (1 + r.Int64N(12)), gi * (1 + r.Int64N(16)), 0, 0}}
	switch r.IntN(4) {
	case 0:
	case 1:
		s.Extra = &model.Extra{Devices: model.DeviceNeed{Kind: "gpu", Count: 1 << r.Int32N(3), Milli: 1000}}
	default:
		s.Extra = &model.Extra{Devices: model.DeviceNeed{Kind: "gpu", Count: 1, Milli: 100 * (1 + r.Int32N(9))}}
	}
	return s
}

// TestB23_HybridLetsDevicesDecide: of all nodes with room, a slot goes to one without devices if it needs none, else to one
// that packing likes best; what the formula says decides among those.
func TestB23_HybridLetsDevicesDecide(t *testing.T) {
	for seed := range uint64(20) {
		shapes := make([]Shape, 6)
		var workload []Expected
		for i, r := 0, rand.New(rand.NewPCG(seed, 1)); i < len(shapes); i++ {
			if shapes[i] = drawSlot(r); shapes[i].Extra != nil {
				workload = append(workload, Expected{shapes[i].Resources, shapes[i].Extra.Devices, 1 + r.Int64N(9)})
			}
		}
		// Two fleets alike: one decides, the other says what packing thinks.
		f, other := mixedFleet(rand.New(rand.NewPCG(seed, 2)), "", workload), mixedFleet(rand.New(rand.NewPCG(seed, 2)), Packing, workload)
		r := rand.New(rand.NewPCG(seed, 3))
		for range 250 {
			shape := shapes[r.IntN(len(shapes))]
			s, o := f.Stage(shape), other.Stage(shape)
			// liked is how good a node is: without devices or not, by packing, by the formula.
			liked := func(n NodeIndex) (x [3]int64) {
				if x[0] = 1; len(f.nodes[n].Devices) > 0 {
					x[0], x[1] = 0, other.rated(o.class, n)
				}
				x[2] = hybrid(&shape.Resources, &f.rows[n].free, &f.scales[f.rows[n].size])
				return x
			}
			best, feasible, all := [3]int64{}, 0, make([][3]int64, f.Len())
			other.rescore(o.class)
			for n := range f.Nodes() {
				if all[n] = liked(n); shape.Resources.Fits(f.Free(n)) && (shape.Extra == nil || f.fitsExtra(n, shape.Extra)) {
					if feasible++; slices.Compare(all[n][:], best[:]) > 0 {
						best = all[n]
					}
				}
			}
			out := f.Place(s, Ask{Slots: 1}, nil)
			if feasible == 0 && len(out) == 0 {
				continue
			}
			// Where packing decides, the formula counts in steps of a few thousandths.
			if len(out) != 1 || [2]int64(all[out[0].Node][:2]) != [2]int64(best[:2]) || best[2]-all[out[0].Node][2] > MaxScore/400 {
				t.Fatalf("seed %d: %s goes to %v, the best of %d is %v", seed, shapeText(&shape), out, feasible, best)
			}
			other.Take(o, out[0].Node, o.Slots(out[0]))
		}
	}
}

// BenchmarkDevices is one slot at a time in a cell of nodes with eight devices, of shapes that differ in all: each slot that
// ends is followed by one of another shape.
func BenchmarkDevices(b *testing.B) {
	for _, score := range []string{Hybrid, BestFit, Fragmentation} {
		for _, nodes := range []int{100, 10_000} {
			b.Run(fmt.Sprintf("%s/nodes=%d", score, nodes), func(b *testing.B) {
				f := NewFleet(Options{Score: score})
				gpus := make([]Device, 8)
				for i := range gpus {
					gpus[i] = Device{"gpu", "A"}
				}
				for i := range nodes {
					f.Put(model.NodeID(fmt.Sprint("n", i)), Node{Capacity: model.Resources{96_000, 768 * gi, 0, 0}, Devices: gpus})
				}
				r := rand.New(rand.NewPCG(1, 2))
				var stages []*Stage
				for range 50 {
					stages = append(stages, f.Stage(drawSlot(r)))
				}
				type held struct {
					stage *Stage
					at    Assignment
				}
				var all []held
				for full := 0; full < 20; {
					s := stages[r.IntN(len(stages))]
					if out := f.Place(s, Ask{Slots: 1}, nil); len(out) == 1 {
						all = append(all, held{s, out[0]})
					} else {
						full++
					}
				}
				for b.Loop() {
					i := r.IntN(len(all))
					f.Give(all[i].stage, all[i].at.Node, all[i].stage.Slots(all[i].at))
					all[i] = all[len(all)-1]
					all = all[:len(all)-1]
					s := stages[r.IntN(len(stages))]
					for _, a := range f.Place(s, Ask{Slots: 1}, nil) {
						all = append(all, held{s, a})
					}
					if len(all) == 0 {
						b.Fatal("nothing is left")
					}
				}
			})
		}
	}
}
