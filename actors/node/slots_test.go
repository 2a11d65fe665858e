package node_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// find returns the first of what was heard that is a T.
func find[T any](heard []any) (found T, ok bool) {
	for _, m := range heard {
		if found, ok = m.(T); ok {
			return found, true
		}
	}
	return found, false
}

func TestB46_F31_SlotsThatOnlyTheAgentKnowsAreToldToTheirJob(t *testing.T) {
	b := newBench(t)
	s, f := b.env.IDs.Slot(), b.env.IDs.Fence()
	b.hello(1, state(s, f, attempt(s, f, 3, running)))
	inv, ok := find[*msg.Inventory](b.news())
	if !ok || len(inv.Slots) != 1 || inv.Slots[0].Slot != s || inv.Slots[0].Attempt.GetIndex() != 3 || inv.Slots[0].Fence != f {
		t.Fatalf("the job hears %+v", inv)
	}
	if len(b.view.Held) != 1 || b.view.Held[0].Count != 1 || b.view.Held[0].Each != each {
		t.Errorf("the placer sees %+v", b.view)
	}
	if got := b.reserve(10); len(got) != 9 {
		t.Errorf("%d slots are granted beside it on a node for 10", len(got))
	}
}

// Ends that the agent kept come after its Hello: nobody is told what the node holds before they are here.
func TestB46_F30_KeptEndsComeBeforeTheInventory(t *testing.T) {
	b := newBench(t)
	s, f := b.env.IDs.Slot(), b.env.IDs.Fence()
	b.from(&v1.FromAgent{Session: 1, Hello: &v1.Hello{
		Session: 1, Info: info("n", 10), Slots: []*v1.SlotState{state(s, f, attempt(s, f, 3, succeeded))}, Ends: 1,
	}})
	if _, told := find[*msg.Inventory](b.news()); told {
		t.Fatal("the job hears of the slot before it hears of the end")
	}
	b.from(&v1.FromAgent{Session: 1, First: 1, Changes: []*v1.Change{changed(attempt(s, f, 3, succeeded))}})
	heard := b.news()
	r, ok := heard[0].(*msg.Reported)
	if !ok || r.Attempts[0].GetPhase() != succeeded {
		t.Fatalf("the job hears %+v", heard)
	}
	if _, told := find[*msg.Inventory](heard[1:]); !told {
		t.Errorf("the job hears %+v", heard)
	}
}

func TestF13_AnAttemptThatTheAgentDoesNotKnowIsLost(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	slots := b.reserve(2)
	f := b.launch(slots[0], 5) // under way when the session ends
	b.hello(2)
	r, ok := find[*msg.Reported](b.news())
	if !ok || len(r.Attempts) != 1 || r.Attempts[0].GetPhase() != lost || r.Attempts[0].GetFence() != uint64(f) || r.Attempts[0].GetIndex() != 5 {
		t.Fatalf("the job hears %+v", r)
	}
	if s := b.status(); s.Slots != 2 {
		t.Errorf("%v: both slots are still the job's", s)
	}
	b.take()
	b.launch(slots[0], 5)
	if c := b.commands(); len(c) != 2 || c[0].GetTemplate() == nil || c[1].GetLaunch().GetSlot() != uint64(slots[0]) {
		t.Errorf("sent %v: a template goes before the first launch of a session", c)
	}
}

func TestS4_ReleaseAndStopAreSaidAgainInANewSession(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	slots := b.reserve(2)
	f0, f1 := b.launch(slots[0], 0), b.launch(slots[1], 1)
	b.work(func(w *msg.Work) { w.Release = slots[:1] })
	b.work(func(w *msg.Work) { w.Stop = []msg.Stop{{Slot: slots[1], Fence: f1}} })
	b.take()
	b.hello(2, state(slots[0], f0, attempt(slots[0], f0, 0, running)), state(slots[1], f1, attempt(slots[1], f1, 1, running)))
	var got []string
	for _, c := range b.commands() {
		switch {
		case c.GetRelease() != nil:
			got = append(got, fmt.Sprint("release ", c.GetRelease().GetSlot() == uint64(slots[0])))
		case c.GetStop() != nil:
			got = append(got, fmt.Sprint("stop ", c.GetStop().GetFence() == uint64(f1)))
		}
	}
	if fmt.Sprint(got) != "[release true stop true]" {
		t.Errorf("sent %v", got)
	}
	b.news()
	b.from(&v1.FromAgent{Session: 2, Ack: 2, First: 1, Changes: []*v1.Change{released(slots[0])}})
	if r, ok := find[*msg.Reported](b.news()); !ok || len(r.Freed) != 1 || r.Freed[0] != slots[0] {
		t.Errorf("the job hears %+v", r)
	}
	if freed, ok := find[*msg.Freed](b.placer); !ok || freed.Count != 1 || freed.Each != each {
		t.Errorf("the placer hears %+v", freed)
	}
}

