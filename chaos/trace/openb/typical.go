package openb

import (
	"cmp"
	"slices"
	"strings"
)

// Shape is what pods have in common that the study takes for alike; it does not look at memory.
type Shape struct {
	// CPU is in milli-cores, Milli in milli-devices of each of Devices different devices.
	CPU            int64
	Devices, Milli int
	// Models are the device models that will do; none means any.
	Models []string
	// Count is the number of pods.
	Count int64
}

// TypicalPercent is the part of all pods, in hundredths, from which the study takes its workload.
const TypicalPercent = 95

// Typical is the shapes of pods, the most common first and no more of them than make up percent hundredths of all pods.
// The order is the study's, whose sums depend on it.
func Typical(pods []Pod, percent int64) []Shape {
	type kind struct {
		cpu            int64
		devices, milli int
		models         string
	}
	counts := map[kind]int64{}
	for i := range pods {
		p := &pods[i]
		counts[kind{p.CPU, p.Devices, p.Milli, strings.Join(p.Models, "|")}]++
	}
	kinds := make([]kind, 0, len(counts))
	for k := range counts { //order: sorted below
		kinds = append(kinds, k)
	}
	slices.SortFunc(kinds, func(a, b kind) int {
		return -cmp.Or(cmp.Compare(counts[a], counts[b]), cmp.Compare(a.cpu, b.cpu), cmp.Compare(a.milli, b.milli),
			cmp.Compare(a.devices, b.devices), strings.Compare(a.models, b.models))
	})
	var shapes []Shape
	for sum, i := int64(0), 0; i < len(kinds) && sum*100 < percent*int64(len(pods)); i++ {
		k := kinds[i]
		s := Shape{CPU: k.cpu, Devices: k.devices, Milli: k.milli, Count: counts[k]}
		if k.models != "" {
			s.Models = strings.Split(k.models, "|")
		}
		shapes = append(shapes, s)
		sum += s.Count
	}
	return shapes
}
