package bench

import "slices"

// median of some figures; 0 of none.
func median(v []float64) float64 { return percentile(v, 50) }

// percentile p (0 to 100) of some figures, the nearest one that was measured; 0 of none.
func percentile(v []float64, p float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[min(int(p/100*float64(len(s))), len(s)-1)]
}
