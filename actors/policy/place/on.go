package place

import "github.com/troupe-sched/troupe/actors/model"

// PlaceOn books up to so many slots of a stage on one node, as many as fit there: for work whose room was made there.
func (f *Fleet) PlaceOn(s *Stage, n NodeIndex, slots int) Assignment {
	a := Assignment{Node: n}
	c := s.class
	if c.catchUp(f); !f.live(n) || !c.passed(n) {
		return a
	}
	for a.Count < min(slots, model.MaxInstances) && f.feasible(s, c, n, false) {
		f.book(s, n, &a)
	}
	return a
}

// Admits reports whether a slot of a stage could go to a node if it had the room: whether what the node is, and where
// other slots are, lets it.
func (f *Fleet) Admits(s *Stage, n NodeIndex) bool {
	c := s.class
	if c.catchUp(f); !f.live(n) || !f.rows[n].up || !c.passed(n) {
		return false
	}
	for _, r := range s.rules {
		if !r.admits(f, s, n) {
			return false
		}
	}
	return true
}
