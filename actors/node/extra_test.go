package node_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// rich is a machine with room for ten slots, two of them with a GPU each.
func rich() *v1.NodeInfo {
	i := info("n", 10)
	i.Custom, i.PortFrom, i.PortTo = map[string]int64{"license": 3}, 100, 103
	i.Devices = []*v1.Device{{Kind: "gpu", Model: "a"}, {Kind: "gpu", Model: "a"}}
	i.Taints = []*v1.Taint{{Key: "gpu", Effect: model.TaintNoPlace}}
	return i
}

func (b *bench) helloRich(session uint64, slots ...*v1.SlotState) {
	b.from(&v1.FromAgent{Session: session, Hello: &v1.Hello{Session: session, Info: rich(), Slots: slots, BootId: "x"}})
}

var need = &model.Extra{
	Custom: []model.Amount{{Name: "license", N: 1}}, Ports: []model.PortNeed{{Name: "web"}, {Name: "fix", Number: 8080}},
	Devices: model.DeviceNeed{Kind: "gpu", Count: 1, Milli: 500},
}

// reserveExtra asks for a slot on each of the devices.
func (b *bench) reserveExtra(x *model.Extra, devices ...int32) (granted []model.SlotID) {
	b.t.Helper()
	b.serial = b.env.IDs.Order()
	r := &msg.Reserve{Serial: b.serial, Stage: model.StageID{Job: uid}, ID: id, Job: b.job, Each: each, Extra: x}
	for _, d := range devices {
		r.Slots = append(r.Slots, b.env.IDs.Slot())
		r.Devices = append(r.Devices, []model.DeviceShare{{Index: d, Milli: x.Devices.Milli}})
	}
	b.tell(r)
	for _, m := range b.news() {
		if g, ok := m.(*msg.Granted); ok {
			granted = append(granted, g.Slots...)
		}
	}
	return granted
}

func (b *bench) refused() int { return b.reserved[len(b.reserved)-1].Refused }

// A node takes only slots whose ports, devices and units are free, and says of each what it holds.
func TestB54_B34_ANodeIsTheAuthorityOnPortsDevicesAndUnits(t *testing.T) {
	b := newBench(t)
	b.helloRich(1)
	if got := b.reserveExtra(need, 0, 1); len(got) != 1 || b.refused() != 1 {
		t.Fatalf("granted %v, refused %d: the fixed port is there once", got, b.refused())
	}
	free := &model.Extra{Custom: need.Custom, Ports: need.Ports[:1], Devices: need.Devices}
	if got := b.reserveExtra(free, 0, 0, 1); len(got) != 2 || b.refused() != 1 {
		t.Fatalf("granted %v, refused %d: device 0 has room for one more, and there are two licenses", got, b.refused())
	}
	b.tell(&msg.ViewRequest{})
	h := b.view.Held[0]
	shares := [][]model.DeviceShare{{{Index: 0, Milli: 500}}, {{Index: 0, Milli: 500}}, {{Index: 1, Milli: 500}}}
	if h.Count != 3 || h.Extra != need || !slices.EqualFunc(h.Devices, shares, slices.Equal) || h.Since != b.step.Now() {
		t.Errorf("the placer sees %+v", h)
	}
	if held := b.status().GetCustomHeld(); !maps.Equal(held, map[string]int64{"license": 3, "gpu": 1500, "port": 4}) {
		t.Errorf("held: %v", held)
	}
	if got := b.reserveExtra(&model.Extra{Devices: model.DeviceNeed{Kind: "gpu", Count: 1, Milli: 501}}, 1); len(got) != 0 {
		t.Error("more of a device was granted than there is")
	}
	if got := b.reserve(1); len(got) != 1 {
		t.Error("a slot that needs nothing of that was refused")
	}
}

// What a slot holds goes to the agent with every launch, and is found again from its Hello by a master that knows nothing.
func TestB54_F31_ANewMasterLearnsWhatSlotsHold(t *testing.T) {
	b := newBench(t)
	b.helloRich(1)
	slot := b.reserveExtra(need, 1)[0]
	b.take()
	b.launch(slot, 0)
	var extra *v1.SlotExtra
	for _, c := range b.commands() {
		if l := c.GetLaunch(); l != nil {
			extra = l.GetExtra()
		}
	}
	if p := extra.GetPorts(); len(p) != 2 || p[0].GetNumber() != 100 || p[1].GetNumber() != 8080 || extra.GetDevices()[0].GetIndex() != 1 {
		t.Fatalf("launched with %v", extra)
	}
	next := newBench(t)
	fence := next.env.IDs.Fence()
	at := attempt(slot, fence, 0, running)
	at.StartedUnixNano = time.Unix(900, 0).UnixNano()
	s := state(slot, fence, at)
	s.Extra = extra
	next.helloRich(1, s)
	h := next.view.Held[0]
	if h.Extra == nil || !slices.Equal(h.Extra.Custom, need.Custom) || !slices.Equal(h.Extra.Ports, need.Ports) || h.Extra.Devices.Milli != 500 ||
		!slices.Equal(h.Devices[0], []model.DeviceShare{{Index: 1, Milli: 500}}) || !h.Since.Equal(time.Unix(900, 0)) {
		t.Errorf("the placer sees %+v", h)
	}
	if got := next.reserveExtra(need, 0); len(got) != 0 {
		t.Error("the fixed port was given twice")
	}
	next.placer = nil
	next.work(func(w *msg.Work) { w.Release = []model.SlotID{slot} })
	next.from(&v1.FromAgent{Session: 1, First: 1, Changes: []*v1.Change{changed(attempt(slot, fence, 0, succeeded)), released(slot)}})
	var freed *msg.Freed
	for _, m := range next.placer {
		if f, ok := m.(*msg.Freed); ok {
			freed = f
		}
	}
	if freed == nil || freed.Count != 1 || !slices.Equal(freed.Devices[0], []model.DeviceShare{{Index: 1, Milli: 500}}) {
		t.Errorf("freed: %+v", freed)
	}
	if held := next.status().GetCustomHeld(); held != nil {
		t.Errorf("held after the release: %v", held)
	}
}

