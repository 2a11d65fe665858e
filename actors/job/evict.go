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

const (
	// overdueAfter is how long past its grace a slot that goes back may take.
	overdueAfter = 20 * time.Second
	// wishesMax bounds the evictions that a job remembers; what it does not take in is said again.
	wishesMax = 1 << 16
)

// wish is an eviction that the job was asked for, and for how many slots of it has given up. It is remembered for as long
// as it may be said again, or the second time would cost other slots.
type wish struct {
	*msg.Evict
	given int
}

// wishes are the evictions that may be said again, or of which something is owed.
type wishes struct {
	byNode map[model.NodeID][]*wish
	n      int
}

// take finds or makes the wish of a message; nil at the limit.
func (w *wishes) take(m *msg.Evict) *wish {
	for _, known := range w.byNode[m.Node] {
		if known.Serial == m.Serial {
			return known
		}
	}
	if w.n >= wishesMax {
		return nil
	}
	if w.byNode == nil {
		w.byNode = map[model.NodeID][]*wish{}
	}
	fresh := &wish{Evict: m}
	w.byNode[m.Node] = append(w.byNode[m.Node], fresh)
	w.n++
	return fresh
}

// prune forgets what is not said again.
func (w *wishes) prune(now time.Time) {
	w.n = 0
	for node, list := range w.byNode { //order: each for itself
		if list = slices.DeleteFunc(list, func(o *wish) bool { return !now.Before(o.Until) }); len(list) == 0 {
			delete(w.byNode, node)
		} else {
			w.byNode[node] = list
		}
		w.n += len(list)
	}
}

// evict gives up slots of a stage on one node to somebody else. If this actor fails before the eviction is durable, who
// has asked sees the slots held and decides anew: what was given for demands from before its restart nobody knows, and
// to give for them again could be too much.
func (a *Actor) evict(ctx *kit.Context, m *msg.Evict) {
	if m.Stage.Job != a.uid() || int(m.Stage.Stage) >= len(a.stages) || m.Serial < a.began || !a.yields() {
		return // what is not known yet is asked again; what ends goes back anyway
	}
	if w := a.wishes.take(m); w != nil {
		a.follow(ctx, w)
	}
}

// yields reports whether the job knows what it holds, and is to go on.
func (a *Actor) yields() bool { return a.mode == active && a.ending == nil }

// owed gives up what the job owes on a node from which it has got slots: the placer may ask for them when they are still
// on their way from the node to the job.
func (a *Actor) owed(ctx *kit.Context, node model.NodeID) {
	if list := a.wishes.byNode[node]; len(list) > 0 && a.yields() {
		for _, w := range list {
			a.follow(ctx, w)
		}
	}
}

// follow gives up what a wish still asks for, as far as the job has it: idle slots first, then those of the youngest
// attempts. What runs is stopped when its eviction is durable (B39): its instance waits again, and no failure is counted.
// Slots that were to be free by now are given before: they are not because their node is out of reach, and whoever asks
// again means the same.
func (a *Actor) follow(ctx *kit.Context, w *wish) {
	if w.given >= w.Count || !ctx.Now().Before(w.Until) {
		return
	}
	st := a.stages[w.Stage.Stage]
	var victims []*slot
	for _, sl := range a.byNode[w.Node] {
		switch {
		case sl.stage != st || sl.id > w.Serial:
		case !sl.leaving:
			victims = append(victims, sl)
		case w.given < w.Count && !ctx.Now().Before(sl.freeBy):
			sl.freeBy = w.Until
			w.given++
		}
	}
	slices.SortFunc(victims, func(x, y *slot) int {
		return cmp.Or(cmp.Compare(x.busy(), y.busy()), cmp.Compare(y.fence(), x.fence()), cmp.Compare(x.id, y.id))
	})
	victims = victims[:min(w.Count-w.given, len(victims))]
	w.given += len(victims)
	for _, sl := range victims {
		if sl.attempt == nil {
			a.yield(ctx, sl)
		} else {
			a.leave(ctx, sl)
			a.commit.of(st.number).evict(sl, &v1.Eviction{
				Index: sl.attempt.index, Fence: uint64(sl.attempt.fence), Node: string(w.Node),
				Rule: w.Rule, For: name(w.For), Reason: w.Reason, TimeUnixNano: ctx.Now().UnixNano(),
			})
		}
		sl.freeBy = w.Until
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
