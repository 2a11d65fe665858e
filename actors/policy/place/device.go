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
	// workload is what was told or, if nothing was, what was last learned.
	workload *frag.Workload
	learned  *frag.Demands
	scorers  map[frag.Rule]*frag.Scorer
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
	case Packing, Hybrid:
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
		d.renew()
	}
}

// renew lets scorers, and with them the scores of all classes, be made anew.
func (d *devices) renew() {
	d.epoch++
	d.scorers = nil
}

// learn notes slots that were placed, and looks at the workload again when that is due. Slots without devices have no say
// in what of the devices is of use.
func (f *Fleet) learn(c *class, count int) {
	d := &f.devices
	if c.scoring.demand.Devices == 0 || len(f.options.Workload) > 0 {
		return
	}
	d.learned.Add(c.scoring.demand, int64(count))
	if d.learned.Due() {
		d.workload = d.learned.Compile()
		d.renew()
	}
}

// rescore makes the scoring of a class anew when scorers have changed.
func (f *Fleet) rescore(c *class) {
	if c.scoredBy != f.devices.epoch {
		c.scoredBy = f.devices.epoch
		f.pick(&c.scoring)
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
		d.scorers[rule] = frag.NewScorer(rule, d.workload, d.most)
	}
	return d.scorers[rule]
}

// told is the workload of the options; an empty one if they name none, or one that is not valid.
func (f *Fleet) told() *frag.Workload {
	var shapes []frag.Shape
	for _, e := range f.options.Workload {
		shapes = append(shapes, frag.Shape{Demand: f.fragDemand(&e.Resources, &e.Devices), Weight: e.Weight})
	}
	if w, err := frag.NewWorkload(shapes, f.options.WorkloadWeight); err == nil {
		return w
	}
	return frag.NewDemands().Compile()
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

// byDevices is the score of a node by what a slot does to its devices, 0 to MaxScore. Hybrid decides by its own formula
// where devices do not, and leaves nodes that have some to those who need them: for slots that need none all other nodes
// are better.
func (f *Fleet) byDevices(c *class, n NodeIndex) int64 {
	s := &c.scoring
	if s.tie == nil {
		best, _ := f.bestDevices(c, n)
		return best.Score * s.step
	}
	tie, plain := f.byBase(s.tie, c, n), s.demand.Devices == 0
	if e := f.extras[n]; plain && (e == nil || len(e.groups) == 0) {
		return MaxScore/2 + tie/2
	}
	best, _ := f.bestDevices(c, n)
	score := best.Score*s.step + tie*s.step/(MaxScore+1)
	if plain {
		return score / 2
	}
	return min(score, MaxScore)
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