// What a job gives back and still wants lowers no demand; what it has no use for does.
func TestF35_YieldedSlotsAreStillWanted(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	slots := b.reserve(3)
	b.placer = nil
	b.work(func(w *msg.Work) { w.Release, w.Yield = slots[:1], slots[1:] })
	for _, m := range b.placer {
		if f, ok := m.(*msg.Freed); !ok || f.Count != 3 || f.Unused != 1 {
			t.Errorf("the placer heard %+v", m)
		}
	}
	if len(b.placer) != 1 {
		t.Errorf("the placer heard %d messages", len(b.placer))
	}
}

func TestB39_TaintsOfOperatorsStandBesideThoseOfTheAgent(t *testing.T) {
	b := newBench(t)
	b.helloRich(1)
	ask := func(m any) any {
		b.answers = nil
		b.sys.TellFrom(b.asker, b.env.Refs.Nodes, &msg.ToNode{ID: "n", Message: m})
		b.settle()
		return b.answers[0]
	}
	if f, bad := ask(&msg.TaintNode{Taints: []*v1.Taint{{Key: "x", Effect: "explode"}}}).(*model.Fault); !bad || !strings.Contains(f.Fields[0].GetField(), "effect") {
		t.Fatalf("a bad taint: %v", f)
	}
	broken := &v1.Taint{Key: "broken", Effect: model.TaintEvict}
	s := ask(&msg.TaintNode{Taints: []*v1.Taint{broken}}).(*v1.NodeStatus)
	if len(s.GetTaints()) != 2 || s.GetTaints()[0].GetKey() != "gpu" || s.GetTaints()[1].GetKey() != "broken" || len(b.view.Taints) != 2 {
		t.Fatalf("%v; the placer sees %v", s, b.view.Taints)
	}
	b.crash(&msg.GetNode{})
	b.helloRich(2)
	if len(b.view.Taints) != 2 {
		t.Fatalf("after a restart: %v", b.view.Taints)
	}
	ask(&msg.DrainNode{Drained: true, Maintenance: true, Evict: true, Reason: "disks"})
	if v := b.view; v.Open || !v.Maintenance || !v.Evict || !b.status().GetMaintenance() {
		t.Fatalf("%+v", v)
	}
	ask(&msg.DrainNode{})
	if s := ask(&msg.TaintNode{}).(*v1.NodeStatus); len(s.GetTaints()) != 1 || s.GetDrained() || s.GetMaintenance() || s.GetEvict() || b.view.Evict {
		t.Fatalf("%v", s)
	}
}

// outs is a cell of nodes of which at most two may be out at once.
func outs(t *testing.T, nodes int) (b *bench, drain func(m *msg.DrainNode, ids ...int) []any) {
	b = newBench(t, func(l *msg.Limits) {
		l.NodesOut, l.Suspect, l.Lost, l.Settle, l.Isolation = 2, time.Hour, time.Hour, time.Hour, 0
	})
	for i := range nodes {
		name := fmt.Sprint("n", i)
		b.sys.Tell(b.env.Refs.Nodes, &msg.FromAgent{Message: &v1.FromAgent{
			Node: name, Epoch: b.env.Epoch, Session: 1, Hello: &v1.Hello{Session: 1, Info: info(name, 1)},
		}})
	}
	b.settle()
	return b, func(m *msg.DrainNode, ids ...int) []any {
		b.answers = nil
		for _, i := range ids {
			b.sys.TellFrom(b.asker, b.env.Refs.Nodes, &msg.ToNode{ID: model.NodeID(fmt.Sprint("n", i)), Message: m})
		}
		b.settle()
		return b.answers
	}
}

func conflicts(answers []any) (n int) {
	for _, a := range answers {
		if f, bad := a.(*model.Fault); bad && f.Code == 409 {
			n++
		}
	}
	return n
}

