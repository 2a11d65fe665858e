// Package gateway holds the actor through which every request of a client enters the tree.
//
// Started by: tree ("gateway"), last. Owns: whether new work is admitted. Durable: nothing. Promises: what it lets
// through is valid and bounded; the answer goes from the actor that knows it straight to the caller. When the journal's
// backlog or the memory of the process is over its watermark: new work is refused as busy with a time to try again,
// until it is well below; never dropped. When the memory is nearly used up, large answers too. When the journal has no
// room: whatever would be written. When restarted: callers time out and try again with the same key, and what was known
// of journal and nodes is known again when it changes.
package gateway

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// listMax bounds one page of a list.
	listMax = 1000
	// keyMax bounds an idempotency key.
	keyMax    = 128
	reasonMax = 1024
)

// Actor is the gateway.
type Actor struct {
	env     *msg.Env
	ports   Ports
	version string
	started time.Time
	short   pressure
}

// New makes the actor.
func New(env *msg.Env, ports Ports, version string) *Actor {
	return &Actor{env: env, ports: ports, version: version}
}

// Receive implements kit.Behavior.
func (a *Actor) Receive(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case kit.Started:
		a.started = ctx.Now()
		a.look(ctx)
	case look:
		a.look(ctx)
	case *msg.Backlog:
		a.short.backlog = watermark(a.short.backlog, m.Bytes, a.env.BacklogBytes, a.env.BacklogBytes/2)
		a.short.full = ""
		if m.Full {
			a.short.full = cmp.Or(m.Reason, "its store is full")
		}
	case *msg.Nodes:
		a.short.nodes = *m
	case *msg.Request:
		if a.ensure(ctx, m) {
			return
		}
		a.request(ctx, m.Call)
	}
}

// request validates and sends on, in the caller's name.
func (a *Actor) request(ctx *kit.Context, call any) {
	if fault := a.short.refuses(call); fault != nil {
		ctx.Reply(fault)
		return
	}
	r := &a.env.Refs
	switch c := call.(type) {
	case *v1.SubmitRequest:
		a.submit(ctx, c)
	case *v1.StopRequest:
		if !a.fits(ctx, "reason", c.GetReason(), reasonMax) {
			return
		}
		reason := c.GetReason()
		if reason == "" {
			reason = "stopped on request"
		}
		a.toJob(ctx, c, &msg.StopJob{Reason: reason, UID: model.UID(c.GetUid())})
	case *v1.JobRef:
		a.toJob(ctx, c, &msg.GetJob{})
	case *v1.ExplainRequest:
		a.toJob(ctx, c, &msg.ExplainJob{Request: c})
	case *v1.ResultsRequest:
		a.toJob(ctx, c, &msg.GetResults{Request: c})
	case *v1.LogsRequest:
		a.toJob(ctx, c, &msg.LocateLogs{Request: c})
	case *v1.LookupRequest:
		ctx.Forward(r.Names, &msg.Lookup{Request: c})
	case *v1.ListJobsRequest:
		a.list(ctx, c)
	case *v1.QueueSpec:
		a.setQueue(ctx, c)
	case *v1.QueueRef:
		ctx.Forward(r.Queues, &msg.ToQueue{Name: c.GetName(), Message: &msg.GetQueue{}})
	case *v1.ListQueuesRequest:
		ctx.Forward(r.Queues, &msg.ListQueues{})
	case *v1.LedgerRequest:
		ctx.Forward(r.Placer, &msg.GetLedger{Request: &v1.LedgerRequest{Queue: c.GetQueue(), Limit: page(c.GetLimit())}})
	case *msg.RemoveQueue:
		ctx.Forward(r.Queues, &msg.ToQueue{Name: c.Name, Message: c})
	case *v1.NodeRef:
		a.toNode(ctx, c.GetId(), &msg.GetNode{})
	case *v1.ListNodesRequest:
		ctx.Forward(r.Nodes, &msg.ListNodes{Request: &v1.ListNodesRequest{Limit: page(c.GetLimit()), After: c.GetAfter()}})
	case *v1.DrainRequest:
		if !a.fits(ctx, "reason", c.GetReason(), reasonMax) {
			return
		}
		a.toNode(ctx, c.GetId(), &msg.DrainNode{
			Drained: c.GetDrained(), Reason: c.GetReason(), Maintenance: c.GetMaintenance(), Evict: c.GetEvict(), Force: c.GetForce(),
		})
	case *v1.TaintRequest:
		if problems := model.CheckTaints(c.GetTaints()); len(problems) > 0 {
			ctx.Reply(model.Invalid("the taints are not valid", problems...))
			return
		}
		a.toNode(ctx, c.GetId(), &msg.TaintNode{Taints: c.GetTaints()})
	case *v1.LostRequest:
		if a.fits(ctx, "reason", c.GetReason(), reasonMax) {
			ctx.Forward(r.Nodes, &msg.LoseNodes{Request: c})
		}
	case *v1.CellStatusRequest:
		a.cellStatus(ctx)
	default:
		ctx.Reply(model.Internal("request of kind %T is not known", call))
	}
}

