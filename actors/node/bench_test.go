package node_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/node"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	running   = v1.AttemptPhase_ATTEMPT_PHASE_RUNNING
	succeeded = v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED
	lost      = v1.AttemptPhase_ATTEMPT_PHASE_LOST
)

var id = model.JobID{Queue: "default", Name: "j"}

const uid = model.UID(7)

// bench is the nodes over a real journal: the test plays one job, the placer and the agent of node "n".
type bench struct {
	t     *testing.T
	step  *kit.Stepper
	sys   *kit.System
	env   *msg.Env
	logs  strings.Builder
	asker kit.Ref
	job   kit.Ref
	// fabric takes what goes to agents, if set; else it is noted in sent.
	fabric  func(*v1.ToAgent)
	sent    []*v1.ToAgent
	answers []any
	// heard is what came to the job, directly or by name.
	heard    []any
	placer   []any
	claimed  []*msg.Claimed
	view     *msg.NodeView // newest
	serial   uint64
	crashes  int
	reserved []*msg.Reserved
}

type unsaved struct{}

func (unsaved) Save(uint64, [][]byte, func(error)) bool { return false }
func (unsaved) Newest() uint64                          { return 0 }

// Send implements node.Fabric.
func (b *bench) Send(m *v1.ToAgent) {
	if b.fabric != nil {
		b.fabric(m)
		return
	}
	b.sent = append(b.sent, m)
}

func newBench(t *testing.T, change ...func(*msg.Limits)) *bench {
	t.Helper()
	return newBenchOver(t, memlog.New(memlog.Options{}), 1, change...)
}

