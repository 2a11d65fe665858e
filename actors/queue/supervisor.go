package queue

import (
	"slices"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Supervisor starts one Actor a queue, makes and removes queues, and routes by name.
type Supervisor struct {
	env      *msg.Env
	ready    bool
	again    bool // this incarnation is not the first
	founding bool // the default queue is being made
	stash    kit.Stash
	children kit.Children
	names    []string // sorted
	status   map[string]*v1.QueueStatus
	sent     map[string]uint64 // submits since the queue's last status
}

// applySpec tells a queue its new spec; it answers the asker with its status.
type applySpec struct{ spec *v1.QueueSpec }

// queueSet tells the supervisor, in the asker's name, that a queue's spec is durable.
type queueSet struct{ spec *v1.QueueSpec }

// queueRemoved tells the supervisor that a queue's removal is durable.
type queueRemoved struct{ name string }

// NewSupervisor makes the supervisor.
func NewSupervisor(env *msg.Env) *Supervisor {
	s := &Supervisor{env: env, stash: kit.Stash{Max: stashMax}, status: map[string]*v1.QueueStatus{}, sent: map[string]uint64{}}
	s.children = kit.Children{
		Max: env.Limits.Queues,
		Spec: func(name string) kit.Spec {
			again := s.again
			return kit.Spec{Kind: "queue", Mailbox: 32768, New: func() kit.Behavior {
				a := New(env, name)
				a.again = again
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
	case *queueSet:
		s.queueSet(ctx, m)
	case *kit.ChildStopped:
		s.children.Stopped(ctx, m)
	case *msg.CommitRefused:
		panic(m.Reason)
	default:
		if s.ready {
			s.handle(ctx, m)
		} else {
			s.later(ctx, m)
		}
	}
}

func (s *Supervisor) later(ctx *kit.Context, m any) {
	if !s.stash.Add(ctx, m) {
		ctx.Reply(model.Busy(retryAfter, "the cell is starting"))
	}
}

func (s *Supervisor) restore(ctx *kit.Context, m *msg.CellRead) {
	if s.ready {
		return
	}
	for _, name := range m.Queues {
		if _, err := s.start(ctx, name); err != nil {
			ctx.Log().Error("queue not started", "queue", name, "reason", err)
		}
	}
	if !slices.Contains(m.Queues, model.DefaultQueue) {
		s.founding = true // ready when that is durable
		s.set(ctx, &v1.QueueSpec{Name: model.DefaultQueue, Description: "jobs that name no queue"}, ctx.Self())
		return
	}
	s.open(ctx)
}

func (s *Supervisor) open(ctx *kit.Context) {
	s.ready = true
	s.stash.Drain(ctx, s.handle)
}

// queueSet tells a queue its spec, and makes it if it is new. One that an earlier incarnation has set waits for the list
// of all queues.
func (s *Supervisor) queueSet(ctx *kit.Context, m *queueSet) {
	if !s.ready && !s.founding {
		s.later(ctx, m)
		return
	}
	name := m.spec.GetName()
	// One that was removed just now and is still leaving gets a successor.
	if _, err := s.children.Forward(ctx, name, &applySpec{m.spec}, true); err != nil {
		ctx.Log().Error("queue not started", "queue", name, "reason", err)
		ctx.Reply(model.Busy(retryAfter, "queue %s: %v", name, err))
		return
	}
	s.know(name)
	if s.founding {
		s.founding = false
		s.open(ctx)
	}
}

func (s *Supervisor) start(ctx *kit.Context, name string) (kit.Ref, error) {
	ref, err := s.children.Start(ctx, name)
	if err != nil {
		return nil, err
	}
	s.know(name)
	return ref, nil
}

func (s *Supervisor) knows(name string) bool {
	_, found := slices.BinarySearch(s.names, name)
	return found
}

func (s *Supervisor) know(name string) {
	if i, found := slices.BinarySearch(s.names, name); !found {
		s.names = slices.Insert(s.names, i, name)
	}
}

func (s *Supervisor) handle(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case *msg.Find:
		ref, _ := s.children.Get(m.Key)
		ctx.Reply(&msg.Found{Ref: ref})
	case *msg.ToQueue:
		if _, submit := m.Message.(*msg.Submit); submit && s.live() >= s.env.Limits.Jobs {
			ctx.Reply(model.Busy(retryAfter, "the cell has %d live jobs, its limit", s.env.Limits.Jobs))
			return
		}
		ok, err := s.children.Forward(ctx, m.Name, m.Message, false)
		if !ok {
			s.refuse(ctx, m.Name, err)
		} else if _, submit := m.Message.(*msg.Submit); submit {
			s.sent[m.Name]++
		}
	case *msg.SetQueue:
		if _, ok := s.children.Get(m.Spec.GetName()); !ok && s.children.Len() >= s.env.Limits.Queues {
			ctx.Reply(model.Busy(retryAfter, "the cell has %d queues, its limit", s.env.Limits.Queues))
			return
		}
		s.set(ctx, m.Spec, ctx.Sender())
	case *queueSet:
		s.queueSet(ctx, m)
	case *queueRemoved:
		s.forget(ctx, m.name)
	case *msg.JobForgotten:
		s.children.Forward(ctx, m.ID.Queue, m, false)
	case *msg.DemandRequest:
		s.children.Each(func(_ string, ref kit.Ref) { ctx.Tell(ref, m) })
	case *msg.QueueChanged:
		if name := m.Status.GetSpec().GetName(); s.knows(name) {
			s.status[name] = m.Status
			delete(s.sent, name)
		}
	case *msg.ListQueues:
		reply := &v1.ListQueuesReply{}
		for _, name := range s.names {
			if st := s.status[name]; st != nil {
				reply.Queues = append(reply.Queues, st)
			}
		}
		ctx.Reply(reply)
	case *msg.ListJobs:
		s.list(ctx, m)
	}
}

func (s *Supervisor) refuse(ctx *kit.Context, name string, err error) {
	if err != nil {
		ctx.Reply(model.Busy(retryAfter, "queue %s: %v", name, err))
		return
	}
	ctx.Reply(model.NotFound("there is no queue %q; make it with: troupe queue set %s", name, name))
}

// set makes a spec durable and then tells the queue, in the asker's name.
func (s *Supervisor) set(ctx *kit.Context, spec *v1.QueueSpec, asker kit.Ref) {
	ctx.Tell(s.env.Refs.Journal, &msg.Commit{
		Events: []*v1.Event{{Kind: &v1.Event_QueueSet{QueueSet: &v1.QueueSet{Spec: spec}}}},
		Then:   []msg.Send{{To: ctx.Self(), From: asker, Message: &queueSet{spec}}},
	})
}

func (s *Supervisor) forget(ctx *kit.Context, name string) {
	s.children.Retire(ctx, name)
	delete(s.status, name)
	if i, found := slices.BinarySearch(s.names, name); found {
		s.names = slices.Delete(s.names, i, i+1)
	}
}

// live counts the jobs as the queues last said, and every submit since then as one more: a queue tells after each submit
// how it stands, so what is counted too much is refused for half a second at most.
func (s *Supervisor) live() int {
	n := uint64(0)
	for _, sent := range s.sent { //order: sums
		n += sent
	}
	for _, st := range s.status { //order: sums
		n += st.GetLiveJobs()
	}
	return int(n)
}

// list sends the question to the next queue that may add to the answer, or answers when there is none.
func (s *Supervisor) list(ctx *kit.Context, m *msg.ListJobs) {
	if q := m.Request.GetQueue(); q != "" {
		if m.From == "" {
			if ok, err := s.children.Forward(ctx, q, m, false); !ok {
				s.refuse(ctx, q, err)
			}
			return
		}
		listed(ctx, s.env, m, "")
		return
	}
	i, _ := slices.BinarySearch(s.names, m.From)
	if i == len(s.names) {
		listed(ctx, s.env, m, "")
		return
	}
	s.children.Forward(ctx, s.names[i], m, false)
}