// No more nodes are out at once than the cell allows, whatever order drains come in.
func TestB41_AtMostSoManyNodesAreOutAtOnce(t *testing.T) {
	b, drain := outs(t, 5)
	out, in := &msg.DrainNode{Drained: true}, &msg.DrainNode{}
	if n := conflicts(drain(out, 0, 1, 2)); n != 1 {
		t.Fatalf("%d of three drains that come together are refused", n)
	}
	f := drain(out, 3)[0].(*model.Fault)
	if want := "2 nodes are out (n0, n1), and at most 2 may be at once: let one come back, or force it"; f.Description != want {
		t.Errorf("%q", f.Description)
	}
	if n := conflicts(drain(out, 0, 1)); n != 0 {
		t.Error("what is out cannot be drained for another reason")
	}
	if n := conflicts(drain(&msg.DrainNode{Drained: true, Force: true}, 4)); n != 0 {
		t.Error("a forced drain is refused")
	}
	drain(in, 0, 4)
	if n := conflicts(drain(out, 2, 3)); n != 1 {
		t.Errorf("one node has come back, and %d of two are refused", n)
	}
	b.pass(2 * time.Minute)
	if n := conflicts(drain(out, 4)); n != 1 {
		t.Error("later there is room for a third")
	}
}

// A drain that the actor before was sent is refused: the supervisor has heard since how the node stands.
func TestB41_W6_ADrainFromBeforeARestartIsRefused(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	old := b.env.IDs.Order()
	b.crash(&msg.GetNode{})
	b.hello(2)
	b.tell(&msg.DrainNode{Drained: true, Order: old})
	if f, refused := b.answers[len(b.answers)-1].(*model.Fault); !refused || !f.Temporary() || b.status().GetDrained() {
		t.Fatalf("%v", b.answers)
	}
	b.tell(&msg.DrainNode{Drained: true, Order: b.env.IDs.Order()})
	if !b.status().GetDrained() {
		t.Fatal("a drain from after it is not heard")
	}
}

// Nodes that are lost are out, too.
func TestB41_LostNodesCount(t *testing.T) {
	b, drain := outs(t, 3)
	b.env.Suspect, b.env.Lost = time.Second, 2*time.Second
	b.pass(10 * time.Second)
	out := &msg.DrainNode{Drained: true}
	if n := conflicts(drain(out, 0)); n != 1 {
		t.Error("two other nodes are lost, and one more may be drained")
	}
	b.env.Limits.NodesOut = 3
	if n := conflicts(drain(out, 0)); n != 0 {
		t.Error("one that is lost itself cannot be drained")
	}
}

// Drains that meet failing actors leave nothing that counts for ever, and never let one too many through.
func TestB41_W6_DrainsMeetCrashes(t *testing.T) {
	for seed := range 40 {
		b, drain := outs(t, 4)
		fail := uint64(seed)
		b.step.OnFate(func(actor string, _ any) kit.Fate {
			if strings.HasPrefix(actor, "test/top/nodes") {
				if fail--; fail == 0 {
					return kit.DiesBefore
				}
			}
			return kit.Lives
		})
		out := &msg.DrainNode{Drained: true}
		drain(out, 0, 1, 2, 3)
		b.step.OnFate(nil)
		b.pass(10 * time.Second)
		count := func() (n int) {
			b.answers = nil
			b.sys.TellFrom(b.asker, b.env.Refs.Journal, &msg.ReadCell{})
			b.settle()
			return len(b.answers[0].(*msg.CellRead).Drained)
		}
		if n := count(); n > 2 {
			t.Fatalf("seed %d: %d nodes are out", seed, n)
		}
		for i := range 4 {
			drain(&msg.DrainNode{}, i)
		}
		b.pass(2 * time.Minute)
		if n := conflicts(drain(out, 0, 1)); n != 0 || count() != 2 {
			t.Fatalf("seed %d: %d drains refused, %d nodes are out", seed, n, count())
		}
	}
}

// What the cell knows of a machine is what its newest session has said, also when sessions follow each other faster than
// the journal.
func TestB14_TheNewestHelloIsWhatTheCellKnows(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	larger := info("n", 20)
	for _, h := range []*v1.Hello{{Session: 2, Info: larger}, {Session: 3, Info: info("n", 10)}} {
		b.sys.Tell(b.env.Refs.Nodes, &msg.FromAgent{Message: &v1.FromAgent{Node: "n", Epoch: b.env.Epoch, Session: h.Session, Hello: h}})
	}
	b.settle()
	b.tell(&msg.ViewRequest{})
	if !same(b.view.Info, info("n", 10)) {
		t.Errorf("the placer sees %v", b.view.Info)
	}
	if got := b.reserve(20); len(got) != 10 {
		t.Errorf("%d slots granted on a machine with room for ten", len(got))
	}
	b.answers = nil
	b.sys.TellFrom(b.asker, b.env.Refs.Journal, &msg.ReadNode{ID: "n"})
	b.settle()
	if r := b.answers[0].(*msg.NodeRead); !same(r.State.Info, info("n", 10)) {
		t.Errorf("the journal knows %v", r.State.Info)
	}
}
