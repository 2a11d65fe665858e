package preempt

import (
	"math"
	"slices"

	"github.com/troupe-sched/troupe/actors/model"
)

// Claim is slots that wait, and by which right they may evict others.
type Claim struct {
	Priority model.Priority
	// Need is what one slot holds.
	Need []int64
	// Slots is how many are wanted, at most as many as the queue may hold; with Whole none is placed unless all can be.
	Slots int
	Whole bool
	// Queue is the queue of the slots. With Within victims are of the same queue only: one that has its whole quota in use
	// makes room for its own work of a higher priority.
	Queue  int32
	Within bool
	// Recall, if not nil, leaves as victims only slots of other queues that it lets be taken back. With AnyRank, which is
	// only for a queue that claims its own quota, they need not be of a lower priority.
	Recall  Recall
	AnyRank bool
	// Admits says whether a slot may go to a node at all, after those already chosen; nil if it may go anywhere.
	Admits func(n NodeIndex, chosen []Choice) bool
}

// Recall counts what may be taken back of borrowed quota.
type Recall interface {
	// Take notes that n slots of a size are taken back from a queue, or as many of them as may be, and returns how many.
	Take(queue int32, each []int64, n int) int
	// Mark is a point to which Undo returns.
	Mark() int
	Undo(mark int)
}

// Choice is one slot of a claim, where it goes, and what is evicted for it, lowest priority and youngest first; nothing
// where it finds room without.
type Choice struct {
	Node    NodeIndex
	Victims []Eviction
	Cost    Cost
}

// Eviction is slots of one stage on one node, the youngest of them.
type Eviction struct {
	Stage StageIndex
	Count int
}

// Find chooses nodes and victims for the slots of a claim and appends them to out, one choice a slot. It places as many
// as it can, with Whole all or none. It changes nothing: who carries a choice out calls Put for the victims, Promise for
// the slot, and SetEvictable where a limit was used.
//
// For each slot it compares up to SampleMax nodes that would do, beginning behind the last one looked at, and takes the
// best by Compare, of equals the first. If victims of the band free alone would do on any node, no others are looked for.
// A slot that finds no room because Admits, limits and loans are in its way on all nodes that were tried may find some
// later: each call looks on from where the last one ended. The choices of a gang are made one after the other; it is
// refused although it could be placed only where limits or loans would have had to be used in another way.
func (x *Index) Find(c *Claim, out []Choice) []Choice {
	first, mark := len(out), 0
	if c.Recall != nil {
		mark = c.Recall.Mark()
	}
	for len(out)-first < c.Slots {
		choice, found := x.one(c, out[first:])
		if !found {
			break
		}
		out = append(out, choice)
		if len(out)-first < c.Slots {
			x.carryOut(c, choice)
		}
	}
	for i := len(x.log) - 1; i >= 0; i-- {
		x.log[i].undo(x)
	}
	x.log = x.log[:0]
	if c.Recall != nil {
		c.Recall.Undo(mark)
	}
	if c.Whole && len(out)-first < c.Slots {
		return out[:first]
	}
	return out
}

// onlyFree is the priority of claims that could evict work of the band free and no other.
var onlyFree = model.Priority{Band: model.Batch, Rank: math.MaxInt32}

// one chooses for one slot.
func (x *Index) one(c *Claim, chosen []Choice) (Choice, bool) {
	right := c.Priority
	if c.Recall != nil && c.AnyRank {
		right = model.Priority{Band: model.Production} // whatever its rank, borrowed work gives way
	}
	if right.Compare(onlyFree) < 0 {
		if choice, found := x.sample(c, onlyFree, chosen); found {
			return choice, true
		}
	}
	return x.sample(c, right, chosen)
}

