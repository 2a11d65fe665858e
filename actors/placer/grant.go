package placer

import (
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/place"
)

// pass is one turn of granting: through the levels from high to low, as far as the budget goes.
type pass struct {
	*Actor
	ctx    *kit.Context
	now    int64
	budget int
}

// grant gives out what fits now.
func (a *Actor) grant(ctx *kit.Context) {
	a.divide(ctx)
	p := &pass{Actor: a, ctx: ctx, now: ctx.Now().UnixMilli(), budget: grantsMax}
	for i := 0; i < len(a.levels); i++ {
		l := a.levels[i]
		if p.serve(l); p.budget <= 0 {
			a.usesSoon(ctx)
			a.wake(ctx) // the rest when this actor has answered those who wait
			return
		}
		if len(l.lines) == 0 {
			a.levels = append(a.levels[:i], a.levels[i+1:]...)
			i--
		}
	}
	a.usesSoon(ctx)
}

// serve grants to one level until nothing more fits or the budget is used up.
func (p *pass) serve(l *level) {
	l.reopen(p.room, p.now)
	for p.budget > 0 {
		ln := l.next()
		if ln == nil {
			return
		}
		d := ln.waiting[0]
		n := p.portion(l, d)
		room := p.allowed(d)
		may := int(min(int64(n), room.Own+room.Borrowed))
		if may < n && d.Plan.Gang {
			may = 0
		}
		if got := p.place(d, may); got < n {
			ln.tried = p.room
			l.shut()
		} else if d.line != nil {
			d.served(p.now)
		}
	}
}

// portion is how many slots a demand gets before the next: a turn, all that there is if nobody else waits, and all of a
// gang.
func (p *pass) portion(l *level, d *demand) int {
	n := int(min(d.outstanding(), model.MaxInstances))
	if d.Plan.Gang {
		return n
	}
	if len(l.open) > 1 || len(d.line.waiting) > 1 {
		n = min(n, turn)
	}
	return min(n, p.budget)
}

// place chooses nodes for n slots of a demand and asks them to hold them. It returns how many were placed; of a gang all
// or none.
func (p *pass) place(d *demand, n int) (placed int) {
	p.found = p.fleet.Place(d.slots, place.Ask{Slots: n, All: d.Plan.Gang}, p.found[:0])
	for _, f := range p.found {
		placed += f.Count
	}
	for _, f := range p.found {
		p.reserve(d, f)
	}
	p.budget -= placed
	return placed
}

// reserve asks a node to hold slots, and books them.
func (p *pass) reserve(d *demand, f place.Assignment) {
	nd := p.nodes[p.fleet.ID(f.Node)]
	each := d.Plan.Resources
	// The serial grows over restarts of this actor: a node must not take a Reserve for one that it knows.
	r := &msg.Reserve{
		Serial: p.env.IDs.Order(), Stage: d.Stage, ID: d.ID, Job: d.Job, Each: each, Extra: d.Plan.Extra,
		Slots: make([]model.SlotID, f.Count),
	}
	for i := range r.Slots {
		r.Slots[i] = p.env.IDs.Slot()
	}
	nd.pending = append(nd.pending, pending{r.Serial, d.Stage, each, d.Plan.Extra, f.Count})
	p.count(p.ctx, nd, d, each, d.Plan.Extra, f.Count)
	p.ctx.Tell(nd.ref, r)
}
