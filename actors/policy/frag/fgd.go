package frag

import "math"

// study is the published rule. It is computed in floating point as its authors' simulator does, in the same order of the
// same sums: the score is truncated, and where a slot changes nothing, which is often, whether it is 50 or 49 hangs on
// the rounding of these sums. Exact sums give curves that are up to 0.2 points away from the published ones.
type study struct {
	work   *Workload
	shares []float64 // by shape
}

func newStudy(w *Workload) *study {
	s, all := &study{work: w}, float64(w.all)
	for i := range w.shapes {
		s.shares = append(s.shares, float64(w.shapes[i].Weight)/all/(float64(max(w.total, 1))/all))
	}
	return s
}

// unusable is the expected milli-devices of n that are left and of no use.
func (s *study) unusable(n *Node) float64 {
	w := s.work
	w.survey(n)
	all, sums := n.Milli(), [kinds]float64{}
	for i := range w.shapes {
		shape := &w.shapes[i]
		step := w.stepOf[shape.Milli]
		kind, milli := kindOf(n, shape, w.reach[step] >= shape.Devices), all
		if kind == usable {
			kind, milli = lacksDevices, w.short[step]
		}
		sums[kind] += float64(s.shares[i] * float64(milli)) // no fused multiply and add: it rounds otherwise
	}
	sum := 0.0
	for _, part := range sums {
		sum += part
	}
	return sum
}

// score is the study's of the fall of fragmentation, in devices: hundredths of its logistic function, truncated.
func (s *study) score(before, after float64) int64 {
	return int64(1 / (1 + math.Exp(-((before - after) / Whole))) * 100)
}
