package place

import (
	"math/bits"

	"github.com/troupe-sched/troupe/actors/model"
)

// The scores that are built in.
const (
	// BestFit prefers the node that a slot leaves with least.
	BestFit = "bestfit"
	// EPVM prefers the node on which a slot costs least when a resource costs the more the less is left of it: worst fit.
	// Amir, Awerbuch, Barak, Borgstrom, Keren, "An Opportunity Cost Approach for Job Assignment in a Scalable Computing
	// Cluster", IEEE TPDS 2000.
	EPVM = "epvm"
	// Hybrid prefers the node that a slot leaves with least, and where it strands least: what is left of one resource is
	// of no use once another has run out. Borg names the aim (section 3.2), the formula is ours. Where a node has devices
	// they decide, as by Packing, and slots that need none go elsewhere if they can.
	Hybrid = "hybrid"
	// Fragmentation prefers the node whose devices become less useless to the work that is expected (package frag), and
	// Packing the one where the least is wasted in the end. Without devices in the cell they are Hybrid.
	Fragmentation = "fragmentation"
	Packing       = "packing"
)

// MaxScore is the best that one score gives; the least is 0.
const MaxScore = 1<<20 - 1

// base is a score of what a slot leaves on a node. It is a plain function of what is free there, for speed.
type base func(need, free *model.Resources, in *scale) int64

// leftBits is how many bits the sum of the parts of all resources has at most.
const leftBits = partBits + 2

// bestFit: the sum over all resources of what is left, in parts of the node's capacity.
func bestFit(need, free *model.Resources, in *scale) int64 {
	left := int64(0)
	for i := range need {
		left += in.part(i, free[i]-need[i])
	}
	return MaxScore - left<<(20-leftBits-1)
}

// hybrid: the sum of what is left of the resources that the slot takes, and by how much it strands more of them: what
// exceeds the scarcest counts as stranded.
func hybrid(need, free *model.Resources, in *scale) int64 {
	kinds, now, then := int64(0), stranding{least: 1 << partBits}, stranding{least: 1 << partBits}
	for i := range need {
		if need[i] > 0 {
			kinds++
			now.add(in.part(i, free[i]))
			then.add(in.part(i, free[i]-need[i]))
		}
	}
	more := then.sum - kinds*then.least - (now.sum - kinds*now.least)
	return MaxScore/2 - (then.sum+more)<<(20-leftBits-2)
}

// stranding adds up parts and knows the least of them.
type stranding struct{ sum, least int64 }

func (s *stranding) add(part int64) {
	s.sum += part
	s.least = min(s.least, part)
}

// epvm: the sum over the resources that the slot takes of how much 2^(steepness x part held) grows.
func epvm(need, free *model.Resources, in *scale) int64 {
	cost := int64(0)
	for i := range need {
		if need[i] > 0 {
			cost += price(1<<partBits-in.part(i, free[i]-need[i])) - price(1<<partBits-in.part(i, free[i]))
		}
	}
	return MaxScore - min(cost>>1, MaxScore)
}

// steepness is by how many doublings a full node is dearer than an empty one.
const steepness = 8

// price is 2^(steepness x held) in units of 2^-11, with straight lines between the powers. It is at most 2^19.
func price(held int64) int64 {
	at := uint64(max(held, 0)) * steepness
	whole, rest := at>>partBits, at&(1<<partBits-1)
	return int64((1<<11)<<whole + (1<<11)<<whole*rest>>partBits)
}

// random is the next number of the fleet's chance, below n: xorshift64* (Vigna 2016), reduced by multiplication.
func (f *Fleet) random(n int) int {
	f.chance ^= f.chance >> 12
	f.chance ^= f.chance << 25
	f.chance ^= f.chance >> 27
	high, _ := bits.Mul64(f.chance*0x2545f4914f6cdd1d, uint64(n))
	return int(high)
}
