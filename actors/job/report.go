package job

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/lifecycle"
	"github.com/troupe-sched/troupe/actors/policy/retry"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// reported takes in what became of attempts on one node.
func (a *Actor) reported(ctx *kit.Context, m *msg.Reported) {
	for _, s := range m.Attempts {
		if s.GetJobUid() != uint64(a.uid()) || int(s.GetStage()) >= len(a.stages) {
			a.dismiss(ctx, m.Node, m.NodeRef, s)
			continue
		}
		if at := a.fences[model.Fence(s.GetFence())]; at != nil {
			a.progress(ctx, at, m, s)
		} else {
			a.stranger(ctx, m.Node, m.NodeRef, s)
		}
	}
	for _, r := range m.Refused {
		if sl := a.slots[r.Slot]; sl != nil {
			ctx.Log().Warn("launch refused", "node", m.Node, "slot", r.Slot, "reason", r.Reason)
			a.drop(ctx, sl)
		}
	}
	if len(m.Freed)+len(m.Refused) > 0 {
		a.removed[m.Node] = max(a.removed[m.Node], m.Order)
	}
	for _, id := range m.Freed {
		if sl := a.slots[id]; sl != nil {
			a.drop(ctx, sl)
		}
	}
	a.assignAll(ctx)
	a.finishStopping(ctx)
	a.note(ctx)
}

// dismiss ends what nobody wants: an end is forgotten, a running attempt stopped, with its slot if the job holds that
// for nothing else.
func (a *Actor) dismiss(ctx *kit.Context, node model.NodeID, ref kit.Ref, s *v1.AttemptState) {
	id, fence := model.SlotID(s.GetSlot()), model.Fence(s.GetFence())
	switch sl := a.slots[id]; {
	case over(s.GetPhase()):
		a.work.settle(node, ref, fence)
	case sl != nil && sl.attempt == nil:
		a.release(ctx, sl)
	default:
		a.work.stop(node, ref, msg.Stop{Slot: id, Fence: fence})
	}
}

// over reports whether an attempt has ended.
func over(p v1.AttemptPhase) bool { return p >= v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED }

// progress takes in a report of the valid attempt of an instance.
func (a *Actor) progress(ctx *kit.Context, at *attempt, m *msg.Reported, s *v1.AttemptState) {
	if !over(s.GetPhase()) {
		at.state = s
		return
	}
	st, sl := at.slot.stage, at.slot
	a.places.note(st.number, at.index, sl.node, at.fence, sl.id)
	a.forget(at)
	if !sl.leaving && !sl.gone {
		st.idle = append(st.idle, sl)
	}
	a.finish(ctx, st, m.Node, m.NodeRef, s)
}

// finish accepts the end of an attempt that is, or may be, the valid one.
func (a *Actor) finish(ctx *kit.Context, st *stage, node model.NodeID, ref kit.Ref, s *v1.AttemptState) {
	index := s.GetIndex()
	fence := model.Fence(s.GetFence())
	switch phase := s.GetPhase(); {
	case a.mode == ended || (a.ending != nil && a.ending.sent):
		a.work.settle(node, ref, fence) // the end of the job is on its way: nothing can follow it
	case phase == v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED && a.plan.Service && a.mode == active:
		// A service is never done: it runs again, at the pace of its backoff.
		a.work.settle(node, ref, fence)
		st.outdated[index] = max(st.outdated[index], fence)
		st.wait(index, ctx.Now().Add(st.plan.Backoff))
	case phase == v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED && !a.plan.Service:
		a.succeed(st, node, ref, s)
	case phase == v1.AttemptPhase_ATTEMPT_PHASE_FAILED && a.ending == nil:
		a.fail(ctx, st, node, ref, s, s.GetReason())
	case phase == v1.AttemptPhase_ATTEMPT_PHASE_LOST:
		a.work.settle(node, ref, fence)
		st.outdated[index] = max(st.outdated[index], fence)
		st.wait(index, ctx.Now().Add(lostBackoff))
	case plant.Is(plant.EvictionIsFailure) && a.mode == active && a.ending == nil:
		a.fail(ctx, st, node, ref, s, s.GetReason())
	default: // stopped on request
		a.work.settle(node, ref, fence)
		st.outdated[index] = max(st.outdated[index], fence)
		st.wait(index, ctx.Now())
	}
}

