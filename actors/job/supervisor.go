package job

import (
	"strings"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
)

// Supervisor starts one Actor a job and routes by name.
type Supervisor struct {
	env      *msg.Env
	ready    bool
	stash    kit.Stash
	children kit.Children
}

// retireJob asks the supervisor to let an ended job's actor go.
type retireJob struct{ id model.JobID }

// key is the job's name as part of an actor's: no slash, which separates actors.
func key(id model.JobID) string { return id.Queue + "." + id.Name }

// NewSupervisor makes the supervisor.
func NewSupervisor(env *msg.Env) *Supervisor {
	return &Supervisor{
		env: env, stash: kit.Stash{Max: stashMax},
		children: kit.Children{
			// Twice the live ones: ended jobs have an actor while they are asked about.
			Max: 2 * env.Limits.Jobs,
			Spec: func(key string) kit.Spec {
				queue, name, _ := strings.Cut(key, ".")
				id := model.JobID{Queue: queue, Name: name}
				return kit.Spec{New: func() kit.Behavior { return New(env, id) }}
			},
		},
	}
}

// Receive implements kit.Behavior.
func (s *Supervisor) Receive(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case kit.Started:
		ctx.Tell(s.env.Refs.Journal, &msg.ReadCell{})
	case *msg.CellRead:
		if s.ready {
			return
		}
		s.ready = true
		for _, id := range m.LiveJobs {
			if _, err := s.children.Start(ctx, key(id)); err != nil {
				ctx.Log().Error("job not started", "job", id.String(), "reason", err)
			}
		}
		s.stash.Drain(ctx, s.handle)
	case *kit.ChildStopped:
		s.children.Stopped(ctx, m)
	default:
		if s.ready {
			s.handle(ctx, m)
		} else if !s.stash.Add(ctx, m) {
			ctx.Reply(model.Busy(retryAfter, "the cell is starting"))
		}
	}
}

func (s *Supervisor) handle(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case *msg.Find:
		ref, _ := s.children.Get(strings.Replace(m.Key, "/", ".", 1))
		ctx.Reply(&msg.Found{Ref: ref})
	case *msg.StartJob:
		s.route(ctx, m.ID, m)
	case *msg.ToJob:
		s.route(ctx, m.ID, &routed{m.UID, m.Message})
	case *msg.ToAllJobs:
		s.children.Each(func(_ string, ref kit.Ref) { ctx.Forward(ref, m.Message) })
	case *retireJob:
		s.children.Retire(ctx, key(m.id))
	}
}

func (s *Supervisor) route(ctx *kit.Context, id model.JobID, message any) {
	if _, err := s.children.Forward(ctx, key(id), message, true); err != nil {
		ctx.Log().Warn("message for a job refused", "job", id.String(), "reason", err)
		ctx.Reply(model.Busy(retryAfter, "job %s: %v", id, err))
	}
}
