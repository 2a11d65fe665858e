package place

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/frag"
)

// Expected is a slot that is expected to come, and how often compared with others.
type Expected struct {
	Resources model.Resources
	Devices   model.DeviceNeed
	Weight    int64
}

// devices is what the scores that know of devices need.
type devices struct {
	models frag.Models
	// most is the most CPU and the most devices of any node so far.
	most frag.Node
	// placed counts slots by demand, for a workload that nobody has told; counted is their sum, and known that sum when
	// the scorers were made.
	placed         map[frag.Demand]int64
	counted, known int64
	scorers        map[frag.Rule]*frag.Scorer
	// epoch counts the changes after which scorers are made anew.
	epoch uint64
}

// deviceRule is the rule of package frag for the name of a score; 0 if it has none.
func deviceRule(name string) frag.Rule {
	switch name {
	case BestFit:
		return frag.BestFit
	case Fragmentation:
		return frag.Fragmentation
	case Packing:
		return frag.Packing
	}
	return 0
}

// sizeUp takes in the size of a node.
func (f *Fleet) sizeUp(n *Node) {
	d := &f.devices
	before := d.most
	d.most.CPU = max(d.most.CPU, n.Capacity[model.CPU])
	d.most.Devices = int8(max(int(d.most.Devices), min(len(n.Devices), frag.MaxDevices)))
	if d.most != before {
		d.epoch++
		d.scorers = nil
	}
}

// learn counts slots that were placed, and looks at the workload again when there are many more than before.
func (f *Fleet) learn(c *class, count int) {
	d := &f.devices
	if d.most.Devices == 0 || c.scoring.scorer == nil || len(f.options.Workload) > 0 {
		return
	}
	if d.placed == nil {
		d.placed = map[frag.Demand]int64{}
	}
	if _, known := d.placed[c.scoring.demand]; !known && len(d.placed) == frag.MaxShapes {
		return
	}
	d.placed[c.scoring.demand] += int64(count)
	if d.counted += int64(count); d.counted >= 2*d.known || d.counted >= d.known+learnAfter {
		d.known = d.counted
		d.epoch++
		d.scorers = nil
	}
}

// learnAfter is the number of slots after which the workload is looked at again at the latest.
const learnAfter = 4096

// rescore makes the scoring of a class anew when scorers have changed.
func (f *Fleet) rescore(c *class) {
	if c.scoredBy != f.devices.epoch {
		c.scoredBy = f.devices.epoch
		f.pick(&c.scoring, &c.shape)
		c.best, c.cache = c.best[:0], nil
	}
}

// scorer is the scorer of a rule, shared by all classes.
func (f *Fleet) scorer(rule frag.Rule) *frag.Scorer {
	d := &f.devices
	if d.scorers == nil {
		d.scorers = map[frag.Rule]*frag.Scorer{}
	}
	if d.scorers[rule] == nil {
		d.scorers[rule] = frag.NewScorer(rule, f.workload(), d.most)
	}
	return d.scorers[rule]
}

// workload is what was told or learned, as far as it is valid and fits.
func (f *Fleet) workload() *frag.Workload {
	var shapes []frag.Shape
	for _, e := range f.options.Workload {
		shapes = append(shapes, frag.Shape{Demand: f.fragDemand(&e.Resources, &e.Devices), Weight: e.Weight})
	}
	if len(shapes) == 0 {
		shapes = f.learned()
	}
	if w, err := frag.NewWorkload(shapes, f.options.WorkloadWeight); err == nil {
		return w
	}
	none, err := frag.NewWorkload(nil, 0)
	if err != nil {
		panic("place: an empty workload is refused: " + err.Error())
	}
	return none
}

// learned is the slots placed so far, the most common first.
func (f *Fleet) learned() []frag.Shape {
	var shapes []frag.Shape
	most := max(f.devices.counted/frag.MaxWeight, 0) + 1
	for d, count := range f.devices.placed { //order: sorted below
		shapes = append(shapes, frag.Shape{Demand: d, Weight: (count + most - 1) / most})
	}
	slices.SortFunc(shapes, func(a, b frag.Shape) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.CPU, b.CPU), cmp.Compare(a.Memory, b.Memory),
			cmp.Compare(a.Milli, b.Milli), cmp.Compare(a.Devices, b.Devices), cmp.Compare(a.Models, b.Models))
	})
	for sum, i := int64(0), 0; i < len(shapes); i++ {
		if sum += shapes[i].Weight; sum > frag.MaxWeight {
			return shapes[:i]
		}
	}
	return shapes
}