// newBenchOver is a master over what a log holds.
func newBenchOver(t *testing.T, log *memlog.Log, seed uint64, change ...func(*msg.Limits)) *bench {
	t.Helper()
	b := &bench{t: t, step: kit.NewStepper(seed, time.Unix(1000, 0))}
	state, err := journal.Recover(context.Background(), log, nil)
	if err == nil {
		_, err = journal.Begin(context.Background(), log, state, "test", b.step.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	handler := slog.NewTextHandler(&b.logs, &slog.HandlerOptions{Level: slog.LevelError})
	b.sys = kit.New(kit.Config{Name: "test", Stepper: b.step, Log: slog.New(handler)})
	b.env = &msg.Env{Cell: "test", Epoch: state.Epoch(), IDs: msg.NewIDs(state.Epoch(), 1), Limits: msg.DefaultLimits()}
	for _, c := range change {
		c(&b.env.Limits)
	}
	b.env.Refs.Placer = b.sys.Port("placer", b.placerHears)
	b.env.Refs.Jobs = b.sys.Port("jobs", b.jobsHear)
	b.env.Refs.Gateway = b.sys.Port("gateway", func(any, kit.Ref) {})
	b.job = b.sys.Port("job", func(m any, _ kit.Ref) { b.heard = append(b.heard, m) })
	b.asker = b.sys.Port("asker", func(m any, _ kit.Ref) { b.answers = append(b.answers, m) })
	ready := make(chan struct{})
	_, err = b.sys.Start(kit.Spec{Name: "top", New: func() kit.Behavior {
		return &kit.Supervisor{
			Children: []kit.Spec{
				{Name: "journal", Restart: kit.Escalating, New: func() kit.Behavior {
					return journal.New(journal.Config{Env: b.env, State: state, Log: log, Snap: unsaved{}, Publish: func(*v1.JobEvent) {}})
				}},
				{Name: "nodes", Limit: kit.Limit{Max: 1000, Per: time.Minute}, New: func() kit.Behavior { return node.NewSupervisor(b.env, b) }},
			},
			Ready: func(_ *kit.Context, refs []kit.Ref) {
				b.env.Refs.Journal, b.env.Refs.Nodes = refs[0], refs[1]
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
	b.settle()
	return b
}

func (b *bench) placerHears(m any, _ kit.Ref) {
	b.placer = append(b.placer, m)
	switch m := m.(type) {
	case *msg.NodeView:
		b.view = m
	case *msg.Reserved:
		b.reserved = append(b.reserved, m)
	}
}

func (b *bench) jobsHear(m any, _ kit.Ref) {
	switch m := m.(type) {
	case *msg.ToAllJobs:
		b.heard = append(b.heard, m.Message)
	case *msg.ToJob:
		if c, ok := m.Message.(*msg.Claimed); ok {
			b.claimed = append(b.claimed, c)
			return
		}
		if m.UID == uid {
			b.heard = append(b.heard, m.Message)
		}
	}
}

// settle runs all that can happen at this instant; pass lets time pass.
func (b *bench) settle() { b.pass(0) }

func (b *bench) pass(d time.Duration) {
	b.t.Helper()
	b.step.AfterFunc(d, func() {}) // time moves on to something only
	n, now := 0, b.step.Now()
	for until := now.Add(d); b.step.Step(until); {
		if n++; !b.step.Now().Equal(now) {
			n, now = 0, b.step.Now()
		} else if n > 200_000 {
			b.t.Fatal("the actors never come to rest")
		}
	}
}

// info of a machine that has room for so many slots of the job.
func info(name string, slots int64) *v1.NodeInfo {
	return &v1.NodeInfo{Id: name, CpuMilli: 100 * slots, MemoryBytes: slots << 20, Drivers: []string{"process"}}
}

var each = model.Resources{100, 1 << 20}

// from sends a message of the agent of node n.
func (b *bench) from(m *v1.FromAgent) {
	m.Node = "n"
	if m.Epoch == 0 {
		m.Epoch = b.env.Epoch
	}
	b.sys.Tell(b.env.Refs.Nodes, &msg.FromAgent{Message: m})
	b.settle()
}

// hello proposes a session, with room for ten slots.
func (b *bench) hello(session uint64, slots ...*v1.SlotState) {
	b.from(&v1.FromAgent{Session: session, Hello: &v1.Hello{Session: session, Info: info("n", 10), Slots: slots, BootId: "x"}})
}

// take returns what was sent to the agent since the last take.
func (b *bench) take() []*v1.ToAgent {
	sent := b.sent
	b.sent = nil
	return sent
}

// commands are those that were sent since the last take.
func (b *bench) commands() (list []*v1.Command) {
	for _, m := range b.take() {
		list = append(list, m.GetCommands()...)
	}
	return list
}

// welcomes and asks count control messages that were sent since the last take.
func (b *bench) controls() (welcomes, asks int) {
	for _, m := range b.take() {
		if m.GetWelcome() != nil {
			welcomes++
		}
		if m.GetHelloRequest() {
			asks++
		}
	}
	return welcomes, asks
}

// node is the address of node n's actor.
func (b *bench) node() kit.Ref {
	b.t.Helper()
	b.answers = nil
	b.sys.TellFrom(b.asker, b.env.Refs.Nodes, &msg.Find{Key: "n"})
	b.settle()
	f, ok := b.answers[0].(*msg.Found)
	if !ok || f.Ref == nil {
		b.t.Fatalf("there is no node n: %v", b.answers)
	}
	return f.Ref
}

func (b *bench) tell(m any) {
	b.sys.TellFrom(b.asker, b.node(), m)
	b.settle()
}

func (b *bench) status() *v1.NodeStatus {
	b.t.Helper()
	b.answers = nil
	b.sys.TellFrom(b.asker, b.env.Refs.Nodes, &msg.ToNode{ID: "n", Message: &msg.GetNode{}})
	b.settle()
	s, ok := b.answers[0].(*v1.NodeStatus)
	if !ok {
		b.t.Fatalf("answered %v", b.answers)
	}
	return s
}

// reserve asks for n slots and returns those that were granted.
func (b *bench) reserve(n int) []model.SlotID {
	b.t.Helper()
	b.serial = b.env.IDs.Order()
	r := &msg.Reserve{Serial: b.serial, Stage: model.StageID{Job: uid}, ID: id, Job: b.job, Each: each}
	for range n {
		r.Slots = append(r.Slots, b.env.IDs.Slot())
	}
	b.tell(r)
	var granted []model.SlotID
	for _, m := range b.news() {
		if g, ok := m.(*msg.Granted); ok {
			granted = append(granted, g.Slots...)
		}
	}
	return granted
}

// news is what the job has heard since the last news.
func (b *bench) news() []any {
	heard := b.heard
	b.heard = nil
	return heard
}

var template = &v1.Template{JobUid: uint64(uid), Queue: "default", Job: "j", CpuMilli: 100, MemoryBytes: 1 << 20}

// launch starts an attempt of an instance in a slot.
func (b *bench) launch(slot model.SlotID, index uint64) model.Fence {
	f := b.env.IDs.Fence()
	b.work(func(w *msg.Work) {
		w.Templates, w.Launch = []*v1.Template{template}, []msg.Launch{{Slot: slot, Fence: f, Index: index, Attempt: 1}}
	})
	return f
}

func (b *bench) work(change func(*msg.Work)) {
	w := &msg.Work{ID: id, UID: uid, Job: b.job}
	change(w)
	b.tell(w)
}

// state is a live slot as the agent says.
func state(slot model.SlotID, fence model.Fence, attempt *v1.AttemptState) *v1.SlotState {
	return &v1.SlotState{
		Slot: uint64(slot), JobUid: uint64(uid), Queue: "default", Job: "j", CpuMilli: 100, MemoryBytes: 1 << 20,
		LastFence: uint64(fence), Attempt: attempt,
	}
}

func attempt(slot model.SlotID, fence model.Fence, index uint64, phase v1.AttemptPhase) *v1.AttemptState {
	return &v1.AttemptState{
		Slot: uint64(slot), Fence: uint64(fence), JobUid: uint64(uid), Index: index, Attempt: 1, Phase: phase, Queue: "default", Job: "j",
	}
}

func changed(s *v1.AttemptState) *v1.Change { return &v1.Change{Kind: &v1.Change_Attempt{Attempt: s}} }

func released(slot model.SlotID) *v1.Change {
	return &v1.Change{Kind: &v1.Change_Released{Released: &v1.SlotReleased{Slot: uint64(slot)}}}
}

// crash lets the actor of node n fail over a message.
func (b *bench) crash(m any) {
	to := b.node()
	b.step.OnFate(func(actor string, _ any) kit.Fate {
		if !strings.HasPrefix(actor, "test/top/nodes/n~") {
			return kit.Lives
		}
		b.step.OnFate(nil)
		b.crashes++
		return kit.DiesBefore
	})
	b.sys.TellFrom(b.asker, to, m)
	b.settle()
}

func same(x, y proto.Message) bool { return proto.Equal(x, y) }