func TestF4_ASlotThatTheAgentNeverHeardOfIsFreedAtOnce(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	slots := b.reserve(2)
	b.take()
	b.work(func(w *msg.Work) { w.Release = slots[:1] })
	if r, ok := find[*msg.Reported](b.news()); !ok || len(r.Freed) != 1 || len(b.commands()) > 0 {
		t.Errorf("the job hears %+v", r)
	}
	if s := b.status(); s.Slots != 1 {
		t.Errorf("%v", s)
	}
}

func TestB42_ASlotThatIsGoneIsSaidToBeGone(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	b.work(func(w *msg.Work) { w.Release = []model.SlotID{99} })
	if r, ok := find[*msg.Reported](b.news()); !ok || len(r.Freed) != 1 {
		t.Errorf("who gives back what is gone hears %+v", r)
	}
	b.launch(99, 0)
	if l, ok := find[*msg.SlotsLost](b.news()); !ok || len(l.Slots) != 1 || l.Slots[0] != 99 {
		t.Errorf("who uses what is gone hears %+v", l)
	}
}

func TestB34_ARefusedLaunchFreesItsSlot(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	slots := b.reserve(1)
	f := b.launch(slots[0], 0)
	b.from(&v1.FromAgent{Session: 1, Ack: 2, First: 1, Changes: []*v1.Change{{Kind: &v1.Change_Refused{
		Refused: &v1.LaunchRefused{Slot: uint64(slots[0]), Fence: uint64(f), Reason: "short of memory"},
	}}}})
	r, ok := find[*msg.Reported](b.news())
	if !ok || len(r.Refused) != 1 || r.Refused[0].Reason != "short of memory" {
		t.Errorf("the job hears %+v", r)
	}
	if n := b.status().Slots; n != 1 {
		t.Errorf("the node holds %d slots before the agent has said that nothing is left of the one", n)
	}
	b.from(&v1.FromAgent{Session: 1, Ack: 3, First: 2, Changes: []*v1.Change{{Kind: &v1.Change_Released{
		Released: &v1.SlotReleased{Slot: uint64(slots[0])},
	}}}})
	if n := b.status().Slots; n != 0 {
		t.Errorf("the node still holds %d slots", n)
	}
}

func TestF10_S4_FencesOfASlotOnlyGrow(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	slots := b.reserve(1)
	b.launch(slots[0], 0)
	b.take()
	b.work(func(w *msg.Work) { w.Launch = []msg.Launch{{Slot: slots[0], Fence: 1, Attempt: 1}} })
	if c := b.commands(); len(c) > 0 {
		t.Errorf("sent %v", c)
	}
	if _, ok := find[*msg.SlotsLost](b.news()); !ok {
		t.Error("an old launch is passed over in silence")
	}
}

func TestF31_B57_ARestartedNodeTellsAllJobsAndThePlacer(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	slots := b.reserve(3)
	f := b.launch(slots[0], 0)
	b.from(&v1.FromAgent{Session: 1, Ack: 2, First: 1, Changes: []*v1.Change{changed(attempt(slots[0], f, 0, running))}})
	b.news()
	b.take()
	b.crash(&msg.GetNode{})
	b.pass(time.Second)
	if _, asks := b.controls(); asks == 0 {
		t.Fatal("a restarted node asks for no session")
	}
	b.hello(2, state(slots[0], f, attempt(slots[0], f, 0, running)))
	heard := b.news()
	inv, told := find[*msg.Inventory](heard)
	reset, ok := find[*msg.NodeReset](heard)
	if !told || len(inv.Slots) != 1 || !ok || !reset.Told[uid] || len(reset.Told) != 1 {
		t.Errorf("jobs hear %+v and %+v", inv, reset)
	}
	if len(b.view.Held) != 1 || b.view.Held[0].Count != 1 || !b.view.Again {
		t.Errorf("the placer sees %+v", b.view)
	}
}