func (a *Actor) submit(ctx *kit.Context, c *v1.SubmitRequest) {
	if !a.fits(ctx, "key", c.GetKey(), keyMax) {
		return
	}
	plan, problems := model.Compile(c.GetJob())
	if len(problems) > 0 {
		ctx.Reply(model.Invalid("the job is not valid", problems...))
		return
	}
	for i := range plan.Stages {
		if wrong := a.unknownScore(model.FieldIndex("stages", i)+".score", plan.Stages[i].Score); wrong != nil {
			ctx.Reply(model.Invalid("the job is not valid", wrong))
			return
		}
	}
	ctx.Forward(a.env.Refs.Queues, &msg.ToQueue{Name: plan.ID.Queue, Message: &msg.Submit{Plan: plan, Key: c.GetKey()}})
}

func (a *Actor) setQueue(ctx *kit.Context, c *v1.QueueSpec) {
	plan, problems := model.CompileQueue(c)
	if len(problems) > 0 {
		ctx.Reply(model.Invalid("the queue is not valid", problems...))
		return
	}
	if wrong := a.unknownScore("score", plan.Score); wrong != nil {
		ctx.Reply(model.Invalid("the queue is not valid", wrong))
		return
	}
	ctx.Forward(a.env.Refs.Queues, &msg.SetQueue{Spec: plan.Spec})
}

// unknownScore refuses a score that a program could have added, but this one has not. Those that are built in have been
// checked; whether one was added is a fact of this master, which no replay of a journal may depend on.
func (a *Actor) unknownScore(at string, s model.ScorePlan) *v1.FieldError {
	if !strings.HasPrefix(s.By, model.ExtraScore) || slices.Contains(a.env.Scores, s.By) {
		return nil
	}
	return &v1.FieldError{Field: at + ".by", Problem: "this cell has no score " + model.Quote(s.By),
		Hint: "one of " + strings.Join(slices.Concat(model.ScoreNames(), a.env.Scores), ", ")}
}

// fits refuses a text that is longer than it may be.
func (a *Actor) fits(ctx *kit.Context, field, text string, most int) bool {
	if len(text) <= most {
		return true
	}
	ctx.Reply(model.Invalid("the "+field+" is too long", &v1.FieldError{
		Field: field, Problem: fmt.Sprintf("has %d bytes", len(text)), Hint: fmt.Sprintf("at most %d", most),
	}))
	return false
}

// named is a request about one job.
type named interface {
	GetQueue() string
	GetName() string
}

func (a *Actor) toJob(ctx *kit.Context, c named, message any) {
	id := model.JobID{Queue: c.GetQueue(), Name: c.GetName()}
	if id.Queue == "" {
		id.Queue = model.DefaultQueue
	}
	for _, p := range [...]struct{ field, value string }{{"queue", id.Queue}, {"name", id.Name}} {
		if !model.ValidName(p.value) {
			ctx.Reply(model.Invalid("the name of the job is not valid", &v1.FieldError{
				Field: p.field, Problem: model.Quote(p.value) + " is not a name", Hint: "small letters, digits, - and _, at most 63",
			}))
			return
		}
	}
	ctx.Forward(a.env.Refs.Jobs, &msg.ToJob{ID: id, Message: message})
}

func (a *Actor) toNode(ctx *kit.Context, id string, message any) {
	ctx.Forward(a.env.Refs.Nodes, &msg.ToNode{ID: model.NodeID(id), Message: message})
}

func page(limit int32) int32 {
	if limit <= 0 || limit > listMax {
		return listMax
	}
	return limit
}

func (a *Actor) list(ctx *kit.Context, c *v1.ListJobsRequest) {
	r := &v1.ListJobsRequest{Queue: c.GetQueue(), Labels: c.GetLabels(), Ended: c.GetEnded(), Limit: page(c.GetLimit()), After: c.GetAfter()}
	ctx.Forward(a.env.Refs.Queues, &msg.ListJobs{Request: r, Now: a.short.full != ""})
}

// cellStatus begins the answer; placer and journal add what they know, and the journal answers.
func (a *Actor) cellStatus(ctx *kit.Context) {
	s := &v1.CellStatus{Cell: a.env.Cell, Version: a.version, StartedUnixMs: a.started.UnixMilli()}
	s.AttemptsStarted, s.AttemptsLost = a.env.Tally.Started.Load(), a.env.Tally.Lost.Load()
	s.ProcessBytesMax = a.env.MemoryBytes
	if a.ports.Memory != nil {
		s.ProcessBytes = a.ports.Memory()
	}
	a.short.tell(s)
	ctx.Forward(a.env.Refs.Placer, &msg.CellFacts{Status: s})
}
