package place

import (
	"fmt"
	"iter"
	"slices"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/frag"
)

// NodeIndex is the place of a node in its fleet's columns. It holds until the node is removed.
type NodeIndex int32

// NoNode is no node.
const NoNode NodeIndex = -1

// Limits of a fleet.
const (
	// MaxNodes is the number of nodes that a fleet can hold.
	MaxNodes = 1 << 17
	// maxHeld bounds sums that no validated input can reach.
	maxHeld = int64(1) << 60
)

// Options of a fleet. The zero value is what a cell uses.
type Options struct {
	// Seed of the fleet's chance; 0 is a seed like any other.
	Seed uint64
	// Score names the score of stages that name none; "hybrid" if empty.
	Score string
	// Filters and Scores beyond the ones that are built in, in the order in which they are asked. A score is used by
	// stages and queues that name it.
	Filters []Filter
	Scores  []Score
	// Workload is the slots that are expected to come, for the scores that look ahead; if empty, the fleet goes by what it
	// has placed. WorkloadWeight is the weight of all of them, of which the list may be only the most common; 0 says that
	// it is all.
	Workload       []Expected
	WorkloadWeight int64
	// Exact looks at every node for every slot: the best score wins, of equal ones the node that was put first.
	Exact bool
	// NoClasses gives every stage a class of its own, NoCache forgets scores, NoChance looks at all nodes believed to
	// have room: for measuring what each is worth.
	NoClasses, NoCache, NoChance bool
}

// Fleet is the nodes of a cell as placement sees them.
type Fleet struct {
	options Options
	// Columns, by NodeIndex.
	ids     []model.NodeID
	rows    []row
	extras  []*extra
	nodes   []node
	sizes   *column[model.Resources]
	scales  []scale // by number of the size
	drivers *column[[]string]
	taints  *column[[]Taint]

	attributes attributeColumns
	index      map[model.NodeID]NodeIndex
	vacant     []NodeIndex // indexes of removed nodes, taken again last in first out
	changes    changes
	deep       uint64 // the end of the changes after the last deep one
	classes    classes
	stages     []*Stage
	presences  []*presence
	holds      map[NodeIndex][]hold
	devices    devices
	// moves counts what changes the answer of any rule.
	moves  uint64
	chance uint64
	// scanned, scannedFew and fewDomains are the constants of these names; tests lower them.
	scanned, scannedFew, fewDomains int
	scratch                         scratch
}

// NewFleet is a fleet without nodes.
func NewFleet(o Options) *Fleet {
	f := &Fleet{
		options: o, index: map[model.NodeID]NodeIndex{}, classes: classes{byKey: map[string]*class{}, budget: maxKnown},
		attributes: attributeColumns{map[string]*attribute{}}, drivers: newColumn(joined), taints: newColumn(taintsKey), sizes: newColumn(sizeKey),
		holds: map[NodeIndex][]hold{}, chance: o.Seed*0x9e3779b97f4a7c15 + 0x1234567,
		scanned: scanned, scannedFew: scannedFew, fewDomains: fewDomains, devices: devices{learned: frag.NewDemands()},
	}
	f.devices.workload = f.told()
	return f
}

// Put adds a node, open and empty, or changes one; what a known node holds, and whether it is open, stays. It returns
// NoNode, and does nothing, when the fleet is full.
func (f *Fleet) Put(id model.NodeID, what Node) NodeIndex {
	n, known := f.index[id]
	if !known {
		if n = f.vacancy(); n == NoNode {
			return NoNode
		}
		f.index[id] = n
		f.ids[n] = id
	}
	held := f.Held(n)
	for i, amount := range what.Capacity {
		what.Capacity[i] = min(max(amount, 0), model.MaxAmount)
	}
	f.rows[n].free = what.Capacity.Sub(held)
	f.setSize(n, what.Capacity)
	fresh := extraOf(&what)
	if old := f.extras[n]; old != nil {
		if fresh == nil {
			fresh = &extra{}
		}
		fresh.adopt(old)
	}
	f.extras[n] = fresh
	f.nodes[n].Node, f.rows[n].live = what, true
	f.sizeUp(&what)
	f.classify(n)
	return n
}

