package placer

import (
	"cmp"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/backfill"
	"github.com/troupe-sched/troupe/actors/policy/place"
	"github.com/troupe-sched/troupe/actors/policy/preempt"
)

const (
	// headWait is how long work may stand first, with nobody able to tell when it will fit, before room is kept for it.
	headWait = 30 * time.Second
	// renewEvery is how often what is kept is computed anew in a cell of more than renewNodes nodes; in smaller ones it is
	// at every turn.
	renewEvery = time.Second
	renewNodes = 256
	// looksMax bounds the demands behind a reservation that are looked at beyond the first of each line in one turn.
	looksMax = 1000
)

// waits is what is kept for the first demand that does not fit: the rule is that of policy backfill.
type waits struct {
	calendar backfill.Calendar
	timeline backfill.Timeline
	// kept is the reservation of this turn, last the one before it.
	kept, last *reservation
	// first is the demand that stood first in the last turn without fitting, since when, and when it was computed last
	// whether room can be kept for it.
	first       *demand
	since, made int64
	// timed counts the stages on nodes whose end is expected.
	timed int
}

// reservation is room that is kept for a demand from a time on.
type reservation struct {
	demand *demand
	slots  *place.Stage
	at     int64
	takes  []backfill.Take
	fair   bool // for a queue whose jobs take turns
}

// reservationDue is the timer after which what is expected has come or not.
type reservationDue struct{}

// span is how long slots of a stage on a node will be held.
type span struct {
	since, end int64
	// first and stated are how long that was expected at first, and at most; fixes counts the corrections.
	first, stated int64
	fixes         int
}

// expect takes over what is known of how long an attempt runs.
func (d *demand) expect() {
	d.duration = backfill.Never
	if known := cmp.Or(d.Predicted, d.Estimate); known > 0 {
		d.duration = max(known.Milliseconds(), 1)
	}
}

// cell is the part of the cell that a demand takes.
func (a *Actor) cell(d *demand) int64 {
	var capacity model.Resources
	copy(capacity[:], a.total)
	return backfill.Share(backfill.Of(d.Plan.Resources), backfill.Of(capacity), int64(min(d.Target, model.MaxInstances)))
}

// lasts is how long a slot is used if an attempt runs for a duration: by one attempt after another where there are more
// instances than slots.
func (d *demand) lasts(duration int64) int64 {
	p := d.Plan
	if duration == backfill.Never || p.Parallel >= p.Instances || d.Target < p.Parallel {
		return duration
	}
	rounds := int64((p.Instances + p.Parallel - 1) / p.Parallel)
	if duration > backfill.Never/rounds {
		return backfill.Never
	}
	return duration * rounds
}

// begin notes that slots are held from a time on. Those granted last are expected to end last.
func (s *span) begin(since int64, d *demand) {
	*s = span{since: since, end: backfill.Never, stated: backfill.Never}
	if d.Plan == nil {
		return
	}
	s.first = d.lasts(d.duration)
	if d.Estimate > 0 {
		s.stated = d.lasts(max(d.Estimate.Milliseconds(), 1))
	}
	s.end = backfill.After(since, s.first)
}

// count counts a span whose end is expected.
func (w *waits) count(s *span, by int) {
	if s.end != backfill.Never {
		w.timed += by
	}
}

// correct expects a later end while the one expected is over.
func (s *span) correct(now int64) {
	for s.end < now {
		last := s.end - s.since
		s.end = backfill.After(s.since, backfill.ToStated.Correct(s.first, last, s.stated, s.fixes))
		s.fixes++
	}
}

// endless reports whether the slots of a stage are held until somebody ends them: nobody waits for those of a service.
func (d *demand) endless() bool { return d.Plan == nil || d.Plan.Attempts == 0 }

// release takes back what was kept in the last turn. Whoever goes before the demand that it was kept for sees all room.
func (p *pass) release() {
	w := &p.waits
	if w.first != nil {
		p.room++ // all are to be looked at again, before all the first that did not fit
	}
	if w.last = w.kept; w.kept == nil {
		return
	}
	for _, t := range w.kept.takes {
		p.withhold(w.kept, place.NodeIndex(t.Node), model.Resources{})
	}
	w.kept = nil
}

// withhold keeps an amount softly, unless the demand has a claim there, which keeps more.
func (p *pass) withhold(k *reservation, n place.NodeIndex, amount model.Resources) {
	if !slices.ContainsFunc(k.demand.claims, func(c *claim) bool { return c.node.index == n }) {
		p.fleet.Withhold(n, k.slots, amount, true)
	}
}

// blocked takes note of a demand that does not fit. Room is kept for the first one that could not start with less; one
// that holds slots already gets more as they come. Where jobs take turns, and nobody can tell when it will fit, that is
// after it has stood first for a while: most often something ends sooner.
func (p *pass) blocked(l *level, d *demand) {
	if d.queue.fill == backfill.None {
		d.queue.stopped = p.number
	}
	w := &p.waits
	if w.kept != nil || len(d.claims) > 0 || !d.Plan.Gang && d.held > 0 || p.passed {
		return
	}
	p.passed = true // only the first of a turn
	if w.first != d {
		w.first, w.since, w.made = d, p.now, 0
	}
	drain := d.queue.order != backfill.Fair || p.now-w.since >= headWait.Milliseconds()
	switch old := w.last; {
	case !drain && w.timed == 0:
	case p.fleet.Len() <= renewNodes || p.now-w.made >= renewEvery.Milliseconds():
		w.made = p.now
		p.keepRoom(d, drain)
	case old != nil && old.demand == d: // to compute it anew would take long
		w.kept = old
		p.spareAll()
	}
	if w.kept != nil {
		p.refill(l)
	} else if !drain {
		p.dueIn(w.since + headWait.Milliseconds() - p.now)
	}
}

