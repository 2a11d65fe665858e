// Package place decides on which nodes slots go. Nodes are columns; a decision is filters, which say where a slot may
// go and can explain their refusals, then a score: spread over an attribute first, if the stage asks for it, then best
// fit. Equal shapes share one class, and a class keeps its candidates in order and catches up with what has changed, so
// that a grant costs the same in a small fleet and in a large one.
//
// It is pure: no clock, no chance, no order of a map. Equal calls in equal order give equal answers, and of nodes that
// score the same, the one that was put first wins. A Fleet belongs to one goroutine.
package place

import (
	"iter"
	"maps"
	"slices"

	"github.com/troupe-sched/troupe/actors/model"
)

// NodeIndex is the place of a node in its fleet's columns. It holds until the node is removed.
type NodeIndex int32

// NoNode is no node.
const NoNode NodeIndex = -1

// Limits of a fleet.
const (
	// MaxNodes is the number of nodes that a fleet can hold.
	MaxNodes = 1 << indexBits
	// MaxCached bounds the memory of candidates, as classes times nodes: about 20 bytes each. Beyond it the candidates
	// of the class that was used longest ago are forgotten, and gathered again when they are asked for.
	MaxCached = 4 << 20
	// maxHeld bounds sums that no validated input can reach.
	maxHeld = int64(1) << 60
)

// Fleet is the nodes of a cell as placement sees them.
type Fleet struct {
	// Columns, by NodeIndex.
	ids        []model.NodeID
	live       []bool
	open       []bool
	capacity   []model.Resources
	held       []model.Resources
	attributes []map[string]string
	drivers    [][]string

	index   map[model.NodeID]NodeIndex
	vacant  []NodeIndex // indexes of removed nodes, taken again last in first out
	changes changes
	classes classes
	scratch scratch
}

// NewFleet is a fleet without nodes.
func NewFleet() *Fleet {
	return &Fleet{index: map[model.NodeID]NodeIndex{}, classes: classes{byKey: map[string]ClassID{}, budget: MaxCached}}
}

// Put adds a node, open and empty, or changes one; what a known node holds, and whether it is open, stays. It returns
// NoNode, and does nothing, when the fleet is full.
func (f *Fleet) Put(id model.NodeID, capacity model.Resources, attributes map[string]string, drivers []string) NodeIndex {
	n, known := f.index[id]
	if !known {
		if n = f.vacancy(); n == NoNode {
			return NoNode
		}
		f.index[id] = n
		f.ids[n], f.live[n], f.open[n] = id, true, true
	}
	for i, amount := range capacity {
		capacity[i] = min(max(amount, 0), model.MaxAmount)
	}
	f.capacity[n], f.attributes[n], f.drivers[n] = capacity, maps.Clone(attributes), slices.Clone(drivers)
	f.changes.add(n, true, len(f.ids))
	return n
}

// vacancy is the index for a new node.
func (f *Fleet) vacancy() NodeIndex {
	if last := len(f.vacant) - 1; last >= 0 {
		n := f.vacant[last]
		f.vacant = f.vacant[:last]
		return n
	}
	n := len(f.ids)
	if n == MaxNodes {
		return NoNode
	}
	f.ids, f.live, f.open = append(f.ids, ""), append(f.live, false), append(f.open, false)
	f.capacity, f.held = append(f.capacity, model.Resources{}), append(f.held, model.Resources{})
	f.attributes, f.drivers = append(f.attributes, nil), append(f.drivers, nil)
	return NodeIndex(n)
}

// Remove forgets a node, and reports whether it was there.
func (f *Fleet) Remove(id model.NodeID) bool {
	n, known := f.index[id]
	if !known {
		return false
	}
	delete(f.index, id)
	f.ids[n], f.live[n], f.open[n], f.attributes[n], f.drivers[n] = "", false, false, nil, nil
	f.capacity[n], f.held[n] = model.Resources{}, model.Resources{}
	f.vacant = append(f.vacant, n)
	f.changes.add(n, true, len(f.ids))
	return true
}

// SetSchedulable says whether a node takes new slots. It reports whether the node is known.
func (f *Fleet) SetSchedulable(id model.NodeID, open bool) bool {
	n, known := f.index[id]
	if known && f.open[n] != open {
		f.open[n] = open
		f.changes.add(n, true, len(f.ids))
	}
	return known
}

// SetHeld replaces what slots hold on a node. It reports whether the node is known.
func (f *Fleet) SetHeld(id model.NodeID, held model.Resources) bool {
	n, known := f.index[id]
	if known {
		f.setHeld(n, held)
	}
	return known
}

