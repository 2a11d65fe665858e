package gateway_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/gateway"
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// bench is the gateway alone: the test plays everyone else.
type bench struct {
	t      *testing.T
	step   *kit.Stepper
	sys    *kit.System
	env    *msg.Env
	ref    kit.Ref
	asker  kit.Ref
	memory int64
	// relieved is how much was in use when the gateway asked for relief.
	relieved []int64
	// passed is what went on to other actors, by name.
	passed  map[string][]any
	answers []any
	senders []kit.Ref
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, step: kit.NewStepper(1, time.Unix(1000, 0)), passed: map[string][]any{}}
	b.sys = kit.New(kit.Config{Name: "test", Stepper: b.step})
	b.env = &msg.Env{Cell: "lab", Scores: []string{"x-mine"}, Limits: msg.DefaultLimits()}
	b.env.BacklogBytes, b.env.MemoryBytes = 1000, 10_000
	refs := reflect.ValueOf(&b.env.Refs).Elem()
	for i := range refs.NumField() {
		name := refs.Type().Field(i).Name
		refs.Field(i).Set(reflect.ValueOf(b.sys.Port(name, func(m any, from kit.Ref) {
			b.passed[name] = append(b.passed[name], m)
			b.senders = append(b.senders, from)
		})))
	}
	b.asker = b.sys.Port("asker", func(m any, _ kit.Ref) { b.answers = append(b.answers, m) })
	_, err := b.sys.Start(kit.Spec{Name: "top", New: func() kit.Behavior {
		return &kit.Supervisor{
			Children: []kit.Spec{{Name: "gateway", New: func() kit.Behavior {
				return gateway.New(b.env, gateway.Ports{
					Memory: func() int64 { return b.memory }, Relieve: func(used, _ int64) { b.relieved = append(b.relieved, used) },
				}, "v0")
			}}},
			Ready: func(_ *kit.Context, refs []kit.Ref) { b.ref = refs[0] },
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	b.pass(0)
	return b
}

func (b *bench) pass(d time.Duration) {
	b.step.AfterFunc(d, func() {})
	for until := b.step.Now().Add(d); b.step.Step(until); {
	}
}

// call sends a request; what it leads to is in passed or answers.
func (b *bench) call(call any) {
	b.answers, b.senders = nil, nil
	clear(b.passed)
	b.sys.TellFrom(b.asker, b.ref, &msg.Request{Call: call})
	b.pass(0)
}

// fault is the one answer of a call that is refused.
func (b *bench) fault(call any) *model.Fault {
	b.t.Helper()
	b.call(call)
	if len(b.answers) != 1 || len(b.passed) > 0 {
		b.t.Fatalf("%T %v is answered by %v and goes on to %v", call, call, b.answers, b.passed)
	}
	f, ok := b.answers[0].(*model.Fault)
	if !ok {
		b.t.Fatalf("%T %v is answered by %v", call, call, b.answers[0])
	}
	return f
}

func job(name string) *v1.JobSpec {
	return &v1.JobSpec{Name: name, Stages: []*v1.StageSpec{{Name: "s", Command: []string{"true"}}}}
}

func scored(by string) *v1.JobSpec {
	j := job("j")
	j.Stages[0].Score = &v1.Score{By: by}
	return j
}

// open reports whether new work is let through; everything else always is.
func (b *bench) open() bool {
	b.t.Helper()
	b.call(&v1.SubmitRequest{Job: job("j")})
	open := len(b.passed["Queues"]) == 1 && len(b.answers) == 0
	if !open {
		if f, ok := b.answers[0].(*model.Fault); !ok || f.Code != 429 || f.RetryAfter <= 0 {
			b.t.Fatalf("new work is refused by %+v", b.answers)
		}
	}
	for _, other := range []any{&v1.JobRef{Name: "j"}, &v1.StopRequest{Name: "j"}, &v1.ListJobsRequest{}, &v1.DrainRequest{Id: "n"}} {
		b.call(other)
		if len(b.passed) != 1 {
			b.t.Fatalf("%T is not let through: %v", other, b.answers)
		}
	}
	b.call(&v1.CellStatusRequest{})
	status := b.passed["Placer"][0].(*msg.CellFacts).Status
	if (status.Admission == "open") != open {
		b.t.Fatalf("admission is said to be %q, open is %v", status.Admission, open)
	}
	return open
}

func TestM1_M3_ABacklogRefusesNewWorkUntilItHasHalved(t *testing.T) {
	b := newBench(t)
	for _, step := range []struct {
		bytes int64
		open  bool
	}{{0, true}, {1000, true}, {1001, false}, {900, false}, {501, false}, {500, true}, {900, true}, {1001, false}, {0, true}} {
		b.sys.Tell(b.ref, &msg.Backlog{Bytes: step.bytes})
		if got := b.open(); got != step.open {
			t.Errorf("with a backlog of %d: open is %v", step.bytes, got)
		}
	}
}

func TestM1_M5_MemoryRefusesNewWorkUntilItIsATenthBelow(t *testing.T) {
	b := newBench(t)
	for _, step := range []struct {
		bytes int64
		open  bool
	}{{8_000, true}, {8_001, false}, {7_500, false}, {7_001, false}, {7_000, true}, {7_999, true}, {9_500, false}, {0, true}} {
		b.memory = step.bytes
		b.pass(1100 * time.Millisecond)
		if got := b.open(); got != step.open {
			t.Errorf("with %d bytes in use: open is %v", step.bytes, got)
		}
	}
	b.memory = 9_000
	b.sys.Tell(b.ref, &msg.Backlog{Bytes: 5000})
	b.pass(1100 * time.Millisecond)
	b.memory = 0
	b.pass(1100 * time.Millisecond)
	if b.open() {
		t.Error("one watermark opens for the other")
	}
}

// status is what the gateway writes into a status.
func (b *bench) status() *v1.CellStatus {
	b.t.Helper()
	b.call(&v1.CellStatusRequest{})
	return b.passed["Placer"][0].(*msg.CellFacts).Status
}

// Near the limit, large answers are refused too, caches go, and relief is asked for once an episode.
func TestM2_M6_S7_NearTheLimitLargeAnswersAreRefused(t *testing.T) {
	b := newBench(t)
	unlearned := 0
	for _, step := range []struct {
		bytes    int64
		hard     bool
		relieved int
	}{{9_500, false, 0}, {9_501, true, 1}, {20_000, true, 1}, {8_501, true, 1}, {8_500, false, 1}, {9_500, false, 1}, {9_700, true, 2}, {0, false, 2}} {
		b.memory = step.bytes
		clear(b.passed)
		b.pass(1100 * time.Millisecond)
		for _, m := range b.passed["Placer"] {
			if _, is := m.(*msg.Unlearn); is {
				unlearned++
			}
		}
		if len(b.relieved) != step.relieved || unlearned != step.relieved {
			t.Errorf("at %d bytes: relief was asked for %d times, caches dropped %d times; want %d", step.bytes, len(b.relieved), unlearned, step.relieved)
		}
		for _, large := range []any{
			&v1.ResultsRequest{Name: "j"}, &v1.ListJobsRequest{}, &v1.ListNodesRequest{}, &v1.LogsRequest{Name: "j"}, &v1.LedgerRequest{}, &v1.ExplainRequest{Name: "j"},
		} {
			b.call(large)
			refused := len(b.answers) == 1 && len(b.passed) == 0
			if refused != step.hard {
				t.Errorf("at %d bytes: %T is answered by %v and passed as %v", step.bytes, large, b.answers, b.passed)
			}
			if refused && (b.answers[0].(*model.Fault).Code != 429 || b.answers[0].(*model.Fault).RetryAfter <= 0) {
				t.Errorf("%T is refused with %+v", large, b.answers[0])
			}
		}
		for _, small := range []any{&v1.JobRef{Name: "j"}, &v1.ResultsRequest{Name: "j", Uid: 7}, &v1.StopRequest{Name: "j"}, &v1.DrainRequest{Id: "n"}, &v1.LookupRequest{Name: "a.b"}} {
			if b.call(small); len(b.passed) != 1 {
				t.Errorf("at %d bytes: %T is not let through", step.bytes, small)
			}
		}
		if s := b.status(); s.ProcessBytes != step.bytes || s.ProcessBytesMax != 10_000 {
			t.Errorf("%d bytes are told as %d of %d", step.bytes, s.ProcessBytes, s.ProcessBytesMax)
		}
		if s := b.status(); step.hard != (s.State == "short" && strings.Contains(s.StateReason, "nearly")) {
			t.Errorf("at %d bytes: state %q, %q", step.bytes, s.State, s.StateReason)
		}
	}
}

// A journal without room refuses whatever would be written, and reads go on.
func TestB12_B45_AFullJournalMakesTheCellReadOnly(t *testing.T) {
	b := newBench(t)
	for _, full := range []bool{false, true, true, false} {
		b.sys.Tell(b.ref, &msg.Backlog{Bytes: 10, Full: full, Reason: "disk /j has 1 MiB"})
		for _, change := range []any{
			&v1.SubmitRequest{Job: job("j")}, &v1.StopRequest{Name: "j"}, &v1.QueueSpec{Name: "q"}, &msg.RemoveQueue{Name: "q"},
			&v1.DrainRequest{Id: "n"}, &v1.TaintRequest{Id: "n"},
		} {
			if !full {
				if b.call(change); len(b.passed) != 1 {
					t.Errorf("%T is not let through", change)
				}
				continue
			}
			if f := b.fault(change); f.Code != 503 || f.RetryAfter <= 0 || !strings.Contains(f.Description, "disk /j") {
				t.Errorf("%T is refused with %+v", change, f)
			}
		}
		for _, read := range []any{&v1.JobRef{Name: "j"}, &v1.ListJobsRequest{}, &v1.ResultsRequest{Name: "j"}} {
			if b.call(read); len(b.passed) != 1 {
				t.Errorf("%T is not let through", read)
			}
		}
		if s := b.status(); full != (s.State == "read_only" && s.StateReason == "disk /j has 1 MiB" && s.Admission != "open") {
			t.Errorf("full is %v: state %q, %q, admission %q", full, s.State, s.StateReason, s.Admission)
		}
	}
}

func TestB12_TheStateOfNodesIsTold(t *testing.T) {
	b := newBench(t)
	for _, test := range []struct {
		nodes msg.Nodes
		state string
	}{
		{msg.Nodes{}, "normal"},
		{msg.Nodes{Awaited: 7, Reason: "r"}, "settling"},
		{msg.Nodes{LostWaiting: 3}, "normal"},
		{msg.Nodes{Awaited: 2, LostWaiting: 90, Isolated: true, Reason: "r"}, "isolated"},
		{msg.Nodes{}, "normal"},
	} {
		b.sys.Tell(b.ref, &test.nodes)
		s := b.status()
		if s.State != test.state || s.StateReason != test.nodes.Reason || s.NodesAwaited != uint64(test.nodes.Awaited) || s.NodesLostWaiting != uint64(test.nodes.LostWaiting) {
			t.Errorf("%+v is told as %v", test.nodes, s)
		}
	}
}

func TestB9_BadInputIsNamedByField(t *testing.T) {
	b := newBench(t)
	long := strings.Repeat("x", 2000)
	twice := job("j")
	twice.Stages = append(twice.Stages, twice.Stages[0])
	cpu := job("j")
	cpu.Stages[0].Resources = &v1.Resources{Cpu: "much"}
	for _, test := range []struct {
		call  any
		field string
	}{
		{&v1.SubmitRequest{}, ""},
		{&v1.SubmitRequest{Job: job("Bad Name")}, "name"},
		{&v1.SubmitRequest{Job: twice}, "stages[1].name"},
		{&v1.SubmitRequest{Job: cpu}, "stages[0].resources.cpu"},
		{&v1.SubmitRequest{Job: job("j"), Key: long}, "key"},
		{&v1.StopRequest{Name: "j", Reason: long}, "reason"},
		{&v1.DrainRequest{Id: "n", Reason: long}, "reason"},
		{&v1.StopRequest{Name: "../j"}, "name"},
		{&v1.JobRef{}, "name"},
		{&v1.JobRef{Name: "j", Queue: "A"}, "queue"},
		{&v1.ExplainRequest{Name: "j j"}, "name"},
		{&v1.ResultsRequest{Name: "é"}, "name"},
		{&v1.LogsRequest{Name: strings.Repeat("x", 64)}, "name"},
		{&v1.QueueSpec{Name: ""}, "name"},
		{&v1.QueueSpec{Name: "q", MaxJobs: -1}, "max_jobs"},
		{&v1.QueueSpec{Name: "q", Description: long}, "description"},
		{&v1.QueueSpec{Name: "q", Score: &v1.Score{By: "x-none"}}, "score.by"},
		{&v1.SubmitRequest{Job: scored("x-none")}, "stages[0].score.by"},
		{&v1.QueueSpec{Name: "q", Quota: &v1.Quota{Cpu: "many"}}, "quota.cpu"},
		{&v1.TaintRequest{Id: "n", Taints: []*v1.Taint{{Key: "a b"}}}, "taints[0].key"},
		{&v1.TaintRequest{Id: "n", Taints: []*v1.Taint{{Key: "a", Effect: "kill"}}}, "taints[0].effect"},
	} {
		f := b.fault(test.call)
		if !f.Is(model.Invalid("")) || f.Code != 400 || len(f.Fields) == 0 || f.Fields[0].Field != test.field || f.Fields[0].Problem == "" || f.Fields[0].Hint == "" {
			t.Errorf("%T: refused with %+v %v, want field %q", test.call, f, f.Fields, test.field)
		}
	}
	if f := b.fault("what is this"); f.Code != 500 {
		t.Errorf("an unknown call is refused with %+v", f)
	}
}

func TestB13_EveryCallGoesWhereItBelongsInTheCallersName(t *testing.T) {
	b := newBench(t)
	for _, test := range []struct {
		call any
		to   string
		want string
	}{
		{&v1.SubmitRequest{Job: job("j"), Key: "k"}, "Queues", "*msg.ToQueue default *msg.Submit"},
		{&v1.SubmitRequest{Job: scored("x-mine")}, "Queues", "*msg.ToQueue default *msg.Submit"},
		{&v1.QueueSpec{Name: "q", Score: &v1.Score{By: "x-mine"}}, "Queues", "*msg.SetQueue"},
		{&v1.StopRequest{Name: "j"}, "Jobs", "*msg.ToJob default/j *msg.StopJob"},
		{&v1.JobRef{Queue: "q", Name: "j"}, "Jobs", "*msg.ToJob q/j *msg.GetJob"},
		{&v1.ExplainRequest{Name: "j"}, "Jobs", "*msg.ToJob default/j *msg.ExplainJob"},
		{&v1.ResultsRequest{Name: "j"}, "Jobs", "*msg.ToJob default/j *msg.GetResults"},
		{&v1.LogsRequest{Name: "j"}, "Jobs", "*msg.ToJob default/j *msg.LocateLogs"},
		{&v1.LookupRequest{Name: "web.q"}, "Names", "*msg.Lookup"},
		{&v1.ListJobsRequest{}, "Queues", "*msg.ListJobs 1000"},
		{&v1.ListJobsRequest{Limit: 5000}, "Queues", "*msg.ListJobs 1000"},
		{&v1.ListJobsRequest{Limit: 5}, "Queues", "*msg.ListJobs 5"},
		{&v1.QueueSpec{Name: "q"}, "Queues", "*msg.SetQueue"},
		{&v1.QueueRef{Name: "q"}, "Queues", "*msg.ToQueue q *msg.GetQueue"},
		{&v1.ListQueuesRequest{}, "Queues", "*msg.ListQueues"},
		{&msg.RemoveQueue{Name: "q"}, "Queues", "*msg.ToQueue q *msg.RemoveQueue"},
		{&v1.NodeRef{Id: "n"}, "Nodes", "*msg.ToNode n *msg.GetNode"},
		{&v1.ListNodesRequest{Limit: -1}, "Nodes", "*msg.ListNodes 1000"},
		{&v1.DrainRequest{Id: "n", Drained: true}, "Nodes", "*msg.ToNode n *msg.DrainNode"},
		{&v1.TaintRequest{Id: "n"}, "Nodes", "*msg.ToNode n *msg.TaintNode"},
		{&v1.LedgerRequest{Limit: 5000}, "Placer", "*msg.GetLedger 1000"},
		{&v1.LedgerRequest{Queue: "q", Limit: 3}, "Placer", "*msg.GetLedger 3"},
		{&v1.CellStatusRequest{}, "Placer", "*msg.CellFacts"},
	} {
		b.call(test.call)
		if len(b.answers) > 0 || len(b.passed) != 1 || len(b.passed[test.to]) != 1 {
			t.Errorf("%T goes to %v, answered by %v", test.call, b.passed, b.answers)
			continue
		}
		if got := describe(b.passed[test.to][0]); got != test.want {
			t.Errorf("%T goes on as %s, want %s", test.call, got, test.want)
		}
		if b.senders[0] == nil || b.senders[0].Id != b.asker.Id {
			t.Errorf("%T goes on in the name of %v", test.call, b.senders[0])
		}
	}
	b.call(&v1.DrainRequest{Id: "n", Drained: true, Reason: "disk", Maintenance: true, Evict: true, Force: true})
	want := msg.DrainNode{Drained: true, Reason: "disk", Maintenance: true, Evict: true, Force: true}
	if got := b.passed["Nodes"][0].(*msg.ToNode).Message.(*msg.DrainNode); *got != want {
		t.Errorf("drains as %+v", got)
	}
	b.call(&v1.StopRequest{Name: "j"})
	if stop := b.passed["Jobs"][0].(*msg.ToJob).Message.(*msg.StopJob); stop.Reason == "" {
		t.Error("a stop without a reason has none")
	}
	b.call(&v1.SubmitRequest{Job: job("j"), Key: "k"})
	if s := b.passed["Queues"][0].(*msg.ToQueue).Message.(*msg.Submit); s.Key != "k" || s.Plan.ID.Name != "j" || s.Plan.Stages[0].Instances != 1 {
		t.Errorf("submitted %+v", s)
	}
}

func describe(m any) string {
	switch m := m.(type) {
	case *msg.ToQueue:
		return fmt.Sprintf("%T %s %T", m, m.Name, m.Message)
	case *msg.ToJob:
		return fmt.Sprintf("%T %s %T", m, m.ID, m.Message)
	case *msg.ToNode:
		return fmt.Sprintf("%T %s %T", m, m.ID, m.Message)
	case *msg.ListJobs:
		return fmt.Sprintf("%T %d", m, m.Request.GetLimit())
	case *msg.GetLedger:
		return fmt.Sprintf("%T %d", m, m.Request.GetLimit())
	case *msg.ListNodes:
		return fmt.Sprintf("%T %d", m, m.Request.GetLimit())
	}
	return fmt.Sprintf("%T", m)
}
