package frag

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// plainWaste is what a node has left after it was offered some demands: the definition, without the short cuts.
func plainWaste(n Node, demands []Demand) int64 {
	for i := range demands {
		d := &demands[i]
		if plainFits(&n, d) {
			n.Take(d, n.Tightest(d))
		}
	}
	return n.Milli()
}

func TestB23_PackingLeavesTheLeastWaste(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shapes := drawShapes(t)
		w, err := NewWorkload(shapes, 0)
		if err != nil {
			t.Fatal(err)
		}
		f := newFutures(w)
		for i := range shapes {
			shapes[i].Weight *= shapes[i].Total()
		}
		cost := func(n *Node) int64 {
			sum, asked := int64(0), int64(0)
			for i := range futureCount {
				sum += plainWaste(*n, f.deck[i*len(f.deck)/futureCount:(i+1)*len(f.deck)/futureCount])
			}
			for _, s := range shapes {
				asked += s.Weight
			}
			return sum + plainUnusable(shapes, n)*futureCount/fragmentShare/max(asked, 1)
		}
		s := NewScorer(Packing, w, Node{})
		for range 3 {
			n, d := drawNode(t), drawDemand(t)
			choice, fits := s.Score(&n, &d)
			if !fits {
				continue
			}
			sets := []DeviceSet{n.Tightest(&d)} // of several the tightest are taken, of whole ones all are alike
			if d.Devices == 1 {
				sets = nil
				for i := range n.Devices {
					sets = append(sets, 1<<i)
				}
			}
			best, before := Choice{Score: -1}, cost(&n)
			for _, set := range sets {
				after := n
				if after.Take(&d, set); slices.Min(after.Free[:]) < 0 {
					continue
				}
				if score := topPacking/2 + floor(before-cost(&after), grain*futureCount); score > best.Score {
					best = Choice{score, set}
				}
			}
			if choice.Score != best.Score || choice.Devices.Len() != best.Devices.Len() {
				t.Fatalf("%+v on %+v: %+v, want %+v", d, n, choice, best)
			}
			if choice.Score < 0 || choice.Score > Packing.Top() {
				t.Fatalf("score %d", choice.Score)
			}
		}
	})
}

func TestB23_FuturesHoldEveryShapeAsOftenAsItWeighs(t *testing.T) {
	shapes := []Shape{
		{Demand{CPU: 1, Devices: 1, Milli: 10}, 30}, {Demand{CPU: 2}, 1000}, {Demand{CPU: 3, Devices: 1, Milli: 20}, 10},
		{Demand{CPU: 4, Devices: 8, Milli: Whole}, 1},
	}
	w, err := NewWorkload(shapes, 0)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[int64]int{}
	for _, d := range newFutures(w).deck {
		counts[d.CPU]++
	}
	if got, want := fmt.Sprint(counts), "map[1:2341 3:781 4:78]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestB24_AStateIsLookedAtOnceAndAnswersStayTheSame(t *testing.T) {
	w, err := NewWorkload([]Shape{{Demand{CPU: 1, Devices: 1, Milli: 300}, 1}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := newFutures(w)
	node := func(cpu int, free ...int16) *Node {
		n := &Node{CPU: int64(cpu), Devices: int8(len(free))}
		copy(n.Free[:], free)
		return n
	}
	first := make([]int64, 50)
	for i := range first {
		first[i] = f.cost(node(i, 400, 900))
	}
	for i := range maxCosts + 10 {
		if f.cost(node(i, 200)); len(f.costs) > maxCosts {
			t.Fatalf("%d states are remembered, at most %d", len(f.costs), maxCosts)
		}
	}
	for i, want := range first {
		if got := f.cost(node(i, 900, 400)); got != want {
			t.Errorf("state %d: %d, was %d", i, got, want)
		}
	}
	if len(f.costs) >= maxCosts {
		t.Errorf("%d states are remembered, none was forgotten", len(f.costs))
	}
}

// BenchmarkUnseen is what a score costs when no state that it asks about was looked at before.
func BenchmarkUnseen(b *testing.B) {
	var shapes []Shape
	for i := range int64(90) {
		shapes = append(shapes, Shape{Demand{CPU: 500 * (1 + i%17), Devices: 1, Milli: int16(40 + 960*(i%31)/30)}, 1 + i%7})
	}
	w, err := NewWorkload(shapes, 0)
	if err != nil {
		b.Fatal(err)
	}
	s, d := NewScorer(Packing, w, Node{CPU: 96000, Devices: 8}), Demand{CPU: 4000, Devices: 1, Milli: 250}
	cpu := int64(64000)
	for b.Loop() {
		cpu++
		n := Node{CPU: cpu, Devices: 8, Free: [MaxDevices]int16{1000, 1000, 540, 300, 1000, 20, 700, 0}}
		if _, fits := s.Score(&n, &d); !fits {
			b.Fatal("it does not fit")
		}
	}
}
