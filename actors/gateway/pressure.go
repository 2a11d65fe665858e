package gateway

import (
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Parts of Limits.MemoryBytes, in percent. Above shed new work is refused, above hard large answers too; each holds until
// usage is a tenth below. What is left above shed is head-room for the collector of garbage, which needs the more of the
// processor the less of it there is.
const (
	shed  = 80
	hard  = 95
	below = 10
)

const (
	retryAfter  = time.Second
	memoryEvery = time.Second
)

// Ports reach the memory of this process. Those that are nil are not called. They must not block.
type Ports struct {
	// Memory reads how many bytes count against Limits.MemoryBytes.
	Memory func() int64
	// Relieve is called when they pass the hard part of the limit, once an episode: give back what can be given back, and keep
	// for post-mortem what holds the rest.
	Relieve func(used, limit int64)
}

// pressure is what this master is short of.
type pressure struct {
	backlog bool   // over its watermark, and not yet below its lower one
	memory  bool   // likewise, over shed
	hard    bool   // over hard
	full    string // why the journal takes nothing; empty if it does
	nodes   msg.Nodes
}

// look is the timer that reads the memory.
type look struct{}

func (a *Actor) look(ctx *kit.Context) {
	limit := a.env.MemoryBytes
	if a.ports.Memory == nil || limit == 0 {
		return
	}
	ctx.After("look", memoryEvery, look{})
	used, was := a.ports.Memory(), a.short.hard
	part := func(percent int64) int64 { return limit / 100 * percent }
	a.short.memory = watermark(a.short.memory, used, part(shed), part(shed-below))
	a.short.hard = watermark(was, used, part(hard), part(hard-below))
	if was || !a.short.hard {
		return
	}
	ctx.Log().Error("memory is nearly used up: large answers are refused, caches are dropped", "bytes", used, "limit", limit)
	ctx.Tell(a.env.Refs.Placer, &msg.Unlearn{})
	if a.ports.Relieve != nil {
		a.ports.Relieve(used, limit)
	}
}

// watermark has hysteresis: up above high, down below low.
func watermark(up bool, value, high, low int64) bool {
	if up {
		return value > low
	}
	return value > high
}

// refuses says why a request is not let through now; nil if it is.
func (p *pressure) refuses(call any) *model.Fault {
	switch c := call.(type) {
	case *v1.SubmitRequest:
		return p.closed()
	case *v1.StopRequest, *v1.QueueSpec, *msg.RemoveQueue, *v1.DrainRequest, *v1.TaintRequest:
		return p.readOnly()
	case *v1.ResultsRequest:
		if c.GetUid() == 0 { // agents ask by uid, and an attempt that does not get its inputs fails
			return p.large()
		}
	case *v1.ListJobsRequest, *v1.ListNodesRequest, *v1.LogsRequest, *v1.LedgerRequest, *v1.ExplainRequest:
		return p.large()
	}
	return nil
}

// large says why a large answer is refused; nil if it is not.
func (p *pressure) large() *model.Fault {
	if !p.hard {
		return nil
	}
	return model.Busy(retryAfter, "the master's memory is nearly used up; large answers are refused until it is a tenth below")
}

// closed says why new work is refused; nil if it is not.
func (p *pressure) closed() *model.Fault {
	switch {
	case p.full != "":
		return p.readOnly()
	case p.backlog:
		return model.Busy(retryAfter, "the journal has a backlog; new work is refused until it has halved")
	case p.memory:
		return model.Busy(retryAfter, "the master's memory is over its watermark; new work is refused until it is a tenth below")
	}
	return nil
}

// readOnly says why nothing can be changed; nil if it can.
func (p *pressure) readOnly() *model.Fault {
	if p.full == "" {
		return nil
	}
	f := model.Unavailable("the cell is read-only: the journal has no room: %s", p.full)
	f.RetryAfter = retryAfter
	return f
}

// tell writes into a status how the master is.
func (p *pressure) tell(s *v1.CellStatus) {
	s.Admission, s.State = "open", "normal"
	if fault := p.closed(); fault != nil {
		s.Admission = fault.Description
	}
	s.NodesAwaited, s.NodesLostWaiting = uint64(max(p.nodes.Awaited, 0)), uint64(max(p.nodes.LostWaiting, 0))
	switch {
	case p.full != "":
		s.State, s.StateReason = "read_only", p.full
	case p.nodes.Isolated:
		s.State, s.StateReason = "isolated", p.nodes.Reason
	case p.hard:
		s.State, s.StateReason = "short", "the master's memory is nearly used up: new work and large answers are refused"
	case p.backlog || p.memory:
		s.State, s.StateReason = "short", s.Admission
	case p.nodes.Awaited > 0:
		s.State, s.StateReason = "settling", p.nodes.Reason
	}
}
