package place

import "math/bits"

func trailing(word uint64) int { return bits.TrailingZeros64(word) }

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

// spread looks for a node whose domain has the fewest slots of the stage.
func (f *Fleet) spread(s *Stage, c *class, short bool, k *choice) {
	f.scan(s, c, short, k)
}
