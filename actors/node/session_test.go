package node_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/node/nodetest"
	"github.com/troupe-sched/troupe/actors/policy/stream"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestB29_B13_ANodeJoinsAndIsOpen(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	if welcomes, _ := b.controls(); welcomes != 1 {
		t.Fatalf("%d welcomes", welcomes)
	}
	if b.view == nil || !b.view.Open || b.view.Gone || !same(b.view.Info, info("n", 10)) {
		t.Errorf("the placer sees %+v", b.view)
	}
	if s := b.status(); s.Liveness != "fresh" || s.Info.GetCpuMilli() != 1000 {
		t.Errorf("%v", s)
	}
	b.hello(1) // said again: the Welcome may be lost
	if welcomes, _ := b.controls(); welcomes != 1 {
		t.Errorf("%d welcomes to a Hello that is said again", welcomes)
	}
}

func TestB14_ANodeIsWelcomeWhenItsInfoIsDurable(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	b.take()
	larger := info("n", 20)
	b.from(&v1.FromAgent{Session: 2, Hello: &v1.Hello{Session: 2, Info: larger}})
	b.answers = nil
	b.sys.TellFrom(b.asker, b.env.Refs.Journal, &msg.ReadNode{ID: "n"})
	b.settle()
	if r := b.answers[0].(*msg.NodeRead); !same(r.State.Info, larger) {
		t.Errorf("the journal knows %v", r.State.Info)
	}
	if welcomes, _ := b.controls(); welcomes != 1 || !same(b.view.Info, larger) {
		t.Errorf("%d welcomes; the placer sees %v", welcomes, b.view.Info)
	}
}

func TestB29_ANodeWithBadInfoIsRefused(t *testing.T) {
	b := newBench(t)
	bad := info("n", 1)
	bad.CpuMilli = -1
	b.from(&v1.FromAgent{Session: 1, Hello: &v1.Hello{Session: 1, Info: bad}})
	if welcomes, _ := b.controls(); welcomes != 0 || b.view != nil {
		t.Error("a machine with less than nothing is welcome")
	}
	b.from(&v1.FromAgent{Session: 1, Hello: &v1.Hello{Session: 1, Info: info("other", 1)}})
	if welcomes, _ := b.controls(); welcomes != 0 || b.view != nil {
		t.Error("a Hello in the name of another is welcome")
	}
	b.hello(2)
	if welcomes, _ := b.controls(); welcomes != 1 {
		t.Error("a good Hello after bad ones is not welcome")
	}
}

func TestB31_AnAgentOfALaterMasterIsLeftAlone(t *testing.T) {
	b := newBench(t)
	b.from(&v1.FromAgent{Epoch: 9, Session: 1, Hello: &v1.Hello{Session: 1, Info: info("n", 10)}})
	if sent := b.take(); len(sent) > 0 && sent[0].GetWelcome() != nil {
		t.Errorf("sent %v to an agent that follows a later master", sent)
	}
}

func TestS4_ASessionThatIsOverIsNotBegunAgain(t *testing.T) {
	b := newBench(t)
	b.hello(5)
	slots := b.reserve(1)
	b.launch(slots[0], 0)
	b.take()
	b.hello(4) // an older one that was under way for long
	if welcomes, _ := b.controls(); welcomes != 0 {
		t.Error("a Hello of an older session is welcome")
	}
	for range 2 { // both sides differ: the session is closed
		b.pass(1100 * time.Millisecond)
		b.from(&v1.FromAgent{Session: 5, Ack: 2, First: 1, Digest: 12345})
	}
	if _, asks := b.controls(); asks == 0 {
		t.Fatal("the session goes on although both sides differ")
	}
	b.hello(5) // the first Hello of that session, doubled and late: numbering in it has moved on
	if welcomes, _ := b.controls(); welcomes != 0 {
		t.Error("a session that was closed is begun again")
	}
	b.hello(6)
	if welcomes, _ := b.controls(); welcomes != 1 {
		t.Error("a new session is not welcome")
	}
}