func (a *Actor) succeed(st *stage, node model.NodeID, ref kit.Ref, s *v1.AttemptState) {
	index := s.GetIndex()
	sc := a.commit.of(st.number)
	if n := uint64(len(s.GetResult())); n > 0 {
		if a.resultBytes+n > ResultsMax {
			a.commitFailure(st, node, ref, s, fmt.Sprintf("results of the job are over %s", model.FormatBytes(ResultsMax)), true, 0)
			return
		}
		a.resultBytes += n
		sc.bytes += int(n)
		sc.results = append(sc.results, &v1.InstanceResult{Index: index, Data: s.GetResult()})
	}
	st.settling[index] = struct{}{}
	st.avoid.Succeed(node)
	if n := s.GetEndedUnixNano() - s.GetStartedUnixNano(); n > 0 && s.GetStartedUnixNano() > 0 {
		st.ran.sum += time.Duration(n)
		st.ran.n++
	}
	st.accepted++
	sc.done = append(sc.done, index)
	sc.bytes += doneBytes
	sc.settles = append(sc.settles, settle{node, ref, model.Fence(s.GetFence())})
	if plant.Is(plant.SettleBeforeCommit) {
		a.work.settle(node, ref, model.Fence(s.GetFence()))
	}
}

func (a *Actor) fail(ctx *kit.Context, st *stage, node model.NodeID, ref kit.Ref, s *v1.AttemptState, reason string) {
	failures := a.hard.Failures(st.number, s.GetIndex()) + 1
	final := retry.Exhausted(st.plan.Attempts, failures)
	st.avoid.Strike(node, ctx.Now())
	a.commitFailure(st, node, ref, s, reason, final, ctx.Now().UnixNano())
}

func (a *Actor) commitFailure(st *stage, node model.NodeID, ref kit.Ref, s *v1.AttemptState, reason string, final bool, now int64) {
	index := s.GetIndex()
	st.settling[index] = struct{}{}
	sc := a.commit.of(st.number)
	sc.failures = append(sc.failures, &v1.InstanceFailure{
		Index: index, Failures: a.hard.Failures(st.number, index) + 1, Final: final, Node: string(node),
		ExitCode: s.GetExitCode(), Reason: reason, TimeUnixNano: max(now, s.GetEndedUnixNano()), Fence: s.GetFence(),
	})
	sc.bytes += 64 + len(reason)
	sc.settles = append(sc.settles, settle{node, ref, model.Fence(s.GetFence())})
}

// stranger takes in a report of an attempt that is not the valid one of its instance: it may be made so if the
// instance has none, because this actor has restarted or had given the attempt up too late to need another.
func (a *Actor) stranger(ctx *kit.Context, node model.NodeID, ref kit.Ref, s *v1.AttemptState) {
	st := a.stages[s.GetStage()]
	index, fence := s.GetIndex(), model.Fence(s.GetFence())
	_, onItsWay := st.settling[index]
	known := a.hard.Done(st.number, index) || a.hard.Dead(st.number, index) ||
		uint64(fence) <= a.hard.LastFailure(st.number, index).GetFence()
	current := st.running[index]
	switch {
	case a.commit.holds(st.number, fence):
		// Its end is on its way through the journal; it is settled after.
	case a.mode == ended, known, onItsWay, fence <= st.outdated[index] && !plant.Is(plant.OutdatedAccepted), current != nil && current.fence > fence:
		a.dismiss(ctx, node, ref, s)
	case over(s.GetPhase()):
		if current != nil { // older than this one
			a.giveUp(ctx, current)
		}
		st.unwait(index)
		a.finish(ctx, st, node, ref, s)
	default:
		a.adopt(ctx, st, node, ref, s)
	}
}

// giveUp stops an attempt because a later one of the same instance was found. Its slot goes back: when it will be free
// again is not known.
func (a *Actor) giveUp(ctx *kit.Context, at *attempt) {
	at.slot.stage.outdate(at)
	a.release(ctx, at.slot)
	a.forget(at)
}

// adopt makes a running attempt the valid one of its instance.
func (a *Actor) adopt(ctx *kit.Context, st *stage, node model.NodeID, ref kit.Ref, s *v1.AttemptState) {
	id := model.SlotID(s.GetSlot())
	sl := a.slots[id]
	if sl == nil || sl.stage != st || sl.node != node {
		a.work.stop(node, ref, msg.Stop{Slot: id, Fence: model.Fence(s.GetFence())})
		return
	}
	index := s.GetIndex()
	if current := st.running[index]; current != nil {
		a.giveUp(ctx, current)
	}
	st.unwait(index)
	at := &attempt{index: index, fence: model.Fence(s.GetFence()), number: s.GetAttempt(), slot: sl, state: s}
	sl.attempt = at
	st.running[index] = at
	a.fences[at.fence] = at
}

