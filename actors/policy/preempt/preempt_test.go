package preempt

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/troupe-sched/troupe/actors/model"
)

var bands = []model.Band{model.Monitoring, model.Production, model.Batch, model.Free}

func somePriority(rng *rand.Rand) model.Priority {
	return model.Priority{Band: bands[rng.IntN(len(bands))], Rank: rng.Int32N(3)}
}

func someVector(rng *rand.Rand, dims int, most int64) []int64 {
	v := make([]int64, dims)
	for d := range v {
		v[d] = rng.Int64N(most + 1)
	}
	return v
}

// exhaustive goes through all sets of victims and returns the least cost of those that make room.
func exhaustive(capacity, free, need []int64, groups []Group) (best Cost, found bool) {
	takes := make([]int, len(groups))
	var try func(int)
	try = func(g int) {
		if g < len(groups) {
			for n := range groups[g].Evictable + 1 {
				takes[g] = n
				try(g + 1)
			}
			takes[g] = 0
			return
		}
		cost, fits := costOf(capacity, free, need, groups, takes)
		if fits && (!found || Compare(cost, best) < 0) {
			best, found = cost, true
		}
	}
	try(0)
	return best, found
}

// costOf is the cost of so many victims of each group, and whether need fits without them.
func costOf(capacity, free, need []int64, groups []Group, takes []int) (Cost, bool) {
	var cost Cost
	fits := true
	victims := map[model.Priority]int{}
	for g, n := range takes {
		if n > 0 {
			victims[groups[g].Priority] += n
		}
	}
	for p, n := range victims {
		cost.Classes = append(cost.Classes, Class{p, n})
	}
	slices.SortFunc(cost.Classes, func(a, b Class) int { return a.Priority.Compare(b.Priority) })
	for d := range need {
		var freed int64
		for g, n := range takes {
			freed += groups[g].Each[d] * int64(n)
		}
		fits = fits && (need[d] <= 0 || need[d] <= free[d]+freed)
		lack := int64(0)
		if need[d] > 0 {
			lack = max(need[d]-free[d], 0)
		}
		if capacity[d] > 0 && freed > lack {
			cost.Waste += (freed - lack) << 20 / capacity[d]
		}
	}
	return cost, fits
}

func TestB17_F22_PlanIsTheBestOfAllSets(t *testing.T) {
	var planner Planner
	var fitting, several int
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		dims := 1 + rng.IntN(3)
		groups := make([]Group, rng.IntN(7))
		for i := range groups {
			groups[i] = Group{Priority: somePriority(rng), Each: someVector(rng, dims, 6), Evictable: rng.IntN(4), Serial: rng.Uint64N(4)}
		}
		capacity, need, free := someVector(rng, dims, 60), someVector(rng, dims, 25), someVector(rng, dims, 10)
		free[0] -= rng.Int64N(4)
		want, possible := exhaustive(capacity, free, need, groups)
		victims, cost, fits := planner.Plan(capacity, free, need, groups)
		if fits != possible {
			t.Fatalf("seed %d: fits %v, exhaustive search says %v", seed, fits, possible)
		}
		if !fits {
			continue
		}
		takes := make([]int, len(groups))
		for _, v := range victims {
			takes[v.Group] += v.Count
			if v.Count <= 0 || takes[v.Group] > groups[v.Group].Evictable {
				t.Fatalf("seed %d: %d victims of group %d, which has %+v", seed, takes[v.Group], v.Group, groups[v.Group])
			}
		}
		got, room := costOf(capacity, free, need, groups, takes)
		if !room || Compare(got, want) != 0 || Compare(cost, want) != 0 {
			t.Fatalf("seed %d: victims %v at %+v (says %+v, makes room %v), the best set costs %+v", seed, victims, got, cost, room, want)
		}
		youngestFirst(t, groups, takes)
		fitting++
		if len(cost.Classes) > 1 {
			several++
		}
	}
	if fitting < 1000 || several < 300 {
		t.Fatalf("only %d fit, %d with victims of several priorities: the test shows little", fitting, several)
	}
}

