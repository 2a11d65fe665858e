package placer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/backfill"
	"github.com/troupe-sched/troupe/actors/policy/place"
	"github.com/troupe-sched/troupe/actors/policy/share"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Bounds of an answer.
const (
	heldShown  = 20 // nodes that hold slots, and their scores
	aheadShown = 20 // demands that go first
)

// Why a stage waits, as programs read it.
const (
	waitsStarting    = "starting"
	waitsMaxSlots    = "max_slots"
	waitsQuota       = "quota"
	waitsMax         = "max"
	waitsGang        = "gang"
	waitsReservation = "reservation"
	waitsRoom        = "room"
)

// explain completes what a job has begun to answer and sends it to the asker. It looks at all nodes and demands, which is
// for people who ask; nothing is kept for it in the way of a grant.
func (a *Actor) explain(ctx *kit.Context, m *msg.ExplainStages) {
	a.divide(ctx)
	for i, e := range m.Reply.GetStages() {
		w := m.Stages[i]
		a.explainStage(e, model.StageID{Job: m.UID, Stage: w.Stage}, w.Plan)
	}
	ctx.Reply(m.Reply)
}

func (a *Actor) explainStage(e *v1.StageExplain, id model.StageID, plan *model.StagePlan) {
	d := a.demands[id]
	if d != nil && !d.classed {
		d = nil
	}
	x := a.where(d, plan)
	e.Nodes, e.NodesFit = uint64(x.Nodes), uint64(x.Fit)
	for _, r := range x.Refusals {
		e.Refusals = append(e.Refusals, &v1.Refusal{Filter: r.Filter, Nodes: uint64(r.Nodes), Detail: r.Detail})
	}
	if d != nil {
		a.explainHeld(e, d)
	}
	if e.GetWantedSlots() > e.GetHeldSlots() {
		if d != nil {
			a.explainAhead(e, d)
		}
		if e.WaitsFor == "" {
			e.WaitsFor = a.waitsFor(e, d, &x)
		}
		e.Remedies = a.remedies(e, d, &x)
		if x.Remedy = ""; len(e.Remedies) > 0 {
			x.Remedy = e.Remedies[0]
		}
		e.Remedy = x.Remedy
		if k := a.waits.kept; k != nil && d != nil && k.demand == d && k.at < backfill.Never {
			e.ExpectedUnixMs = k.at
		}
	}
	if e.Summary == "" {
		e.Summary = a.summary(e, d, &x)
	}
}

// where tells where one more slot could go.
func (a *Actor) where(d *demand, plan *model.StagePlan) place.Explanation {
	if d != nil {
		return a.fleet.Explain(d.slots)
	}
	slots := a.fleet.Stage(place.ShapeOf(plan, "", nil, 0))
	defer a.fleet.End(slots)
	return a.fleet.Explain(slots)
}

// explainHeld names the nodes that hold slots of a demand, and how they score.
func (a *Actor) explainHeld(e *v1.StageExplain, d *demand) {
	nodes := d.slots.Nodes()
	slices.SortStableFunc(nodes, func(x, y place.NodeIndex) int { return cmp.Compare(d.slots.Held(y), d.slots.Held(x)) })
	nodes = nodes[:min(len(nodes), heldShown)]
	for _, i := range nodes {
		e.Held = append(e.Held, &v1.NodeSlots{Node: string(a.fleet.ID(i)), Slots: uint64(d.slots.Held(i))})
	}
	for _, s := range a.fleet.Scores(d.slots, nodes) {
		score := &v1.NodeScore{Node: string(a.fleet.ID(s.Node)), Parts: map[string]int64{}}
		for _, p := range s.Parts {
			part := p.Score * p.Weight / 100
			score.Parts[p.Name] += part
			score.Total += part
		}
		e.Scores = append(e.Scores, score)
	}
}

// explainAhead counts the slots for which others wait that are looked at before a demand, and names those who wait for
// most.
func (a *Actor) explainAhead(e *v1.StageExplain, d *demand) {
	for _, other := range a.demands { //order: sorted below
		if other == d || other.line == nil || !other.before(d) {
			continue
		}
		n := other.outstanding()
		e.Ahead += n
		e.AheadOf = append(e.AheadOf, &v1.Ahead{
			Queue: other.ID.Queue, Job: other.ID.Name, Stage: other.Plan.Name, Band: other.Priority.Band.String(), Rank: other.Priority.Rank,
			WaitingSlots: n,
		})
	}
	slices.SortFunc(e.AheadOf, func(x, y *v1.Ahead) int {
		return cmp.Or(cmp.Compare(y.WaitingSlots, x.WaitingSlots), cmp.Compare(x.Queue, y.Queue), cmp.Compare(x.Job, y.Job), cmp.Compare(x.Stage, y.Stage))
	})
	e.AheadOf = e.AheadOf[:min(len(e.AheadOf), aheadShown)]
}

// before reports whether a demand that waits is looked at before another.
func (d *demand) before(o *demand) bool {
	if c := d.Priority.Compare(o.Priority); c != 0 {
		return c < 0
	}
	return o.line != nil && d.rank.compare(o.rank) < 0
}

