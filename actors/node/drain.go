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

// outings are the drains that are on their way. They count from the moment that they are let through, or two that come
// together would both find room below the limit.
type outings map[model.NodeID]outing

// outing is the newest drain of one node.
type outing struct {
	order uint64
	// until is when it counts as lost, if nothing is heard of it.
	until time.Time
}

const (
	// outingMax bounds how long a drain may be on its way through the journal.
	outingMax = time.Minute
	// namesShown bounds the nodes that a refusal names.
	namesShown = 5
)

// changed takes in how a node stands. What it said before it had heard of a drain tells nothing of that.
func (o outings) changed(m *msg.NodeChanged) {
	id := model.NodeID(m.Status.GetInfo().GetId())
	if m.Order >= o[id].order {
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

// othersOut lists the nodes but one that are drained, or may be soon, or are lost; sorted.
func (s *Supervisor) othersOut(now time.Time, but model.NodeID) []string {
	var list []string
	lost := lifecycle.NodeLost.String()
	for _, id := range s.ids {
		status, pending := s.status[id], now.Before(s.out[model.NodeID(id)].until)
		if id != string(but) && (pending || status.GetDrained() || status.GetLiveness() == lost) {
			list = append(list, id)
		}
	}
	return list
}

func names(list []string) string {
	if len(list) > namesShown {
		list = append(slices.Clone(list[:namesShown]), "…")
	}
	return strings.Join(list, ", ")
}
