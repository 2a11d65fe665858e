package backfill

import (
	"math/bits"

	"github.com/troupe-sched/troupe/actors/model"
)

// Units is how many further units an Amount has beside resources. A cell with more kinds of devices and custom units
// reserves only those it uses most; all others are still checked when work is placed.
const Units = 4

// Dims is the number of dimensions of an Amount.
const Dims = int(model.NumResources) + Units

// Amount is what a slot takes of a node, or what is free: resources, then units in an order that the caller keeps for the
// whole cell (of devices, the sum of their milli).
type Amount [Dims]int64

// Of returns r as an amount without units.
func Of(r model.Resources) Amount {
	var a Amount
	copy(a[:], r[:])
	return a
}

// Fits reports whether a fits into free in every dimension.
func (a *Amount) Fits(free *Amount) bool {
	for i := range a {
		if a[i] > free[i] {
			return false
		}
	}
	return true
}

// Times returns how often a fits into free; a large number if a is zero in every dimension.
func (a *Amount) Times(free *Amount) int64 {
	n := int64(1 << 40)
	for i := range a {
		if a[i] > 0 {
			n = min(n, max(free[i], 0)/a[i])
		}
	}
	return n
}

// plus adds n times o; n may be negative.
func (a *Amount) plus(o *Amount, n int64) {
	for i := range a {
		a[i] += n * o[i]
	}
}

// lower keeps the smaller of a and o in each dimension.
func (a *Amount) lower(o *Amount) {
	for i := range a {
		a[i] = min(a[i], o[i])
	}
}

// ShareUnit is the Share of everything.
const ShareUnit = 1 << shareBits

const shareBits = 20

// Share returns the largest part that n times each is of the cell's capacity in any dimension, in 1/ShareUnit, rounded
// down. What the cell has too little of counts as all of it. Amounts and n are at most 2^50 and 2^40.
func Share(each, capacity Amount, n int64) int64 {
	share := int64(0)
	for i, amount := range each {
		if amount <= 0 || n <= 0 {
			continue
		}
		if capacity[i] <= 0 {
			return ShareUnit
		}
		hi, lo := bits.Mul64(uint64(amount), uint64(n))
		hi, lo = hi<<shareBits|lo>>(64-shareBits), lo<<shareBits
		if hi >= uint64(capacity[i]) {
			return ShareUnit
		}
		q, _ := bits.Div64(hi, lo, uint64(capacity[i]))
		share = max(share, int64(min(q, ShareUnit)))
	}
	return share
}
