package preempt

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
)

// cell is a small cell with an index, and the same kept plainly.
type cell struct {
	rng      *rand.Rand
	dims     int
	index    *Index
	capacity [][]int64
	open     []bool
	stages   []Stage
	counts   [][]int // by node and stage
	promised [][]int64
	serial   uint64
}

func newCell(seed uint64, nodes, stages int) *cell {
	c := &cell{rng: rand.New(rand.NewPCG(seed, 3))}
	c.dims = 1 + c.rng.IntN(3)
	c.index = NewIndex(c.dims)
	for n := range nodes {
		c.capacity, c.open = append(c.capacity, someVector(c.rng, c.dims, 40)), append(c.open, true)
		c.counts, c.promised = append(c.counts, make([]int, stages)), append(c.promised, make([]int64, c.dims))
		c.index.SetNode(NodeIndex(n), c.capacity[n], true)
	}
	for range stages {
		s := Stage{Priority: somePriority(c.rng), Queue: c.rng.Int32N(3), Each: someVector(c.rng, c.dims, 8), Evictable: NoLimit}
		if c.rng.IntN(3) == 0 {
			s.Evictable = c.rng.IntN(4)
		}
		c.stages = append(c.stages, s)
		c.index.AddStage(s)
	}
	return c
}

func (c *cell) free(n int) []int64 {
	free := slices.Clone(c.capacity[n])
	for s, count := range c.counts[n] {
		for d := range free {
			free[d] -= c.stages[s].Each[d] * int64(count)
		}
	}
	for d := range free {
		free[d] -= c.promised[n][d]
	}
	return free
}

// fill puts slots where there is room.
func (c *cell) fill(tries int) {
	for range tries {
		n, s := c.rng.IntN(len(c.counts)), c.rng.IntN(len(c.stages))
		if c.open[n] && covers(c.free(n), c.stages[s].Each) {
			c.put(n, s, 1)
		}
	}
}

func (c *cell) put(n, s, count int) {
	c.serial++
	c.counts[n][s] += count
	if !c.index.Put(NodeIndex(n), StageIndex(s), count, c.serial) {
		panic("put refused")
	}
}

func (c *cell) claim() *Claim {
	p := somePriority(c.rng)
	return &Claim{Priority: p, Need: someVector(c.rng, c.dims, 20), Slots: 1, Queue: c.rng.Int32N(3), Within: c.rng.IntN(5) == 0}
}

// groups are those that a claim may evict on a node, in any order.
func (c *cell) groups(n int, claim *Claim) (groups []Group, stages []int) {
	for s, st := range c.stages {
		if c.counts[n][s] > 0 && Evicts(claim.Priority, st.Priority) && (!claim.Within || st.Queue == claim.Queue) {
			groups = append(groups, Group{Priority: st.Priority, Each: st.Each, Evictable: min(c.counts[n][s], st.Evictable)})
			stages = append(stages, s)
		}
	}
	return groups, stages
}

// do carries a choice out in the cell and in the index, and checks it on the way.
func (c *cell) do(t *testing.T, claim *Claim, choice Choice) {
	t.Helper()
	n := int(choice.Node)
	for _, v := range choice.Victims {
		st := &c.stages[v.Stage]
		if !Victimable(st.Priority.Band) || (claim.Recall == nil && claim.Priority.Compare(st.Priority) >= 0) {
			t.Fatalf("%v evicts %v", claim.Priority, st.Priority)
		}
		if v.Count < 1 || v.Count > c.counts[n][v.Stage] || v.Count > st.Evictable {
			t.Fatalf("%d victims of %d, %d may be", v.Count, c.counts[n][v.Stage], st.Evictable)
		}
		c.put(n, int(v.Stage), -v.Count)
		if st.Evictable < NoLimit {
			st.Evictable -= v.Count
			c.index.SetEvictable(v.Stage, st.Evictable)
		}
	}
	if free := c.free(n); !c.open[n] || !covers(free, claim.Need) {
		t.Fatalf("needs %v, and %v is free on node %d after its evictions", claim.Need, free, n)
	}
	for d := range claim.Need {
		c.promised[n][d] += claim.Need[d]
	}
	c.index.Promise(choice.Node, claim.Need, 1)
}

// check compares all that the index keeps with a look at the cell.
func (c *cell) check(t *testing.T) {
	t.Helper()
	for n := range c.counts {
		if got, want := c.index.Free(NodeIndex(n)), c.free(n); !slices.Equal(got, want) {
			t.Fatalf("free on node %d: %v, is %v", n, got, want)
		}
		for _, cut := range c.index.cuts {
			reach := c.free(n)
			for s, count := range c.counts[n] {
				for d := range reach {
					if Evicts(cut.priority, c.stages[s].Priority) {
						reach[d] += c.stages[s].Each[d] * int64(count)
					}
				}
			}
			for d, amount := range reach {
				if !c.open[n] {
					amount = math.MinInt64
				}
				if got := cut.reach[n*c.dims+d]; got != amount || cut.most[n/blockLen*c.dims+d] < amount {
					t.Fatalf("within reach of %v on node %d: %d, is %d", cut.priority, n, got, amount)
				}
			}
		}
	}
}

