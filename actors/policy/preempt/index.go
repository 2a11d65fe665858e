package preempt

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/troupe-sched/troupe/actors/model"
)

// Limits of an index.
const (
	// SlotsMax is the most slots on a node, with those that are promised.
	SlotsMax = 4096
	// CutsMax is how many priorities of claims are kept at hand: about 8 bytes a node and dimension each. Beyond it the
	// one that was used longest ago is forgotten, and made again by a look at all nodes.
	CutsMax = 8
	// SampleMax is how many nodes that would do are compared for one slot.
	SampleMax = 16
	// LooksMax is how many nodes are looked at slot by slot for one slot of a claim. It matters where limits and loans
	// protect what would otherwise do; where not, every node that is looked at would do.
	LooksMax = 1024
	// TriesMax is how many nodes a claim's Admits is asked about for one slot.
	TriesMax = 16_384
	// blockLen is how many nodes share one bound.
	blockLen = 64
)

// NodeIndex is the number of a node; the caller draws them, best the same as in its other columns.
type NodeIndex = int32

// StageIndex is a stage in an index. It holds until the stage is dropped.
type StageIndex int32

// NoLimit is a disruption limit that does not limit.
const NoLimit = math.MaxInt32

// Stage is what slots of one stage have in common.
type Stage struct {
	Priority model.Priority
	// Queue is any number that stands for the queue.
	Queue int32
	// Each is what one slot holds, in the dimensions of the index.
	Each []int64
	// Counts is one slot in the dimensions of Recall; nil if these are the same as those of the index.
	Counts []int64
	// Evictable is how many of its slots may still be evicted: what its disruption limit leaves, or NoLimit.
	Evictable int
}

// Index is what can be evicted on the nodes of a cell, kept up to date slot by slot. For each priority that claims have
// come with (a cut) it knows for every node what would be free if all that may go for it went, and the greatest of that in
// blocks of nodes: where that is not enough nobody looks. It belongs to one goroutine.
type Index struct {
	dims    int
	stages  []stage // by StageIndex
	vacant  []StageIndex
	nodes   []node // by NodeIndex
	cuts    []*cut
	clock   uint64
	cursor  int // node after the last that was looked at
	planner Planner

	groups []Group // of the node that is looked at
	stands []int32 // by group: place in the node's list
	freed  []int64 // with all of the groups
	evicts []Eviction
	log    []change
}

type stage struct {
	Stage
	live  bool
	slots int
}

type node struct {
	open           bool
	capacity, free []int64
	slots          int // with promised
	held           []held
}

// held is the slots of one stage on one node, in the order in which they are evicted.
type held struct {
	stage  StageIndex
	count  int
	serial uint64
}

// cut is what could be free on each node for claims of one priority, by NodeIndex and dimension.
type cut struct {
	priority model.Priority
	used     uint64
	reach    []int64
	most     []int64 // by block and dimension: no less than the greatest reach
	stale    []bool  // by block: most may be too much
}

// NewIndex is an index without nodes, for so many dimensions.
func NewIndex(dimensions int) *Index { return &Index{dims: dimensions} }

// SetNode adds a node, or changes what it has. Nodes that are not open are never chosen.
func (x *Index) SetNode(n NodeIndex, capacity []int64, open bool) {
	for int(n) >= len(x.nodes) {
		x.nodes = append(x.nodes, node{capacity: make([]int64, x.dims), free: make([]int64, x.dims)})
	}
	nd := &x.nodes[n]
	nd.open = open
	for d := range x.dims {
		c := min(max(capacity[d], 0), model.MaxAmount)
		nd.free[d] += c - nd.capacity[d]
		nd.capacity[d] = c
	}
	x.refresh(n)
}

// RemoveNode forgets a node with all that it holds and what is promised there.
func (x *Index) RemoveNode(n NodeIndex) {
	nd := &x.nodes[n]
	for _, h := range nd.held {
		x.stages[h.stage].slots -= h.count
	}
	clear(nd.capacity)
	clear(nd.free)
	nd.open, nd.slots, nd.held = false, 0, nd.held[:0]
	x.refresh(n)
}

