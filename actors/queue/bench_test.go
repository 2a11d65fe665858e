package queue_test

import (
	"context"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/queue"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// bench is the queues over a real journal: the test plays jobs, placer and clients.
type bench struct {
	t       *testing.T
	step    *kit.Stepper
	sys     *kit.System
	env     *msg.Env
	log     *slowLog
	asker   kit.Ref
	answers []any
	targets map[model.StageID]uint64 // as the placer was told
	queues  map[model.StageID]string
	demands int
	started []*msg.StartJob
	jobs    map[model.UID]*msg.Want // live jobs say this when they are asked
	jobRef  kit.Ref
	shares  map[string]*model.QueuePlan // as the placer was told; nil for a queue that is removed
	last    map[model.StageID]*msg.Demand
}

// slowLog holds appends back while slow is set.
type slowLog struct {
	journal.Log
	slow    bool
	waiting []func()
}

func (l *slowLog) Append(seq uint64, data []byte, done func(error)) {
	l.waiting = append(l.waiting, func() { l.Log.Append(seq, data, done) })
	if !l.slow {
		l.answer()
	}
}

func (l *slowLog) answer() {
	for len(l.waiting) > 0 {
		first := l.waiting[0]
		l.waiting = l.waiting[1:]
		first()
	}
}

type unsaved struct{}

func (unsaved) Save(uint64, [][]byte, func(error)) bool { return false }
func (unsaved) Newest() uint64                          { return 0 }

func newBench(t *testing.T, change ...func(*msg.Limits)) *bench {
	t.Helper()
	b := &bench{
		t: t, step: kit.NewStepper(1, time.Unix(1000, 0)), log: &slowLog{Log: memlog.New(memlog.Options{})},
		targets: map[model.StageID]uint64{}, queues: map[model.StageID]string{}, jobs: map[model.UID]*msg.Want{},
		shares: map[string]*model.QueuePlan{}, last: map[model.StageID]*msg.Demand{},
	}
	state, err := journal.Recover(context.Background(), b.log.Log, nil)
	if err == nil {
		_, err = journal.Begin(context.Background(), b.log.Log, state, "test", b.step.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	b.sys = kit.New(kit.Config{Name: "test", Stepper: b.step})
	b.env = &msg.Env{Cell: "test", Epoch: 1, IDs: msg.NewIDs(1, 1), Limits: msg.DefaultLimits()}
	for _, c := range change {
		c(&b.env.Limits)
	}
	b.env.Refs.Placer = b.sys.Port("placer", b.placer)
	b.env.Refs.Jobs = b.sys.Port("jobs", b.jobsAsked)
	b.env.Refs.Gateway = b.sys.Port("gateway", func(any, kit.Ref) {})
	b.jobRef = b.sys.Port("job", func(any, kit.Ref) {})
	b.asker = b.sys.Port("asker", func(m any, _ kit.Ref) { b.answers = append(b.answers, m) })
	ready := make(chan struct{})
	_, err = b.sys.Start(kit.Spec{Name: "top", New: func() kit.Behavior {
		return &kit.Supervisor{
			Children: []kit.Spec{
				{Name: "journal", Restart: kit.Escalating, New: func() kit.Behavior {
					return journal.New(journal.Config{Env: b.env, State: state, Log: b.log, Snap: unsaved{}, Publish: func(*v1.JobEvent) {}})
				}},
				{Name: "queues", New: func() kit.Behavior { return queue.NewSupervisor(b.env) }},
			},
			Ready: func(_ *kit.Context, refs []kit.Ref) {
				b.env.Refs.Journal, b.env.Refs.Queues = refs[0], refs[1]
				close(ready)
			},
		}
	}})
	if err == nil {
		err = b.sys.Await(t.Context(), ready)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) placer(m any, _ kit.Ref) {
	switch m := m.(type) {
	case *msg.QueueShare:
		b.shares[m.Queue] = m.Plan
	case *msg.Demand:
		b.demands++
		b.last[m.Stage] = m
		b.queues[m.Stage] = m.ID.Queue
		if b.targets[m.Stage] = m.Target; m.Target == 0 {
			delete(b.targets, m.Stage)
		}
	case *msg.QueueReset:
		for stage := range b.targets {
			if b.queues[stage] == m.Queue {
				delete(b.targets, stage)
			}
		}
	}
}

func (b *bench) jobsAsked(m any, _ kit.Ref) {
	switch m := m.(type) {
	case *msg.StartJob:
		b.started = append(b.started, m)
	case *msg.ToAllJobs:
		if _, ok := m.Message.(*msg.WantRequest); ok {
			for _, w := range b.jobs {
				b.tell(w.ID.Queue, w)
			}
		}
	}
}

// settle runs all that can happen at this instant; pass lets time pass.
func (b *bench) settle() { b.pass(0) }

func (b *bench) pass(d time.Duration) {
	b.step.AfterFunc(d, func() {}) // time moves on to something only
	for until := b.step.Now().Add(d); b.step.Step(until); {
	}
}

func (b *bench) tell(queue string, m any) {
	b.sys.TellFrom(b.asker, b.env.Refs.Queues, &msg.ToQueue{Name: queue, Message: m})
}

// ask sends m to the supervisor and returns the one answer.
func (b *bench) ask(m any) any {
	b.t.Helper()
	b.answers = nil
	b.sys.TellFrom(b.asker, b.env.Refs.Queues, m)
	b.pass(time.Second)
	if len(b.answers) != 1 {
		b.t.Fatalf("%T has %d answers: %v", m, len(b.answers), b.answers)
	}
	return b.answers[0]
}

// crash lets actors of a path fail over the next message for them, before anything comes of it.
func (b *bench) crash(path string) {
	b.step.OnFate(func(actor string, _ any) kit.Fate {
		if len(actor) < len(path) || actor[:len(path)] != path {
			return kit.Lives
		}
		b.step.OnFate(nil)
		return kit.DiesBefore
	})
}

func plan(t *testing.T, queue, name string, instances int64) *model.Plan {
	t.Helper()
	p, problems := model.Compile(&v1.JobSpec{Name: name, Queue: queue, Stages: []*v1.StageSpec{
		{Name: "s", Instances: instances, Command: []string{"true"}}, {Name: "t", After: []string{"s"}, Command: []string{"true"}},
	}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

func (b *bench) submit(p *model.Plan, key string) any {
	b.t.Helper()
	return b.ask(&msg.ToQueue{Name: p.ID.Queue, Message: &msg.Submit{Plan: p, Key: key}})
}

// admit submits and expects a new job.
func (b *bench) admit(p *model.Plan, key string) model.UID {
	b.t.Helper()
	r, ok := b.submit(p, key).(*v1.SubmitReply)
	if !ok || !r.Created {
		b.t.Fatalf("job %s is not admitted: %v", p.ID, b.answers)
	}
	return model.UID(r.Uid)
}

// want lets a job say what it wants for its first stage.
func (b *bench) want(p *model.Plan, uid model.UID, target uint64) {
	w := &msg.Want{ID: p.ID, UID: uid, Priority: p.Priority, Job: b.jobRef}
	if target > 0 {
		w.Stages = []msg.StageWant{{Target: target, Plan: &p.Stages[0]}}
	}
	b.jobs[uid] = w
	b.tell(p.ID.Queue, w)
	b.settle()
}

// end makes the end of a job durable and tells its queue.
func (b *bench) end(p *model.Plan, uid model.UID) {
	ev := &v1.Event{Kind: &v1.Event_JobEnded{JobEnded: &v1.JobEnded{
		Queue: p.ID.Queue, Name: p.ID.Name, Uid: uint64(uid), Phase: model.PhaseStopped, TimeUnixNano: b.step.Now().UnixNano(),
	}}}
	delete(b.jobs, uid)
	sum := &v1.JobSummary{Queue: p.ID.Queue, Name: p.ID.Name, Uid: uint64(uid), Phase: model.PhaseStopped, EndedUnixMs: b.step.Now().UnixMilli()}
	b.sys.TellFrom(b.asker, b.env.Refs.Journal, &msg.Commit{Events: []*v1.Event{ev}, Then: []msg.Send{
		{To: b.env.Refs.Queues, Message: &msg.ToQueue{Name: p.ID.Queue, Message: &msg.JobEnded{Summary: sum}}},
	}})
	b.pass(time.Second)
}

func (b *bench) set(spec *v1.QueueSpec) {
	b.t.Helper()
	if s, ok := b.ask(&msg.SetQueue{Spec: spec}).(*v1.QueueStatus); !ok || s.Spec.GetName() != spec.Name {
		b.t.Fatalf("queue %s is not set: %v", spec.Name, b.answers)
	}
}

func (b *bench) status(name string) *v1.QueueStatus {
	b.t.Helper()
	s, ok := b.ask(&msg.ToQueue{Name: name, Message: &msg.GetQueue{}}).(*v1.QueueStatus)
	if !ok {
		b.t.Fatalf("status of queue %s: %v", name, b.answers)
	}
	return s
}

// refused checks that an answer is a refusal of that kind.
func (b *bench) refused(answer any, like *model.Fault) *model.Fault {
	b.t.Helper()
	f, ok := answer.(*model.Fault)
	if !ok || !f.Is(like) {
		b.t.Fatalf("answered %v, want a refusal of kind %s", answer, like.Err)
	}
	return f
}
