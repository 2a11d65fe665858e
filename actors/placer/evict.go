package placer

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/preempt"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// evictWait is how long beyond the victims' grace the room is waited for before it is decided anew.
	evictWait = 30 * time.Second
	// sweepEvery is how often evictions that are overdue, and nodes that are to be emptied, are looked at.
	sweepEvery = time.Second
	// evictionsMax bounds the slots that are evicted in one turn.
	evictionsMax = 4096
)

// eviction is slots of one stage that a job was asked to give up. It is over when they are gone, or overdue: then who
// asked decides anew, so that nothing depends on the message. What is on its way out is free in the eyes of preemption,
// and kept for the claims that were made on it.
type eviction struct {
	victim   *demand
	count    int // slots that are still to go
	deadline int64
	// said is the demand for them. It is said again at a time, and later after twice as long: a job that could not follow
	// remembers what it owes, so what is left is to reach one that has not heard it, or was restarting.
	said         *msg.Evict
	again, pause int64
}

// sweep is the timer that looks after evictions and nodes that are to be emptied.
type sweep struct{}

// sweepSoon makes sure that sweep comes as long as there is anything to look after.
func (a *Actor) sweepSoon(ctx *kit.Context) {
	if !a.sweeping && len(a.unrest) > 0 {
		a.sweeping = true
		ctx.After("sweep", sweepEvery, sweep{})
	}
}

// sweep ends what is overdue and empties nodes.
func (a *Actor) sweep(ctx *kit.Context) {
	a.sweeping = false
	now := ctx.Now().UnixMilli()
	budget, reminders := evictionsMax, evictionsMax
	for _, id := range slices.Sorted(maps.Keys(a.unrest)) { //order: sorted
		nd := a.unrest[id]
		a.expire(ctx, nd, now)
		reminders = a.remind(ctx, nd, now, reminders)
		budget = a.empty(ctx, nd, budget)
		a.calm(nd)
	}
	a.usesSoon(ctx)
	a.sweepSoon(ctx)
}

// remind says evictions of a node again, up to so many, and returns how many more may be.
func (a *Actor) remind(ctx *kit.Context, nd *node, now int64, budget int) (left int) {
	for _, e := range nd.evictions {
		if now >= e.again && budget > 0 && e.victim.Job != nil {
			e.pause *= 2
			e.again = now + e.pause
			ctx.Tell(e.victim.Job, e.said)
			budget--
		}
	}
	return budget
}

// calm forgets that there is anything to look after on a node, if there is nothing.
func (a *Actor) calm(nd *node) {
	if len(nd.evictions)+len(nd.claims) == 0 && !nd.emptying() {
		delete(a.unrest, nd.id)
	}
}

// evict asks a job for slots of a stage on a node.
func (a *Actor) evict(ctx *kit.Context, nd *node, victim *demand, m msg.Evict, c *claim) {
	deadline := ctx.Now().Add(victim.Plan.Grace + evictWait).UnixMilli()
	m.Stage, m.Node, m.Serial, m.Until = victim.Stage, nd.id, a.env.IDs.Slot(), time.UnixMilli(deadline)
	pause := sweepEvery.Milliseconds()
	nd.evictions = append(nd.evictions, &eviction{
		victim: victim, count: m.Count, deadline: deadline, said: &m, again: ctx.Now().UnixMilli() + pause, pause: pause,
	})
	if c != nil {
		c.deadline = max(c.deadline, deadline)
	}
	nd.held[victim.Stage].leaving += m.Count
	victim.leaving += m.Count
	a.evicted[m.Rule] += uint64(m.Count)
	a.unrest[nd.id] = nd
	a.indexSlots(nd, victim.Stage)
	a.settle(ctx, victim)
	ctx.Tell(victim.Job, &m)
}

// vacated notes that slots of a stage have gone from a node, n of them evicted ones: evictions are over in the order in
// which they were begun. What was lost, or given back because it is not wanted, is none of them, or more would be evicted
// than may be down at once; but no more can be on their way out than are left.
func (a *Actor) vacated(ctx *kit.Context, nd *node, stage model.StageID, n int) {
	if h := nd.held[stage]; h != nil {
		n = max(n, h.leaving-h.count)
	} else {
		n = math.MaxInt
	}
	for _, e := range nd.evictions {
		if n == 0 {
			break
		}
		if e.victim.Stage == stage {
			n -= a.over(nd, e, n)
		}
	}
	nd.evictions = slices.DeleteFunc(nd.evictions, func(e *eviction) bool { return e.count == 0 })
	if len(nd.claims) > 0 && !nd.ready {
		nd.ready = true
		a.ready = append(a.ready, nd)
		a.wake(ctx)
	}
}

