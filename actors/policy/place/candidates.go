package place

import (
	"github.com/troupe-sched/troupe/actors/model"
)

// A key orders candidates in one number: the count of slots of the stage in the node's group (31 bits), then how much
// would be left on the node (16 bits), then the node. The least key goes first.
type key uint64

const (
	indexBits = 17
	scoreBits = 16
	countBits = 64 - scoreBits - indexBits
	// resolution of a score in one dimension: with it, no product of an amount overflows.
	resolution = 1 << 13
)

func (k key) node() NodeIndex { return NodeIndex(k & (1<<indexBits - 1)) }

// withCount is k in a group that has so many slots of the stage.
func (k key) withCount(count int) key {
	return key(min(max(count, 0), 1<<countBits-1))<<(scoreBits+indexBits) | k&(1<<(scoreBits+indexBits)-1)
}

// keyFor says how well a slot would sit on a node: best fit is where the least is left, in parts of the node's
// capacity, over all dimensions. It never grows as slots of one size are added, so the best node stays the best until
// it is full; pack relies on that.
func keyFor(n NodeIndex, capacity, free, need model.Resources) key {
	left := key(0)
	for i, most := range capacity {
		if most > 0 {
			left += key(max(free[i]-need[i], 0)) * resolution / key(most)
		}
	}
	return left<<indexBits | key(n)
}

// fits reports whether a slot fits into what is free. A node that holds too much of one resource can still give others.
func fits(need, free model.Resources) bool {
	for i := range need {
		if need[i] > 0 && need[i] > free[i] {
			return false
		}
	}
	return true
}

// candidates are the nodes that can take at least one slot of a class, as a heap of their keys.
type candidates struct {
	read  uint64 // changes taken in
	heap  []key
	where []int32 // by node: 1 + place in heap, 0 for nodes that cannot
	// passes says, by node, whether the standing filters admit it.
	passes []bool
	// groups are the nodes' groups, by node: equal values of the spread attribute are one group. Nil without spread,
	// and with spread over nodes, where each node is its own.
	groups []int32
	values map[string]int32
}

// candidatesOf brings the candidates of a class up to date.
func (f *Fleet) candidatesOf(id ClassID) *candidates {
	c := f.class(id)
	f.classes.touch(c, len(f.ids))
	k := c.candidates
	behind := f.changes.end() - k.read
	if k.where == nil || behind > farBehind(len(f.ids)) || len(k.values) > 2*len(f.ids)+16 {
		k.gather(f, c)
	} else {
		k.extend(len(f.ids), c)
		for _, change := range f.changes.tail[k.read-f.changes.base:] {
			if change.deep() {
				k.judge(f, c, change.node())
			}
			k.update(f, c, change.node())
		}
	}
	k.read = f.changes.end()
	return k
}

// touch makes a class the last used, gives it candidates to fill, and takes those of others back over the budget.
func (cs *classes) touch(c *class, nodes int) {
	cs.clock++
	c.used = cs.clock
	if c.candidates == nil {
		c.candidates = &candidates{}
		cs.cached++
	}
	for cs.cached > 1 && cs.cached*nodes > cs.budget {
		oldest := c
		for _, other := range cs.all {
			if other != nil && other.candidates != nil && other.used < oldest.used {
				oldest = other
			}
		}
		oldest.candidates = nil
		cs.cached--
	}
}

// gather looks at all nodes.
func (k *candidates) gather(f *Fleet, c *class) {
	k.heap, k.where, k.passes, k.groups, k.values = k.heap[:0], k.where[:0], k.passes[:0], k.groups[:0], nil
	k.extend(len(f.ids), c)
	need := c.shape.Resources
	for n := range f.Nodes() {
		k.judge(f, c, n)
		if free := f.Free(n); k.passes[n] && fits(need, free) {
			k.heap = append(k.heap, keyFor(n, f.capacity[n], free, need))
			k.where[n] = int32(len(k.heap))
		}
	}
	for i := len(k.heap)/2 - 1; i >= 0; i-- {
		k.down(i)
	}
}

// extend makes room for nodes that are new.
func (k *candidates) extend(nodes int, c *class) {
	if k.where == nil {
		k.where = make([]int32, 0, nodes)
	}
	for len(k.where) < nodes {
		k.where, k.passes = append(k.where, 0), append(k.passes, false)
		if grouped(c) {
			k.groups = append(k.groups, 0)
		}
	}
}

// grouped reports whether nodes of a class form groups.
func grouped(c *class) bool { return c.shape.Spread != "" && c.shape.Spread != model.NodeAttribute }

// judge runs the standing filters over one node, and finds its group. Nodes without the attribute are a group too.
func (k *candidates) judge(f *Fleet, c *class, n NodeIndex) {
	k.passes[n] = f.live[n]
	for _, filter := range c.standing {
		k.passes[n] = k.passes[n] && filter.admits(f, n)
	}
	if !grouped(c) {
		return
	}
	value, _ := f.attribute(n, c.shape.Spread)
	group, known := k.values[value]
	if !known {
		if k.values == nil {
			k.values = map[string]int32{}
		}
		group = int32(len(k.values))
		k.values[value] = group
	}
	k.groups[n] = group
}

// update puts one node where it belongs by what it holds now.
func (k *candidates) update(f *Fleet, c *class, n NodeIndex) {
	at := int(k.where[n]) - 1
	free := f.Free(n)
	if !k.passes[n] || !fits(c.shape.Resources, free) {
		if at >= 0 {
			k.remove(at)
		}
		return
	}
	fresh := keyFor(n, f.capacity[n], free, c.shape.Resources)
	if at < 0 {
		k.heap = append(k.heap, fresh)
		at = len(k.heap) - 1
		k.where[n] = int32(at + 1)
	} else if k.heap[at] == fresh {
		return
	}
	k.heap[at] = fresh
	k.up(at)
	k.down(int(k.where[n]) - 1)
}

func (k *candidates) remove(at int) {
	last := len(k.heap) - 1
	k.where[k.heap[at].node()] = 0
	moved := k.heap[last]
	k.heap = k.heap[:last]
	if at < last {
		k.heap[at] = moved
		k.where[moved.node()] = int32(at + 1)
		k.up(at)
		k.down(int(k.where[moved.node()]) - 1)
	}
}

func (k *candidates) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if k.heap[parent] <= k.heap[i] {
			return
		}
		k.swap(parent, i)
		i = parent
	}
}

func (k *candidates) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(k.heap) {
			return
		}
		if child+1 < len(k.heap) && k.heap[child+1] < k.heap[child] {
			child++
		}
		if k.heap[i] <= k.heap[child] {
			return
		}
		k.swap(i, child)
		i = child
	}
}

func (k *candidates) swap(i, j int) {
	k.heap[i], k.heap[j] = k.heap[j], k.heap[i]
	k.where[k.heap[i].node()], k.where[k.heap[j].node()] = int32(i+1), int32(j+1)
}
