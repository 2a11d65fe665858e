package place

import (
	"math/bits"
	"slices"

	"github.com/troupe-sched/troupe/actors/model"
)

// Node is what a machine is. The fleet keeps what it is given: it must not change afterwards.
type Node struct {
	Capacity   model.Resources
	Attributes map[string]string
	// Drivers and Packages, each sorted.
	Drivers, Packages []string
	// Devices in the order of their numbers.
	Devices []Device
	// Custom units by name.
	Custom map[string]int64
	// PortFrom and PortTo are the range of dynamic ports, both inclusive; 0 and 0 for none.
	PortFrom, PortTo int32
	Taints           []Taint
	// Maintenance keeps new slots away.
	Maintenance bool
}

// Device is one piece of hardware that can be shared in thousandths.
type Device struct{ Kind, Model string }

// Taint keeps slots away, but for those that tolerate it. Effect is one of model's.
type Taint struct{ Key, Value, Effect string }

// node is what a fleet keeps of a node beside the columns of the hot loop.
type node struct {
	Node
	closed bool // takes no new slots
}

// row is what the hot loop reads of a node: one cache line.
type row struct {
	free  model.Resources
	bands [2]int32 // slots of bands that are never evicted, and of others
	// version counts the changes of all that scores look at.
	version uint32
	size    int32 // number of its capacity, and of its scale
	live    bool  // is a node
	up      bool  // takes new slots
	_       [14]byte
}

// scale is 2^64 over a capacity, so that a part of it is found by one multiplication; 0 where there is none.
type scale [model.NumResources]uint64

// partBits is the resolution of a part of a node's capacity.
const partBits = 13

// part is the amount in parts of 2^partBits of the node's capacity in a dimension, at most one too small; 0 of nothing.
func (s *scale) part(dimension int, amount int64) int64 {
	high, _ := bits.Mul64(uint64(max(amount, 0))<<partBits, s[dimension])
	return int64(high)
}

func scaleOf(capacity model.Resources) (s scale) {
	for i, c := range capacity {
		if c > 0 {
			s[i] = ^uint64(0) / uint64(c)
		}
	}
	return s
}

// unit is an amount of custom units that a node has, and how much of it is held.
type unit struct {
	name      string
	has, held int64
}

// extra is what a node has beyond plain resources.
type extra struct {
	units    []unit  // by name
	fixed    []int32 // ports held, as often as they are held
	dynamic  int64   // dynamic ports held
	from, to int32
	devices  []Device
	free     []int32 // by device, in milli; negative if the node holds more than it has
	groups   []group
}

// group is the devices of one kind and model of a node, by place.
type group struct {
	Device
	members []int32
}

// extraOf is the extra of a node that holds nothing; nil if it has none.
func extraOf(n *Node) *extra {
	if len(n.Devices) == 0 && len(n.Custom) == 0 && n.PortTo == 0 {
		return nil
	}
	e := &extra{from: n.PortFrom, to: n.PortTo, devices: n.Devices}
	for name, has := range n.Custom { //order: sorted below
		e.units = append(e.units, unit{name: name, has: min(max(has, 0), model.MaxAmount)})
	}
	slices.SortFunc(e.units, func(a, b unit) int { return compareText(a.name, b.name) })
	for i, d := range n.Devices {
		e.free = append(e.free, model.WholeDevice)
		g := slices.IndexFunc(e.groups, func(g group) bool { return g.Device == d })
		if g < 0 {
			g = len(e.groups)
			e.groups = append(e.groups, group{Device: d})
		}
		e.groups[g].members = append(e.groups[g].members, int32(i))
	}
	return e
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// shift takes slots (sign 1) or gives them (sign -1).
func (e *extra) shift(s *Slots, sign int64) {
	for _, list := range s.Devices {
		for _, d := range list {
			if d.Index >= 0 && int(d.Index) < len(e.free) {
				e.free[d.Index] -= int32(sign) * d.Milli
			}
		}
	}
	if s.Extra == nil {
		return
	}
	n := sign * int64(s.Count)
	for _, c := range s.Extra.Custom {
		if u := e.unit(c.Name); u != nil {
			u.held = min(max(u.held+sign*times(c.N, s.Count), 0), maxHeld)
		}
	}
	for _, p := range s.Extra.Ports {
		if p.Number == 0 {
			e.dynamic = max(e.dynamic+n, 0)
			continue
		}
		for range s.Count {
			if sign > 0 {
				e.fixed = append(e.fixed, p.Number)
			} else if i := slices.Index(e.fixed, p.Number); i >= 0 {
				e.fixed = slices.Delete(e.fixed, i, i+1)
			}
		}
	}
}

func (e *extra) unit(name string) *unit {
	for i := range e.units {
		if e.units[i].name == name {
			return &e.units[i]
		}
	}
	return nil
}

// portFree reports whether a fixed port can be had. A number within the range of dynamic ports cannot: nobody would know
// whether it is given to somebody else.
func (e *extra) portFree(number int32) bool {
	return !slices.Contains(e.fixed, number) && (number < e.from || number > e.to)
}

// dynamicLeft is how many dynamic ports are left.
func (e *extra) dynamicLeft() int64 {
	if e.to == 0 {
		return 0
	}
	return int64(e.to-e.from) + 1 - e.dynamic
}

// adopt takes over what another extra of the same node holds.
func (e *extra) adopt(old *extra) {
	e.fixed, e.dynamic = old.fixed, old.dynamic
	for _, u := range old.units {
		if now := e.unit(u.name); now != nil {
			now.held = u.held
		}
	}
	for i := range min(len(e.free), len(old.free)) {
		e.free[i] = old.free[i]
	}
}

// times is a product of two numbers that are not negative, at most maxHeld.
func times(amount int64, count int) int64 {
	amount = min(max(amount, 0), model.MaxAmount)
	if amount == 0 || count <= 0 {
		return 0
	}
	return amount * min(int64(count), maxHeld/amount)
}
