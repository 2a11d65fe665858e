package agent

import (
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/kit/plant"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// drillMax bounds a drill, whatever the master says.
	drillMax = 5 * time.Minute
	// drillNameMax bounds the name of a drill, which goes to the log.
	drillNameMax = 64
	// refusedWait is how long an agent whose id another one has waits before it says Hello again.
	refusedWait = 30 * time.Second
)

// mended is the timer that ends a partition.
type mended struct{ id string }

// drill makes the agent fail on purpose. What it runs goes on; the end of the drill is this side's own timer.
func (l *linkActor) drill(ctx *kit.Context, d *v1.AgentDrill) {
	length := time.Duration(min(max(d.GetForMs(), 0), drillMax.Milliseconds()+1)) * time.Millisecond
	problem := ""
	switch {
	case length <= 0 || length > drillMax:
		problem = "for_ms must be 1 to 300000"
	case d.GetId() == "" || len(d.GetId()) > drillNameMax:
		problem = "id must have 1 to 64 bytes"
	case d.GetKind() != "partition" && d.GetKind() != "restart":
		problem = "kind must be partition or restart"
	case d.GetKind() == "restart" && l.ports.Restart == nil:
		problem = "this agent cannot begin anew without ending what it runs"
	}
	if problem != "" {
		l.count(CountDrillRefused)
		ctx.Log().Warn("drill refused", "drill", clip(d.GetId()), "problem", problem)
		return
	}
	l.count(CountDrill)
	ctx.Log().Warn("drill begins", "drill", d.GetId(), "kind", d.GetKind(), "for", length)
	if d.GetKind() == "restart" {
		l.ports.Restart(length)
		return
	}
	l.deaf = true
	ctx.After("mend", length, &mended{d.GetId()})
}

func clip(s string) string { return s[:min(len(s), drillNameMax)] }

// another reports whether a message is for another agent with the id of this one.
func (l *linkActor) another(m *v1.ToAgent) bool {
	switch {
	case m.GetHelloRequest():
		named := m.GetSession() != 0
		return named && (m.GetSession() != l.session || m.GetOpening() != 0 && m.GetOpening() != l.opening)
	case m.GetWelcome() != nil && !plant.Is(plant.TwinWelcomed):
		return m.GetWelcome().GetProcess() != 0 && m.GetWelcome().GetProcess() != l.cfg.Process
	case m.GetRefused() != nil:
		return m.GetRefused().GetProcess() != l.cfg.Process
	}
	return false
}

// refused: another agent has this id, and the session. This one runs on what it runs, and asks again now and then: the
// other one may be the mistake.
func (l *linkActor) refused(ctx *kit.Context, r *v1.HelloRefused) {
	if l.phase != proposing || l.scolded == l.hellos {
		return // it has heard that already
	}
	l.scolded = l.hellos
	l.count(CountRefused)
	ctx.Log().Error("the master refuses this agent: give it an id and a directory of its own", "reason", r.GetReason())
	l.helloAfter(ctx, refusedWait)
}