// A restarted node whose agent stays silent tells the jobs in the end.
func TestF31_B57_ARestartedNodeThatIsLostTellsAllJobs(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	b.reserve(1)
	b.news()
	b.crash(&msg.GetNode{})
	b.pass(b.env.Settle + 5*time.Second)
	if _, ok := find[*msg.NodeReset](b.news()); !ok || b.status().Liveness != "lost" {
		t.Errorf("the node is %v", b.status())
	}
}

func TestF29_AClaimIsAnsweredByEndsAndThenTheInventory(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	slots := b.reserve(2)
	f := b.launch(slots[0], 0)
	b.from(&v1.FromAgent{Session: 1, Ack: 2, First: 1, Changes: []*v1.Change{changed(attempt(slots[0], f, 0, succeeded))}})
	b.launch(slots[0], 1) // the slot is used again before the end is settled
	b.news()
	b.tell(&msg.Claim{ID: id, UID: uid, Job: b.job, Again: true, Mark: 77})
	heard := b.news()
	if r, ok := heard[0].(*msg.Reported); !ok || len(r.Attempts) != 1 || r.Attempts[0].GetFence() != uint64(f) {
		t.Fatalf("the job hears %+v", heard)
	}
	inv, ok := heard[1].(*msg.Inventory)
	if !ok || len(inv.Slots) != 2 || inv.Mark != 77 || inv.Slots[0].Attempt.GetIndex() != 1 {
		t.Errorf("the job hears %+v", inv)
	}
	b.work(func(w *msg.Work) { w.Settle = []model.Fence{f} })
	b.tell(&msg.Claim{ID: id, UID: uid, Job: b.job, Again: true})
	if _, again := find[*msg.Reported](b.news()); again {
		t.Error("a settled end is told again")
	}
}

// Slots whose grant did not reach the job do not stay with nobody.
func TestM3_AGrantThatAFullMailboxRefusedIsNotForgotten(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	slots := b.reserve(1)
	b.news()
	b.tell(&kit.Busy{To: b.job, Message: &msg.Granted{Node: "n", Stage: model.StageID{Job: uid}, Slots: slots}})
	b.pass(2 * time.Second)
	b.hello(2)
	heard := b.news()
	_, granted := find[*msg.Granted](heard)
	_, told := find[*msg.Inventory](heard)
	if !granted && !told && b.status().Slots > 0 {
		t.Errorf("the job hears %v, and the node keeps the slot: %v", heard, b.status())
	}
}

func TestM3_AgentsBeyondTheLimitGetNoNode(t *testing.T) {
	b := newBench(t, func(l *msg.Limits) { l.Nodes = 3 })
	for i := range 10 {
		name := fmt.Sprintf("x%d", i)
		b.sys.Tell(b.env.Refs.Nodes, &msg.FromAgent{Message: &v1.FromAgent{Node: name, Epoch: 1, Session: 1, Hello: &v1.Hello{Session: 1, Info: info(name, 1)}}})
	}
	for _, name := range []string{"", "Not A Name", "../x"} {
		b.sys.Tell(b.env.Refs.Nodes, &msg.FromAgent{Message: &v1.FromAgent{Node: name, Epoch: 1, Session: 1, Hello: &v1.Hello{Session: 1, Info: info(name, 1)}}})
	}
	b.sys.Tell(b.env.Refs.Nodes, &msg.FromAgent{Message: &v1.FromAgent{Node: "nobody", Epoch: 1, Session: 1}})
	b.pass(2 * time.Second)
	b.answers = nil
	b.sys.TellFrom(b.asker, b.env.Refs.Nodes, &msg.ListNodes{Request: &v1.ListNodesRequest{Limit: 100}})
	b.settle()
	if l := b.answers[0].(*v1.ListNodesReply); len(l.Nodes) != 3 {
		t.Errorf("listed %v", l)
	}
	if b.sys.Stats().Failures > 0 {
		t.Errorf("an agent lets an actor fail: %s", b.logs.String())
	}
}

