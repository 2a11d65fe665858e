package node

import (
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/lifecycle"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// size takes in what the machine has, and books what is held on it anew.
func (a *Actor) size(info *v1.NodeInfo) {
	a.capacity = model.CapacityOf(info)
	a.extras = model.NewHolding(info)
	for _, sl := range a.slots { //order: sums
		sl.need = a.extras.NeedOf(sl.extra) // which ports are of the range is for the machine to say, and may have changed
		a.extras.Take(sl.extra)
	}
}

// drain makes durable that a node is out, or in again. One that an earlier actor of this node was sent is refused: the
// supervisor has heard since how the node stands.
func (a *Actor) drain(ctx *kit.Context, m *msg.DrainNode) {
	switch {
	case a.hard == nil:
		ctx.Reply(model.NotFound("node %s has not joined the cell", a.id))
		a.drainOrder = max(a.drainOrder, m.Order)
		a.report(ctx)
		return
	case m.Order != 0 && m.Order < a.drainOrder:
		ctx.Reply(model.Busy(tickEvery, "node %s has just restarted", a.id))
		return
	}
	a.mark(ctx, m.Order, &v1.Event{Kind: &v1.Event_NodeDrained{NodeDrained: &v1.NodeDrained{
		Node: string(a.id), Drained: m.Drained, Reason: m.Reason,
		Maintenance: m.Drained && m.Maintenance, Evict: m.Drained && m.Evict,
	}}})
}

// taint makes durable which taints operators have put on the node.
func (a *Actor) taint(ctx *kit.Context, m *msg.TaintNode) {
	if a.hard == nil {
		ctx.Reply(model.NotFound("node %s has not joined the cell", a.id))
		return
	}
	if problems := model.CheckTaints(m.Taints); problems != nil {
		ctx.Reply(model.Invalid("the taints are not valid", problems...))
		return
	}
	a.mark(ctx, 0, &v1.Event{Kind: &v1.Event_NodeTainted{NodeTainted: &v1.NodeTainted{Node: string(a.id), Taints: m.Taints}}})
}

func (a *Actor) mark(ctx *kit.Context, order uint64, event *v1.Event) {
	ctx.Tell(a.env.Refs.Journal, &msg.Commit{
		Events: []*v1.Event{event},
		Then:   []msg.Send{{To: ctx.Self(), Message: &marked{event, order, ctx.Sender()}}},
	})
}

// marked takes in what is durable, and tells everyone concerned.
func (a *Actor) marked(ctx *kit.Context, m *marked) {
	if d := m.event.GetNodeDrained(); d != nil {
		a.hard.Drained, a.hard.DrainReason = d.GetDrained(), d.GetReason()
		a.hard.Maintenance, a.hard.Evict = d.GetMaintenance(), d.GetEvict()
	} else {
		a.hard.Taints = m.event.GetNodeTainted().GetTaints()
	}
	a.drainOrder = max(a.drainOrder, m.order)
	ctx.Tell(a.env.Refs.Placer, a.view(ctx))
	ctx.TellFrom(ctx.Self(), m.asker, a.status(ctx.Now()))
	a.report(ctx)
}

// drill hands the agent the order to fail for a while. Whether it got it, its silence tells.
func (a *Actor) drill(ctx *kit.Context, m *msg.DrillNode) {
	if !a.session.open || a.live != lifecycle.NodeFresh {
		ctx.Reply(model.Conflict("node %s is %s: a drill is for a node that is well", a.id, a.live))
		return
	}
	a.send(ctx, &v1.ToAgent{Session: a.session.number, Drill: m.Order})
	ctx.Reply(a.status(ctx.Now()))
}

// report tells the supervisor how the node stands.
func (a *Actor) report(ctx *kit.Context) {
	a.changed = false
	ctx.Tell(a.env.Refs.Nodes, &msg.NodeChanged{Status: a.status(ctx.Now()), Order: a.drainOrder})
}

// taints are those of the agent, then those of operators.
func (a *Actor) taints() []*v1.Taint {
	if a.hard == nil {
		return nil
	}
	return slices.Concat(a.hard.Info.GetTaints(), a.hard.Taints)
}

// view is all of this node for the placer.
func (a *Actor) view(ctx *kit.Context) *msg.NodeView {
	v := &msg.NodeView{Node: a.id, NodeRef: ctx.Self(), Through: a.through, Again: a.again}
	if a.hard == nil || a.live == lifecycle.NodeLost || a.live == lifecycle.NodeUnknown {
		v.Gone = true
		return v
	}
	v.Info, v.Open, v.Taints = a.hard.Info, a.open(), a.taints()
	v.Maintenance, v.Evict = a.hard.Maintenance, a.hard.Evict
	type kind struct {
		stage model.StageID
		each  model.Resources
	}
	at := map[kind]int{}
	for _, id := range a.sorted() {
		sl := a.slots[id]
		i, known := at[kind{sl.stage, sl.each}]
		if !known {
			i = len(v.Held)
			at[kind{sl.stage, sl.each}] = i
			v.Held = append(v.Held, msg.HeldStage{Stage: sl.stage, Each: sl.each, Extra: sl.need})
		}
		h := &v.Held[i]
		h.Count++
		if sl.since.After(h.Since) {
			h.Since = sl.since
		}
		if shares := model.SharesOf(sl.extra); shares != nil {
			h.Devices = append(h.Devices, shares)
		}
	}
	return v
}

// status is the node as users see it.
func (a *Actor) status(now time.Time) *v1.NodeStatus {
	s := &v1.NodeStatus{
		Info: &v1.NodeInfo{Id: string(a.id)}, Liveness: a.live.String(), Taints: a.taints(),
		Slots: uint64(len(a.slots)), CpuMilliHeld: a.held[model.CPU], MemoryBytesHeld: a.held[model.Memory],
		DiskBytesHeld: a.held[model.Disk], NetBpsHeld: a.held[model.Net], CustomHeld: a.extras.Held(),
		CpuMilliUsed: a.usage.GetCpuMilli(), MemoryBytesUsed: a.usage.GetMemoryBytes(), DiskBytesUsed: a.usage.GetDiskBytes(), Problem: a.trouble(now),
	}
	if h := a.hard; h != nil {
		s.Info, s.Drained, s.DrainReason, s.Maintenance, s.Evict = h.Info, h.Drained, h.DrainReason, h.Maintenance, h.Evict
	}
	if !a.heard.IsZero() {
		s.SeenUnixMs = a.heard.UnixMilli()
	}
	for _, sl := range a.slots { //order: counts
		if sl.state.GetPhase() == v1.AttemptPhase_ATTEMPT_PHASE_RUNNING {
			s.Running++
		}
	}
	return s
}