// Take holds count slots of a size on a node: after each Assignment of Place that is carried out, and for slots that
// are there already. A node can hold more than it has; then nothing fits on it.
func (f *Fleet) Take(n NodeIndex, each model.Resources, count int) { f.shift(n, each, int64(count)) }

// Give is the opposite of Take. What a node holds does not fall below nothing: the view of a fleet may be behind, and
// the next SetHeld sets it right.
func (f *Fleet) Give(n NodeIndex, each model.Resources, count int) { f.shift(n, each, -int64(count)) }

func (f *Fleet) shift(n NodeIndex, each model.Resources, count int64) {
	if n < 0 || int(n) >= len(f.live) || !f.live[n] {
		return // it was removed while the message was on its way
	}
	held := f.held[n]
	for i := range held {
		amount, most := min(max(each[i], 0), model.MaxAmount), maxHeld
		if amount > 0 {
			most = maxHeld / amount
		}
		held[i] += amount * min(max(count, -most), most)
	}
	f.setHeld(n, held)
}

func (f *Fleet) setHeld(n NodeIndex, held model.Resources) {
	for i, amount := range held {
		held[i] = min(max(amount, 0), maxHeld)
	}
	if held != f.held[n] {
		f.held[n] = held
		f.changes.add(n, false, len(f.ids))
	}
}

// Len is the number of nodes.
func (f *Fleet) Len() int { return len(f.index) }

// ID is the name of a node.
func (f *Fleet) ID(n NodeIndex) model.NodeID { return f.ids[n] }

// Index finds a node by its name.
func (f *Fleet) Index(id model.NodeID) (NodeIndex, bool) {
	n, known := f.index[id]
	if !known {
		return NoNode, false
	}
	return n, true
}

// Schedulable reports whether a node takes new slots.
func (f *Fleet) Schedulable(n NodeIndex) bool { return f.open[n] }

// Capacity is all that a node has.
func (f *Fleet) Capacity(n NodeIndex) model.Resources { return f.capacity[n] }

// Held is what slots hold on a node.
func (f *Fleet) Held(n NodeIndex) model.Resources { return f.held[n] }

// Free is what a node has left; negative where it holds more than it has.
func (f *Fleet) Free(n NodeIndex) model.Resources { return f.capacity[n].Sub(f.held[n]) }

// Nodes goes through all nodes, in the order in which ties are decided.
func (f *Fleet) Nodes() iter.Seq[NodeIndex] {
	return func(yield func(NodeIndex) bool) {
		for i, live := range f.live {
			if live && !yield(NodeIndex(i)) {
				return
			}
		}
	}
}

// Totals are sums over a fleet.
type Totals struct {
	Nodes, Schedulable int
	Capacity, Held     model.Resources
}

// Totals adds up all nodes. Sums stop at the greatest int64 and do not wrap.
func (f *Fleet) Totals() Totals {
	t := Totals{Nodes: f.Len()}
	for n := range f.Nodes() {
		if f.open[n] {
			t.Schedulable++
		}
		for i := range t.Capacity {
			t.Capacity[i] = addSaturating(t.Capacity[i], f.capacity[n][i])
			t.Held[i] = addSaturating(t.Held[i], f.held[n][i])
		}
	}
	return t
}

// addSaturating adds two numbers that are not negative.
func addSaturating(a, b int64) int64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return 1<<63 - 1
}

// attribute is the value of an attribute of a node; every node has the attribute "node", its own name.
func (f *Fleet) attribute(n NodeIndex, name string) (string, bool) {
	if name == model.NodeAttribute {
		return string(f.ids[n]), true
	}
	value, has := f.attributes[n][name]
	return value, has
}

// changes is the tail of the list of all changes to nodes. Every class reads it at its own pace; one that is far behind
// looks at all nodes again, which costs no more.
type changes struct {
	tail []change
	base uint64 // number of the first in tail
}

// change is a node, and in the lowest bit whether more than what it holds has changed.
type change int64

func (c change) node() NodeIndex { return NodeIndex(c >> 1) }
func (c change) deep() bool      { return c&1 != 0 }

// farBehind is the number of unread changes from which on a class looks at all nodes again. The tail never gets shorter
// than that, so what a class still has to read is there.
func farBehind(nodes int) uint64 { return uint64(nodes/2 + 16) }

func (c *changes) end() uint64 { return c.base + uint64(len(c.tail)) }

// add notes a change. The tail grows to twice the number of nodes before its first half goes.
func (c *changes) add(n NodeIndex, deep bool, nodes int) {
	if most := 2 * max(nodes, 512); len(c.tail) >= most {
		drop := most / 2
		c.tail = c.tail[:copy(c.tail, c.tail[drop:])]
		c.base += uint64(drop)
	}
	next := change(n) << 1
	if deep {
		next |= 1
	}
	c.tail = append(c.tail, next)
}
