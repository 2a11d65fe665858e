package frag

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// plainDemands counts everything, halves at the same moments and forgets nothing else.
type plainDemands struct {
	weights map[Demand]int64
	added   int64
}

func (p *plainDemands) add(d Demand, count int64) {
	for range count {
		p.weights[d] += unit
		if p.added++; p.added%HalfLife != 0 {
			continue
		}
		for d := range p.weights {
			if p.weights[d] /= 2; p.weights[d] == 0 {
				delete(p.weights, d)
			}
		}
	}
}

func TestB23_DemandsLearnWhatACountOfAllWouldSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, plain := NewDemands(), &plainDemands{weights: map[Demand]int64{}}
		for range rapid.IntRange(0, 30).Draw(t, "adds") {
			d, count := drawDemand(t), rapid.SampledFrom([]int64{1, 1, 3, 1000, 20000}).Draw(t, "count")
			h.Add(d, count)
			plain.add(d, count)
		}
		w := h.Compile()
		if len(w.shapes) != len(plain.weights) {
			t.Fatalf("%d shapes, want %d", len(w.shapes), len(plain.weights))
		}
		for i, s := range w.shapes {
			if s.Weight != plain.weights[s.Demand] {
				t.Fatalf("%+v: want %d", s, plain.weights[s.Demand])
			}
			if i > 0 && s.Weight > w.shapes[i-1].Weight {
				t.Fatalf("%d weighs more than %d before it", s.Weight, w.shapes[i-1].Weight)
			}
		}
	})
}

func TestB23_DemandsAreBoundedAndKeepWhatIsCommon(t *testing.T) {
	h := NewDemands()
	common := Demand{CPU: 1, Devices: 1, Milli: 500}
	for i := range int64(5 * MaxLearned) {
		h.Add(Demand{CPU: 2 + i}, 1)
		h.Add(common, 1)
	}
	w := h.Compile()
	if len(w.shapes) != MaxLearned || w.shapes[0] != (Shape{common, 5 * MaxLearned * unit}) {
		t.Errorf("%d shapes, the heaviest is %+v", len(w.shapes), w.shapes[0])
	}
	for range 40 {
		h.Add(common, HalfLife)
	}
	if w = h.Compile(); len(w.shapes) != 1 || w.Weight() > MaxWeight {
		t.Errorf("after 40 half-lives: %d shapes, weight %d", len(w.shapes), w.Weight())
	}
}

func TestB23_DemandsThatNoWorkloadCanHoldAreNotNoted(t *testing.T) {
	h := NewDemands()
	h.Add(Demand{CPU: -1}, 1)
	h.Add(Demand{Devices: 1}, 1)
	h.Add(Demand{CPU: 1}, 0)
	if w := h.Compile(); len(w.shapes) != 0 {
		t.Errorf("%+v", w.shapes)
	}
}

func TestB23_DemandsAreDueAsTheyDouble(t *testing.T) {
	h, due := NewDemands(), []int64(nil)
	for i := range int64(HalfLife) {
		if h.Add(Demand{CPU: 1}, 1); h.Due() {
			h.Compile()
			due = append(due, i+1)
		}
	}
	want := []int64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 49152, 65536}
	if !reflect.DeepEqual(due, want) {
		t.Errorf("due at %v, want %v", due, want)
	}
}
