package job

import (
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// works gathers what one message leads to on each node, so that a node gets one Work.
type works struct {
	byNode map[model.NodeID]*nodeWork
	order  []*nodeWork
}

type nodeWork struct {
	node model.NodeID
	ref  kit.Ref
	msg.Work
}

func (w *works) of(node model.NodeID, ref kit.Ref) *nodeWork {
	if w.byNode == nil {
		w.byNode = map[model.NodeID]*nodeWork{}
	}
	n := w.byNode[node]
	if n == nil {
		n = &nodeWork{node: node, ref: ref}
		w.byNode[node] = n
		w.order = append(w.order, n)
	}
	return n
}

func (w *works) launch(sl *slot, t *v1.Template, l msg.Launch) {
	n := w.of(sl.node, sl.ref)
	known := false
	for _, have := range n.Templates {
		known = known || have == t
	}
	if !known {
		n.Templates = append(n.Templates, t)
	}
	n.Launch = append(n.Launch, l)
}

func (w *works) release(node model.NodeID, ref kit.Ref, slot model.SlotID) {
	n := w.of(node, ref)
	n.Release = append(n.Release, slot)
}

func (w *works) stop(node model.NodeID, ref kit.Ref, s msg.Stop) {
	n := w.of(node, ref)
	n.Stop = append(n.Stop, s)
}

func (w *works) settle(node model.NodeID, ref kit.Ref, fences ...model.Fence) {
	n := w.of(node, ref)
	n.Settle = append(n.Settle, fences...)
}

// flush sends every node its Work, completed by what is common to all.
func (w *works) flush(ctx *kit.Context, common msg.Work) {
	for _, n := range w.order {
		work := n.Work
		work.ID, work.UID, work.Job = common.ID, common.UID, ctx.Self()
		if common.Reason != "" {
			work.Reason = common.Reason
		}
		ctx.Tell(n.ref, &work)
	}
	w.order = nil
	clear(w.byNode)
}