// unsaid takes back an eviction of which the job has not heard, because its actor has ended.
func (a *Actor) unsaid(ctx *kit.Context, m *msg.Evict) {
	nd := a.nodes[m.Node]
	if nd == nil {
		return
	}
	if i := slices.IndexFunc(nd.evictions, func(e *eviction) bool { return e.said == m && e.pause == sweepEvery.Milliseconds() }); i >= 0 {
		e := nd.evictions[i]
		nd.evictions = slices.Delete(nd.evictions, i, i+1)
		a.over(nd, e, e.count)
		a.settle(ctx, e.victim)
		a.vacated(ctx, nd, m.Stage, 0)
	}
}

// over ends an eviction by up to n slots and returns by how many.
func (a *Actor) over(nd *node, e *eviction, n int) int {
	n = min(n, e.count)
	e.count -= n
	e.victim.leaving -= n
	if h := nd.held[e.victim.Stage]; h != nil {
		h.leaving -= n
		a.indexSlots(nd, e.victim.Stage)
	}
	return n
}

// expire ends the evictions of a node that are overdue, and the claims that waited for them.
func (a *Actor) expire(ctx *kit.Context, nd *node, now int64) {
	for _, e := range nd.evictions {
		if now >= e.deadline {
			ctx.Log().Warn("a slot was not given up in time", "node", nd.id, "job", e.victim.ID, "slots", e.count)
			a.over(nd, e, e.count)
			a.settle(ctx, e.victim)
		}
	}
	nd.evictions = slices.DeleteFunc(nd.evictions, func(e *eviction) bool { return e.count == 0 })
	for _, c := range slices.Clone(nd.claims) {
		if now >= c.deadline {
			a.drop(ctx, c)
		}
	}
}

// abandon ends all evictions and claims of a node that is gone.
func (a *Actor) abandon(ctx *kit.Context, nd *node) {
	for _, c := range slices.Clone(nd.claims) {
		a.drop(ctx, c)
	}
	for _, e := range nd.evictions {
		a.over(nd, e, e.count)
		a.settle(ctx, e.victim)
	}
	nd.evictions = nil
	delete(a.unrest, nd.id)
}

// emptying reports whether anything is to be moved away from a node.
func (nd *node) emptying() bool {
	if nd.evict {
		return true
	}
	return slices.ContainsFunc(nd.taints, func(t *v1.Taint) bool { return t.GetEffect() == model.TaintEvict })
}

// empty moves away what is not to stay on a node, as far as the limits of its stages let it.
func (a *Actor) empty(ctx *kit.Context, nd *node, budget int) (left int) {
	if !nd.emptying() {
		return budget
	}
	for _, stage := range sortedStages(nd.held) {
		h, d := nd.held[stage], a.demands[stage]
		if d == nil || d.Plan == nil || d.Job == nil {
			continue // its job has not been heard of since this actor began
		}
		m, moves := nd.moves(d)
		if m.Count = min(h.count-h.leaving, d.evictable(), budget); moves && m.Count > 0 {
			a.evict(ctx, nd, d, m, nil)
			budget -= m.Count
		}
	}
	return budget
}

// moves reports whether slots of a stage are to leave a node, and why.
func (nd *node) moves(d *demand) (msg.Evict, bool) {
	if nd.evict {
		return msg.Evict{Rule: msg.RuleMaintenance, Reason: "node " + string(nd.id) + " is being emptied"}, true
	}
	for _, t := range nd.taints {
		if t.GetEffect() == model.TaintEvict && !model.Tolerates(d.Plan.Tolerations, t) {
			return msg.Evict{Rule: msg.RuleTaint, Reason: "node " + string(nd.id) + " has the taint " + model.FormatTaint(t)}, true
		}
	}
	return msg.Evict{}, false
}

// evictable is how many slots of a stage may still be evicted: so many that, with those that are on their way out and
// those that are missing, no more are down than its limit says.
func (d *demand) evictable() int {
	if d.Plan == nil || d.Job == nil {
		return 0
	}
	down := uint64(d.leaving) + d.missing()
	if plant.Is(plant.DisruptionUnbounded) {
		down = 0
	}
	if down >= d.Plan.MaxUnavailable {
		return 0
	}
	return int(min(d.Plan.MaxUnavailable-down, preempt.NoLimit-1))
}
