package node

import (
	"fmt"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/lifecycle"
	"github.com/troupe-sched/troupe/actors/policy/poll"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Timers of the supervisor, and its message to itself, which tells how long messages to it wait.
type (
	look  struct{}
	probe struct{ sent time.Time }
)

// periodOf is how often agents report: at least so often that none is suspected for waiting for its time.
func periodOf(l *msg.Limits) poll.Period {
	return poll.Period{Base: l.Heartbeat, Max: l.Lost / 4}
}

// look is the second hand of the supervisor.
func (s *Supervisor) look(ctx *kit.Context) {
	ctx.After("look", max(tickEvery, s.env.Heartbeat), look{})
	ctx.Tell(ctx.Self(), &probe{ctx.Now()})
	s.judgeNow(ctx)
	s.advance(ctx)
	s.tellGateway(ctx)
}

// tellGateway says how far the nodes are known, if that has changed.
func (s *Supervisor) tellGateway(ctx *kit.Context) {
	if now := s.standingNow(ctx.Now()); now != s.told {
		s.told = now
		ctx.Tell(s.env.Refs.Gateway, &now)
	}
}

// probed sets how often agents report by how long the probe has waited.
func (s *Supervisor) probed(ctx *kit.Context, m *probe) {
	if beat := s.period.Next(s.children.Len(), ctx.Now().Sub(m.sent)); beat != s.beat {
		ctx.Log().Info("agents report at another pace", "every", beat, "before", s.beat)
		s.beat = beat
		s.children.Each(func(_ string, ref kit.Ref) { ctx.Tell(ref, &pace{beat}) })
	}
}

// stood takes in how silent a node is.
func (s *Supervisor) stood(ctx *kit.Context, m *standing) {
	switch m.silence {
	case talking:
		if s.unsynced[m.id] || s.judge.Late(m.id) {
			s.judge.Back(ctx.Now())
		}
		s.judge.Heard(m.id)
	case silent:
		s.judge.Silent(m.id)
	case overdue:
		s.judge.Overdue(m.id)
		if !s.judging { // after those that are as late, which say so at this moment, too
			s.judging = true
			ctx.After("judge", judgeAfter, judgeNow{})
		}
	}
}

// judgeNow is the timer that gives verdicts on nodes whose time is over.
type judgeNow struct{}

const judgeAfter = 100 * time.Millisecond

// judgeNow loses the nodes whose turn it is (B43).
func (s *Supervisor) judgeNow(ctx *kit.Context) {
	s.judge.Nodes(s.children.Len())
	if s.asleep(ctx.Now()) {
		return // who is as silent as before says so again
	}
	before := s.isolated
	s.condemn(ctx, s.judge.Verdicts(ctx.Now()), &verdict{})
	if s.isolated = s.judge.Isolated(ctx.Now()); s.isolated != before {
		if s.isolated {
			ctx.Log().Error("so many nodes are silent that this master is likely to be cut off: none is declared lost", "silent", s.judge.Missing(), "nodes", s.children.Len())
		} else {
			ctx.Log().Info("this master is not cut off, or has waited for long enough", "silent", s.judge.Missing())
		}
	}
}

// asleep reports whether this process has just stood still. What its nodes said meanwhile may wait behind the timers that
// find them silent, so nobody is judged before they had time to be heard.
func (s *Supervisor) asleep(now time.Time) bool {
	if every := max(tickEvery, s.env.Heartbeat); !s.awake.IsZero() && now.Sub(s.awake) > 3*every/2 {
		s.dozed = now
	}
	s.awake = now
	return !s.dozed.IsZero() && now.Sub(s.dozed) < s.env.Suspect
}

func (s *Supervisor) condemn(ctx *kit.Context, ids []model.NodeID, v *verdict) {
	for _, id := range ids {
		if ref, known := s.children.Get(string(id)); known {
			ctx.Tell(ref, v)
		}
	}
}

// lose takes an operator's word that nodes are gone.
func (s *Supervisor) lose(ctx *kit.Context, r *v1.LostRequest) {
	id := model.NodeID(r.GetId())
	lost := s.status[r.GetId()].GetLiveness() == lifecycle.NodeLost.String()
	switch {
	case r.GetAllSilent() && (r.GetForget() || id != ""):
		ctx.Reply(model.Invalid("all silent nodes cannot be forgotten, nor one of them be meant", &v1.FieldError{
			Field: "all_silent", Problem: "stands beside id or forget", Hint: "name the nodes one by one",
		}))
		return
	case r.GetAllSilent():
	case !slices.Contains(s.ids, r.GetId()):
		ctx.Reply(model.NotFound("there is no node %q", r.GetId()))
		return
	case !s.judge.Knows(id) && !(lost && r.GetForget()):
		ctx.Reply(model.Conflict("node %s is not silent: drain it, or stop its agent first", id))
		return
	}
	var gone []model.NodeID
	if r.GetAllSilent() {
		gone = s.judge.Believe(nil)
	} else {
		s.judge.Believe([]model.NodeID{id})
		gone = []model.NodeID{id}
	}
	ctx.Log().Warn("nodes are lost by an operator's word", "nodes", len(gone), "forget", r.GetForget(), "reason", r.GetReason())
	s.condemn(ctx, gone, &verdict{word: true, forget: r.GetForget()})
	reply := &v1.LostReply{}
	for _, id := range gone {
		reply.Nodes = append(reply.Nodes, string(id))
	}
	ctx.Reply(reply)
}

// depart lets the actor of a node go that was forgotten. If its agent speaks again it gets a new one.
func (s *Supervisor) depart(ctx *kit.Context, id model.NodeID) {
	s.children.Retire(ctx, string(id))
	if i, found := slices.BinarySearch(s.ids, string(id)); found {
		s.ids = slices.Delete(s.ids, i, i+1)
	}
	delete(s.status, string(id))
	delete(s.out, id)
	delete(s.unsynced, id)
	s.judge.Heard(id)
	s.settle(ctx)
}

// standingNow is what the gateway is told.
func (s *Supervisor) standingNow(now time.Time) msg.Nodes {
	n := msg.Nodes{Awaited: len(s.unsynced), LostWaiting: s.judge.Waiting(), Isolated: s.judge.Isolated(now)}
	if n.Isolated {
		n.Reason = fmt.Sprintf("%d of %d nodes fell silent together", s.judge.Missing(), s.children.Len())
	}
	return n
}
