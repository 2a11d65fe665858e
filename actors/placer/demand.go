package placer

import (
	"slices"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/backfill"
	"github.com/troupe-sched/troupe/actors/policy/place"
	"github.com/troupe-sched/troupe/actors/policy/preempt"
)

// demand is what one stage of one job may hold, and holds.
type demand struct {
	msg.Demand
	queue   *queue
	slots   *place.Stage // what and where its slots are
	classed bool         // slots has the shape that the plan says
	held    uint64
	strange bool // it holds slots, and no queue has said yet whose
	// leaving are slots that its job was asked to give up, claims the room that is being made for it, claimed the slots
	// in them.
	leaving, claimed int
	claims           []*claim
	// spurned are nodes where it evicted in vain, with the time until which it does not again.
	spurned map[place.NodeIndex]int64
	// victim is its number where preemption knows it, -1 else; ran what was counted as running of it.
	victim preempt.StageIndex
	ran    int64
	spared bool // nothing more of it may be evicted now

	// As long as it waits: its line and its place there, how it is ordered, since when it waits.
	line  *line
	at    int
	rank  rank
	turns uint64
	since int64
	// duration that an attempt is expected to run, part of the cell that a slot takes; see backfill.
	duration, part int64
	counted        counted // what the division was told of it
}

// missing is how many slots it wants beyond those that it holds, outstanding how many for which no room is being made.
func (d *demand) missing() uint64 {
	if d.held >= d.Target {
		return 0
	}
	return d.Target - d.held
}

func (d *demand) outstanding() uint64 {
	if missing := d.missing(); missing > uint64(d.claimed) {
		return missing - uint64(d.claimed)
	}
	return 0
}

// lineID is the line in which it waits. A gang fits as a whole or not at all: it waits alone.
func (d *demand) lineID() lineID {
	id := lineID{queue: d.queue, room: d.slots.Line()}
	if d.Plan.Gang {
		id.alone = d.Stage
	}
	return id
}

// record finds or makes the record of a stage.
func (a *Actor) record(id model.StageID) *demand {
	d := a.demands[id]
	if d == nil {
		d = &demand{Demand: msg.Demand{Stage: id}, slots: a.fleet.Stage(place.Shape{}), duration: backfill.Never, victim: -1}
		a.demands[id] = d
	}
	return d
}

// settle brings everything in line with what has changed about a demand: its place among those that wait, and whether
// it is remembered at all.
func (a *Actor) settle(ctx *kit.Context, d *demand) {
	if a.demands[d.Stage] != d {
		return // it was forgotten
	}
	a.trim(ctx, d)
	a.wonder(ctx, d, d.held > 0 && d.queue == nil)
	a.account(d)
	a.limitVictim(ctx, d)
	waits := d.classed && d.outstanding() > 0
	switch {
	case waits && d.line == nil:
		a.join(d, ctx.Now().UnixMilli())
		a.wake(ctx)
	case !waits:
		if d.line != nil {
			d.leave()
		}
		d.since = 0
	}
	if d.Target == 0 && d.held == 0 {
		a.forget(d)
	}
}

// forget drops the record of a stage that wants nothing and holds nothing.
func (a *Actor) forget(d *demand) {
	delete(a.demands, d.Stage)
	if d.queue != nil {
		a.uncount(d)
		d.queue.stages--
		a.dropQueue(d.queue)
	}
	a.dropVictim(d)
	if !plant.Is(plant.ClaimNeverEnds) {
		a.fleet.End(d.slots)
	}
	d.classed = false
}

// demand takes in what a queue says of a stage.
func (a *Actor) demand(ctx *kit.Context, m *msg.Demand) {
	d := a.record(m.Stage)
	if m.Target == 0 {
		d.Target = 0
		a.settle(ctx, d)
		return
	}
	if d.Plan == nil && d.held > 0 {
		a.victims = nil // what it is was not known: make the index anew
	}
	// What is only predicted anew gets its new place. It is no cause for a turn: one follows from the end that taught it,
	// and before the slot of that is back it would see too little room.
	renewed := d.classed && d.Target == m.Target && d.Plan == m.Plan && d.Predicted != m.Predicted && slices.Equal(d.Avoid, m.Avoid)
	if d.line != nil {
		d.leave() // and comes again to where it stands now, with the same turns and the same wait
	}
	if d.Plan != m.Plan {
		a.uncount(d)
		a.fleet.Change(d.slots, a.shape(m))
	}
	if len(m.Avoid) > 0 || len(d.Avoid) > 0 {
		a.avoid(d, m.Avoid)
	}
	d.Demand, d.classed = *m, true
	if d.queue == nil {
		d.queue = a.queueOf(m.ID.Queue)
		d.queue.stages++
	}
	d.expect()
	if renewed && d.outstanding() > 0 {
		a.join(d, ctx.Now().UnixMilli())
	}
	a.settle(ctx, d)
}

// avoid keeps new slots of a stage from nodes on which it has failed, as long as there are others that would take them.
func (a *Actor) avoid(d *demand, nodes []model.NodeID) {
	a.fleet.SetAvoid(d.slots, nodes)
	for n := range a.fleet.Nodes() {
		if a.fleet.Admits(d.slots, n) {
			return
		}
	}
	a.fleet.SetAvoid(d.slots, nil)
}

// shape is what the slots of a demand are: chosen as its stage says, else as its queue does.
func (a *Actor) shape(m *msg.Demand) place.Shape {
	s := place.ShapeOf(m.Plan, m.ID.Queue, m.Labels, m.Priority.Band)
	if q := a.queues[m.ID.Queue]; q != nil && q.plan != nil && s.Score.By == "" {
		s.Score.By = q.plan.Score.By
		if len(s.Score.Weights) == 0 {
			s.Score.Weights = q.plan.Score.Weights
		}
	}
	return s
}

// void ends the demands of a queue that has restarted: those of jobs that still live come again.
func (a *Actor) void(ctx *kit.Context, queue string) {
	for _, d := range a.demands { //order: each for itself
		if d.ID.Queue == queue {
			d.Target = 0
			a.settle(ctx, d)
		}
	}
}
