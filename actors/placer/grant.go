package placer

import (
	"slices"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/place"
)

// pass is one turn of granting: through the levels from high to low, as far as the budgets go.
type pass struct {
	*Actor
	ctx    *kit.Context
	now    int64
	number uint64
	// budget is the slots that may still be granted, evictions those that may be evicted, looks the demands that may be
	// looked at behind a reservation.
	budget, evictions, looks int
	// passed says that the first demand that did not fit has been met, parked are those that stand aside in this turn.
	passed   bool
	beside   bool // something did not fit whose room depends on where other slots are
	parked   []*demand
	refilled []*level
}

// grant gives out what fits now.
func (a *Actor) grant(ctx *kit.Context) {
	a.divide(ctx)
	if a.unsure() {
		return
	}
	a.passes++
	p := &pass{
		Actor: a, ctx: ctx, now: ctx.Now().UnixMilli(), number: a.passes,
		budget: grantsMax, evictions: evictionsMax, looks: looksMax,
	}
	p.release()
	p.redeem()
	for i := 0; i < len(a.levels) && p.open(); i++ {
		if p.waits.kept != nil {
			p.refill(a.levels[i])
		}
		p.serve(a.levels[i])
	}
	if !p.passed && p.open() {
		p.waits.first = nil
	}
	p.unpark()
	a.levels = slices.DeleteFunc(a.levels, func(l *level) bool { return len(l.lines) == 0 })
	if p.firmWaits && p.budget < grantsMax {
		a.gain(ctx)
	}
	if !p.open() || p.beside && p.budget < grantsMax {
		a.wake(ctx) // the rest when this actor has answered those who wait
	}
	a.usesSoon(ctx)
	a.sweepSoon(ctx)
}

// open reports whether there is anything left of the budgets.
func (p *pass) open() bool { return p.budget > 0 && p.evictions > 0 }

// serve grants to one level until nothing more fits or the budget is used up.
func (p *pass) serve(l *level) {
	l.reopen(p.Actor, p.now)
	for p.open() {
		ln := l.next(p.Actor)
		if ln == nil {
			return
		}
		if ln.id.queue.stopped == p.number {
			l.shut()
			continue
		}
		d := ln.waiting[0]
		n := p.portion(l, d)
		switch got := p.try(l, d, n); {
		case got == n && d.line != nil:
			d.served(p.now)
		case got == n:
		case p.behind(ln, d):
			p.park(d)
		case !p.open():
		default:
			ln.tried = p.room
			p.beside = p.beside || d.picky()
			l.shut()
		}
	}
}

// try grants up to n slots of a demand, or makes room for them, and returns how many.
func (p *pass) try(l *level, d *demand, n int) (got int) {
	room := p.allowed(d)
	if may := int(min(int64(n), room.Own+room.Borrowed)); may == n || !d.Plan.Gang && may > 0 {
		if ln := d.line; ln.full != p.room || p.waits.kept != nil {
			if got = p.place(d, may); got < may {
				ln.full = p.room
			}
		}
		if got < may {
			got += p.preempt(d, may-got)
		}
		if got < may && p.open() {
			p.blocked(l, d)
		}
	}
	if got < n && room.Yielded > 0 {
		if got += p.preempt(d, n-got); got < n {
			p.firmWaits = true
		}
	}
	return got
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
	p.found = p.fleet.Place(d.slots, place.Ask{Slots: n, All: d.Plan.Gang, Short: p.short(d)}, p.found[:0])
	for _, f := range p.found {
		p.reserve(d, f)
		placed += f.Count
	}
	return placed
}

// reserve asks a node to hold slots that the fleet has booked.
func (p *pass) reserve(d *demand, f place.Assignment) {
	nd := p.nodes[p.fleet.ID(f.Node)]
	slots := d.slots.Slots(f)
	// The serial grows over restarts of this actor: a node must not take a Reserve for one that it knows.
	r := &msg.Reserve{
		Serial: p.env.IDs.Order(), Stage: d.Stage, ID: d.ID, Job: d.Job, Each: slots.Each, Extra: slots.Extra,
		Slots: make([]model.SlotID, f.Count), Devices: f.Devices,
	}
	for i := range r.Slots {
		r.Slots[i] = p.env.IDs.Slot()
	}
	nd.pending = append(nd.pending, pending{r.Serial, d.Stage, slots})
	p.budget -= f.Count
	p.started(d, f)
	p.add(p.ctx, nd, d, slots, p.now)
	p.ctx.Tell(nd.ref, r)
}

// behind reports whether a demand that found no room beside what is kept has shorter ones behind it that may.
func (p *pass) behind(ln *line, d *demand) bool {
	return p.waits.kept != nil && p.waits.kept.demand != d && p.looks > 0 && ln.timed > 0 && !p.short(d)
}

// park lets a demand stand aside for the rest of the turn, with all that come before the next short one.
func (p *pass) park(d *demand) {
	p.looks--
	d.line.aside(d)
	p.parked = append(p.parked, d)
}

// unpark brings everything back to its place.
func (p *pass) unpark() {
	for _, d := range p.parked {
		if d.line != nil {
			d.line.back(d)
		}
	}
	for _, l := range p.refilled {
		l.rerank(p.now)
	}
}

// refill lets what waits in a level go in the order in which its queues fill the room beside a reservation.
func (p *pass) refill(l *level) {
	if l.refill() {
		p.refilled = append(p.refilled, l)
	}
}
