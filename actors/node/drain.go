package node

import (
	"slices"
	"strings"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/lifecycle"
)

// outings are the nodes that are drained, or may be soon: a drain counts from the moment that it is let through, or two
// that come together would both find room below the limit.
type outings map[model.NodeID]outing

// outing is one of them.
type outing struct {
	// order of the drain that was let through last.
	order uint64
	// until is when a drain of which nothing was heard counts as lost on its way; zero once the node has said that it is out.
	until time.Time
}

const (
	// outingMax bounds how long a drain may be on its way through the journal.
	outingMax = time.Minute
	// namesShown bounds the nodes that a refusal names.
	namesShown = 5
)

// changed takes in how a node stands. What it said before it had heard of the last drain tells nothing of that.
func (o outings) changed(m *msg.NodeChanged) {
	id := model.NodeID(m.Status.GetInfo().GetId())
	switch at := o[id]; {
	case m.Status.GetDrained():
		o[id] = outing{order: at.order}
	case m.Order >= at.order:
		delete(o, id)
	}
}

// drain passes a drain on to its node, unless too many others are out (B41).
func (s *Supervisor) drain(ctx *kit.Context, id model.NodeID, m *msg.DrainNode) {
	ref, known := s.children.Get(string(id))
	if !known {
		ctx.Reply(model.NotFound("there is no node %q", id))
		return
	}
	numbered := *m
	numbered.Order = s.env.IDs.Order()
	if m.Drained {
		out := s.othersOut(ctx.Now(), id)
		if limit := s.env.NodesOut; limit > 0 && len(out) >= limit && !m.Force {
			ctx.Reply(model.Conflict("%d nodes are out (%s), and at most %d may be at once: let one come back, or force it",
				len(out), names(out), limit))
			return
		}
		s.out[id] = outing{order: numbered.Order, until: ctx.Now().Add(outingMax)}
	}
	ctx.Forward(ref, &numbered)
}

// othersOut lists the nodes but one that are drained or lost, sorted.
func (s *Supervisor) othersOut(now time.Time, but model.NodeID) []string {
	var list []string
	for id, o := range s.out { //order: sorted below
		if id != but && (o.until.IsZero() || now.Before(o.until)) {
			list = append(list, string(id))
		}
	}
	lost := lifecycle.NodeLost.String()
	for _, id := range s.ids {
		if _, drained := s.out[model.NodeID(id)]; !drained && id != string(but) && s.status[id].GetLiveness() == lost {
			list = append(list, id)
		}
	}
	slices.Sort(list)
	return list
}

func names(list []string) string {
	if len(list) > namesShown {
		list = append(slices.Clone(list[:namesShown]), "…")
	}
	return strings.Join(list, ", ")
}
