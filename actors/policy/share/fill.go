package share

import "math/bits"

// claim is what one queue asks of a pool.
type claim struct {
	queue        Queue
	want, weight uint64
	floor        uint64 // of keep alone
	got          uint64
}

// fill gives a pool to claims in proportion to their weights, and to none more than it wants. What is left over is more
// than all want. It is the method of Jefferson and D'Hondt with a bound on each: the units of the pool go, one by one, to
// the claim with the least (got+1)/weight, of equals to the lower queue. So a claim never gets less when another wants
// less, or when there is more to give, to the last unit. The order of the claims is lost.
func fill(pool uint64, claims []claim) (left uint64) {
	total := scale(claims)
	open := claims
	// A round satisfies all that want no more than their part of what is left; then there is more for the others.
	for more := true; more && len(open) > 0; {
		more = false
		part, weights := pool, total
		for i := 0; i < len(open); {
			c := &open[i]
			if !within(c, part, weights) {
				i++
				continue
			}
			c.got, more = c.want, true
			pool, total = pool-c.want, total-c.weight
			last := len(open) - 1
			open[i], open[last] = open[last], open[i]
			open = open[:last]
		}
	}
	if len(open) == 0 {
		return pool
	}
	part := pool
	for i := range open {
		c := &open[i]
		c.got = portion(c.weight, part, total)
		pool -= c.got
	}
	one(open, pool)
	return 0
}

// keep is fill for claims that do not go below their floors: a claim whose part is less keeps its floor, and the others
// share what that leaves. If all floors together are more than the pool, it is divided among them.
func keep(pool uint64, claims []claim) (left uint64) {
	var floors uint64
	for i := range claims {
		floors = min(floors+claims[i].floor, uint64(amountMax))
	}
	if floors >= pool {
		for i := range claims {
			claims[i].want, claims[i].floor = claims[i].floor, 0
		}
	}
	for open := claims; ; {
		left = fill(pool, open)
		kept := 0
		for i := range open {
			if c := &open[i]; c.got < c.floor {
				c.got = c.floor
				pool -= c.floor
				open[i], open[kept] = open[kept], open[i]
				kept++
			}
		}
		if kept == 0 {
			return left
		}
		open = open[kept:]
	}
}

// scale makes weights positive and shifts them down together if their sum would not fit; it returns the sum.
func scale(claims []claim) (total uint64) {
	var most uint64
	for i := range claims {
		most = max(most, claims[i].weight)
	}
	down := max(bits.Len64(most)+bits.Len(uint(len(claims)))-63, 0)
	for i := range claims {
		claims[i].weight = max(claims[i].weight>>down, 1)
		total += claims[i].weight
	}
	return total
}

// within reports whether a claim wants no more than its part of a pool.
func within(c *claim, pool, weights uint64) bool {
	h1, l1 := bits.Mul64(c.want, weights)
	h2, l2 := bits.Mul64(c.weight, pool)
	return h1 < h2 || (h1 == h2 && l1 <= l2)
}

// portion is pool*weight/weights, rounded down; weight is at most weights.
func portion(weight, pool, weights uint64) uint64 {
	if weight == weights {
		return pool
	}
	high, low := bits.Mul64(weight, pool)
	quotient, _ := bits.Div64(high, low, weights)
	return quotient
}

// one hands out single units: fewer than there are claims, as each has lost less than one by rounding. The claims are
// made a heap of who comes next.
func one(open []claim, units uint64) {
	if units == 0 {
		return
	}
	for i := len(open)/2 - 1; i >= 0; i-- {
		down(open, i)
	}
	for ; units > 0; units-- {
		c := &open[0]
		if c.got++; c.got == c.want {
			last := len(open) - 1
			open[0], open[last] = open[last], open[0]
			open = open[:last]
		}
		down(open, 0)
	}
}

func down(heap []claim, i int) {
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && before(&heap[child+1], &heap[child]) {
			child++
		}
		if !before(&heap[child], &heap[i]) {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}

// before compares (got+1)/weight without rounding.
func before(a, b *claim) bool {
	h1, l1 := bits.Mul64(a.got+1, b.weight)
	h2, l2 := bits.Mul64(b.got+1, a.weight)
	if h1 != h2 || l1 != l2 {
		return h1 < h2 || (h1 == h2 && l1 < l2)
	}
	return a.queue < b.queue
}