func TestS4_AMessageOfAForeignSessionLeadsToAHello(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	b.take()
	b.from(&v1.FromAgent{Session: 3})
	b.from(&v1.FromAgent{Session: 3})
	if _, asks := b.controls(); asks != 1 {
		t.Errorf("asked for a Hello %d times within a second", asks)
	}
	b.pass(1100 * time.Millisecond)
	b.from(&v1.FromAgent{Session: 3})
	if _, asks := b.controls(); asks != 1 {
		t.Errorf("asked for a Hello %d times", asks)
	}
}

// An agent that has lost its ledger numbers its sessions anew.
func TestB46_AWipedAgentComesBackWhenItsNodeIsLost(t *testing.T) {
	b := newBench(t)
	b.hello(1 << 42)
	b.pass(20 * time.Second)
	if s := b.status(); s.Liveness != "lost" {
		t.Fatalf("%v", s)
	}
	b.hello(1 << 40)
	if s := b.status(); s.Liveness != "fresh" {
		t.Errorf("%v", s)
	}
}

func TestB43_SilenceMakesANodeSuspectAndThenLost(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	slots := b.reserve(2)
	f := b.launch(slots[0], 3)
	b.from(&v1.FromAgent{Session: 1, First: 1, Changes: []*v1.Change{changed(attempt(slots[0], f, 3, running))}})
	b.news()
	b.take()
	b.pass(4 * time.Second)
	pings := 0
	for _, m := range b.take() {
		if m.GetPing() {
			pings++
		}
	}
	if s := b.status(); s.Liveness != "fresh" || pings == 0 {
		t.Fatalf("%v after %d pings", s, pings)
	}
	b.pass(3 * time.Second)
	if s := b.status(); s.Liveness != "suspect" || s.Slots != 2 || b.view.Open {
		t.Fatalf("%v, the placer sees %+v", s, b.view)
	}
	if granted := b.reserve(1); len(granted) > 0 {
		t.Fatal("a suspect node takes new slots")
	}
	b.from(&v1.FromAgent{Session: 1, Ack: 2})
	if s := b.status(); s.Liveness != "fresh" || !b.view.Open {
		t.Fatalf("%v after a sign of life, the placer sees %+v", s, b.view)
	}
	b.pass(17 * time.Second)
	if s := b.status(); s.Liveness != "lost" || s.Slots != 0 || !b.view.Gone {
		t.Fatalf("%v, the placer sees %+v", s, b.view)
	}
	gone := map[model.SlotID]bool{}
	for _, m := range b.news() {
		if l, ok := m.(*msg.SlotsLost); ok {
			for _, s := range l.Slots {
				gone[s] = true
			}
		}
	}
	if len(gone) != 2 {
		t.Errorf("the job hears that %v are lost of %v", gone, slots)
	}
	// It comes back with what runs on it.
	b.hello(2, state(slots[0], f, attempt(slots[0], f, 3, running)))
	var inv *msg.Inventory
	for _, m := range b.news() {
		if i, ok := m.(*msg.Inventory); ok {
			inv = i
		}
	}
	if inv == nil || len(inv.Slots) != 1 || inv.Slots[0].Attempt.GetFence() != uint64(f) {
		t.Fatalf("the job hears %+v", inv)
	}
	if s := b.status(); s.Liveness != "fresh" || s.Slots != 1 || !b.view.Open || len(b.view.Held) != 1 {
		t.Errorf("%v, the placer sees %+v", s, b.view)
	}
}

func TestB41_ADrainedNodeTakesNothingNewAlsoAfterARestart(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	b.answers = nil
	b.sys.TellFrom(b.asker, b.env.Refs.Nodes, &msg.ToNode{ID: "n", Message: &msg.DrainNode{Drained: true, Reason: "repair"}})
	b.settle()
	if s, ok := b.answers[0].(*v1.NodeStatus); !ok || !s.Drained || s.DrainReason != "repair" || b.view.Open {
		t.Fatalf("answered %v, the placer sees %+v", b.answers, b.view)
	}
	if got := b.reserve(1); len(got) > 0 {
		t.Error("a drained node takes slots")
	}
	b.crash(&msg.GetNode{})
	b.hello(2)
	if s := b.status(); !s.Drained || s.DrainReason != "repair" || b.view.Open {
		t.Errorf("after a restart %v, the placer sees %+v", s, b.view)
	}
	b.sys.TellFrom(b.asker, b.env.Refs.Nodes, &msg.ToNode{ID: "n", Message: &msg.DrainNode{}})
	b.settle()
	if got := b.reserve(1); len(got) != 1 || !b.view.Open {
		t.Errorf("granted %v, the placer sees %+v", got, b.view)
	}
}