// On a cell that is no larger than the sample, the index finds the best of all sets of victims on all nodes.
func TestB17_B6_FindIsTheBestOfAllNodes(t *testing.T) {
	var evicted int
	for seed := range uint64(400) {
		c := newCell(seed, 1+int(seed%6), 6)
		c.fill(60)
		for range 6 {
			claim := c.claim()
			var best Cost
			possible := false
			for n := range c.counts {
				groups, _ := c.groups(n, claim)
				for i := range groups { // no more than the search can go through
					groups[i].Evictable = min(groups[i].Evictable, 4)
				}
				if cost, fits := exhaustive(c.capacity[n], c.free(n), claim.Need, groups); fits && (!possible || Compare(cost, best) < 0) {
					best, possible = cost, true
				}
			}
			choices := c.index.Find(claim, nil)
			c.check(t)
			if !possible && len(choices) == 0 {
				continue
			}
			if len(choices) != 1 || (possible && Compare(choices[0].Cost, best) > 0) {
				t.Fatalf("seed %d: found %+v, the best costs %+v (there is one: %v)", seed, choices, best, possible)
			}
			evicted += choices[0].Cost.Victims()
			c.do(t, claim, choices[0])
		}
	}
	if evicted < 200 {
		t.Fatalf("%d evictions in all: the test shows little", evicted)
	}
}

// Whatever happens to nodes and slots, the index knows what a look at the cell would tell, and a search leaves no trace.
func TestB33_IndexFollowsTheCell(t *testing.T) {
	for seed := range uint64(12) {
		c := newCell(seed, 150, 8)
		for range 300 {
			n, s := c.rng.IntN(len(c.counts)), c.rng.IntN(len(c.stages))
			switch c.rng.IntN(6) {
			case 0:
				c.put(n, s, c.rng.IntN(3))
			case 1:
				c.put(n, s, -c.rng.IntN(c.counts[n][s]+1))
			case 2:
				c.open[n] = c.rng.IntN(3) > 0
				c.capacity[n] = someVector(c.rng, c.dims, 40)
				c.index.SetNode(NodeIndex(n), c.capacity[n], c.open[n])
			case 3:
				c.index.RemoveNode(NodeIndex(n))
				c.open[n] = false
				clear(c.counts[n])
				clear(c.promised[n])
				c.capacity[n] = make([]int64, c.dims)
			default:
				claim := c.claim()
				claim.Slots, claim.Whole = 1+c.rng.IntN(4), c.rng.IntN(2) == 0
				choices := c.index.Find(claim, nil)
				c.check(t)
				if c.rng.IntN(2) == 0 {
					for _, choice := range choices {
						c.do(t, claim, choice)
					}
				}
			}
			c.check(t)
		}
	}
}

// A gang is placed whole if the nodes have room for it, and not at all if not.
func TestS7_F22_GangIsAllOrNothing(t *testing.T) {
	placed, refused := 0, 0
	for seed := range uint64(400) {
		c := newCell(seed, 1+int(seed%5), 5)
		for s := range c.stages { // without limits the answer is known: by node, as often as need goes into what can be free
			c.stages[s].Evictable = NoLimit
			c.index.SetEvictable(StageIndex(s), NoLimit)
		}
		c.fill(60)
		claim := c.claim()
		for d := range claim.Need {
			claim.Need[d] = claim.Need[d]/3 + 1
		}
		claim.Slots, claim.Whole, claim.Within = 1+c.rng.IntN(4), true, false
		possible := int64(0)
		for n := range c.counts {
			reach := c.free(n)
			groups, _ := c.groups(n, claim)
			for _, g := range groups {
				for d := range reach {
					reach[d] += g.Each[d] * int64(g.Evictable)
				}
			}
			times := int64(1 << 40)
			for d, need := range claim.Need {
				if need > 0 {
					times = min(times, max(reach[d], 0)/need)
				}
			}
			possible += times
		}
		choices := c.index.Find(claim, nil)
		want := 0
		if possible >= int64(claim.Slots) {
			want = claim.Slots
			placed++
		} else {
			refused++
		}
		if len(choices) != want {
			t.Fatalf("seed %d: %d slots of %d are placed, there is room for %d", seed, len(choices), claim.Slots, possible)
		}
		c.check(t)
		for _, choice := range choices {
			c.do(t, claim, choice)
		}
	}
	if placed < 100 || refused < 100 {
		t.Fatalf("%d placed, %d refused: the test shows little", placed, refused)
	}
}