// sample compares nodes on which victims strictly below a priority would do.
func (x *Index) sample(c *Claim, right model.Priority, chosen []Choice) (best Choice, found bool) {
	at := x.cut(right)
	start := min(x.cursor, len(x.nodes))
	candidates, looks, tried := 0, 0, 0
	for part := range 2 {
		from, to := start, len(x.nodes)
		if part == 1 {
			from, to = 0, start
		}
		for n := x.next(at, from, c.Need); n < to; n = x.next(at, n+1, c.Need) {
			if tried == TriesMax {
				return best, found
			}
			tried++
			x.cursor = n + 1
			if !x.nodes[n].open || (c.Admits != nil && !c.Admits(NodeIndex(n), chosen)) {
				continue
			}
			looks++
			if choice, fits := x.look(c, right, NodeIndex(n)); fits {
				candidates++
				if !found || Compare(choice.Cost, best.Cost) < 0 {
					best, found = choice.clone(), true
				}
			}
			if candidates == SampleMax || looks == LooksMax || (found && len(best.Victims) == 0) {
				return best, found
			}
		}
	}
	return best, found
}

// clone keeps a choice over the next look.
func (c Choice) clone() Choice {
	c.Victims = append([]Eviction(nil), c.Victims...)
	c.Cost.Classes = append([]Class(nil), c.Cost.Classes...)
	return c
}

// look chooses victims on one node. The answer holds until the next look.
func (x *Index) look(c *Claim, right model.Priority, n NodeIndex) (Choice, bool) {
	nd, mark := &x.nodes[n], 0
	if c.Recall != nil {
		mark = c.Recall.Mark()
		defer c.Recall.Undo(mark)
	}
	x.groups, x.stands = x.groups[:0], x.stands[:0]
	x.freed = append(x.freed[:0], nd.free...)
	for at, h := range nd.held {
		st := &x.stages[h.stage]
		if !Evicts(right, st.Priority) {
			break // and so it is with all that follow
		}
		if last := len(x.groups) - 1; last >= 0 && x.groups[last].Priority != st.Priority && covers(x.freed, c.Need) {
			break // no victim of a higher priority is needed
		}
		may := min(h.count, st.Evictable)
		switch {
		case c.Recall != nil && st.Queue == c.Queue, c.Within && st.Queue != c.Queue:
			may = 0
		case c.Recall != nil && may > 0:
			may = c.Recall.Take(st.Queue, st.Counts, may)
		}
		if may > 0 {
			x.groups = append(x.groups, Group{Priority: st.Priority, Each: st.Each, Evictable: may, Serial: h.serial})
			x.stands = append(x.stands, int32(at))
			for d, amount := range st.Each {
				x.freed[d] += amount * int64(may)
			}
		}
	}
	victims, cost, fits := x.planner.Plan(nd.capacity, nd.free, c.Need, x.groups)
	if !fits {
		return Choice{}, false
	}
	slices.SortFunc(victims, func(a, b Victim) int { return a.Group - b.Group }) // as they were recalled
	x.evicts = x.evicts[:0]
	for _, v := range victims {
		x.evicts = append(x.evicts, Eviction{nd.held[x.stands[v.Group]].stage, v.Count})
	}
	return Choice{Node: n, Victims: x.evicts, Cost: cost}, nd.slots-cost.Victims() < SlotsMax
}

// change is one step of a choice that is tried.
type change struct {
	node   NodeIndex
	stage  StageIndex
	count  int
	serial uint64
	need   []int64 // a promise, if not nil
}

// carryOut does what a choice says, for the slots of the same claim that come after it.
func (x *Index) carryOut(c *Claim, choice Choice) {
	nd := &x.nodes[choice.Node]
	for _, v := range choice.Victims {
		st := &x.stages[v.Stage]
		var serial uint64
		for _, h := range nd.held {
			if h.stage == v.Stage {
				serial = h.serial
			}
		}
		x.Put(choice.Node, v.Stage, -v.Count, 0)
		if st.Evictable < NoLimit {
			st.Evictable -= v.Count
		}
		if c.Recall != nil {
			c.Recall.Take(st.Queue, st.Counts, v.Count)
		}
		x.log = append(x.log, change{node: choice.Node, stage: v.Stage, count: v.Count, serial: serial})
	}
	x.Promise(choice.Node, c.Need, 1)
	x.log = append(x.log, change{node: choice.Node, count: 1, need: c.Need})
}

func (u change) undo(x *Index) {
	if u.need != nil {
		x.Promise(u.node, u.need, -u.count)
		return
	}
	x.Put(u.node, u.stage, u.count, u.serial)
	if st := &x.stages[u.stage]; st.Evictable < NoLimit {
		st.Evictable += u.count
	}
}