func TestB34_ReserveBeyondCapacityIsRefusedAndToldToThePlacer(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	if got := b.reserve(12); len(got) != 10 || b.reserved[0].Refused != 2 || b.reserved[0].Serial != b.serial {
		t.Fatalf("granted %d, the placer hears %+v", len(got), b.reserved[0])
	}
	if got := b.reserve(1); len(got) != 0 || b.reserved[1].Refused != 1 {
		t.Errorf("a full node grants %v", got)
	}
	b.tell(&msg.ViewRequest{})
	if b.view.Through != b.serial || len(b.view.Held) != 1 || b.view.Held[0].Count != 10 {
		t.Errorf("the placer sees %+v", b.view)
	}
}

func TestS4_CommandsAreSentAgainUntilTheyAreAcknowledged(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	slots := b.reserve(3)
	b.take()
	b.launch(slots[0], 0)
	if c := b.commands(); len(c) != 2 || c[0].GetTemplate() == nil || c[1].GetLaunch() == nil {
		t.Fatalf("sent %v", c)
	}
	// The first message is lost, and there is always something new: it must come again all the same.
	again := false
	for i := range 6 {
		b.pass(500 * time.Millisecond)
		b.launch(slots[1+i%2], uint64(i+1))
		b.from(&v1.FromAgent{Session: 1})
		for _, m := range b.take() {
			again = again || m.GetFirst() == 1
		}
	}
	if !again {
		t.Error("under steady traffic a lost command is never sent again")
	}
	b.from(&v1.FromAgent{Session: 1, Ack: 8})
	b.take()
	b.pass(3 * time.Second)
	if c := b.commands(); len(c) > 0 {
		t.Errorf("sent again after they were acknowledged: %v", c)
	}
}

func TestS4_WhatTheAgentSaysIsAcknowledgedSoon(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	slots := b.reserve(1)
	f := b.launch(slots[0], 0)
	b.take()
	acked, first := uint64(0), uint64(1)
	for range 100 { // progress comes all the time, and there is nothing to say but that it came
		b.from(&v1.FromAgent{Session: 1, Ack: 2, First: first, Changes: []*v1.Change{changed(attempt(slots[0], f, 0, running))}})
		first++
		b.pass(10 * time.Millisecond)
		for _, m := range b.take() {
			acked = max(acked, m.GetAck())
		}
	}
	if acked < 90 {
		t.Errorf("of %d changes %d are acknowledged within a second", first-1, acked)
	}
}

func TestS4_ChangesComeInOrderAndOnce(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	slots := b.reserve(3)
	var c []*v1.Change
	for i, s := range slots {
		c = append(c, changed(attempt(s, b.launch(s, uint64(i)), uint64(i), running)))
	}
	b.news()
	say := func(first uint64, changes ...*v1.Change) {
		b.from(&v1.FromAgent{Session: 1, First: first, Changes: changes})
	}
	say(2, c[1]) // the first one is missing
	say(1, c[0])
	say(1, c[0], c[1])
	say(1, c[0])
	say(3, c[2])
	var got []uint64
	for _, m := range b.news() {
		for _, s := range m.(*msg.Reported).Attempts {
			got = append(got, s.GetIndex())
		}
	}
	if fmt.Sprint(got) != "[0 1 2]" {
		t.Errorf("the job hears of %v", got)
	}
}

