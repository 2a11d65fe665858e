package frag

import (
	"math/bits"
	"slices"
)

// The rule packing adds up two things that a slot may do to a node, in milli-devices.
//
// One is waste: the node is offered the demands of some futures, one after the other, and takes all that it can, as first
// fit would; what is left in the end is wasted. Where the expected waste rises least is one step of policy improvement
// over first fit (Tesauro and Galperin, "On-line Policy Improvement using Monte-Carlo Search", NIPS 1996; Bertsekas,
// Tsitsiklis and Wu, "Rollout Algorithms for Combinatorial Optimization", 1997). All nodes see the same futures, so that
// their differences are about the nodes and not about luck.
//
// The other is fragmentation, with shapes weighted by the devices that they ask for, so that the few that ask for a whole
// node find one: any future fills a free node, and waste alone would leave none. It counts an eighth.
const (
	// futureCount is the number of futures, futureLength the number of demands in each.
	futureCount, futureLength = 32, 100
	// fragmentShare is the part of fragmentation that counts.
	fragmentShare = 8
	// grain is the difference, in milli-devices, below which two nodes are equal; then the caller's order decides. Where
	// that is always the same, the nodes are filled one after the other.
	grain = 50
	// maxCosts bounds the memory of states that were looked at, about 100 bytes each; beyond it all are forgotten.
	maxCosts = 1 << 16
)

// futures are demands that may come, drawn from a workload.
type futures struct {
	work *Workload
	// asked are, by shape of the workload, its weight times the devices that it asks for; total is their sum.
	asked []int64
	total int64
	// deck is the futures, one after the other.
	deck []Demand
	// rows are, by model and future, the demands that the model admits; they are made when a model is first seen.
	rows [MaxModels]*[futureCount][]Demand
	// costs remembers states by what is left, devices with the most left first.
	costs map[Node]int64
}

// newFutures draws the futures. Each shape is in all of them together as often as its weight says, and shuffled among
// the others; the numbers come from a fixed sequence, so that equal workloads have equal futures.
func newFutures(w *Workload) *futures {
	f := &futures{work: w, costs: map[Node]int64{}}
	for i := range w.shapes {
		f.asked = append(f.asked, w.shapes[i].Weight*w.shapes[i].Total())
		f.total += f.asked[i]
	}
	f.deck = deal(w.shapes, futureCount*futureLength)
	chance := uint64(1)
	for i := len(f.deck) - 1; i > 0; i-- {
		high, _ := bits.Mul64(random(&chance), uint64(i+1))
		f.deck[i], f.deck[high] = f.deck[high], f.deck[i]
	}
	return f
}

// rowsOf are the futures of a model.
func (f *futures) rowsOf(m Model) *[futureCount][]Demand {
	m %= MaxModels
	if f.rows[m] == nil {
		f.rows[m] = new([futureCount][]Demand)
		for i := range futureCount {
			for _, d := range f.deck[i*len(f.deck)/futureCount : (i+1)*len(f.deck)/futureCount] {
				if d.Models.Admits(m) {
					f.rows[m][i] = append(f.rows[m][i], d)
				}
			}
		}
	}
	return f.rows[m]
}

// deal is n demands for devices in proportion to the weights of the shapes, none if no shape asks for devices.
func deal(shapes []Shape, n int64) []Demand {
	total := int64(0)
	for i := range shapes {
		if shapes[i].Devices > 0 {
			total += shapes[i].Weight
		}
	}
	var deck []Demand
	sum := int64(0)
	for i := range shapes {
		if shapes[i].Devices > 0 && total > 0 {
			sum += shapes[i].Weight
			for int64(len(deck)) < (2*n*sum+total)/(2*total) {
				deck = append(deck, shapes[i].Demand)
			}
		}
	}
	return deck
}

// random is the next number of the sequence splitmix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
// Generators", OOPSLA 2014).
func random(state *uint64) uint64 {
	*state += 0x9e3779b97f4a7c15
	z := *state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// cost is what of n is wasted, and a part of its fragmentation, in milli-devices times futureCount.
func (f *futures) cost(n *Node) int64 {
	state := *n
	free := state.Free[:state.Devices]
	for i := 1; i < len(free); i++ { // they are few, and nearly sorted
		for j := i; j > 0 && free[j] > free[j-1]; j-- {
			free[j], free[j-1] = free[j-1], free[j]
		}
	}
	cost, known := f.costs[state]
	if known {
		return cost
	}
	for _, row := range f.rowsOf(n.Model) {
		cost += state.fill(row)
	}
	cost += f.work.unusable(&state, f.asked) * (futureCount / fragmentShare) / max(f.total, 1)
	if len(f.costs) >= maxCosts {
		clear(f.costs)
	}
	f.costs[state] = cost
	return cost
}

// fill is what is left of a copy of n, in milli-devices, when it takes of the demands what it can.
func (n Node) fill(demands []Demand) int64 {
	left, most := n.Milli(), slices.Max(n.Free[:])
	for i := range demands {
		d := &demands[i]
		if d.Milli > most || d.CPU > n.CPU || d.Memory > n.Memory {
			continue
		}
		devices := n.Tightest(d)
		if devices == 0 {
			continue
		}
		n.Take(d, devices)
		if left -= d.Total(); left == 0 {
			break
		}
		most = slices.Max(n.Free[:n.Devices])
	}
	return left
}

// score is 0 to topPacking, and more than half of that if the cost falls.
func (f *futures) score(before, after int64) int64 {
	return topPacking/2 + floor(before-after, grain*futureCount)
}

// topPacking leaves room for twice the devices of a node, either way: cost is less than that.
const topPacking = 2 * 2 * MaxDevices * Whole / grain
