package node

import (
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/lifecycle"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// What a node and its supervisor tell each other of sessions and of silence.
type (
	// wish, to the supervisor: this node needs a session, when it is its turn.
	wish struct{ id model.NodeID }
	// turn, from the supervisor: ask the agent for its Hello.
	turn struct{}
	// answered, to the supervisor: a session is open and what the node holds is told, or nothing will come of the Hello.
	answered struct{ id model.NodeID }
	// knock, from the supervisor: the agent has said Hello, which waits for its turn.
	knock struct{}
	// pace, from the supervisor: how often agents report from now on.
	pace struct{ beat time.Duration }
	// standing, to the supervisor: how silent the node is; said again with every tick as long as it is.
	standing struct {
		id model.NodeID
		silence
	}
	// verdict, from the supervisor: the node counts as lost, if it is still overdue; on an operator's word if it is silent.
	verdict struct{ word, forget bool }
	// departed, to the supervisor: the node is forgotten, durably.
	departed struct{ id model.NodeID }
	// recount, from the supervisor, which has not heard of it for long: say again that this node is in step.
	recount struct{}
)

// silence is for how long nothing was heard of a node.
type silence uint8

const (
	talking silence = iota
	silent          // so long that something is wrong
	overdue         // so long that it may be lost
)

// suspectAfter is the silence after which a node gets nothing new: two reports of its are missing at least.
func (a *Actor) suspectAfter() time.Duration { return max(a.env.Suspect, 5*a.beat/2) }

// quiet is for how long nothing was heard of the agent, and since a master that has just begun could ask it at all.
func (a *Actor) quiet(now time.Time) time.Duration {
	since := a.heard
	if since.IsZero() {
		since = a.asked
	}
	if since.IsZero() {
		return 0
	}
	return now.Sub(since)
}

// silenceNow is how silent the node is by now. One that a new master has not heard yet has a bound of its own.
func (a *Actor) silenceNow(now time.Time) silence {
	quiet, first, last := a.quiet(now), a.suspectAfter(), max(a.env.Lost, a.suspectAfter())
	if a.live == lifecycle.NodeUnknown && !a.session.open {
		first, last = a.env.Settle/2, a.env.Settle
	}
	switch {
	case quiet > last:
		return overdue
	case quiet > first:
		return silent
	}
	return talking
}

// alive notes a sign of life of an open session.
func (a *Actor) alive(ctx *kit.Context) {
	if a.live != lifecycle.NodeFresh {
		a.move(lifecycle.NodeHeard)
		ctx.Tell(a.env.Refs.Placer, a.view(ctx))
		a.note(ctx)
	}
	a.stand(ctx)
}

// stand tells the supervisor how silent the node is.
func (a *Actor) stand(ctx *kit.Context) {
	if a.live == lifecycle.NodeLost {
		return // that is decided
	}
	now := a.silenceNow(ctx.Now())
	if now != talking || a.stood != now {
		a.stood = now
		ctx.Tell(a.env.Refs.Nodes, &standing{a.id, now})
	}
}

// watch moves liveness on as the agent stays silent.
func (a *Actor) watch(ctx *kit.Context) {
	quiet := a.quiet(ctx.Now())
	before := a.live
	if before != lifecycle.NodeUnknown && quiet > a.suspectAfter() {
		a.move(lifecycle.NodeSilent)
	}
	if a.live != before {
		ctx.Tell(a.env.Refs.Placer, a.view(ctx))
		a.note(ctx)
	}
	a.stand(ctx)
	switch s := &a.session; {
	case !s.open && a.live != lifecycle.NodeLost:
		a.wantSession(ctx, nil)
	case s.open && quiet > a.suspectAfter()/2:
		a.send(ctx, &v1.ToAgent{Session: s.number, Ack: s.in.Taken(), Control: &v1.ToAgent_Ping{Ping: true}})
	case s.open && s.beat != a.beat:
		a.welcome(ctx)
	case s.open && ctx.Now().Sub(s.spoke) > 2*a.beat:
		a.sendAck(ctx) // an agent that hears nothing for some heartbeats takes the session for lost
	}
}

// judged carries out that the node counts as lost, unless it was heard of meanwhile.
func (a *Actor) judged(ctx *kit.Context, m *verdict) {
	now := a.silenceNow(ctx.Now())
	if a.live != lifecycle.NodeLost && (now == overdue || m.word && now == silent) {
		if a.live == lifecycle.NodeFresh {
			a.move(lifecycle.NodeSilent)
		}
		a.lose(ctx)
	}
	if a.live == lifecycle.NodeLost {
		if m.forget && a.hard != nil && a.joining == nil {
			a.hard = nil // from here on it is a new one, should it come back
			ctx.Tell(a.env.Refs.Journal, &msg.Commit{
				Events: []*v1.Event{{Kind: &v1.Event_NodeRemoved{NodeRemoved: &v1.NodeRemoved{Node: string(a.id)}}}},
				Then:   []msg.Send{{To: a.env.Refs.Nodes, Message: &departed{a.id}}},
			})
		}
		return
	}
	a.stood = now
	ctx.Tell(a.env.Refs.Nodes, &standing{a.id, talking}) // first, or it counts as lost there
	if now != talking {
		ctx.Tell(a.env.Refs.Nodes, &standing{a.id, now})
	}
}

// lose gives up everything the node holds: jobs run it elsewhere. What still runs there is found when it comes back.
func (a *Actor) lose(ctx *kit.Context) {
	a.move(lifecycle.NodeGone)
	a.stood = overdue
	a.session = session{} // also its number: an agent that has lost its ledger numbers anew
	if a.heard.IsZero() {
		ctx.Log().Warn("node lost: it has said nothing since the master began", "slots", len(a.slots))
	} else {
		ctx.Log().Warn("node lost", "slots", len(a.slots), "silent", ctx.Now().Sub(a.heard).Round(time.Millisecond))
	}
	for _, sl := range a.slots { //order: counts
		if sl.fence != 0 && !sl.over {
			a.env.Tally.Lost.Add(1)
		}
	}
	for _, j := range a.sortedJobs() {
		a.tellJob(ctx, &jobBatch{id: j.id, uid: j.uid, ref: j.ref}, &msg.SlotsLost{ID: j.id, UID: j.uid, Node: a.id, Slots: j.slots, Away: true, Reason: "node lost"})
	}
	a.slots, a.held = map[model.SlotID]*slot{}, model.Resources{}
	if a.hard != nil {
		a.size(a.hard.Info)
	}
	a.ends = map[model.Fence]*v1.AttemptState{}
	if a.again { // what the actor before it held is not known here, and gone
		a.tellInventories(ctx, nil)
	}
	ctx.Tell(a.env.Refs.Placer, a.view(ctx))
	a.answerClaims(ctx)
	a.sync(ctx)
	a.note(ctx)
}

// sync tells the supervisor once that this node's holdings are known, or cannot be.
func (a *Actor) sync(ctx *kit.Context) {
	if !a.synced {
		a.synced = true
		ctx.Tell(a.env.Refs.Nodes, &msg.NodeSynced{Node: a.id})
	}
}

// recount says once more what the supervisor seems to have missed.
func (a *Actor) recount(ctx *kit.Context) {
	if a.session.open && a.session.told || a.live == lifecycle.NodeLost {
		a.synced = false
		a.sync(ctx)
	}
}

// answered tells the supervisor that the node's turn is over.
func (a *Actor) answered(ctx *kit.Context) { ctx.Tell(a.env.Refs.Nodes, &answered{a.id}) }

// move changes liveness by the table of package lifecycle; what is not in it changes nothing.
func (a *Actor) move(e lifecycle.NodeEvent) {
	if next, ok := a.live.Next(e); ok {
		a.live = next
	}
}