func youngestFirst(t *testing.T, groups []Group, takes []int) {
	for i, a := range groups {
		for j, b := range groups {
			same := a.Priority == b.Priority && slices.Equal(a.Each, b.Each)
			if same && a.Serial > b.Serial && takes[i] < a.Evictable && takes[j] > 0 {
				t.Fatalf("a slot of serial %d is evicted before one of serial %d", b.Serial, a.Serial)
			}
		}
	}
}

func TestB6_F20_WhoEvictsWhom(t *testing.T) {
	at := func(b model.Band, rank int32) model.Priority { return model.Priority{Band: b, Rank: rank} }
	for _, test := range []struct {
		who, victim model.Priority
		want        bool
	}{
		{at(model.Monitoring, 0), at(model.Production, 9), false},
		{at(model.Monitoring, 0), at(model.Monitoring, 9), false},
		{at(model.Production, 0), at(model.Production, 9), false},
		{at(model.Production, 9), at(model.Batch, 0), true},
		{at(model.Batch, 3), at(model.Batch, 3), false},
		{at(model.Batch, 3), at(model.Batch, 4), true},
		{at(model.Batch, 4), at(model.Batch, 3), false},
		{at(model.Batch, 9), at(model.Free, 0), true},
		{at(model.Free, 0), at(model.Batch, 9), false},
		{at(model.Free, -1), at(model.Free, 0), true},
	} {
		if got := Evicts(test.who, test.victim); got != test.want {
			t.Errorf("%v evicts %v: %v", test.who, test.victim, got)
		}
	}
}

func TestB17_CompareIsAnOrder(t *testing.T) {
	draw := func(t *rapid.T) Cost {
		var c Cost
		for _, rank := range []int32{0, 1, 2} {
			if n := rapid.IntRange(0, 2).Draw(t, "victims"); n > 0 {
				c.Classes = append(c.Classes, Class{model.Priority{Band: model.Batch, Rank: rank}, n})
			}
		}
		c.Waste = rapid.Int64Range(0, 1).Draw(t, "waste")
		return c
	}
	// Counts by priority, highest first, are compared like the digits of a number.
	number := func(c Cost) (n int64) {
		for _, class := range c.Classes {
			n += int64(class.Victims) * []int64{100, 10, 1}[class.Priority.Rank]
		}
		return n*10 + c.Waste
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t), draw(t)
		if got, want := Compare(a, b), cmp.Compare(number(a), number(b)); (got < 0) != (want < 0) || (got > 0) != (want > 0) {
			t.Fatalf("%+v against %+v: %d, want %d", a, b, got, want)
		}
	})
}

// A node with dozens of sizes ends the search at its bound, and still makes room.
func TestB17_SearchIsBounded(t *testing.T) {
	var planner Planner
	var groups []Group
	for i := range 60 {
		groups = append(groups, Group{
			Priority: model.Priority{Band: model.Batch}, Evictable: 3, Serial: uint64(i),
			Each: []int64{int64(1000 + 37*i%501), int64(1000 + 91*i%733), int64(1000 + 53*i%397)},
		})
	}
	capacity, free, need := []int64{300_000, 300_000, 300_000}, []int64{0, 0, 0}, []int64{40_123, 41_321, 39_777}
	victims, cost, fits := planner.Plan(capacity, free, need, groups)
	takes := make([]int, len(groups))
	for _, v := range victims {
		takes[v.Group] += v.Count
	}
	if _, room := costOf(capacity, free, need, groups, takes); !fits || !room || planner.steps > StepsMax+len(groups) {
		t.Fatalf("fits %v, room %v, %d steps", fits, room, planner.steps)
	}
	if n := cost.Victims(); n > 40 { // each has at least 1000 of each; the greatest have 1500
		t.Fatalf("%d victims", n)
	}
}