// classify puts a node's properties into the columns, and counts the slots there in its domains, which may be new.
func (f *Fleet) classify(n NodeIndex) {
	info := &f.nodes[n]
	f.rows[n].up = f.rows[n].live && !info.closed && !info.Maintenance
	f.drivers.set(n, info.Drivers, len(info.Drivers) > 0)
	f.taints.set(n, info.Taints, len(info.Taints) > 0)
	var moved []*attribute
	for _, a := range f.attributes.byName { //order: each for itself
		value, has := f.valueOf(n, a.name)
		if old := a.ids[min(int(n), len(a.ids)-1)]; int(n) < len(a.ids) && (has != (old > 0) || has && a.values[old] != value) {
			moved = append(moved, a)
		} else {
			a.set(n, value, has)
		}
	}
	if len(moved) > 0 {
		f.recount(n, moved)
	}
	f.note(n, true)
}

// recount moves a node to other domains, with the slots of all stages that it holds.
func (f *Fleet) recount(n NodeIndex, moved []*attribute) {
	shift := func(sign int) {
		if f.rows[n].bands == [2]int32{} {
			return // holds nothing
		}
		for _, s := range f.stages {
			if count := s.held[n]; count > 0 {
				f.tally(s, n, sign*count)
			}
		}
	}
	shift(-1)
	for _, a := range moved {
		value, has := f.valueOf(n, a.name)
		a.set(n, value, has)
	}
	shift(1)
}

// note tells all classes that a node may have gained; deep says that it is not what it was.
func (f *Fleet) note(n NodeIndex, deep bool) {
	f.rows[n].version++
	f.changes.add(n, deep, len(f.ids))
	if deep {
		f.deep = f.changes.end()
	}
}

// setSize gives a node the scale of its capacity; nodes of one size share it.
func (f *Fleet) setSize(n NodeIndex, capacity model.Resources) {
	f.sizes.set(n, capacity, true)
	for len(f.scales) < f.sizes.size() {
		f.scales = append(f.scales, scale{})
	}
	id := f.sizes.ids[n]
	f.rows[n].size, f.scales[id] = id, scaleOf(capacity)
}

func sizeKey(capacity model.Resources) string { return fmt.Sprint(capacity) }

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
	f.ids, f.rows = append(f.ids, ""), append(f.rows, row{})
	f.extras, f.nodes = append(f.extras, nil), append(f.nodes, node{})
	f.setSize(NodeIndex(n), model.Resources{})
	f.drivers.set(NodeIndex(n), nil, false)
	f.taints.set(NodeIndex(n), nil, false)
	for _, a := range f.attributes.byName { //order: each for itself
		a.set(NodeIndex(n), "", false)
	}
	return NodeIndex(n)
}

// Remove forgets a node and all that it holds, and reports whether it was there.
func (f *Fleet) Remove(id model.NodeID) bool {
	n, known := f.index[id]
	if !known {
		return false
	}
	if f.rows[n].bands != [2]int32{} {
		for _, s := range f.stages {
			if count := s.held[n]; count > 0 {
				f.tally(s, n, -count)
				delete(s.held, n)
				s.total -= count
			}
		}
	}
	delete(f.index, id)
	delete(f.holds, n)
	f.ids[n], f.nodes[n], f.extras[n] = "", node{}, nil
	f.rows[n] = row{version: f.rows[n].version, size: f.rows[n].size}
	f.setSize(n, model.Resources{})
	f.classify(n)
	f.vacant = append(f.vacant, n)
	return true
}