// With limits a gang may be refused, but what is evicted never passes a limit, and half a gang is never placed.
func TestB41_LimitsHoldOverAGang(t *testing.T) {
	for seed := range uint64(400) {
		c := newCell(seed, 4, 5)
		for s := range c.stages {
			c.stages[s].Evictable = c.rng.IntN(4)
			c.index.SetEvictable(StageIndex(s), c.stages[s].Evictable)
		}
		c.fill(80)
		claim := c.claim()
		claim.Slots, claim.Whole = 1+c.rng.IntN(5), c.rng.IntN(2) == 0
		choices := c.index.Find(claim, nil)
		if claim.Whole && len(choices) != 0 && len(choices) != claim.Slots {
			t.Fatalf("seed %d: %d of %d", seed, len(choices), claim.Slots)
		}
		c.check(t)
		for s, st := range c.stages {
			if got := c.index.stages[s].Evictable; got != st.Evictable {
				t.Fatalf("seed %d: the search used up the limit of stage %d: %d of %d", seed, s, got, st.Evictable)
			}
		}
		for _, choice := range choices {
			c.do(t, claim, choice)
		}
	}
}

func TestB6_AdmitsSeesWhatIsChosen(t *testing.T) {
	x := NewIndex(1)
	for n := range NodeIndex(3) {
		x.SetNode(n, []int64{10}, true)
	}
	claim := &Claim{Priority: model.Priority{Band: model.Batch}, Need: []int64{1}, Slots: 5, Whole: true}
	claim.Admits = func(n NodeIndex, chosen []Choice) bool { // at most two a node
		on := 0
		for _, c := range chosen {
			if c.Node == n {
				on++
			}
		}
		return on < 2
	}
	var nodes []NodeIndex
	for _, c := range x.Find(claim, nil) {
		nodes = append(nodes, c.Node)
	}
	slices.Sort(nodes)
	if fmt.Sprint(nodes) != "[0 0 1 1 2]" && fmt.Sprint(nodes) != "[0 0 1 2 2]" && fmt.Sprint(nodes) != "[0 1 1 2 2]" {
		t.Fatalf("placed on %v", nodes)
	}
	claim.Slots = 7
	if choices := x.Find(claim, nil); len(choices) != 0 {
		t.Fatalf("%d of 7 are placed, 6 may be", len(choices))
	}
}

// On a cell much larger than the sample, work of the band free is found wherever it is, before other work is looked at.
func TestB17_FreeBandFirstInALargeCell(t *testing.T) {
	x := NewIndex(1)
	batch := x.AddStage(Stage{Priority: model.Priority{Band: model.Batch}, Each: []int64{5}, Evictable: NoLimit})
	free := x.AddStage(Stage{Priority: model.Priority{Band: model.Free}, Each: []int64{1}, Evictable: NoLimit})
	for n := range NodeIndex(2000) {
		x.SetNode(n, []int64{5}, true)
		if n == 1777 {
			x.Put(n, free, 5, 1)
		} else {
			x.Put(n, batch, 1, 1)
		}
	}
	claim := &Claim{Priority: model.Priority{Band: model.Production}, Need: []int64{5}, Slots: 2}
	choices := x.Find(claim, nil)
	if len(choices) != 2 || choices[0].Node != 1777 || choices[0].Victims[0] != (Eviction{free, 5}) || choices[1].Victims[0] != (Eviction{batch, 1}) {
		t.Fatalf("%+v", choices)
	}
}

// generous lets anything be taken back.
type generous struct{}

func (generous) Take(_ int32, _ []int64, n int) int { return n }
func (generous) Mark() int                          { return 0 }
func (generous) Undo(int)                           {}

func TestF26_NobodyClaimsFromItself(t *testing.T) {
	x := NewIndex(1)
	x.SetNode(0, []int64{5}, true)
	x.Put(0, x.AddStage(Stage{Priority: model.Priority{Band: model.Free}, Queue: 1, Each: []int64{1}, Evictable: NoLimit}), 5, 1)
	for queue, want := range []int{1, 0} {
		claim := &Claim{Need: []int64{5}, Slots: 1, Queue: int32(queue), Recall: generous{}, AnyRank: true}
		if choices := x.Find(claim, nil); len(choices) != want {
			t.Errorf("queue %d takes back from queue 1: %+v", queue, choices)
		}
	}
}

func TestB6_NodesAndStagesAreBounded(t *testing.T) {
	x := NewIndex(1)
	x.SetNode(0, []int64{1 << 40}, true)
	s := x.AddStage(Stage{Priority: model.Priority{Band: model.Free}, Each: []int64{1}, Evictable: NoLimit})
	if x.Put(0, s, SlotsMax+1, 1) || x.Put(0, s, -1, 1) || !x.Put(0, s, SlotsMax-1, 1) || !x.Promise(0, []int64{1}, 1) || x.Promise(0, []int64{1}, 1) {
		t.Fatal("a node takes more slots than it may, or fewer")
	}
	claim := &Claim{Priority: model.Priority{Band: model.Batch}, Need: []int64{1}, Slots: 1}
	if choices := x.Find(claim, nil); len(choices) != 0 {
		t.Fatalf("a full list of slots takes one more: %+v", choices)
	}
	for rank := range int32(3 * CutsMax) {
		claim.Priority.Rank = rank
		x.Find(claim, nil)
	}
	if len(x.cuts) != CutsMax {
		t.Fatalf("%d cuts", len(x.cuts))
	}
}
