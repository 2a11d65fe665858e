package frag

import (
	"fmt"
)

// Rule is a way to score a node for a demand.
type Rule uint8

// The rules. Those of the study give 0 to 100, truncated as it truncates them, so that equal nodes are equal here too.
const (
	// BestFit prefers the node with the least left of CPU and devices, each as a part of the largest node's.
	BestFit Rule = iota + 1
	// Fragmentation is FGD: it prefers the node whose expected unusable share rises the least.
	Fragmentation
	// DotProduct prefers the node whose free vector of CPU and devices has the least product with the demand's.
	DotProduct
	// DevicePacking prefers devices that are in use, then nodes that are in use, then the others.
	DevicePacking
	// Packing prefers the node where the least is wasted in the end, as far as samples of the workload tell.
	Packing
)

var ruleNames = []string{
	BestFit: "bestfit", Fragmentation: "fragmentation", DotProduct: "dotproduct", DevicePacking: "devicepacking",
	Packing: "packing",
}

// String is the name of the rule.
func (r Rule) String() string {
	if r == 0 || int(r) >= len(ruleNames) {
		return fmt.Sprintf("rule %d", uint8(r))
	}
	return ruleNames[r]
}

// Top is the most that a node can score by the rule; the least is 0.
func (r Rule) Top() int64 {
	if r == Packing {
		return topPacking
	}
	return 100
}

// Choice is a score, higher is better, and the devices that go with it: as many as the demand asks for.
type Choice struct {
	Score   int64
	Devices DeviceSet
}

// Scorer scores nodes by one rule.
type Scorer struct {
	rule    Rule
	study   *study
	futures *futures
	// cpu and milli are the most of CPU and of devices that a node has, in milli-cores and milli-devices.
	cpu, milli float64
	after      Node // scratch
}

// NewScorer is a scorer. Fragmentation and Packing ask for a workload; BestFit and DotProduct for the sizes of the largest
// nodes: the most CPU, and the most devices, that any node has in all.
func NewScorer(rule Rule, work *Workload, largest Node) *Scorer {
	s := &Scorer{rule: rule, cpu: float64(max(largest.CPU, 1)), milli: float64(max(int64(largest.Devices), 1) * Whole)}
	switch rule {
	case Fragmentation:
		s.study = newStudy(work)
	case Packing:
		s.futures = newFutures(work)
	}
	return s
}

// Score scores n for d, and chooses the devices; it reports false if d does not fit. The score of a node can rise or fall
// as it is given more slots of one size. Of equal scores the caller decides; an order that is always the same is best, as
// it fills nodes one after the other.
//
// Fragmentation costs a look at all shapes for each amount that is left on a device, and Packing a few tens of
// microseconds for a state that it has not seen, and a lookup for one that it has. The others cost tens of nanoseconds.
func (s *Scorer) Score(n *Node, d *Demand) (Choice, bool) {
	if !d.Fits(n) {
		return Choice{}, false
	}
	switch s.rule {
	case BestFit:
		return Choice{s.bestFit(n, d), n.Tightest(d)}, true
	case DotProduct:
		return Choice{s.dotProduct(n, d), n.Tightest(d)}, true
	case DevicePacking:
		devices := n.Tightest(d)
		return Choice{devicePacking(n, d, devices), devices}, true
	case Fragmentation:
		return gradient(n, d, &s.after, s.study.unusable, s.study.score), true
	case Packing:
		return gradient(n, d, &s.after, s.futures.cost, s.futures.score), true
	}
	panic("frag: no such rule: " + s.rule.String())
}

// The two rules below are in floating point, as the study has them: it truncates, and exact numbers fall on the other side
// of a whole one now and then. Conversions keep products and sums apart; fused they would round otherwise.

// bestFit is 100 less half of what would be left of CPU and of devices, in hundredths of the largest.
func (s *Scorer) bestFit(n *Node, d *Demand) int64 {
	left := float64(float64(n.CPU-d.CPU)/s.cpu*0.5) + float64(float64(n.Milli()-d.Total())/s.milli*0.5)
	return clamp(int64((1-left)*100), 100)
}

// dotProduct is 100 less half of the product of what is left and what is asked for, in hundredths of the largest.
func (s *Scorer) dotProduct(n *Node, d *Demand) int64 {
	cpu := float64(float64(n.CPU) / s.cpu * (float64(d.CPU) / s.cpu))
	milli := float64(float64(n.Milli()) / s.milli * (float64(d.Total()) / s.milli))
	return clamp(int64(100*(1-(cpu+milli)/2)), 100)
}

// devicePacking is 100 less a tenth of the hundredths left on the devices in use; at most 50, less the number of free
// devices to use, if some are; at most 33, less the number of free devices, on a node without a device in use.
func devicePacking(n *Node, d *Demand, devices DeviceSet) int64 {
	if d.Devices == 0 {
		return 0
	}
	idle, opened, left := int64(0), int64(0), int64(0)
	for i, free := range n.Free[:n.Devices] {
		if free == Whole {
			idle++
		}
		if devices&(1<<i) == 0 {
			continue
		}
		if free == Whole {
			opened++
		}
		left += int64(free) * 100 / Whole
	}
	switch {
	case idle == int64(n.Devices):
		return max(33-idle, idle)
	case opened > 0:
		return max(50-opened, 33)
	}
	return max(100-left/10, 50)
}

// gradient scores what becomes of a node by taking d, which fits, and chooses the devices: of a part of a device each
// that has enough left is tried, of equal scores the first wins; of whole devices all are alike.
func gradient[T any](n *Node, d *Demand, after *Node, of func(*Node) T, score func(before, after T) int64) Choice {
	before := of(n)
	*after = *n
	if d.Devices != 1 || d.Milli >= Whole {
		devices := n.Tightest(d)
		after.Take(d, devices)
		return Choice{score(before, of(after)), devices}
	}
	best, last := Choice{Score: -1}, int16(0)
	after.CPU -= d.CPU
	after.Memory -= d.Memory
	for i, free := range n.Free[:n.Devices] {
		if free < d.Milli || free == last {
			continue // a device like the one before scores as it did
		}
		last, after.Free[i] = free, free-d.Milli
		if s := score(before, of(after)); s > best.Score {
			best = Choice{s, 1 << i}
		}
		after.Free[i] = free
	}
	return best
}

func clamp(score, most int64) int64 { return min(max(score, 0), most) }

// floor is a/b rounded down, for b above 0.
func floor(a, b int64) int64 {
	if a < 0 {
		return -((b - 1 - a) / b)
	}
	return a / b
}