// SetSchedulable says whether a node takes new slots. It reports whether the node is known.
func (f *Fleet) SetSchedulable(id model.NodeID, open bool) bool {
	n, known := f.index[id]
	if known && f.nodes[n].closed == open {
		f.nodes[n].closed = !open
		f.rows[n].up = open && !f.nodes[n].Maintenance
		f.note(n, true)
	}
	return known
}

// Take books slots of a stage on a node that are there already. A node can hold more than it has; then nothing fits.
func (f *Fleet) Take(s *Stage, n NodeIndex, slots Slots) {
	if !f.live(n) || slots.Count <= 0 {
		return // it was removed while the message was on its way
	}
	free := &f.rows[n].free
	for i, each := range slots.Each {
		free[i] = max(free[i]-times(each, slots.Count), -maxHeld)
	}
	if slots.Extra != nil || slots.Devices != nil {
		if f.extras[n] == nil {
			f.extras[n] = &extra{}
		}
		f.extras[n].shift(&slots, 1)
	}
	f.rows[n].version++
	f.rows[n].bands[highOrLow(s.shape.Band)] += int32(slots.Count)
	f.learn(s.class, slots.Count)
	s.held[n] += slots.Count
	s.total += slots.Count
	f.tally(s, n, slots.Count)
}

// Give is the opposite of Take. What a node holds does not fall below nothing: the view of a fleet may be behind.
func (f *Fleet) Give(s *Stage, n NodeIndex, slots Slots) {
	if !f.live(n) || slots.Count <= 0 {
		return
	}
	free, capacity := &f.rows[n].free, f.Capacity(n)
	for i, each := range slots.Each {
		free[i] = min(free[i]+times(each, slots.Count), capacity[i])
	}
	if (slots.Extra != nil || slots.Devices != nil) && f.extras[n] != nil {
		f.extras[n].shift(&slots, -1)
	}
	f.note(n, false)
	count := min(slots.Count, s.held[n])
	f.rows[n].bands[highOrLow(s.shape.Band)] -= int32(count)
	if s.held[n] -= count; s.held[n] == 0 {
		delete(s.held, n)
	}
	s.total -= count
	f.tally(s, n, -count)
}

func (f *Fleet) live(n NodeIndex) bool {
	return n >= 0 && int(n) < len(f.rows) && f.rows[n].live
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

// Node is what a node is. It must not be changed.
func (f *Fleet) Node(n NodeIndex) *Node { return &f.nodes[n].Node }

// Schedulable reports whether a node takes new slots.
func (f *Fleet) Schedulable(n NodeIndex) bool { return f.rows[n].up }

// Capacity is all that a node has.
func (f *Fleet) Capacity(n NodeIndex) model.Resources { return f.sizes.values[f.rows[n].size] }

// Held is what slots hold on a node.
func (f *Fleet) Held(n NodeIndex) model.Resources { return f.Capacity(n).Sub(f.rows[n].free) }

// Free is what a node has left; negative where it holds more than it has.
func (f *Fleet) Free(n NodeIndex) model.Resources { return f.rows[n].free }

// FreeDevices is what is left of each device of a node, in milli.
func (f *Fleet) FreeDevices(n NodeIndex) []int32 {
	if f.extras[n] == nil {
		return nil
	}
	return slices.Clone(f.extras[n].free)
}

// Nodes goes through all nodes, in the order in which ties are decided.
func (f *Fleet) Nodes() iter.Seq[NodeIndex] {
	return func(yield func(NodeIndex) bool) {
		for i := range f.rows {
			if f.rows[i].live && !yield(NodeIndex(i)) {
				return
			}
		}
	}
}

// changes is the tail of the list of all gains of nodes. Every class reads it at its own pace; one that is too far behind
// looks at all nodes again, which costs no more.
type changes struct {
	tail []change
	base uint64 // number of the first in tail
}

// change is a node, and in the lowest bit whether more than what it holds has changed.
type change int64

func (c change) node() NodeIndex { return NodeIndex(c >> 1) }
func (c change) deep() bool      { return c&1 != 0 }

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
