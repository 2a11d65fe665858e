package place

import "github.com/troupe-sched/troupe/actors/model"

// Totals are sums over a fleet.
type Totals struct {
	Nodes, Schedulable int
	Capacity, Held     model.Resources
}

// Totals adds up all nodes. Sums stop at the greatest int64 and do not wrap.
func (f *Fleet) Totals() Totals {
	t := Totals{Nodes: f.Len()}
	for n := range f.Nodes() {
		if f.rows[n].up {
			t.Schedulable++
		}
		held := f.Held(n)
		for i := range t.Capacity {
			t.Capacity[i] = addSaturating(t.Capacity[i], f.Capacity(n)[i])
			t.Held[i] = addSaturating(t.Held[i], held[i])
		}
	}
	return t
}

// addSaturating adds two numbers that are not negative.
func addSaturating(a, b int64) int64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return 1<<63 - 1
}