// demandOf is a slot of a shape as package frag sees it.
func (f *Fleet) demandOf(shape *Shape) frag.Demand {
	var need model.DeviceNeed
	if shape.Extra != nil {
		need = shape.Extra.Devices
	}
	return f.fragDemand(&shape.Resources, &need)
}

func (f *Fleet) fragDemand(r *model.Resources, need *model.DeviceNeed) frag.Demand {
	d := frag.Demand{CPU: r[model.CPU], Memory: r[model.Memory]}
	if need.Count == 0 {
		return d
	}
	d.Devices, d.Milli = int8(min(need.Count, frag.MaxDevices)), int16(need.Milli)
	for _, name := range need.Models {
		if m, ok := f.devices.models.Number(modelKey(cmp.Or(need.Kind, "gpu"), name)); ok {
			d.Models = d.Models.With(m)
		}
	}
	return d
}

// modelKey tells models of different kinds apart.
func modelKey(kind, name string) string { return kind + "\x00" + name }

// view is a node as package frag sees it, with the devices of one group; -1 is none of them.
func (f *Fleet) view(n NodeIndex, at int) frag.Node {
	v := frag.Node{CPU: f.rows[n].free[model.CPU], Memory: f.rows[n].free[model.Memory]}
	if at < 0 {
		return v
	}
	e := f.extras[n]
	g := &e.groups[at]
	v.Devices = int8(min(len(g.members), frag.MaxDevices))
	for i, device := range g.members[:v.Devices] {
		v.Free[i] = int16(max(e.free[device], 0))
	}
	v.Model, _ = f.devices.models.Number(modelKey(g.Kind, g.Model))
	return v
}

// bestDevices is the best score over the groups of a node's devices that can take a slot, and the group. For slots
// without devices it is the worst: what they do to any of them counts.
func (f *Fleet) bestDevices(c *class, n NodeIndex) (best frag.Choice, group int) {
	best, group = frag.Choice{Score: -1}, -1
	e, s := f.extras[n], &c.scoring
	plain := s.demand.Devices == 0
	if e != nil {
		for i := range e.groups {
			if !plain && !e.fits(&e.groups[i], &c.extra.Devices) {
				continue
			}
			v := f.view(n, i)
			x, ok := s.scorer.Score(&v, &s.demand)
			if ok && (group < 0 || !plain && x.Score > best.Score || plain && x.Score < best.Score) {
				best, group = x, i
			}
		}
	}
	if plain && group < 0 {
		v := f.view(n, -1)
		best, _ = s.scorer.Score(&v, &s.demand)
	}
	best.Score = max(best.Score, 0)
	return best, group
}

// devicesFor chooses the devices of one slot on a node that can take it: as the score says, or those that the slot leaves
// with least.
func (f *Fleet) devicesFor(s *Stage, n NodeIndex) []model.DeviceShare {
	e, need := f.extras[n], &s.shape.Extra.Devices
	if s.class.scoring.scorer != nil {
		if best, group := f.bestDevices(s.class, n); group >= 0 && best.Devices != 0 {
			var chosen []model.DeviceShare
			for set := best.Devices; set != 0; set &= set - 1 {
				chosen = append(chosen, model.DeviceShare{Index: e.groups[group].members[bits.TrailingZeros16(uint16(set))], Milli: need.Milli})
			}
			return chosen
		}
	}
	var best []model.DeviceShare
	bestLeft := int64(0)
	for i := range e.groups {
		if g := &e.groups[i]; e.fits(g, need) {
			if chosen, left := e.tightest(g, need); best == nil || left < bestLeft {
				best, bestLeft = chosen, left
			}
		}
	}
	return best
}

// tightest are the devices of a group with the least left that have enough, of equals the first, and what they leave.
func (e *extra) tightest(g *group, need *model.DeviceNeed) (chosen []model.DeviceShare, left int64) {
	for range need.Count {
		best := int32(-1)
		for _, i := range g.members {
			taken := slices.ContainsFunc(chosen, func(d model.DeviceShare) bool { return d.Index == i })
			if e.free[i] >= need.Milli && !taken && (best < 0 || e.free[i] < e.free[best]) {
				best = i
			}
		}
		chosen = append(chosen, model.DeviceShare{Index: best, Milli: need.Milli})
		left += int64(e.free[best] - need.Milli)
	}
	return chosen, left
}
