package place

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/troupe-sched/troupe/actors/model"
)

// domainsTried bounds the domains that are tried for stages whose slots go together, and beside each other.
const domainsTried = 16

// together places slots that must go beside each other all at once. Where the first goes decides for all, and the node that
// is best for it may be where the others have no room: so the domains that have enough are tried, those with most first.
func (f *Fleet) together(s *Stage, ask Ask, out []Assignment) []Assignment {
	i := slices.IndexFunc(s.wishes, func(w wish) bool {
		return !w.against && w.weight == 0 && w.selects(&s.shape) && len(w.matching.some) == 0
	})
	if i < 0 {
		return out
	}
	first := len(out)
	for _, domain := range f.roomiest(s, s.wishes[i].on, ask.Slots) {
		s.start, f.moves = domain, f.moves+1
		if out = f.place(s, ask, out); len(out) > first {
			break
		}
	}
	s.start, f.moves = 0, f.moves+1
	return out
}

// roomiest lists the domains of an attribute whose nodes have the plain resources for n slots together, those with most
// first.
func (f *Fleet) roomiest(s *Stage, on *attribute, n int) []int32 {
	c := s.class
	c.catchUp(f)
	room := map[int32]int64{}
	for w, word := range c.maybe {
		for ; word != 0; word &= word - 1 {
			node := NodeIndex(w<<6 + bits.TrailingZeros64(word))
			most := int64(model.MaxInstances)
			for i, need := range c.need {
				if need > 0 {
					most = min(most, f.rows[node].free[i]/need)
				}
			}
			if domain := on.ids[node]; domain > 0 {
				room[domain] += max(most, 0)
			}
		}
	}
	var list []int32
	for domain, slots := range room { //order: sorted below
		if slots >= int64(n) {
			list = append(list, domain)
		}
	}
	slices.SortFunc(list, func(x, y int32) int { return cmp.Or(cmp.Compare(room[y], room[x]), cmp.Compare(x, y)) })
	return list[:min(len(list), domainsTried)]
}
