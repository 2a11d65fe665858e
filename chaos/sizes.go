package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/chaos/report"
)

const (
	// warmUp is the part of a row of samples that is left out of its slope, as one of so many: a process that has just begun
	// grows until it has what it needs.
	warmUp = 5
	// pairsMax bounds the pairs of samples of which a slope is made.
	pairsMax = 300
	// flatShare is by which part of itself a size may grow in an hour and be flat: one of so many.
	flatShare = 10
	// tellable is how long a run must be for its slopes to say something.
	tellable = 20 * time.Minute
	// pointsMax is how many points of a row are drawn.
	pointsMax = 240
)

// sizes are all rows of samples with their slopes.
func (r *run) sizes() []report.Size {
	keys := slices.SortedFunc(maps.Keys(r.watch.sizes), func(a, b sizeOf) int { return cmp.Or(cmp.Compare(a.part, b.part), cmp.Compare(a.what, b.what)) })
	var all []report.Size
	for _, key := range keys {
		samples := r.watch.sizes[key]
		s := report.Size{Part: key.part, What: key.what, First: samples[0].value, Last: samples[len(samples)-1].value, Samples: len(samples)}
		for _, x := range samples {
			s.Max = max(s.Max, x.value)
		}
		for _, x := range thin(samples, pointsMax) {
			s.Points = append(s.Points, [2]int64{r.ms(x.at), x.value})
		}
		s.PerHour = slope(samples[len(samples)/warmUp:])
		s.Flat = s.PerHour <= max(s.First/flatShare, slack(key.what))
		all = append(all, s)
	}
	return all
}

// growth lays the rows that were taken for long enough before the judge.
func (r *run) growth(sizes []report.Size) {
	if time.Since(r.start) < tellable {
		return
	}
	for _, s := range sizes {
		r.evidence.Rows++
		if !s.Flat {
			r.evidence.Growth = append(r.evidence.Growth, fmt.Sprintf("%s: %s grows by %d an hour, from %d to %d", s.Part, s.What, s.PerHour, s.First, s.Last))
		}
	}
}

// slack is how much a size may grow in an hour however small it is: less than a leak would make of an hour of work, or of a
// hundred faults, and more than chance makes of a collector's heap and of clients that move from one server to another.
func slack(what string) int64 {
	if what == "memory" {
		return 16 << 20
	}
	return 16
}

// slope is how much the samples grow in an hour: the median of the slopes of all pairs (Theil 1950, Sen 1968), which a few
// samples far off, such as those just after a restart, do not move.
func slope(samples []sample) int64 {
	samples = thin(samples, pairsMax)
	var all []int64
	for i, a := range samples {
		for _, b := range samples[i+1:] {
			if d := b.at.Sub(a.at).Milliseconds(); d > 0 {
				all = append(all, (b.value-a.value)*time.Hour.Milliseconds()/d)
			}
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// thin keeps at most so many of a list, evenly.
func thin[T any](list []T, most int) []T {
	if len(list) <= most {
		return list
	}
	kept := make([]T, most)
	for i := range kept {
		kept[i] = list[i*len(list)/most]
	}
	return kept
}