// AddStage makes a stage known. Its vectors are kept and must not change.
func (x *Index) AddStage(s Stage) StageIndex {
	if len(s.Each) != x.dims {
		panic(fmt.Sprintf("preempt: stage of %d dimensions in an index of %d", len(s.Each), x.dims))
	}
	for _, amount := range s.Each {
		if amount < 0 || amount > model.MaxAmount {
			panic(fmt.Sprintf("preempt: a slot holds %d, amounts are from 0 to %d", amount, model.MaxAmount))
		}
	}
	id := StageIndex(len(x.stages))
	if last := len(x.vacant) - 1; last >= 0 {
		id, x.vacant = x.vacant[last], x.vacant[:last]
	} else {
		x.stages = append(x.stages, stage{})
	}
	if s.Counts == nil {
		s.Counts = s.Each
	}
	x.stages[id] = stage{Stage: s, live: true}
	return id
}

// DropStage forgets a stage that has no slots.
func (x *Index) DropStage(s StageIndex) {
	if st := &x.stages[s]; !st.live || st.slots != 0 {
		panic(fmt.Sprintf("preempt: stage %d is dropped with %d slots", s, st.slots))
	}
	x.stages[s] = stage{}
	x.vacant = append(x.vacant, s)
}

// SetEvictable says how many slots of a stage may still be evicted; NoLimit if nothing limits.
func (x *Index) SetEvictable(s StageIndex, n int) { x.stages[s].Evictable = max(n, 0) }

// Put adds slots of a stage to a node, or with a negative count takes them off: when they are granted, when they end, and
// when their eviction begins, not when it ends. Serial grows from grant to grant; the slots of a stage on a node are as
// young as the last of them. It returns false, and does nothing, if the node would have more than SlotsMax slots, or fewer
// than none of the stage.
func (x *Index) Put(n NodeIndex, s StageIndex, count int, serial uint64) bool {
	nd, st := &x.nodes[n], &x.stages[s]
	at := slices.IndexFunc(nd.held, func(h held) bool { return h.stage == s })
	before := 0
	if at >= 0 {
		before = nd.held[at].count
	}
	if nd.slots+count > SlotsMax || before+count < 0 {
		return false
	}
	if at < 0 {
		if count == 0 {
			return true
		}
		nd.held = append(nd.held, held{stage: s})
		at = len(nd.held) - 1
	}
	h := &nd.held[at]
	h.count += count
	if count > 0 {
		h.serial = max(h.serial, serial)
	}
	x.settle(nd, at)
	nd.slots += count
	st.slots += count
	x.shift(n, st.Each, -int64(count), st.Priority)
	return true
}

// settle moves an entry of a node's list to where it belongs: lowest priority first, of equals the youngest.
func (x *Index) settle(nd *node, at int) {
	h := nd.held[at]
	nd.held = slices.Delete(nd.held, at, at+1)
	if h.count == 0 {
		return
	}
	at, _ = slices.BinarySearchFunc(nd.held, h, x.evictedFirst)
	nd.held = slices.Insert(nd.held, at, h)
}

func (x *Index) evictedFirst(a, b held) int {
	return cmp.Or(x.stages[b.stage].Priority.Compare(x.stages[a.stage].Priority), cmp.Compare(b.serial, a.serial),
		cmp.Compare(a.stage, b.stage))
}

// Promise keeps room on a node for n slots of a size whose victims are being evicted, or with a negative n ends that:
// when the slots are granted, or will not be.
func (x *Index) Promise(n NodeIndex, each []int64, count int) bool {
	nd := &x.nodes[n]
	if nd.slots+count > SlotsMax {
		return false
	}
	nd.slots += count
	x.shift(n, each, -int64(count), model.Priority{})
	return true
}

// shift changes what is free on a node by so many slots of a priority; for claims that could evict them nothing changes.
func (x *Index) shift(n NodeIndex, each []int64, count int64, p model.Priority) {
	nd := &x.nodes[n]
	for d, amount := range each {
		nd.free[d] += amount * count
	}
	if !nd.open {
		return
	}
	for _, c := range x.cuts {
		if Evicts(c.priority, p) {
			continue
		}
		block := int(n) / blockLen
		for d, amount := range each {
			at, bound := int(n)*x.dims+d, block*x.dims+d
			if count < 0 && amount > 0 && c.reach[at] == c.most[bound] {
				c.stale[block] = true
			}
			c.reach[at] += amount * count
			c.most[bound] = max(c.most[bound], c.reach[at])
		}
	}
}