// waitsFor says why a demand has not got what its job wants.
func (a *Actor) waitsFor(e *v1.StageExplain, d *demand, x *place.Explanation) string {
	switch {
	case a.views != 0 || a.unsure():
		return waitsStarting
	case d == nil: // its demand is on its way
		return waitsRoom
	case d.missing() == 0:
		return waitsMaxSlots
	}
	room := a.allowed(d)
	switch short := room.Own+room.Borrowed+room.Yielded < a.atOnce(d); {
	case short && a.atMax(d):
		return waitsMax
	case short:
		return waitsQuota
	case d.Plan.Gang && a.atOnce(d) > 1:
		return waitsGang
	case slices.ContainsFunc(x.Refusals, func(r place.Refusal) bool { return r.Filter == "withheld" }):
		return waitsReservation
	}
	return waitsRoom
}

// atOnce is how many slots a demand gets at least, if it gets any: one, or all of a gang.
func (a *Actor) atOnce(d *demand) int64 {
	if d.Plan.Gang {
		return int64(max(min(d.outstanding(), model.MaxInstances), 1))
	}
	return 1
}

// atMax reports whether a queue's own maximum is what stops a demand.
func (a *Actor) atMax(d *demand) bool {
	for i, each := range d.counted.each {
		if x := a.accounts.Account(d.queue.part, i); each > 0 && x.Max != share.Unset && x.Held+each*a.atOnce(d) > x.Max {
			return true
		}
	}
	return false
}

// dimension is the name of a dimension of the accounts.
func (a *Actor) dimension(i int) string {
	if i < int(model.NumResources) {
		return model.ResourceNames[i]
	}
	return a.accounts.units[i-int(model.NumResources)]
}

// amount writes an amount as people read it.
func amount(i int, n int64, name string) string {
	switch {
	case i == model.CPU && n%1000 == 0:
		return number(uint64(n/1000), "core")
	case i < int(model.NumResources):
		return model.FormatAmount(i, n) + " " + name
	}
	return fmt.Sprintf("%d %s", n, name)
}

// summary is the answer in one sentence.
func (a *Actor) summary(e *v1.StageExplain, d *demand, x *place.Explanation) string {
	wanted, held := e.GetWantedSlots(), e.GetHeldSlots()
	switch {
	case wanted == 0:
		return "wants nothing"
	case wanted <= held:
		return "holds all that it wants: " + number(held, "slot")
	}
	more := number(wanted-held, "more slot")
	switch e.GetWaitsFor() {
	case waitsStarting:
		return fmt.Sprintf("waits for %s: the master has begun lately, and nodes or queues have yet to say what they hold", more)
	case waitsQuota, waitsMax, waitsMaxSlots:
		text := fmt.Sprintf("waits for %s: its queue holds all it may", more)
		if e.Remedy != "" {
			text += "; it would go on if " + e.Remedy
		}
		return text
	case waitsGang:
		return fmt.Sprintf("waits for %s at one time: %v", number(wanted-held, "slot"), *x)
	}
	switch {
	case d != nil && d.claimed > 0:
		return fmt.Sprintf("waits for %s; room for %d of them is being made", more, d.claimed)
	case x.Fit > 0 && e.Ahead > 0:
		return fmt.Sprintf("waits for %s; %s of others go first", more, number(e.Ahead, "slot"))
	case x.Fit > 0:
		return more + " will be granted at once"
	}
	text := fmt.Sprintf("waits for %s: %v", more, *x)
	if other := a.sparedBelow(d); other != nil {
		text += fmt.Sprintf("; stage %s of %s could make room, but may lose no more now (max_unavailable)", other.Plan.Name, other.ID)
	}
	return text
}

// sparedBelow is the first demand that work of a priority might evict if its limit allowed; nil if there is none.
func (a *Actor) sparedBelow(d *demand) (first *demand) {
	if d == nil {
		return nil
	}
	for _, o := range a.demands { //order: the first by id
		if o.held > 0 && o.Plan != nil && o.evictable() == 0 && d.Priority.Compare(o.Priority) < 0 && share.TenureOf(o.Priority.Band) == share.Loose &&
			(first == nil || compareStages(o.Stage, first.Stage) < 0) {
			first = o
		}
	}
	return first
}

// number is an amount of what is counted.
func number(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// facts adds what the placer knows of the cell.
func (a *Actor) facts(m *msg.CellFacts) {
	s := m.Status
	for _, nd := range a.nodes { //order: counts
		s.Nodes++
		if nd.open {
			s.NodesFresh++
		}
	}
	t := a.fleet.Totals()
	s.CpuMilli, s.MemoryBytes = t.Capacity[model.CPU], t.Capacity[model.Memory]
	s.CpuMilliHeld, s.MemoryBytesHeld = t.Held[model.CPU], t.Held[model.Memory]
	for _, d := range a.demands { //order: sums
		s.WaitingSlots += d.missing()
	}
	k := a.fleet.Packing()
	s.Packing = &v1.Packing{
		UsedNodes: uint64(k.Used), SharedNodes: uint64(k.Shared), Slots: uint64(k.Slots), NodesSaved: k.Saved,
		AllocatedMilli: k.Allocated, StrandedMilli: k.Stranded, Evictions: maps.Clone(a.evicted),
	}
}