func (p *pass) dueIn(ms int64) {
	p.ctx.After("reservation", max(time.Duration(ms), 1)*time.Millisecond, reservationDue{})
}

// keepRoom keeps room for a demand at the earliest time at which it fits.
func (p *pass) keepRoom(d *demand, drain bool) {
	w := &p.waits
	w.calendar.Reset()
	need := backfill.Need{Each: backfill.Of(d.Plan.Resources), Count: 1}
	if d.Plan.Gang {
		need.Count = int(min(d.outstanding(), model.MaxInstances))
	}
	candidates := func(yield func(int32) bool) {
		for n := range p.fleet.Nodes() {
			if p.fleet.Admits(d.slots, n) {
				p.refresh(p.nodes[p.fleet.ID(n)])
				if !yield(int32(n)) {
					return
				}
			}
		}
	}
	free := func(n int32) backfill.Amount {
		i := place.NodeIndex(n)
		return backfill.Of(p.fleet.Free(i).Sub(p.fleet.Withheld(i, d.slots, true)))
	}
	found, ok := w.calendar.Reserve(&w.timeline, need, p.now, candidates, free)
	if !ok && drain {
		need.Drain = true
		found, ok = w.calendar.Reserve(&w.timeline, need, p.now, candidates, free)
	}
	if !ok || found.At <= p.now && p.roomy(d, found.Takes) {
		return // there is room, but not for this: waiting for the end of what runs would not help
	}
	if old := w.last; old == nil || old.demand != d || old.at != found.At {
		p.noteKept(d, found)
	}
	w.kept = &reservation{demand: d, slots: d.slots, at: found.At, takes: found.Takes, fair: d.queue.order == backfill.Fair}
	p.spareAll()
}

// noteKept tells whoever records this actor of a reservation.
func (p *pass) noteKept(d *demand, found backfill.Reservation) {
	k := &msg.Kept{Stage: d.Stage, ID: d.ID}
	if found.At != backfill.Never {
		k.From = found.At
	}
	for _, t := range found.Takes {
		k.Nodes = append(k.Nodes, p.fleet.ID(place.NodeIndex(t.Node)))
	}
	p.ctx.Note(k)
}

// roomy reports whether a demand's resources are free on the nodes now, and not only when what is to end at this very
// moment has ended.
func (p *pass) roomy(d *demand, takes []backfill.Take) bool {
	for _, t := range takes {
		n := place.NodeIndex(t.Node)
		if d.Plan.Resources.Times(p.fleet.Free(n).Sub(p.fleet.Withheld(n, d.slots, true))) < int64(t.Count) {
			return false
		}
	}
	return true
}

// spareAll withholds what is kept on all nodes.
func (p *pass) spareAll() {
	for _, t := range p.waits.kept.takes {
		p.spare(t.Node)
	}
}

// spare withholds on a node what is free now and is not beside the reservation when its time has come; all of it if
// nobody knows when that is, and the queue's order is strict.
func (p *pass) spare(node int32) {
	k, n := p.waits.kept, place.NodeIndex(node)
	free := backfill.Of(p.fleet.Free(n))
	spare := p.waits.calendar.Room(node, free, backfill.Never)
	var amount model.Resources
	for i := range amount {
		amount[i] = max(free[i]-spare[i], 0)
		if k.at == backfill.Never && !k.fair {
			amount[i] = max(free[i], 0)
		}
	}
	p.withhold(k, n, amount)
}

// short reports whether slots that a demand gets now have ended when what is kept is needed. If nobody knows when that is,
// nothing is short enough for a queue whose jobs take turns; strict orders go by the book, and let pass whatever ends.
func (p *pass) short(d *demand) bool {
	k := p.waits.kept
	if k == nil || d.duration == backfill.Never || k.fair && k.at == backfill.Never {
		return false
	}
	return backfill.After(p.now, d.lasts(d.duration)) <= k.at
}

// started tells the calendar what was granted beside the reservation.
func (p *pass) started(d *demand, f place.Assignment) {
	k := p.waits.kept
	if k == nil || k.demand == d {
		return
	}
	if slices.ContainsFunc(k.takes, func(t backfill.Take) bool { return t.Node == int32(f.Node) }) {
		p.waits.calendar.Start(int32(f.Node), backfill.Of(d.Plan.Resources), f.Count, backfill.After(p.now, d.lasts(d.duration)))
		p.spare(int32(f.Node))
	}
}

// refresh makes the timeline of a node anew if anything there has changed.
func (p *pass) refresh(nd *node) {
	if nd.ends && nd.next >= p.now {
		return
	}
	type end struct {
		at    int64
		stage model.StageID
		h     *held
	}
	var list []end
	for _, stage := range sortedStages(nd.held) {
		h, d := nd.held[stage], p.demands[stage]
		if h.span.correct(p.now); h.span.end != backfill.Never || !d.endless() {
			list = append(list, end{h.span.end, stage, h})
		}
	}
	slices.SortStableFunc(list, func(a, b end) int { return cmp.Compare(a.at, b.at) })
	n, id := preempt.NodeIndex(nd.index), uint64(0)
	p.waits.timeline.Clear(n)
	nd.ends, nd.next = true, backfill.Never
	for _, e := range list {
		nd.next = min(nd.next, e.at)
		for _, slots := range e.h.sizes {
			for range slots.Count {
				id++
				p.waits.timeline.Add(n, id, backfill.Of(slots.Each), e.at)
			}
		}
	}
}
