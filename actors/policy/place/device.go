package place

import "github.com/troupe-sched/troupe/actors/model"

// devicesFor chooses the devices of one slot on a node: of the group that the slot leaves with least, those that have
// the least left.
func (f *Fleet) devicesFor(s *Stage, n NodeIndex) []model.DeviceShare {
	e, need := f.extras[n], &s.shape.Extra.Devices
	var best []model.DeviceShare
	bestLeft := int64(0)
	for i := range e.groups {
		g := &e.groups[i]
		if !e.fits(g, need) {
			continue
		}
		chosen, left := e.tightest(g, need)
		if best == nil || left < bestLeft {
			best, bestLeft = chosen, left
		}
	}
	return best
}

// tightest are the devices of a group with the least left that have enough, of equals the first, and what they leave.
func (e *extra) tightest(g *group, need *model.DeviceNeed) (chosen []model.DeviceShare, left int64) {
	taken := func(i int32) bool {
		for _, d := range chosen {
			if d.Index == i {
				return true
			}
		}
		return false
	}
	for range need.Count {
		best := int32(-1)
		for _, i := range g.members {
			if e.free[i] >= need.Milli && !taken(i) && (best < 0 || e.free[i] < e.free[best]) {
				best = i
			}
		}
		chosen = append(chosen, model.DeviceShare{Index: best, Milli: need.Milli})
		left += int64(e.free[best] - need.Milli)
	}
	return chosen, left
}