// Free is what is free on a node when all evictions that have begun are done and all promises kept; it may be negative.
// It is not to be changed.
func (x *Index) Free(n NodeIndex) []int64 { return x.nodes[n].free }

// refresh computes anew what could be free on a node.
func (x *Index) refresh(n NodeIndex) {
	for _, c := range x.cuts {
		x.extend(c)
		x.reach(c, n)
	}
}

// cut finds or makes the columns for a priority. All claims that may evict the same share one.
func (x *Index) cut(p model.Priority) *cut {
	if p.Band < model.Batch {
		p = model.Priority{Band: model.Production, Rank: math.MaxInt32}
	}
	x.clock++
	at := slices.IndexFunc(x.cuts, func(c *cut) bool { return c.priority == p })
	if at < 0 {
		if len(x.cuts) == CutsMax {
			oldest := slices.MinFunc(x.cuts, func(a, b *cut) int { return cmp.Compare(a.used, b.used) })
			x.cuts = slices.DeleteFunc(x.cuts, func(c *cut) bool { return c == oldest })
		}
		x.cuts = append(x.cuts, &cut{priority: p})
		at = len(x.cuts) - 1
	}
	c := x.cuts[at]
	c.used = x.clock
	x.extend(c)
	return c
}

// extend makes room for nodes that are new.
func (x *Index) extend(c *cut) {
	first := len(c.reach) / max(x.dims, 1)
	if first == len(x.nodes) {
		return
	}
	blocks := (len(x.nodes) + blockLen - 1) / blockLen
	for len(c.reach) < len(x.nodes)*x.dims {
		c.reach = append(c.reach, 0)
	}
	for len(c.stale) < blocks {
		c.stale = append(c.stale, false)
		for range x.dims {
			c.most = append(c.most, math.MinInt64)
		}
	}
	for n := first; n < len(x.nodes); n++ {
		x.reach(c, NodeIndex(n))
	}
}

// reach computes what could be free on a node; on one that is not open nothing can.
func (x *Index) reach(c *cut, n NodeIndex) {
	nd, block := &x.nodes[n], int(n)/blockLen
	for d := range x.dims {
		at, bound := int(n)*x.dims+d, block*x.dims+d
		amount := int64(math.MinInt64)
		if nd.open {
			amount = nd.free[d]
			for _, h := range nd.held {
				if st := &x.stages[h.stage]; Evicts(c.priority, st.Priority) {
					amount += st.Each[d] * int64(h.count)
				}
			}
		}
		c.reach[at] = amount
		c.most[bound] = max(c.most[bound], amount)
	}
	c.stale[block] = true
}

// next is the first node from one on that could have room, or len(nodes).
func (x *Index) next(c *cut, from int, need []int64) int {
	for n := from; n < len(x.nodes); {
		block := n / blockLen
		if n%blockLen == 0 || n == from {
			if !covers(c.most[block*x.dims:], need) {
				n = (block + 1) * blockLen
				continue
			}
			if c.stale[block] {
				x.tighten(c, block)
				continue
			}
		}
		if covers(c.reach[n*x.dims:], need) {
			return n
		}
		n++
	}
	return len(x.nodes)
}

// tighten computes the bound of a block anew.
func (x *Index) tighten(c *cut, block int) {
	most := c.most[block*x.dims : (block+1)*x.dims]
	for d := range most {
		most[d] = math.MinInt64
	}
	for n := block * blockLen; n < min((block+1)*blockLen, len(x.nodes)); n++ {
		for d := range most {
			most[d] = max(most[d], c.reach[n*x.dims+d])
		}
	}
	c.stale[block] = false
}

// covers reports whether need fits into what is there; what is not needed may be short.
func covers(there, need []int64) bool {
	for d, amount := range need {
		if amount > 0 && amount > there[d] {
			return false
		}
	}
	return true
}
