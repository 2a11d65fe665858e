package placer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/place"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// heldShown bounds the nodes named in an answer.
const heldShown = 20

// explain completes what a job has begun to answer and sends it to the asker.
func (a *Actor) explain(ctx *kit.Context, m *msg.ExplainStages) {
	for i, e := range m.Reply.GetStages() {
		w := m.Stages[i]
		a.explainStage(e, model.StageID{Job: m.UID, Stage: w.Stage}, w.Plan)
	}
	ctx.Reply(m.Reply)
}

func (a *Actor) explainStage(e *v1.StageExplain, id model.StageID, plan *model.StagePlan) {
	d := a.demands[id]
	var x place.Explanation
	if d != nil && d.classed {
		x = a.fleet.Explain(d.slots)
	} else {
		slots := a.fleet.Stage(place.ShapeOf(plan, "", nil, 0))
		x = a.fleet.Explain(slots)
		a.fleet.End(slots)
	}
	e.Nodes, e.NodesFit = uint64(x.Nodes), uint64(x.Fit)
	for _, r := range x.Refusals {
		e.Refusals = append(e.Refusals, &v1.Refusal{Filter: r.Filter, Nodes: uint64(r.Nodes), Detail: r.Detail})
	}
	if d != nil {
		e.Ahead = a.ahead(d)
		for _, i := range d.slots.Nodes() {
			e.Held = append(e.Held, &v1.NodeSlots{Node: string(a.fleet.ID(i)), Slots: uint64(d.slots.Held(i))})
		}
		slices.SortStableFunc(e.Held, func(x, y *v1.NodeSlots) int { return cmp.Compare(y.Slots, x.Slots) })
		e.Held = e.Held[:min(len(e.Held), heldShown)]
	}
	waits := e.GetWantedSlots() > e.GetHeldSlots()
	if waits {
		e.Remedy = x.Remedy
	}
	if e.Summary != "" {
		return
	}
	switch {
	case !waits && e.GetWantedSlots() > 0:
		e.Summary = fmt.Sprintf("holds all %d slots it wants", e.GetHeldSlots())
	case !waits:
		e.Summary = "wants nothing"
	case x.Fit > 0 && e.Ahead > 0:
		e.Summary = fmt.Sprintf("waits for %d more slots; %d slots of others go first", e.GetWantedSlots()-e.GetHeldSlots(), e.Ahead)
	case x.Fit > 0:
		e.Summary = fmt.Sprintf("%d more slots are being granted", e.GetWantedSlots()-e.GetHeldSlots())
	default:
		e.Summary = fmt.Sprintf("waits for %d more slots: %v", e.GetWantedSlots()-e.GetHeldSlots(), x)
	}
}

// ahead counts the slots that demands wait for which are looked at before d.
func (a *Actor) ahead(d *demand) (n uint64) {
	for _, other := range a.demands { //order: sums
		if other == d || other.outstanding() == 0 {
			continue
		}
		c := other.Priority.Compare(d.Priority)
		if c < 0 || (c == 0 && compareStages(other.Stage, d.Stage) < 0) {
			n += other.outstanding()
		}
	}
	return n
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
