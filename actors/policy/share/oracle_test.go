package share

import "slices"

// slowFill gives a pool away unit by unit: each to the claim with the least (got+1)/weight that wants one more.
func slowFill(pool uint64, claims []claim) (left uint64) {
	for ; pool > 0; pool-- {
		next := -1
		for i := range claims {
			c := &claims[i]
			if c.got == c.want {
				continue
			}
			if next < 0 || (c.got+1)*claims[next].weight < (claims[next].got+1)*c.weight {
				next = i
			}
		}
		if next < 0 {
			return pool
		}
		claims[next].got++
	}
	return 0
}

// party is one queue in a test, in one dimension.
type party struct {
	quota, max  int64
	held, waits [2]int64
}

// slowShare is what slowDivide finds for one queue.
type slowShare struct{ guaranteed, firm, own, credit int64 }

// slow is a division that follows the rules of the package comment, one unit at a time.
type slow struct {
	shares              []slowShare
	quotas              []int64
	firm, loose         []int64 // wanted, and not given yet
	unclaimed, lendable int64
	free                int64 // that is nobody's own
	divided             bool
}

func slowDivide(capacity int64, parties []party) []slowShare {
	n := len(parties)
	d := &slow{
		shares: make([]slowShare, n), quotas: make([]int64, n), firm: make([]int64, n), loose: make([]int64, n),
		unclaimed: capacity, free: capacity,
	}
	kept := make([]int64, n)
	for i, p := range parties {
		d.guarantee(i, p)
		kept[i] = min(d.firm[i], max(p.held[Firm]-d.shares[i].firm, 0))
	}
	if !d.divided {
		for i, p := range parties {
			d.shares[i] = slowShare{firm: unlimited, own: unlimited}
			if p.max >= 0 {
				d.shares[i] = slowShare{firm: p.max, own: p.max}
			}
		}
		return d.shares
	}
	none := make([]int64, n)
	has := func(i int) bool { return d.quotas[i] > 0 }
	hasNot := func(i int) bool { return d.quotas[i] == 0 }
	everybody := func(int) bool { return true }
	equal := func(int) int64 { return 1 }
	byQuota := func(i int) int64 { return d.quotas[i] }
	own := func(i int) { d.shares[i].own++; d.free-- }
	firm := func(i int) { d.shares[i].firm++; own(i) }
	borrow := func(i int) { d.shares[i].credit++ }
	left := d.give(max(d.unclaimed, 0), d.firm, kept, everybody, equal, firm)
	left = d.give(left, d.loose, none, hasNot, equal, own)
	d.give(left, d.loose, none, has, byQuota, own)
	left = d.give(min(d.lendable, max(d.free, 0)), d.loose, none, has, byQuota, borrow)
	d.give(left, d.loose, none, hasNot, equal, borrow)
	return d.shares
}

// guarantee gives a queue its own quota, firm work first.
func (d *slow) guarantee(i int, p party) {
	ceiling := p.max
	if p.max < 0 {
		ceiling = unlimited
	}
	d.firm[i] = min(p.held[Firm]+p.waits[Firm], ceiling)
	d.loose[i] = min(p.held[Loose]+p.waits[Loose], ceiling-d.firm[i])
	d.quotas[i] = max(p.quota, 0)
	d.divided = d.divided || p.quota >= 0
	d.unclaimed -= d.quotas[i]
	d.lendable += d.quotas[i]
	for own := d.quotas[i]; own > 0 && d.firm[i]+d.loose[i] > 0; own-- {
		if d.firm[i] > 0 {
			d.firm[i]--
			d.shares[i].firm++
		} else {
			d.loose[i]--
		}
		d.shares[i].guaranteed++
		d.shares[i].own++
		d.lendable--
		d.free--
	}
}

// give hands out a pool: floors first, or as much of them as there is, then to who has the least for its weight.
func (d *slow) give(pool int64, wants, floors []int64, takesPart func(int) bool, weight func(int) int64, to func(int)) (left int64) {
	got, kept := make([]int64, len(wants)), int64(0)
	for _, floor := range floors {
		kept += floor
	}
	most := slices.Clone(wants)
	if kept >= pool { // the floors are all there is to divide
		most, floors = slices.Clone(floors), nil
	}
	grant := func(i int) {
		got[i]++
		most[i]--
		wants[i]--
		pool--
		to(i)
	}
	for i, floor := range floors {
		for got[i] < floor {
			grant(i)
		}
	}
	for pool > 0 {
		next := -1
		for i := range most {
			if most[i] > 0 && takesPart(i) && (next < 0 || (got[i]+1)*weight(next) < (got[next]+1)*weight(i)) {
				next = i
			}
		}
		if next < 0 {
			break
		}
		grant(next)
	}
	return pool
}
