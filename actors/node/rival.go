package node

import (
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/kit/plant"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// rivalSilence is the silence of the agent that has the session after which another one may have it. No machine boots
	// faster, and an agent that has begun anew on the same machine says so by a higher number.
	rivalSilence = 3 * time.Second
	// rivalSlack is how long a message may have been under way: what the holder says later than that after the first
	// Hello of a rival shows that there are two.
	rivalSlack = time.Second
	// rivalMemory is how long a rival that has fallen silent is told of.
	rivalMemory = 2 * time.Minute
)

// other is another agent that goes by the name of this node, or one that may take it over.
type other struct {
	process     uint64
	boot        string
	first, last time.Time
}

// life is how often the agent of a session had begun over its ledger, which stands in the high part of the session's number.
// Who begins anew has a higher one. A second agent on the same machine, with a ledger of its own, may well have opened more
// sessions, but has lived no longer.
func life(session uint64) uint64 { return session >> 40 }

// rival reports whether a Hello is of another agent than the one that has the session, and that one is alive: it gets no
// session, or two agents with one id would take it from each other, and what runs on one would be lost by the word of the
// other. Once it is sure that there are two, the second is told so, loudly.
func (a *Actor) rival(ctx *kit.Context, h *v1.Hello) bool {
	s, now := &a.session, ctx.Now()
	machine := h.GetBootId() == s.boot || h.GetBootId() == "" || s.boot == ""
	same := machine && (h.GetProcess() == s.process || h.GetProcess() == 0 || s.process == 0)
	restarted := machine && life(h.GetSession()) > life(s.number)
	if !s.open || same || restarted || now.Sub(s.heard) > max(rivalSilence, 5*a.beat/2) {
		return false
	}
	if r := &a.other; r.process != h.GetProcess() || r.boot != h.GetBootId() {
		*r = other{process: h.GetProcess(), boot: h.GetBootId(), first: now}
	}
	a.other.last = now
	if s.heard.Sub(a.other.first) < rivalSlack {
		return true // it may be the same machine, just booted: it says Hello again
	}
	why := "another agent has this id: machine " + s.boot + " has the session, and is alive; machine " + h.GetBootId() + " is refused"
	if a.problem != why {
		a.problem = why
		ctx.Log().Error("two agents have one node id", "has_session", s.boot, "refused", h.GetBootId(),
			"has_process", s.process, "refused_process", h.GetProcess())
		a.note(ctx)
	}
	a.fabric.Send(&v1.ToAgent{
		Node: string(a.id), Epoch: a.env.Epoch, Refused: &v1.HelloRefused{Process: h.GetProcess(), Reason: why},
	})
	return true
}

// foreign reports whether a Hello is of another agent than the one that had the session last, which has fallen silent. The
// numbers of their sessions have nothing to do with each other, so one of a lower number must not be taken for one that
// was under way for long; that one would have been sent once, and not again and again.
func (a *Actor) foreign(ctx *kit.Context, h *v1.Hello) (waits bool) {
	s, now := &a.session, ctx.Now()
	if plant.Is(plant.ForeignRefused) || h.GetSession() > s.number || h.GetProcess() == 0 || s.process == 0 || h.GetProcess() == s.process || h.GetBootId() == s.boot {
		return false
	}
	if r := &a.other; r.process != h.GetProcess() || r.boot != h.GetBootId() {
		*r = other{process: h.GetProcess(), boot: h.GetBootId(), first: now}
	}
	a.other.last = now
	if now.Sub(a.other.first) < rivalSlack {
		return true
	}
	ctx.Log().Warn("another agent takes over the node's id", "silent", s.boot, "new", h.GetBootId())
	s.open, s.met, s.number = false, false, h.GetSession()-1
	return false
}

// trouble is what is wrong with the node beyond its liveness.
func (a *Actor) trouble(now time.Time) string {
	if now.Sub(a.other.last) > rivalMemory {
		return ""
	}
	return a.problem
}
