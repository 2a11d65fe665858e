package plain

import (
	"math"
	"slices"
)

// Figures of a schedule, as the literature has them. Times are seconds.
type Figures struct {
	Jobs int
	// Slowdown is the mean bounded slowdown: wait and run over run, where a run of less than 10 s counts as 10 s, at least 1.
	Slowdown float64
	Flow     float64 // mean wait and run
	Wait     float64 // mean
	// P50, P95, P99 and Longest wait.
	P50, P95, P99, Longest float64
	// Used is the part of the pool that was used from the first submission to the last end.
	Used float64
}

// Figures computes them; of no jobs they are zero.
func (s *Schedule) Figures() Figures {
	f := Figures{Jobs: len(s.Start)}
	if f.Jobs == 0 {
		return f
	}
	var waits []float64
	first, last, work := s.Submit[0], int64(0), 0.0
	for i, start := range s.Start {
		wait, run := float64(start-s.Submit[i])/1000, float64(s.Run[i])/1000
		f.Slowdown += max(1, (wait+run)/max(10, run))
		f.Flow += wait + run
		f.Wait += wait
		waits = append(waits, wait)
		first, last = min(first, s.Submit[i]), max(last, start+s.Run[i])
		work += run * float64(s.Procs[i])
	}
	n := float64(f.Jobs)
	f.Slowdown, f.Flow, f.Wait = f.Slowdown/n, f.Flow/n, f.Wait/n
	slices.Sort(waits)
	at := func(q float64) float64 { return waits[min(int(math.Ceil(q*n)), len(waits))-1] }
	f.P50, f.P95, f.P99, f.Longest = at(0.50), at(0.95), at(0.99), waits[len(waits)-1]
	if last > first {
		f.Used = work * 1000 / float64(last-first) / float64(s.Pool)
	}
	return f
}
