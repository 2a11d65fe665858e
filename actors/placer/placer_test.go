package placer_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/placer"
	"github.com/troupe-sched/troupe/actors/policy/place"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// bench is a placer alone: the test plays queues and nodes.
type bench struct {
	t       *testing.T
	step    *kit.Stepper
	sys     *kit.System
	placer  kit.Ref
	env     *msg.Env
	granted map[string]int             // by node/job
	order   []string                   // jobs in the order of their grants
	taken   map[string]model.Resources // what the slots of each job took in all
	refuse  map[string]bool
	nodes   map[string]kit.Ref
	crash   bool
	resent  []func() // what nodes and queues say again after a restart
}

func newBench(t *testing.T) *bench {
	b := &bench{
		t: t, step: kit.NewStepper(1, time.Unix(0, 0)), granted: map[string]int{}, taken: map[string]model.Resources{}, refuse: map[string]bool{}, nodes: map[string]kit.Ref{},
	}
	b.sys = kit.New(kit.Config{Name: "test", Stepper: b.step})
	b.env = &msg.Env{Cell: "test", Epoch: 1, IDs: msg.NewIDs(1, 1), Limits: msg.DefaultLimits()}
	b.env.Refs.Nodes = b.sys.Port("nodes", func(m any, from kit.Ref) {
		if _, ok := m.(*msg.ViewRequest); ok {
			b.sys.Tell(from, &msg.ViewsComing{Nodes: len(b.nodes)})
			for _, again := range b.resent {
				again()
			}
		}
	})
	b.env.Refs.Queues = b.sys.Port("queues", func(any, kit.Ref) {})
	b.env.Refs.Journal = b.sys.Port("journal", func(any, kit.Ref) {})
	ready := make(chan struct{})
	_, err := b.sys.Start(kit.Spec{Name: "top", New: func() kit.Behavior {
		return &kit.Supervisor{
			Children: []kit.Spec{{Name: "placer", New: func() kit.Behavior { return &fragile{b, placer.New(b.env, place.Options{})} }}},
			Ready:    func(_ *kit.Context, refs []kit.Ref) { b.placer = refs[0]; close(ready) },
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

// fragile crashes once when the test says so.
type fragile struct {
	b *bench
	kit.Behavior
}

func (f *fragile) Receive(ctx *kit.Context, m any) {
	if f.b.crash {
		f.b.crash = false
		panic("told to")
	}
	f.Behavior.Receive(ctx, m)
}

func (b *bench) run() {
	for b.step.Step(b.step.Now().Add(10 * time.Second)) {
	}
}

// node adds a node that has room for so many slots; it answers as a node actor does.
func (b *bench) node(id string, slots int64, held ...msg.HeldStage) {
	b.t.Helper()
	serial := uint64(0)
	var ref kit.Ref
	view := func() {
		b.sys.Tell(b.placer, &msg.NodeView{
			Node: model.NodeID(id), NodeRef: ref, Open: true, Through: serial, Held: held,
			Info: &v1.NodeInfo{Id: id, CpuMilli: slots * 100, MemoryBytes: slots << 20, Drivers: []string{"process"}},
		})
	}
	ref = b.sys.Port(id, func(m any, _ kit.Ref) {
		switch m := m.(type) {
		case *msg.Reserve:
			serial = m.Serial
			if b.refuse[id] {
				b.sys.Tell(b.placer, &msg.Reserved{Node: model.NodeID(id), Serial: m.Serial, Refused: len(m.Slots)})
				return
			}
			b.granted[id+"/"+m.ID.Name] += len(m.Slots)
			b.order = append(b.order, m.ID.Name)
			for range m.Slots {
				b.taken[m.ID.Name] = b.taken[m.ID.Name].Add(m.Each)
			}
			held = append(held, msg.HeldStage{Stage: m.Stage, Each: m.Each, Count: len(m.Slots)})
			b.sys.Tell(b.placer, &msg.Reserved{Node: model.NodeID(id), Serial: m.Serial})
		case *msg.ViewRequest:
			view()
		}
	})
	b.nodes[id] = ref
	b.resent = append(b.resent, view)
	view()
}

func (b *bench) want(job string, uid model.UID, band model.Band, target uint64) {
	b.sys.Tell(b.placer, &msg.Demand{
		Stage: model.StageID{Job: uid}, ID: model.JobID{Queue: "q", Name: job}, Priority: model.Priority{Band: band}, Target: target,
		Plan: &model.StagePlan{Driver: "process", Resources: model.Resources{100, 1 << 20}},
	})
}

func (b *bench) total(job string) (n int) {
	for key, slots := range b.granted {
		var node, name string
		if _, err := fmt.Sscanf(key, "%1s/%s", &node, &name); err == nil && name == job {
			n += slots
		}
	}
	return n
}

// The example of the incremental protocol: ask for 1000 once, get 200 now and 150 later without asking again.
func TestF35_F33_AskOnceGetMoreLater(t *testing.T) {
	b := newBench(t)
	b.node("a", 200)
	b.want("j", 1, model.Batch, 1000)
	b.run()
	if got := b.total("j"); got != 200 {
		t.Fatalf("granted %d at once, 200 fit", got)
	}
	b.node("b", 150)
	b.run()
	if got := b.total("j"); got != 350 {
		t.Fatalf("granted %d in all, 350 fit now", got)
	}
	b.sys.Tell(b.placer, &msg.Freed{Node: "a", Stage: model.StageID{Job: 1}, Each: model.Resources{100, 1 << 20}, Count: 7})
	b.run()
	if got := b.total("j"); got != 357 {
		t.Fatalf("granted %d in all, what was freed goes to the same demand", got)
	}
}

func TestB15_B5_F21_HighBandFirstThenInTurns(t *testing.T) {
	b := newBench(t)
	b.want("batch", 1, model.Batch, 50)
	b.want("free", 2, model.Free, 50)
	b.want("prod", 3, model.Production, 50)
	b.want("batch2", 4, model.Batch, 50)
	b.run()
	b.node("a", 110)
	b.run()
	if b.order[0] != "prod" || b.total("prod") != 50 {
		t.Fatalf("production got %d, first grant went to %s", b.total("prod"), b.order[0])
	}
	if x, y := b.total("batch"), b.total("batch2"); x+y != 60 || x-y > 4 || y-x > 4 {
		t.Fatalf("jobs of one priority take turns, but got %d and %d of 60", x, y)
	}
	if b.total("free") != 0 {
		t.Fatal("free work got slots while batch waits")
	}
}

func TestB34_RefusalCorrectsTheView(t *testing.T) {
	b := newBench(t)
	b.refuse["a"] = true
	b.node("a", 10)
	b.want("j", 1, model.Batch, 10)
	b.step.Step(b.step.Now())
	b.step.Step(b.step.Now())
	b.step.Step(b.step.Now())
	b.refuse["a"] = false // by now the node has refused; its next view says that it is empty
	b.run()
	if got := b.total("j"); got != 10 {
		t.Fatalf("granted %d of 10 after the refusal", got)
	}
}

func TestF31_B57_RestartedPlacerGrantsNothingTwice(t *testing.T) {
	b := newBench(t)
	b.node("a", 100)
	b.node("b", 100)
	b.want("j", 1, model.Batch, 150)
	b.run()
	b.crash = true
	b.want("j", 1, model.Batch, 150)
	b.run()
	b.want("j", 1, model.Batch, 150)
	b.run()
	if got := b.total("j"); got != 150 {
		t.Fatalf("granted %d of 150 over a restart", got)
	}
	b.want("j", 1, model.Batch, 180)
	b.run()
	if got := b.total("j"); got != 180 {
		t.Fatalf("granted %d of 180 after a restart", got)
	}
}
