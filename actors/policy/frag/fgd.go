package frag

import "math"

// The published rule is computed in floating point as its authors' simulator does, in the same order of the same sums:
// it truncates its score, and where a slot changes nothing, which is often, whether the truncated score is 50 or 49
// hangs on the rounding of these sums. Exact sums give curves that are up to 0.2 points away from the published ones.

// The kinds of what is left of a node for a shape, in the order in which the study adds them up.
const (
	lacksBoth = iota
	lacksDevices
	lacksCPU
	noDevices
	noDevicesLacksCPU
	noAccess
	kinds
)

// study is the expectation of the study for one workload.
type study struct {
	work   *Workload
	shares []float64 // by shape
	steps  []uint16  // by shape, of its Milli
	// reach and short are scratch, by step: how many devices reach it, and what is left on the others.
	reach []int8
	short []int64
}

func newStudy(w *Workload) *study {
	s, all := &study{work: w, reach: make([]int8, len(w.steps)+1), short: make([]int64, len(w.steps)+2)}, float64(w.all)
	for i := range w.shapes {
		shape := &w.shapes[i]
		s.shares = append(s.shares, float64(shape.Weight)/all/(float64(max(w.total, 1))/all))
		s.steps = append(s.steps, w.stepOf[shape.Milli])
	}
	return s
}

// unusable is the expected milli-devices of n that are left and of no use.
func (s *study) unusable(n *Node) float64 {
	steps := len(s.work.steps)
	reach, short := s.reach[:steps+1], s.short[:steps+2]
	clear(reach)
	clear(short)
	for _, free := range n.Free[:n.Devices] {
		at := s.work.stepOf[max(free, 0)]
		reach[at]++
		short[at+1] += int64(free)
	}
	for i := steps - 1; i >= 0; i-- {
		reach[i] += reach[i+1]
	}
	for i := 1; i <= steps; i++ {
		short[i] += short[i-1]
	}
	all, sums := n.Milli(), [kinds]float64{}
	for i := range s.work.shapes {
		shape, step := &s.work.shapes[i], s.steps[i]
		kind, milli := s.kind(n, shape, reach[step] >= shape.Devices), all
		if kind == usable {
			kind, milli = lacksDevices, short[step]
		}
		sums[kind] += float64(s.shares[i] * float64(milli)) // no fused multiply and add: it rounds otherwise
	}
	sum := 0.0
	for _, part := range sums {
		sum += part
	}
	return sum
}

// usable is the kind of a node that a shape can run on.
const usable = -1

func (s *study) kind(n *Node, shape *Shape, enough bool) int {
	cpu := n.CPU >= shape.CPU
	switch {
	case shape.Devices == 0 && cpu:
		return noDevices
	case shape.Devices == 0:
		return noDevicesLacksCPU
	case !shape.Models.Admits(n.Model):
		return noAccess
	case enough && cpu:
		return usable
	case enough:
		return lacksCPU
	case cpu:
		return lacksDevices
	}
	return lacksBoth
}

// score chooses the devices for d, which fits: of a part of a device each that has enough left is tried, of equal scores
// the first wins; of whole devices the tightest are taken, which are the first.
func (s *study) score(n *Node, d *Demand) Choice {
	before, after := s.unusable(n), *n
	if d.Devices != 1 || d.Milli >= Whole {
		devices := n.Tightest(d)
		after.Take(d, devices)
		return Choice{logistic(before - s.unusable(&after)), devices}
	}
	best, last := Choice{Score: -1}, int16(0)
	after.CPU -= d.CPU
	for i, free := range n.Free[:n.Devices] {
		if free < d.Milli || free == last {
			continue // a device like the one before scores as it did
		}
		last, after.Free[i] = free, free-d.Milli
		if score := logistic(before - s.unusable(&after)); score > best.Score {
			best = Choice{score, 1 << i}
		}
		after.Free[i] = free
	}
	return best
}

// logistic is the study's score of a fall of fragmentation, in milli-devices.
func logistic(fall float64) int64 { return int64(1 / (1 + math.Exp(-(fall / Whole))) * 100) }
