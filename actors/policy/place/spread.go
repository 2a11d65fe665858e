package place

import "slices"

// least is the count of slots in the domain that has the fewest, of domains where some node passes the standing filters.
func (f *Fleet) least(s *Stage, t *tally) int32 {
	for _, d := range s.class.domains {
		if d.attribute != t.attribute {
			continue
		}
		least, found := int32(0), false
		for domain, nodes := range d.passes {
			if count := t.of(int32(domain)); nodes > 0 && (!found || count < least) {
				least, found = count, true
			}
		}
		return least
	}
	return 0
}

// emptyTries bounds the domains that are tried one after the other while their nodes have room, and rules refuse them.
const emptyTries = 8

// spread looks for a node in the domain that has the fewest slots of the stage, of domains that can take one. It reports
// whether it has found it; else all nodes must be looked at.
func (f *Fleet) spread(s *Stage, c *class, short bool, k *choice) bool {
	t := s.even[0]
	d := c.counted(t.attribute)
	if t.many != nil || d == nil {
		// So many domains that one without a slot is met by chance, and no domain has fewer.
		f.draw(s, c, short, k)
		return k.found > 0 && k.best.crowd == 0
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

// counted are the domains of an attribute, if the class counts its nodes by them.
func (c *class) counted(a *attribute) *domains {
	for _, d := range c.domains {
		if d.attribute == a {
			return d
		}
	}
	return nil
}

// emptiest is the domain with the fewest slots, of those with nodes believed to have room; of equals, the first one after
// a place drawn by chance. -1 is none.
func (f *Fleet) emptiest(d *domains, t *tally, but []int32) int32 {
	best, least := int32(-1), int32(0)
	from := f.random(len(d.room))
	for i := range d.room {
		domain := from + i
		if domain >= len(d.room) {
			domain -= len(d.room)
		}
		if d.room[domain] == 0 {
			continue
		}
		count := t.of(int32(domain))
		if (best < 0 || count < least) && !slices.Contains(but, int32(domain)) {
			if best, least = int32(domain), count; count == 0 {
				break
			}
		}
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
