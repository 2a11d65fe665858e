package place

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/spread"
)

// TestS24_B19_FirstSlotsGoBySpreadList: the first slots of a stage that is spread go by the spread list, which is what one
// slot after another to the best node of the emptiest rack makes, in fleets that are scanned and in one that is not.
func TestS24_B19_FirstSlotsGoBySpreadList(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 24))
		together, single := NewFleet(Options{Exact: seed%2 == 0}), NewFleet(Options{Exact: true})
		if seed%3 == 0 {
			together.scanned, single.scanned = 4, 4
		}
		shape := Shape{Resources: model.Resources{model.CPU: 100}}
		shape.Spread = "rack"
		nodes := 2 + r.IntN(40)
		for i := range nodes {
			cpu, rack := 100*int64(1+r.IntN(6)), fmt.Sprint(r.IntN(6))
			put(together, fmt.Sprint(i), cpu, "rack", rack)
			put(single, fmt.Sprint(i), cpu, "rack", rack)
		}
		a, b := together.Stage(shape), single.Stage(shape)
		n := nodes + r.IntN(60) // as many as make the list pay
		if !together.listed(a, a.class, n) {
			t.Fatalf("seed %d: the spread list is not used", seed)
		}
		together.Place(a, Ask{Slots: n}, nil)
		for range n {
			single.Place(b, Ask{Slots: 1}, nil)
		}
		total := 0
		for i := range NodeIndex(nodes) {
			if a.Held(i) != b.Held(i) {
				t.Fatalf("seed %d: node %d holds %d, one by one %d", seed, i, a.Held(i), b.Held(i))
			}
			total += a.Held(i)
		}
		if total != a.Total() || total == 0 {
			t.Fatalf("seed %d: %d slots placed, %d held", seed, a.Total(), total)
		}
	}
}

// TestS25_PlacementOfTheWorkedExample: machines that can take one slot each are taken in the order of the spread list.
func TestS25_PlacementOfTheWorkedExample(t *testing.T) {
	f := NewFleet(Options{Score: BestFit})
	shape := Shape{Resources: model.Resources{model.CPU: 100}}
	shape.Spread = "pod"
	var nodes []spread.Node
	for i, pod := range []int32{5, 3, 2, 1, 4, 5, 2} {
		put(f, fmt.Sprint(i), 100+int64(i), "pod", fmt.Sprint(pod)) // room for one; the fuller, the better
		nodes = append(nodes, spread.Node{Score: int64(-i), Pod: pod, Index: int32(i)})
	}
	var want []NodeIndex
	for _, n := range spread.Spread(nodes, 6) {
		want = append(want, NodeIndex(n.Index))
	}
	var got []NodeIndex
	for _, a := range f.Place(f.Stage(shape), Ask{Slots: 6}, nil) {
		got = append(got, a.Node)
	}
	if !slices.Equal(got, want) {
		t.Errorf("nodes %v, the spread list says %v", got, want)
	}
}
