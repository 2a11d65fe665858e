package placer

import (
	"maps"
	"slices"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/place"
	"github.com/troupe-sched/troupe/actors/policy/preempt"
)

// victims is what can be evicted where, as policy preempt sees it. It is made when it is first needed: a cell in which
// nobody goes before anybody else never has one.
type victims struct {
	*preempt.Index
	// units are its dimensions beyond resources, those of the accounts first.
	units  []string
	stages map[preempt.StageIndex]model.StageID
}

// vector is an amount in the dimensions of the index.
func (v *victims) vector(each model.Resources, extra *model.Extra) []int64 {
	return vector(v.units, each, extra)
}

// knows reports whether all that slots need is a dimension.
func (v *victims) knows(extra *model.Extra) bool {
	return extra == nil || !slices.ContainsFunc(unitsOf(extra), func(u string) bool { return !slices.Contains(v.units, u) })
}

// unitsOf names the custom units and kinds of devices that a slot needs.
func unitsOf(extra *model.Extra) (units []string) {
	for _, c := range extra.Custom {
		units = append(units, c.Name)
	}
	if extra.Devices.Count > 0 {
		units = append(units, extra.Devices.Kind)
	}
	return units
}

// index is what preemption knows; it is made anew if a demand needs something that is no dimension of it.
func (a *Actor) index(d *demand) *victims {
	if a.victims != nil && a.victims.knows(d.Plan.Extra) {
		return a.victims
	}
	units := slices.Clone(a.accounts.units)
	ids := slices.SortedFunc(maps.Keys(a.demands), compareStages) //order: sorted
	for _, id := range ids {
		d := a.demands[id]
		d.victim = -1
		if d.Plan == nil || d.Plan.Extra == nil {
			continue
		}
		for _, u := range unitsOf(d.Plan.Extra) {
			if !slices.Contains(units, u) && len(units) < unitsMax {
				units = append(units, u)
			}
		}
	}
	a.victims = &victims{
		Index: preempt.NewIndex(int(model.NumResources) + len(units)), units: units, stages: map[preempt.StageIndex]model.StageID{},
	}
	for i := range a.fleet.Nodes() {
		nd := a.nodes[a.fleet.ID(i)]
		a.indexNode(nd)
		for _, stage := range sortedStages(nd.held) {
			nd.held[stage].indexed = 0
			a.indexSlots(nd, stage)
		}
		for _, c := range nd.claims {
			a.victims.Promise(preempt.NodeIndex(i), a.victims.vector(c.demand.Plan.Resources, c.demand.Plan.Extra), c.count)
		}
	}
	return a.victims
}

// indexNode tells preemption what a node is.
func (a *Actor) indexNode(nd *node) {
	if a.victims != nil && nd.index != place.NoNode {
		a.victims.SetNode(preempt.NodeIndex(nd.index), capacity(a.victims.units, nd.info), a.fleet.Schedulable(nd.index))
	}
}

// indexSlots tells preemption how many slots of a stage a node holds, without those on their way out. Slots of which no
// demand was heard since this actor began are nobody's victims.
func (a *Actor) indexSlots(nd *node, stage model.StageID) {
	v, h, d := a.victims, nd.held[stage], a.demands[stage]
	if v == nil || h == nil || d == nil {
		return
	}
	if d.victim < 0 {
		s := preempt.Stage{Priority: model.Priority{Band: model.Production}, Queue: -1, Each: v.vector(h.sizes[0].Each, h.sizes[0].Extra)}
		if d.Plan != nil {
			s.Priority, s.Queue, s.Evictable = d.Priority, int32(d.queue.part), d.evictable()
		}
		d.victim = v.AddStage(s)
		v.stages[d.victim] = stage
	}
	if now := max(h.count-h.leaving, 0); now != h.indexed && v.Put(preempt.NodeIndex(nd.index), d.victim, now-h.indexed, h.serial) {
		h.indexed = now
	}
}

// limitVictim tells preemption how many slots of a stage may be evicted. If some may that might not before, others may
// have waited for it.
func (a *Actor) limitVictim(ctx *kit.Context, d *demand) {
	if a.victims == nil || d.victim < 0 {
		return
	}
	may := d.evictable()
	a.victims.SetEvictable(d.victim, may)
	if may > 0 && d.spared {
		a.gain(ctx)
	}
	d.spared = may == 0
}

// dropVictim forgets a stage that holds nothing any more.
func (a *Actor) dropVictim(d *demand) {
	if a.victims != nil && d.victim >= 0 {
		a.victims.DropStage(d.victim)
		delete(a.victims.stages, d.victim)
	}
}
