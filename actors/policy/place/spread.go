package place

import (
	"math/bits"
	"slices"

	"github.com/troupe-sched/troupe/actors/policy/spread"
)

// least is the count of slots in the domain that has the fewest, of domains where some node passes the standing filters.
func (f *Fleet) least(s *Stage, t *tally) int32 {
	d := s.class.counted(t.attribute)
	if state := [2]uint64{t.changes, d.changes + 1}; t.leastKnown != state {
		t.leastKnown, t.least = state, 0
		found := false
		for domain, nodes := range d.passes {
			if count := t.of(int32(domain)); nodes > 0 && (!found || count < t.least) {
				t.least, found = count, true
			}
		}
	}
	return t.least
}

// emptyTries bounds the domains that are tried one after the other while their nodes have room, and rules refuse them.
const emptyTries = 8

// spread looks for a node in the domain that has the fewest slots of the stage, of domains that can take one. It reports
// whether it has found it; else all nodes must be looked at.
func (f *Fleet) spread(s *Stage, c *class, short bool, k *choice) bool {
	t := s.even[0]
	d := c.counted(t.attribute)
	if t.attribute.size() > f.fewDomains {
		// Among so many domains, one as empty as any is met by chance while there are others.
		f.draw(s, c, short, k)
		if k.found > 0 && k.best.crowd <= int64(t.floorOf(d)) {
			return true
		}
		*k = nothing()
	}
	var tried [emptyTries]int32
	for i := 0; i < emptyTries; {
		domain := f.emptiest(d, t, tried[:i])
		if domain < 0 {
			return true
		}
		if f.within(s, c, domain, d, short, k); k.found > 0 {
			return true
		}
		if d.room[domain] > 0 {
			tried[i] = domain
			i++
		}
	}
	return false
}

// counted are the domains of an attribute of a spread rule: the class of a stage counts its nodes by all of them.
func (c *class) counted(a *attribute) *domains {
	for _, d := range c.domains {
		if d.attribute == a {
			return d
		}
	}
	return nil
}

// floorOf is a count below which no domain with room is.
func (t *tally) floorOf(d *domains) int32 {
	if t.floorKnown != d.regained+1 {
		t.floorKnown, t.floor = d.regained+1, 0
	}
	return t.floor
}

// emptiest is the domain with the fewest slots, of those with nodes believed to have room; of equals, the next one after
// the last. -1 is none. What it has learned of the fewest ends the next search early, so that slot after slot costs little.
func (f *Fleet) emptiest(d *domains, t *tally, but []int32) int32 {
	best, least, floor := int32(-1), int32(0), t.floorOf(d)
	for i := range d.room {
		domain := t.cursor + i
		for domain >= len(d.room) {
			domain -= len(d.room)
		}
		if d.room[domain] == 0 {
			continue
		}
		count := t.of(int32(domain))
		if (best < 0 || count < least) && !slices.Contains(but, int32(domain)) {
			if best, least = int32(domain), count; count <= floor {
				break
			}
		}
	}
	if best >= 0 && len(but) == 0 {
		t.floor, t.cursor = least, int(best)+1
	}
	return best
}

// within looks at the nodes of one domain, or at some of them if they are many.
func (f *Fleet) within(s *Stage, c *class, domain int32, d *domains, short bool, k *choice) {
	members := d.attribute.members[domain]
	from := f.random(len(members))
	for i := range members {
		at := from + i
		if at >= len(members) {
			at -= len(members)
		}
		if n := members[at]; c.has(n) && f.feasible(s, c, n, short) {
			if k.see(f.rate(s, c, n)); k.found >= drawn+remembered {
				return
			}
		}
	}
}

// listed reports whether slots are placed by the spread list: the first ones of a stage that is spread by one rule and by
// nothing else, when all nodes are looked at anyway, or so many are asked for that it pays.
func (f *Fleet) listed(s *Stage, c *class, slots int) bool {
	return slots > 1 && s.total == 0 && len(s.even) == 1 && len(s.rules)+len(s.raters) == 0 &&
		(f.small() || slots*drawn >= c.count)
}

// placeList places slots by the spread list (package spread): a domain is a pod, and a node that can take more is put back
// into its pod. It looks at each node once, and chooses as if one slot after another went to the best node of the emptiest
// domain. What is left then fits nowhere.
func (f *Fleet) placeList(s *Stage, c *class, short bool, slots, first int, out []Assignment) ([]Assignment, int) {
	c.catchUp(f)
	domain := s.even[0].attribute.ids
	nodes, list := f.scratch.nodes[:0], &f.scratch.list
	for w := range c.maybe {
		for word := c.maybe[w]; word != 0; word &= word - 1 {
			n := NodeIndex(w<<6 + bits.TrailingZeros64(word))
			if f.feasible(s, c, n, short) {
				nodes = append(nodes, spread.Node{Score: f.score(c, n), Pod: domain[n], Index: int32(n)})
			}
		}
	}
	f.scratch.nodes = nodes
	list.Reset(nodes)
	for slots > 0 {
		next, more := list.Next()
		if !more {
			break
		}
		n := NodeIndex(next.Index)
		var a *Assignment
		out, a = f.answer(out, first, n)
		f.book(s, n, a)
		slots--
		if f.feasible(s, c, n, short) {
			next.Score = f.score(c, n)
			list.Back(next)
		}
	}
	return out, slots
}