// inventory takes in all that one node holds of this job.
func (a *Actor) inventory(ctx *kit.Context, m *msg.Inventory) {
	if len(m.Slots) > 0 && m.Order < a.removed[m.Node] {
		ctx.Tell(m.NodeRef, &msg.Claim{ID: a.id, UID: a.uid(), Job: ctx.Self(), Again: true, Mark: a.env.IDs.Fence()})
		return // the answer comes straight from the node, in its order
	}
	a.heard[m.Node] = true
	if plant.Is(plant.InventoryIgnored) {
		m = &msg.Inventory{Node: m.Node, NodeRef: m.NodeRef}
	}
	here := map[model.SlotID]bool{}
	doubt := false
	for _, h := range m.Slots {
		here[h.Slot] = true
		if sl := a.slots[h.Slot]; sl != nil && sl.attempt != nil && sl.attempt.fence > h.Fence {
			doubt = !a.unheard(ctx, m, sl) || doubt
		}
		a.found(ctx, m, h)
	}
	if doubt {
		ctx.Tell(m.NodeRef, &msg.Claim{ID: a.id, UID: a.uid(), Job: ctx.Self(), Again: true, Mark: a.env.IDs.Fence()})
	}
	known := slices.SortedFunc(slices.Values(a.byNode[m.Node]), func(x, y *slot) int { return cmp.Compare(x.id, y.id) })
	for _, sl := range known {
		if !here[sl.id] && sl.granted < m.Order {
			a.drop(ctx, sl)
		}
	}
	a.recovered(ctx)
	a.assignAll(ctx)
	a.finishStopping(ctx)
	a.note(ctx)
}

// unheard takes back a launch that the node has not heard of, because its actor failed over it. It returns false if the
// launch may still be under way to it: then the node is asked again, and answers after it.
func (a *Actor) unheard(ctx *kit.Context, m *msg.Inventory, sl *slot) bool {
	at := sl.attempt
	if at.fence > m.Mark {
		return false
	}
	sl.stage.outdate(at)
	a.forget(at)
	sl.stage.wait(at.index, ctx.Now())
	return true
}

// found takes in one slot that a node holds for this job.
func (a *Actor) found(ctx *kit.Context, m *msg.Inventory, h msg.HeldSlot) {
	if a.mode == ended || a.mode == stopping || int(h.Stage) >= len(a.stages) {
		if !h.Releasing {
			a.work.release(m.Node, m.NodeRef, h.Slot)
		}
		if a.slots[h.Slot] == nil && a.mode == stopping && int(h.Stage) < len(a.stages) {
			a.keep(&slot{id: h.Slot, stage: a.stages[h.Stage], node: m.Node, ref: m.NodeRef, leaving: true, freeBy: a.stages[h.Stage].freeBy(ctx.Now())})
		}
		return
	}
	st := a.stages[h.Stage]
	sl := a.slots[h.Slot]
	if sl == nil {
		sl = &slot{id: h.Slot, stage: st, node: m.Node, ref: m.NodeRef, leaving: h.Releasing, freeBy: st.freeBy(ctx.Now())}
		a.keep(sl)
		if !h.Releasing {
			st.held++
		}
		if a.life == lifecycle.JobPending {
			a.move(lifecycle.JobSchedule)
		}
	}
	if s := h.Attempt; s != nil && !over(s.GetPhase()) {
		if at := a.fences[model.Fence(s.GetFence())]; at == nil {
			a.stranger(ctx, m.Node, m.NodeRef, s)
		} else if s.GetPhase() == v1.AttemptPhase_ATTEMPT_PHASE_RUNNING {
			at.state = s // the report that it runs may have been lost
		}
	}
	sl.ref = m.NodeRef
	if sl.leaving && !h.Releasing {
		a.work.release(m.Node, m.NodeRef, sl.id) // the node has failed over it
	}
	if sl.attempt == nil && !sl.leaving {
		st.idle = append(st.idle, sl)
	}
}

// holds reports whether the end of an attempt waits to be committed or is being committed.
func (c *commit) holds(number int, fence model.Fence) bool {
	for _, s := range c.settles {
		if s.fence == fence {
			return true
		}
	}
	for i := range c.stages {
		if c.stages[i].number != number {
			continue
		}
		for _, s := range c.stages[i].settles {
			if s.fence == fence {
				return true
			}
		}
	}
	return false
}

// describe is a failure in one line.
func describe(f *v1.InstanceFailure) string {
	what := f.GetReason()
	if what == "" {
		what = fmt.Sprintf("exit code %d", f.GetExitCode())
	}
	return fmt.Sprintf("instance %d failed on node %s, attempt %d: %s", f.GetIndex(), f.GetNode(), f.GetFailures(), what)
}
