package job

import (
	"cmp"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// overdueAfter is how long past its grace an eviction may take. Whoever asks again after that means the same slots: they
// are not freed, because their node is out of reach, and no others are given up instead.
const overdueAfter = 20 * time.Second

// evict gives up slots of a stage on one node to somebody else: idle ones first, then those of the youngest attempts.
// What runs is stopped when its eviction is durable (B39): its instance waits again, and no failure is counted. If this
// actor fails before that, who has asked sees the slots held and decides anew.
func (a *Actor) evict(ctx *kit.Context, m *msg.Evict) {
	if m.Stage.Job != a.uid() || a.mode != active || a.ending != nil || int(m.Stage.Stage) >= len(a.stages) {
		return // what is not known yet is asked again; what ends goes back anyway
	}
	st := a.stages[m.Stage.Stage]
	n := m.Count
	var victims []*slot
	for _, sl := range a.byNode[m.Node] {
		switch {
		case sl.stage != st:
		case !sl.leaving:
			victims = append(victims, sl)
		case ctx.Now().Sub(sl.left) > st.plan.Grace+overdueAfter:
			n--
		}
	}
	slices.SortFunc(victims, func(x, y *slot) int {
		return cmp.Or(cmp.Compare(x.busy(), y.busy()), cmp.Compare(y.fence(), x.fence()), cmp.Compare(x.id, y.id))
	})
	for _, sl := range victims[:min(max(n, 0), len(victims))] {
		if sl.attempt == nil {
			a.yield(ctx, sl)
			continue
		}
		a.leave(ctx, sl)
		a.commit.of(st.number).evict(sl, &v1.Eviction{
			Index: sl.attempt.index, Fence: uint64(sl.attempt.fence), Node: string(m.Node),
			Rule: m.Rule, For: name(m.For), Reason: m.Reason, TimeUnixNano: ctx.Now().UnixNano(),
		})
	}
	a.note(ctx)
}

// name of the job for whom; empty for maintenance and taints.
func name(id model.JobID) string {
	if id == (model.JobID{}) {
		return ""
	}
	return id.String()
}

// fence of the attempt in a slot; 0 if it is idle.
func (sl *slot) fence() model.Fence {
	if sl.attempt == nil {
		return 0
	}
	return sl.attempt.fence
}

func (sl *slot) busy() int {
	if sl.attempt == nil {
		return 0
	}
	return 1
}

// evicted is a slot whose eviction is on its way through the journal.
type evicted struct {
	slot   *slot
	reason string
}

func (sc *stageCommit) evict(sl *slot, e *v1.Eviction) {
	reason := "evicted (" + e.GetRule() + ")"
	if e.GetFor() != "" {
		reason += " for " + e.GetFor()
	}
	if e.GetReason() != "" {
		reason += ": " + e.GetReason()
	}
	sc.evictions = append(sc.evictions, e)
	sc.evicted = append(sc.evicted, evicted{sl, reason})
	sc.bytes += 96 + len(e.GetReason()) + len(e.GetFor()) + len(e.GetNode())
}

// letGo gives slots back whose eviction is durable.
func (a *Actor) letGo(list []evicted) {
	for _, e := range list {
		if !e.slot.gone {
			w := a.work.of(e.slot.node, e.slot.ref)
			w.Yield = append(w.Yield, e.slot.id)
			w.Reason = e.reason
		}
	}
}
