package place

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
)

// TestB48_PackingOfASmallCell reads the figures of a cell that can be counted by hand.
func TestB48_PackingOfASmallCell(t *testing.T) {
	f := NewFleet(Options{})
	for i := range 4 {
		told(f, fmt.Sprint("n", i), 4000, 8*gi, "linux", func(n *Node) { n.Devices = []Device{{"gpu", "T4"}, {"gpu", "T4"}} })
	}
	if p := f.Packing(); p.Used != 0 || p.Saved != 0 || p.Allocated["cpu"] != 0 || p.Stranded["memory"] != 0 {
		t.Errorf("an empty cell: %+v", p)
	}
	service := f.Stage(Shape{Resources: model.Resources{1000, gi, 0, 0}, Band: model.Production})
	batch := f.Stage(Shape{Resources: model.Resources{3000, gi, 0, 0}, Band: model.Batch, Extra: &model.Extra{Devices: model.DeviceNeed{Kind: "gpu", Count: 1, Milli: 500}}})
	f.Place(service, Ask{Slots: 3}, nil)
	f.Place(batch, Ask{Slots: 3}, nil)
	p := f.Packing()
	// Three slots of 3 cores need a node each; three of 1 core fit beside them, or need a fourth node.
	if p.Slots != 6 || p.Saved != 1 || p.Allocated["cpu"] != 750 || p.Allocated["gpu"] != 1500/8 {
		t.Errorf("%+v", p)
	}
	// The mean slot has 2 cores: it fits nowhere, but on a node that is empty or has 3 cores left.
	stranded := int64(0)
	for n := range f.Nodes() {
		if free := f.Free(n); free[model.CPU] < 2000 {
			stranded += free[model.Memory]
		}
	}
	if p.Stranded["memory"] != stranded*1000/(32*gi) || stranded == 0 {
		t.Errorf("stranded %+v, want %d", p, stranded)
	}
}

// TestB48_PackEqualsFirstFitOneByOne: equal nodes filled at once use as many nodes as slots put one by one.
func TestB48_PackEqualsFirstFitOneByOne(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 5))
		var cell []nodes
		var single []model.Resources
		for range 1 + r.IntN(4) {
			n := nodes{free: model.Resources{4 + r.Int64N(20), 4 + r.Int64N(20), 0, 0}, count: 1 + r.Int64N(5)}
			cell = append(cell, n)
			for range n.count {
				single = append(single, n.free)
			}
		}
		var piles []pile
		for range 1 + r.IntN(5) {
			piles = append(piles, pile{model.Resources{1 + r.Int64N(6), 1 + r.Int64N(6), 0, 0}, 1 + r.Int64N(12)})
		}
		got := pack(&cell, piles)
		used := make([]bool, len(single))
		for _, p := range piles { // sorted by pack
			for range p.count {
				if i := slices.IndexFunc(single, func(free model.Resources) bool { return p.each.Fits(free) }); i >= 0 {
					single[i], used[i] = single[i].Sub(p.each), true
				}
			}
		}
		want := int64(0)
		for _, u := range used {
			if u {
				want++
			}
		}
		if got != want {
			t.Fatalf("seed %d: %d nodes, one by one %d", seed, got, want)
		}
	}
}
