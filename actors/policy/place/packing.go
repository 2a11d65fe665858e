package place

import (
	"cmp"
	"slices"

	"github.com/troupe-sched/troupe/actors/model"
)

// Packed says how well the nodes are used.
type Packed struct {
	// Used are nodes that hold anything, Shared those that hold slots of bands that are never evicted and of others.
	Used, Shared, Slots int
	// Saved are the nodes that those two kinds of work would need more if each had nodes of its own. Both ways they are
	// packed by first fit, the largest slots and nodes first, by plain resources alone, so that nothing but the sharing
	// differs.
	Saved int64
	// Allocated is the part of all capacity that is held, in thousandths by resource; devices by their kind.
	Allocated map[string]int64
	// Stranded is the part that is free on nodes where a slot of the mean held size does not fit because another resource
	// has run out.
	Stranded map[string]int64
}

// Packing looks at every node and stage. It is for people who ask.
func (f *Fleet) Packing() Packed {
	p := Packed{Allocated: map[string]int64{}, Stranded: map[string]int64{}}
	totals := f.Totals()
	for n := range f.Nodes() {
		switch b := f.rows[n].bands; {
		case b[0] > 0 && b[1] > 0:
			p.Shared++
			fallthrough
		case b[0]+b[1] > 0:
			p.Used++
		}
		p.Slots += int(f.rows[n].bands[0] + f.rows[n].bands[1])
	}
	var mean model.Resources
	for i := range mean {
		mean[i] = totals.Held[i] / int64(max(p.Slots, 1))
	}
	var stranded model.Resources
	for n := range f.Nodes() {
		if free := &f.rows[n].free; p.Slots > 0 && !fits(&mean, free) {
			for i := range stranded {
				stranded[i] = addSaturating(stranded[i], max(free[i], 0))
			}
		}
	}
	for i, name := range model.ResourceNames {
		if most := totals.Capacity[i]; most > 0 {
			p.Allocated[name] = thousandths(min(totals.Held[i], most), most)
			p.Stranded[name] = thousandths(stranded[i], most)
		}
	}
	f.deviceUse(p.Allocated)
	p.Saved = f.saved()
	return p
}

// thousandths is part of whole, both not negative, whatever their size.
func thousandths(part, whole int64) int64 {
	for whole > 1<<50 {
		part, whole = part>>1, whole>>1
	}
	return part * 1000 / max(whole, 1)
}

func (f *Fleet) deviceUse(allocated map[string]int64) {
	held, all := map[string]int64{}, map[string]int64{}
	for n := range f.Nodes() {
		if e := f.extras[n]; e != nil {
			for i, d := range e.devices {
				held[d.Kind] += int64(model.WholeDevice - max(e.free[i], 0))
				all[d.Kind] += model.WholeDevice
			}
		}
	}
	for kind, most := range all { //order: each for itself
		allocated[kind] = thousandths(held[kind], most)
	}
}

// pile is so many equal slots; nodes are so many equal nodes with as much left on each.
type pile struct {
	each  model.Resources
	count int64
}

type nodes struct {
	free  model.Resources
	count int64
	used  bool
}

// maxPiles bounds the different sizes of slots that are told apart.
const maxPiles = 512

// saved packs the work three times: each kind alone, the second on nodes that the first left, and both together.
func (f *Fleet) saved() int64 {
	high, low := f.piles()
	if len(high) == 0 || len(low) == 0 {
		return 0
	}
	apart := f.kinds()
	first := pack(&apart, high)
	apart = slices.DeleteFunc(apart, func(n nodes) bool { return n.used })
	second := pack(&apart, low)
	together := f.kinds()
	return first + second - pack(&together, append(high, low...))
}

// piles are the slots held, of bands that are never evicted and of others.
func (f *Fleet) piles() (high, low []pile) {
	type key struct {
		each model.Resources
		low  int
	}
	counts := map[key]int64{}
	for _, s := range f.stages {
		if k := (key{s.shape.Resources, highOrLow(s.shape.Band)}); s.total > 0 {
			if _, known := counts[k]; known || len(counts) < maxPiles {
				counts[k] += int64(s.total)
			}
		}
	}
	for k, count := range counts { //order: sorted by pack
		if k.low == 0 {
			high = append(high, pile{k.each, count})
		} else {
			low = append(low, pile{k.each, count})
		}
	}
	return high, low
}

// kinds are the nodes of the fleet, empty, by size, and behind them as many as could be needed of the largest.
func (f *Fleet) kinds() []nodes {
	counts := map[model.Resources]int64{}
	for n := range f.Nodes() {
		counts[f.Capacity(n)]++
	}
	var list []nodes
	for capacity, count := range counts { //order: sorted below
		list = append(list, nodes{free: capacity, count: count})
	}
	slices.SortFunc(list, func(a, b nodes) int { return compareAmounts(b.free, a.free) })
	return append(list, nodes{free: list[0].free, count: model.MaxInstances})
}

func compareAmounts(a, b model.Resources) int {
	for i := range a {
		if c := cmp.Compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return 0
}

// pack puts slots on nodes, the largest first, each on the first node where it fits, and counts the nodes that it uses.
// Equal nodes are filled at once, so that its time depends on the sizes there are and not on how many of each.
func pack(cell *[]nodes, piles []pile) (used int64) {
	slices.SortFunc(piles, func(a, b pile) int {
		return cmp.Or(compareAmounts(b.each, a.each), cmp.Compare(b.count, a.count))
	})
	for _, p := range piles {
		for i := 0; i < len(*cell) && p.count > 0; i++ {
			n := &(*cell)[i]
			most := p.each.Times(n.free)
			if most == 0 || n.count == 0 {
				continue
			}
			full := min(p.count/most, n.count)
			rest := min(p.count-full*most, most)
			if full == n.count {
				rest = 0
			}
			p.count -= full*most + rest
			var parts []nodes
			for _, part := range []struct{ slots, count int64 }{{most, full}, {rest, min(rest, 1)}, {0, n.count - full - min(rest, 1)}} {
				if part.count > 0 {
					parts = append(parts, nodes{n.free.Sub(scaled(p.each, part.slots)), part.count, n.used || part.slots > 0})
				}
			}
			*cell = slices.Replace(*cell, i, i+1, parts...)
			i += len(parts) - 1
		}
	}
	for _, n := range *cell {
		if n.used {
			used += n.count
		}
	}
	return used
}

func scaled(each model.Resources, count int64) model.Resources {
	for i := range each {
		each[i] *= count
	}
	return each
}
