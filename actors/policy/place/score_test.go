package place

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
)

// TestB22_B23_B21_ScoresAreTheirFormulas compares with the same sums in wide arithmetic.
func TestB22_B23_B21_ScoresAreTheirFormulas(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		var capacity, free, need model.Resources
		for i := range capacity {
			capacity[i] = r.Int64N(1 << r.IntN(51))
			free[i] = r.Int64N(capacity[i] + 1)
			need[i] = r.Int64N(free[i] + 1)
		}
		x := scaleOf(capacity)
		left, sum, cost, kinds := int64(0), int64(0), 0.0, 0
		var now, then []int64
		for i := range need {
			exact := int64(0)
			if capacity[i] > 0 {
				high, low := bits.Mul64(uint64(free[i]-need[i]), 1<<partBits)
				q, _ := bits.Div64(high, low, uint64(capacity[i]))
				exact = int64(q)
			}
			part := x.part(i, free[i]-need[i])
			if part > exact || part < exact-1 {
				t.Fatalf("part of %d in %d is %d, not %d", free[i]-need[i], capacity[i], part, exact)
			}
			sum += part
			if need[i] > 0 {
				now, then, left, kinds = append(now, x.part(i, free[i])), append(then, part), left+part, kinds+1
				held := func(part int64) float64 { return math.Exp2(8 * (1 - float64(part)/8192)) }
				cost += held(part) - held(x.part(i, free[i]))
			}
		}
		if got := bestFit(&need, &free, &x); got != MaxScore-16*sum {
			t.Fatalf("best fit %d, %d left", got, sum)
		}
		stranded := func(parts []int64) (sum int64) {
			for _, part := range parts {
				sum += part - slices.Min(parts)
			}
			return sum
		}
		if got := hybrid(&need, &free, &x); got != MaxScore/2-8*(left+stranded(then)-stranded(now)) {
			t.Fatalf("hybrid %d, %d left", got, left)
		}
		// The price is drawn with straight lines between powers of two, at most 6.2 % above the curve.
		if got, want := float64(MaxScore-epvm(&need, &free, &x))/1024, cost; math.Abs(got-want) > 0.07*256*float64(kinds)+1 {
			t.Fatalf("epvm costs %v, not %v", got, want)
		}
		for _, score := range []int64{bestFit(&need, &free, &x), hybrid(&need, &free, &x), epvm(&need, &free, &x)} {
			if score < 0 || score > MaxScore {
				t.Fatalf("score %d", score)
			}
		}
	}
}

// TestB23_HybridStrandsLess: on unlike machines and slots it packs more before it refuses than best fit and worst fit.
func TestB23_HybridStrandsLess(t *testing.T) {
	held := func(score string) (sum int64) {
		for seed := range uint64(8) {
			r := rand.New(rand.NewPCG(seed, 9))
			f := NewFleet(Options{Score: score})
			for i := range 200 {
				f.Put(model.NodeID(fmt.Sprint("n", i)), Node{Capacity: model.Resources{(1 + r.Int64N(4)) * 16_000, (1 + r.Int64N(4)) * 64 * gi, 0, 0}})
			}
			var stages []*Stage
			for range 40 {
				stages = append(stages, f.Stage(Shape{Resources: model.Resources{500 << r.IntN(6), gi << r.IntN(7), 0, 0}}))
			}
			for refused := 0; refused < 20; {
				if got := f.Place(stages[r.IntN(len(stages))], Ask{Slots: 1}, nil); len(got) == 0 {
					refused++
				}
			}
			totals := f.Totals()
			for i := range 2 {
				sum += thousandths(totals.Held[i], totals.Capacity[i])
			}
		}
		return sum
	}
	hybrid, best, worst := held(Hybrid), held(BestFit), held(EPVM)
	if hybrid <= best || hybrid <= worst {
		t.Errorf("hybrid %d, best fit %d, worst fit %d", hybrid, best, worst)
	}
}

// TestB26_DrawsAreNearlyTheBest: of a thousand nodes with room, the one chosen is among the best as eight independent
// draws would be at the worst: the chance that none of them is among the best q is (1-q)^8, so half of the choices are
// among the best 8.3 % and 99 % among the best 43.8 %.
func TestB26_DrawsAreNearlyTheBest(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	f := NewFleet(Options{})
	filler := f.Stage(slot(1))
	for i := range 1000 {
		n := put(f, fmt.Sprint("n", i), 64_000)
		f.Take(filler, n, Slots{Each: model.Resources{r.Int64N(30_000), r.Int64N(30) * gi, 0, 0}, Count: 1})
	}
	s := f.Stage(slot(2000))
	var ranks []int
	for range 500 {
		var scores []int64
		for n := range f.Nodes() {
			if f.feasible(s, s.class, n, false) {
				scores = append(scores, f.score(s.class, n))
			}
		}
		before := slices.Clone(f.rows)
		a := f.Place(s, Ask{Slots: 1}, nil)[0]
		got := hybrid(&s.class.need, &before[a.Node].free, &f.scales[before[a.Node].size])*weightOfScore + (f.score(s.class, a.Node) - weightOfScore*f.rated(s.class, a.Node))
		better := 0
		for _, score := range scores {
			if score > got {
				better++
			}
		}
		ranks = append(ranks, better*1000/len(scores))
		f.Give(s, a.Node, s.Slots(a))
		m := NodeIndex(r.IntN(1000))
		f.Take(filler, m, Slots{Each: model.Resources{r.Int64N(900), gi, 0, 0}, Count: 1})
	}
	slices.Sort(ranks)
	if mean := ranks[len(ranks)/2]; mean > 83 || ranks[len(ranks)*99/100] > 438 {
		t.Errorf("half of the choices have more than %d in a thousand better nodes, the worst hundredth %d", mean, ranks[len(ranks)*99/100])
	}
}
