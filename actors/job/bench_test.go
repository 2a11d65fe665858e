package job_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/job"
	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	succeeded = v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED
	failed    = v1.AttemptPhase_ATTEMPT_PHASE_FAILED
	stopped   = v1.AttemptPhase_ATTEMPT_PHASE_STOPPED
	running   = v1.AttemptPhase_ATTEMPT_PHASE_RUNNING
)

var id = model.JobID{Queue: "default", Name: "j"}

// bench is the jobs over a real journal: the test plays queue, placer, names and nodes.
type bench struct {
	t    *testing.T
	step *kit.Stepper
	sys  *kit.System
	env  *msg.Env
	log  *slowLog
	uid  model.UID

	asker   kit.Ref
	answers []any
	wants   []*msg.Want
	ended   []*v1.JobSummary
	runs    []msg.StageRun
	names   []*msg.Register
	claims  []*msg.Claim
	node    map[model.NodeID]*machine
	// order of what leaves the job, in words.
	order   []string
	crashes uint64 // that the test has caused
	logs    strings.Builder
}

// machine is a node as its job sees it.
type machine struct {
	b        *bench
	id       model.NodeID
	ref      kit.Ref
	job      kit.Ref
	works    int
	launched []msg.Launch
	all      []msg.Launch // also those that were taken
	settled  []model.Fence
	stops    []msg.Stop
	released []model.SlotID
	yielded  []model.SlotID
	// again says that what is yielded is granted here again: there is no other node.
	again  bool
	reason string
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

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{
		t: t, step: kit.NewStepper(1, time.Unix(1000, 0)), log: &slowLog{Log: memlog.New(memlog.Options{})},
		node: map[model.NodeID]*machine{},
	}
	state, err := journal.Recover(context.Background(), b.log.Log, nil)
	if err == nil {
		_, err = journal.Begin(context.Background(), b.log.Log, state, "test", b.step.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	b.sys = kit.New(kit.Config{Name: "test", Stepper: b.step, Log: slog.New(slog.NewTextHandler(&b.logs, &slog.HandlerOptions{Level: slog.LevelError}))})
	b.env = &msg.Env{Cell: "test", Epoch: 1, IDs: msg.NewIDs(1, 1), Limits: msg.DefaultLimits()}
	b.env.Refs.Queues = b.sys.Port("queues", b.queueHears)
	b.env.Refs.Nodes = b.sys.Port("nodes", func(m any, _ kit.Ref) {
		if c, ok := m.(*msg.Claim); ok {
			b.claims = append(b.claims, c)
		}
	})
	b.env.Refs.Names = b.sys.Port("names", func(m any, _ kit.Ref) { b.names = append(b.names, m.(*msg.Register)) })
	b.env.Refs.Placer = b.sys.Port("placer", func(m any, from kit.Ref) {
		if e, ok := m.(*msg.ExplainStages); ok {
			b.sys.Tell(from, e.Reply)
		}
	})
	b.env.Refs.Gateway = b.sys.Port("gateway", func(any, kit.Ref) {})
	b.asker = b.sys.Port("asker", func(m any, _ kit.Ref) { b.answers = append(b.answers, m) })
	ready := make(chan struct{})
	_, err = b.sys.Start(kit.Spec{Name: "top", New: func() kit.Behavior {
		return &kit.Supervisor{
			Children: []kit.Spec{
				{Name: "journal", Restart: kit.Escalating, New: func() kit.Behavior {
					return journal.New(journal.Config{Env: b.env, State: state, Log: b.log, Snap: unsaved{}, Publish: func(*v1.JobEvent) {}})
				}},
				{Name: "jobs", Limit: kit.Limit{Max: 1000, Per: time.Minute}, New: func() kit.Behavior { return job.NewSupervisor(b.env) }},
			},
			Ready: func(_ *kit.Context, refs []kit.Ref) {
				b.env.Refs.Journal, b.env.Refs.Jobs = refs[0], refs[1]
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
	b.commit(&v1.Event{Kind: &v1.Event_QueueSet{QueueSet: &v1.QueueSet{Spec: &v1.QueueSpec{Name: "default"}}}})
	return b
}

func (b *bench) queueHears(m any, _ kit.Ref) {
	to, ok := m.(*msg.ToQueue)
	if !ok {
		return
	}
	switch m := to.Message.(type) {
	case *msg.Want:
		b.wants = append(b.wants, m)
	case *msg.JobEnded:
		b.ended, b.runs = append(b.ended, m.Summary), m.Runs
	}
}

// settle runs all that can happen at this instant; pass lets time pass.
func (b *bench) settle() { b.pass(0) }

func (b *bench) pass(d time.Duration) {
	b.t.Helper()
	n, now := 0, b.step.Now()
	b.step.AfterFunc(d, func() {}) // time moves on to something only
	for until := now.Add(d); b.step.Step(until); {
		if n++; !b.step.Now().Equal(now) {
			n, now = 0, b.step.Now()
		} else if n > 500_000 {
			b.t.Fatal("the actors never come to rest")
		}
	}
}

func (b *bench) commit(events ...*v1.Event) {
	b.sys.TellFrom(b.asker, b.env.Refs.Journal, &msg.Commit{Events: events})
	b.settle()
}

// submit makes a job durable and starts it, as its queue does.
func (b *bench) submit(change ...func(*v1.JobSpec)) {
	b.t.Helper()
	spec := &v1.JobSpec{Name: "j", Stages: []*v1.StageSpec{stage("s", 1)}}
	for _, c := range change {
		c(spec)
	}
	plan, problems := model.Compile(spec)
	if len(problems) > 0 {
		b.t.Fatal(problems)
	}
	b.uid = b.env.IDs.UID()
	b.commit(&v1.Event{Kind: &v1.Event_JobSubmitted{JobSubmitted: &v1.JobSubmitted{
		Uid: uint64(b.uid), Spec: plan.Spec, TimeUnixNano: b.step.Now().UnixNano(),
	}}})
	b.sys.Tell(b.env.Refs.Jobs, &msg.StartJob{ID: id, UID: b.uid, Fresh: true})
	b.settle()
}

func stage(name string, n int64, after ...string) *v1.StageSpec {
	return &v1.StageSpec{
		Name: name, Instances: n, After: after, Command: []string{"true"},
		Retry: &v1.Retry{Attempts: 3, Backoff: "8s", BackoffMax: "64s"},
	}
}

func stages(list ...*v1.StageSpec) func(*v1.JobSpec) { return func(s *v1.JobSpec) { s.Stages = list } }

func service(s *v1.JobSpec) { s.Kind = "service"; s.Stages[0].Retry = &v1.Retry{Backoff: "8s"} }

// tell sends a message to the job by name.
func (b *bench) tell(m any) {
	b.sys.TellFrom(b.asker, b.env.Refs.Jobs, &msg.ToJob{ID: id, Message: m})
	b.settle()
}

func (b *bench) ask(m any) any {
	b.t.Helper()
	b.answers = nil
	b.tell(m)
	if len(b.answers) != 1 {
		b.t.Fatalf("%T has %d answers: %v", m, len(b.answers), b.answers)
	}
	return b.answers[0]
}

func (b *bench) status() *v1.JobStatus {
	b.t.Helper()
	s, ok := b.ask(&msg.GetJob{}).(*v1.JobStatus)
	if !ok {
		b.t.Fatalf("answered %v", b.answers)
	}
	return s
}

// phase checks how the job stands.
func (b *bench) phase(want string) *v1.JobStatus {
	b.t.Helper()
	s := b.status()
	if s.Phase != want {
		b.t.Fatalf("the job is %s (%s), want %s: %v", s.Phase, s.Reason, want, s.Counts)
	}
	return s
}

// target is what the job wants of a stage, as it last said.
func (b *bench) target(number uint32) uint64 {
	if len(b.wants) > 0 {
		for _, s := range b.wants[len(b.wants)-1].Stages {
			if s.Stage == number {
				return s.Target
			}
		}
	}
	return 0
}

// on finds or makes a node.
func (b *bench) on(name string) *machine {
	m := b.node[model.NodeID(name)]
	if m == nil {
		m = &machine{b: b, id: model.NodeID(name)}
		m.ref = b.sys.Port(name, func(message any, from kit.Ref) {
			if w, ok := message.(*msg.Work); ok {
				m.work(w)
			}
			if c, ok := message.(*msg.Claim); ok {
				b.claims = append(b.claims, c)
			}
		})
		b.node[m.id] = m
	}
	return m
}

func (m *machine) work(w *msg.Work) {
	m.works++
	m.job, m.reason = w.Job, w.Reason
	m.launched = append(m.launched, w.Launch...)
	m.all = append(m.all, w.Launch...)
	m.settled = append(m.settled, w.Settle...)
	m.stops = append(m.stops, w.Stop...)
	m.released = append(m.released, w.Release...)
	m.yielded = append(m.yielded, w.Yield...)
	if len(w.Yield) > 0 && m.again {
		m.b.step.AfterFunc(time.Millisecond, func() {
			m.b.sys.Tell(w.Job, &msg.Reported{ID: id, UID: m.b.uid, Node: m.id, NodeRef: m.ref, Freed: w.Yield, Order: m.b.env.IDs.Order()})
			g := &msg.Granted{Node: m.id, NodeRef: m.ref, Stage: model.StageID{Job: m.b.uid}, Order: m.b.env.IDs.Order()}
			for range w.Yield {
				g.Slots = append(g.Slots, m.b.env.IDs.Slot())
			}
			m.b.sys.Tell(w.Job, g)
		})
	}
	for range w.Settle {
		m.b.order = append(m.b.order, "settled")
	}
}

// grant gives the job n slots of a stage.
func (m *machine) grant(number uint32, n int) []model.SlotID {
	slots := make([]model.SlotID, n)
	for i := range slots {
		slots[i] = m.b.env.IDs.Slot()
	}
	m.say(&msg.Granted{
		Node: m.id, NodeRef: m.ref, Stage: model.StageID{Job: m.b.uid, Stage: number}, Slots: slots, Order: m.b.env.IDs.Order(),
	})
	return slots
}

// say sends a message of this node to the job, as nodes do that know its actor.
func (m *machine) say(message any) {
	to := m.job
	if to == nil {
		var found kit.Ref
		port := m.b.sys.Port("finder", func(f any, _ kit.Ref) { found = f.(*msg.Found).Ref })
		m.b.sys.TellFrom(port, m.b.env.Refs.Jobs, &msg.Find{Key: id.String()})
		m.b.settle()
		to, m.job = found, found
	}
	m.b.sys.Tell(to, message)
	m.b.settle()
}

// attempt is the state of a launch.
func (m *machine) attempt(l msg.Launch, phase v1.AttemptPhase, result string) *v1.AttemptState {
	return &v1.AttemptState{
		Slot: uint64(l.Slot), Fence: uint64(l.Fence), JobUid: uint64(m.b.uid), Stage: l.Stage, Index: l.Index, Attempt: l.Attempt,
		Phase: phase, Result: []byte(result), Queue: id.Queue, Job: id.Name,
	}
}

// report tells what became of launches.
func (m *machine) report(phase v1.AttemptPhase, launches ...msg.Launch) {
	r := &msg.Reported{ID: id, UID: m.b.uid, Node: m.id, NodeRef: m.ref}
	for _, l := range launches {
		r.Attempts = append(r.Attempts, m.attempt(l, phase, ""))
	}
	m.say(r)
}

// freed tells that slots are gone that were released.
func (m *machine) freed(slots ...model.SlotID) {
	m.say(&msg.Reported{ID: id, UID: m.b.uid, Node: m.id, NodeRef: m.ref, Freed: slots})
}

// last is the newest launch.
func (m *machine) last() msg.Launch {
	m.b.t.Helper()
	if len(m.launched) == 0 {
		m.b.t.Fatalf("nothing was launched on %s", m.id)
	}
	return m.launched[len(m.launched)-1]
}

// take returns the launches since the last take.
func (m *machine) take() []msg.Launch {
	l := slices.Clone(m.launched)
	m.launched = nil
	return l
}

// crash lets the job's actor fail over a message, before anything comes of it.
func (b *bench) crash(m any) {
	b.step.OnFate(func(actor string, _ any) kit.Fate {
		if len(actor) < 16 || actor[:14] != "test/top/jobs/" {
			return kit.Lives
		}
		b.step.OnFate(nil)
		b.crashes++
		return kit.DiesBefore
	})
	b.tell(m)
}

// failed reports whether an actor has failed that was not made to.
func (b *bench) failed() bool { return b.sys.Stats().Failures > b.crashes }

// claimed answers the job's newest Claim: so many nodes say what they hold.
func (b *bench) claimed(nodes int) {
	answer := &msg.Claimed{UID: b.uid, Nodes: nodes}
	if n := len(b.claims); n > 0 {
		answer.Mark = b.claims[n-1].Mark
	}
	b.sys.Tell(b.env.Refs.Jobs, &msg.ToJob{ID: id, UID: b.uid, Message: answer})
	b.settle()
}

// inventory tells what this node holds, as the answer to the newest Claim.
func (m *machine) inventory(held ...msg.HeldSlot) {
	inv := &msg.Inventory{Node: m.id, NodeRef: m.ref, Slots: held, Order: m.b.env.IDs.Order()}
	if n := len(m.b.claims); n > 0 {
		inv.Mark = m.b.claims[n-1].Mark
	}
	m.say(inv)
}

// held is a slot with its newest attempt.
func (m *machine) held(l msg.Launch, phase v1.AttemptPhase) msg.HeldSlot {
	return msg.HeldSlot{Slot: l.Slot, Stage: l.Stage, Attempt: m.attempt(l, phase, ""), Fence: l.Fence}
}

// measured notes the size of the largest record.
type measured struct {
	journal.Log
	largest *int
}

func (m measured) Append(seq uint64, data []byte, done func(error)) {
	*m.largest = max(*m.largest, len(data))
	m.Log.Append(seq, data, done)
}