// joinedLog is a log of a cell that knows so many nodes.
func joinedLog(t *testing.T, names ...string) *memlog.Log {
	t.Helper()
	log := memlog.New(memlog.Options{})
	b := newBenchOver(t, log, 1)
	for _, name := range names {
		b.sys.Tell(b.env.Refs.Nodes, &msg.FromAgent{Message: &v1.FromAgent{Node: name, Epoch: 1, Session: 1, Hello: &v1.Hello{Session: 1, Info: info(name, 10)}}})
	}
	b.settle()
	b.sys.Kill()
	return log.Reopen()
}

func TestF30_F31_ClaimsWaitUntilTheNodesHaveSaidWhatTheyHold(t *testing.T) {
	b := newBenchOver(t, joinedLog(t, "m", "n"), 1)
	b.sys.TellFrom(b.asker, b.env.Refs.Nodes, &msg.Claim{ID: id, UID: uid, Job: b.job})
	b.pass(2 * time.Second)
	if _, asks := b.controls(); asks < 2 || len(b.claimed) > 0 {
		t.Fatalf("asked %d times, claims are answered: %v", asks, b.claimed)
	}
	b.hello(5)
	b.pass(time.Second)
	if len(b.claimed) > 0 {
		t.Fatal("a claim is answered before all nodes are here")
	}
	b.sys.Tell(b.env.Refs.Nodes, &msg.FromAgent{Message: &v1.FromAgent{Node: "m", Epoch: 2, Session: 9, Hello: &v1.Hello{Session: 9, Info: info("m", 10)}}})
	b.settle()
	if len(b.claimed) != 1 || b.claimed[0].Nodes != 0 {
		t.Fatalf("claimed %v", b.claimed)
	}
	b.sys.TellFrom(b.asker, b.env.Refs.Nodes, &msg.Claim{ID: id, UID: uid, Job: b.job, Again: true})
	b.settle()
	inventories := 0
	for _, m := range b.news() {
		if _, ok := m.(*msg.Inventory); ok {
			inventories++
		}
	}
	if len(b.claimed) != 2 || b.claimed[1].Nodes != 2 || inventories != 2 {
		t.Errorf("claimed %+v, %d inventories", b.claimed, inventories)
	}
}

func TestF30_B43_ANodeThatStaysSilentIsNotWaitedForForever(t *testing.T) {
	b := newBenchOver(t, joinedLog(t, "m", "n"), 1)
	b.sys.TellFrom(b.asker, b.env.Refs.Nodes, &msg.Claim{ID: id, UID: uid, Job: b.job})
	b.hello(5)
	b.pass(b.env.Settle - time.Second)
	if len(b.claimed) > 0 {
		t.Fatal("a claim is answered before the grace time is over")
	}
	b.pass(3 * time.Second)
	if len(b.claimed) != 1 {
		t.Errorf("claimed %v", b.claimed)
	}
}

func TestB12_NodesAreListedInPages(t *testing.T) {
	b := newBench(t)
	for i := range 5 {
		name := fmt.Sprintf("x%d", i)
		b.sys.Tell(b.env.Refs.Nodes, &msg.FromAgent{Message: &v1.FromAgent{Node: name, Epoch: 1, Session: 1, Hello: &v1.Hello{Session: 1, Info: info(name, 1)}}})
	}
	b.pass(2 * time.Second)
	var got []string
	for after := ""; ; {
		b.answers = nil
		b.sys.TellFrom(b.asker, b.env.Refs.Nodes, &msg.ListNodes{Request: &v1.ListNodesRequest{Limit: 2, After: after}})
		b.settle()
		l := b.answers[0].(*v1.ListNodesReply)
		for _, n := range l.Nodes {
			got = append(got, n.Info.GetId())
		}
		if after = l.Next; after == "" {
			break
		}
	}
	if fmt.Sprint(got) != "[x0 x1 x2 x3 x4]" {
		t.Errorf("listed %v", got)
	}
}
