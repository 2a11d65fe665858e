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
	again    bool // this incarnation is not the first
	stash    kit.Stash
	children kit.Children
	// unstarted are live jobs for which there was no room: each once, so the limit of live jobs bounds them.
	unstarted []*msg.StartJob
}

// retireJob asks the supervisor to let an ended job's actor go.
type retireJob struct{ id model.JobID }

// startLate is the timer that tries the unstarted again.
type startLate struct{}

// key is the job's name as part of an actor's: no slash, which separates actors.
func key(id model.JobID) string { return id.Queue + "." + id.Name }

// NewSupervisor makes the supervisor.
func NewSupervisor(env *msg.Env) *Supervisor {
	s := &Supervisor{env: env, stash: kit.Stash{Max: stashMax}}
	s.children = kit.Children{
		// Twice the live ones: ended jobs have an actor while they are asked about.
		Max: 2 * env.Limits.Jobs,
		Spec: func(key string) kit.Spec {
			queue, name, _ := strings.Cut(key, ".")
			id := model.JobID{Queue: queue, Name: name}
			again, late := s.again, s.ready
			return kit.Spec{Kind: "job", New: func() kit.Behavior {
				a := New(env, id)
				a.again, a.late = again, late
				return a
			}}
		},
	}
	return s
}

// Receive implements kit.Behavior.
func (s *Supervisor) Receive(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case kit.Started:
		s.again = m.Incarnation > 1
		ctx.Tell(s.env.Refs.Journal, &msg.ReadCell{})
	case *msg.CellRead:
		s.restore(ctx, m)
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

func (s *Supervisor) restore(ctx *kit.Context, m *msg.CellRead) {
	if s.ready {
		return
	}
	for _, id := range m.LiveJobs {
		if _, err := s.children.Start(ctx, key(id)); err != nil {
			s.startLater(ctx, &msg.StartJob{ID: id}, err)
		}
	}
	s.ready = true
	if s.again {
		ctx.Tell(s.env.Refs.Nodes, &msg.JobsReset{})
	}
	s.stash.Drain(ctx, s.handle)
}

func (s *Supervisor) handle(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case *msg.Find:
		ref, _ := s.children.Get(strings.Replace(m.Key, "/", ".", 1))
		ctx.Reply(&msg.Found{Ref: ref})
	case *msg.StartJob:
		s.start(ctx, m)
	case startLate:
		late := s.unstarted
		s.unstarted = nil
		for _, m := range late {
			s.start(ctx, m)
		}
	case *msg.ToJob:
		s.route(ctx, m.ID, &routed{m.UID, m.Message})
	case *msg.ToAllJobs:
		s.children.Each(func(_ string, ref kit.Ref) { ctx.Forward(ref, m.Message) })
	case *retireJob:
		s.children.Retire(ctx, key(m.id))
	}
}

// start makes sure that a live job has its actor, now or when there is room.
func (s *Supervisor) start(ctx *kit.Context, m *msg.StartJob) {
	if _, err := s.children.Forward(ctx, key(m.ID), m, true); err != nil {
		s.startLater(ctx, m, err)
	}
}

func (s *Supervisor) startLater(ctx *kit.Context, m *msg.StartJob, reason error) {
	if len(s.unstarted) == 0 {
		ctx.Log().Warn("live jobs wait for their actors", "job", m.ID.String(), "reason", reason)
		ctx.After("start", retryAfter, startLate{})
	}
	s.unstarted = append(s.unstarted, m)
}

func (s *Supervisor) route(ctx *kit.Context, id model.JobID, message any) {
	if _, err := s.children.Forward(ctx, key(id), message, true); err != nil {
		ctx.Log().Warn("message for a job refused", "job", id.String(), "reason", err)
		ctx.Reply(model.Busy(retryAfter, "job %s: %v", id, err))
	}
}
