package place

import (
	"math/bits"

	"github.com/troupe-sched/troupe/actors/model"
)

// Kinds grows with every change of what nodes are: what Possible has said holds as long as it stays.
func (f *Fleet) Kinds() uint64 { return f.deep }

// Possible reports whether n slots of a stage could be held together if nothing else were held anywhere. It asks what nodes
// are and what they have, and not where slots are: rules between slots come and go with them. Mostly the first node that
// passes the standing filters is enough; in the worst case it looks at all.
func (f *Fleet) Possible(s *Stage, n int) bool {
	c := s.class
	c.catchUp(f)
	left := int64(n)
	for w, word := range c.passes {
		for ; word != 0 && left > 0; word &= word - 1 {
			left -= f.emptyRoom(c, NodeIndex(w<<6+bits.TrailingZeros64(word)))
		}
	}
	return left <= 0
}

// emptyRoom is how many slots of a class a node could hold if nothing else were there.
func (f *Fleet) emptyRoom(c *class, n NodeIndex) int64 {
	most := int64(model.MaxInstances)
	for i, need := range c.need {
		if need > 0 {
			most = min(most, f.Capacity(n)[i]/need)
		}
	}
	if c.extra == nil {
		return most
	}
	e := f.extras[n]
	if e == nil {
		e = &extra{}
	}
	return min(most, e.emptyRoom(c.extra))
}

// emptyRoom is for how many slots the extras of an empty node suffice.
func (e *extra) emptyRoom(need *model.Extra) int64 {
	most, dynamic := int64(model.MaxInstances), int64(0)
	for _, p := range need.Ports {
		switch {
		case p.Number == 0:
			dynamic++
		case p.Number >= e.from && p.Number <= e.to:
			return 0
		default:
			most = 1
		}
	}
	if dynamic > 0 {
		if e.to == 0 {
			return 0
		}
		most = min(most, (int64(e.to-e.from)+1)/dynamic)
	}
	for _, c := range need.Custom {
		u := e.unit(c.Name)
		if u == nil {
			return 0
		}
		most = min(most, u.has/c.N)
	}
	if need.Devices.Count > 0 {
		most = min(most, e.emptyDevices(&need.Devices))
	}
	return most
}

// emptyDevices is for how many slots the devices of an empty node suffice.
func (e *extra) emptyDevices(d *model.DeviceNeed) (most int64) {
	for i := range e.groups {
		if g := &e.groups[i]; !admitsDevice(d, g.Device) {
			continue
		} else if d.Milli < model.WholeDevice {
			most += int64(len(g.members)) * int64(model.WholeDevice/d.Milli)
		} else {
			most += int64(len(g.members)) / int64(d.Count)
		}
	}
	return most
}