func TestS4_TwoDigestsThatDifferBeginANewSession(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	slots := b.reserve(1)
	f := b.launch(slots[0], 0)
	right := stream.Digest([]stream.Held{{Slot: uint64(slots[0]), Fence: uint64(f)}})
	digest := func(value, ack, first uint64) {
		b.from(&v1.FromAgent{Session: 1, Ack: ack, First: first, Digest: value})
		b.pass(1100 * time.Millisecond)
	}
	b.take()
	digest(right, 2, 1)
	digest(9, 2, 1)
	digest(right, 2, 1)
	digest(9, 2, 1)
	if _, asks := b.controls(); asks != 0 {
		t.Fatal("one difference is enough to begin anew")
	}
	digest(right, 2, 1)
	for range 4 {
		digest(9, 1, 1) // from before the launch was heard
		digest(9, 2, 7) // and from another moment
	}
	if _, asks := b.controls(); asks != 0 {
		t.Fatal("digests of other moments count")
	}
	digest(9, 2, 1)
	digest(9, 2, 1)
	if _, asks := b.controls(); asks == 0 {
		t.Error("two differences in a row change nothing")
	}
}

func TestM3_AnAgentThatFallsBehindGetsANewSession(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	slots := b.reserve(1)
	b.launch(slots[0], 0)
	b.take()
	fences, to := make([]model.Fence, 1), b.node()
	for i := range 66_000 {
		b.sys.Tell(to, &msg.Work{ID: id, UID: uid, Job: b.job, Settle: fences})
		if i%4000 == 0 {
			b.settle()
		}
	}
	b.pass(2 * time.Second)
	if _, asks := b.controls(); asks == 0 {
		t.Error("commands gather without end")
	}
}

// Whatever the link does to messages, agents do what the jobs want, once, and say so once.
func TestS4_B42_ALossyLinkLosesNothing(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { lossy(t, seed) })
	}
}

// lossy runs instances one after the other in slots of one node, as a job does.
func lossy(t *testing.T, seed uint64) {
	b := newBenchOver(t, memlog.New(memlog.Options{}), seed)
	fleet := nodetest.New(nodetest.Config{
		Stepper: b.step, Link: nodetest.Link{Lose: 150, Double: 150, Late: 150},
		Deliver: func(m *v1.FromAgent) { b.sys.Tell(b.env.Refs.Nodes, &msg.FromAgent{Message: m}) },
	})
	b.fabric = fleet.Send
	fleet.Join(info("n", 4))
	b.pass(5 * time.Second)
	slots := b.reserve(4)
	if len(slots) != 4 {
		t.Fatalf("granted %v", slots)
	}
	fence, next, done := map[model.SlotID]model.Fence{}, uint64(0), map[uint64]bool{}
	for _, s := range slots {
		fence[s] = b.launch(s, next)
		next++
	}
	for range 600 {
		b.pass(200 * time.Millisecond)
		for _, m := range b.news() {
			r, ok := m.(*msg.Reported)
			if !ok {
				continue
			}
			for _, s := range r.Attempts {
				if s.GetPhase() < succeeded || uint64(fence[model.SlotID(s.GetSlot())]) != s.GetFence() {
					continue
				}
				if s.GetPhase() == succeeded {
					if done[s.GetIndex()] {
						t.Fatalf("instance %d is reported twice as a new end", s.GetIndex())
					}
					done[s.GetIndex()] = true
				}
				slot := model.SlotID(s.GetSlot())
				b.work(func(w *msg.Work) { w.Settle = []model.Fence{model.Fence(s.GetFence())} })
				if next < 60 {
					fence[slot] = b.launch(slot, next)
					next++
				} else {
					delete(fence, slot)
					b.work(func(w *msg.Work) { w.Release = []model.SlotID{slot} })
				}
			}
		}
		if len(fence) == 0 {
			break
		}
	}
	b.pass(30 * time.Second)
	a := fleet.Agent("n")
	if len(done) != 60 || a.Slots() > 0 || a.Ends() > 0 || b.status().Slots > 0 || len(fleet.Wrong()) > 0 {
		t.Errorf("%d of 60 are done; the agent has %d slots and %d ends, the node %v; %v", len(done), a.Slots(), a.Ends(), b.status(), fleet.Wrong())
	}
}
