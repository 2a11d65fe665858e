package job_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// avoid is what the job last asked the placer to avoid.
func (b *bench) avoid() []model.NodeID {
	if s := b.wants[len(b.wants)-1].Stages; len(s) > 0 {
		return s[0].Avoid
	}
	return nil
}

func TestB44_AnInstanceAvoidsTheNodeOnWhichItFailed(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 1)))
	n, m := b.on("n"), b.on("m")
	n.grant(0, 1)
	slot := n.last().Slot
	n.report(failed, n.last())
	if got := b.avoid(); !slices.Equal(got, []model.NodeID{"n"}) {
		t.Fatalf("asks to avoid %v", got)
	}
	b.pass(8 * time.Second) // its backoff
	if got := n.gone(); len(n.launched) != 1 || !slices.Equal(got, []model.SlotID{slot}) || b.target(0) != 1 {
		t.Fatalf("launched %v, gave back %v, wants %d", n.launched, got, b.target(0))
	}
	m.grant(0, 1)
	if l := m.last(); l.Attempt != 2 {
		t.Fatalf("%+v", l)
	}
	b.pass(time.Second)
	if got := b.avoid(); len(got) > 0 {
		t.Errorf("still avoids %v", got)
	}
	m.report(failed, m.last())
	if got := b.avoid(); !slices.Equal(got, []model.NodeID{"m", "n"}) {
		t.Errorf("asks to avoid %v", got)
	}
}

// A slot of a node on which one instance has failed is good for others; and others' slots are good for it.
func TestB44_F4_OthersUseTheSlot(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 3)))
	n, m := b.on("n"), b.on("m")
	n.grant(0, 1)
	m.grant(0, 1)
	bad := n.last()
	n.report(failed, bad)
	if l := n.last(); l.Index != 2 || l.Slot != bad.Slot {
		t.Fatalf("%+v", l)
	}
	b.pass(8 * time.Second)
	n.report(succeeded, n.last()) // its slot is free, but the one who waits has failed there
	if len(n.launched) != 2 {
		t.Fatalf("launched on %v", n.launched)
	}
	m.report(succeeded, m.last())
	if l := m.last(); l.Index != bad.Index || l.Attempt != 2 {
		t.Fatalf("%+v", l)
	}
	m.report(succeeded, m.last())
	b.phase("succeeded")
}

// Where there is no other node the instance runs on the one there is: with a placer that grants it there again, and with
// one that does not before it is asked to avoid nothing.
func TestB44_NoNodeIsLostForEver(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 1)))
	n := b.on("n")
	n.grant(0, 1)
	n.report(failed, n.last())
	b.pass(8 * time.Second)
	n.freed(n.gone()...)
	n.grant(0, 1)
	if l := n.last(); l.Attempt != 2 {
		t.Fatalf("granted there again, but launched %+v", l)
	}
	n.report(failed, n.last())
	b.pass(16 * time.Second)
	n.freed(n.gone()...)
	b.pass(50 * time.Second)
	if got := b.avoid(); !slices.Equal(got, []model.NodeID{"n"}) {
		t.Fatalf("it avoids %v", got)
	}
	e := b.ask(&msg.ExplainJob{Request: &v1.ExplainRequest{HasIndex: true}}).(*v1.ExplainReply).Stages[0]
	if e.Summary != "instance 0 waits for a slot; it has failed on n, and is tried elsewhere if there is another node" {
		t.Errorf("%s", e.Summary)
	}
	b.pass(30 * time.Second)
	if got := b.avoid(); len(got) > 0 || b.target(0) != 1 {
		t.Fatalf("after a long wait it avoids %v and wants %d", got, b.target(0))
	}
	n.grant(0, 1)
	if l := n.last(); l.Attempt != 3 {
		t.Fatalf("%+v", l)
	}
	n.report(succeeded, n.last())
	b.phase("succeeded")
}

func TestB44_F29_AnActorThatBeginsKnowsWhereInstancesHaveFailed(t *testing.T) {
	b, n, m, on, om := begun(t, 2)
	m.report(failed, om[0])
	b.crash(&msg.GetJob{})
	b.claimed(2)
	n.inventory(n.held(on[0], running))
	m.inventory(msg.HeldSlot{Slot: om[0].Slot, Fence: om[0].Fence})
	b.pass(time.Second)
	if got := m.gone(); len(m.launched) > 0 || !slices.Equal(got, []model.SlotID{om[0].Slot}) {
		t.Fatalf("launched %v, gave back %v", m.launched, got)
	}
	if got := b.avoid(); !slices.Equal(got, []model.NodeID{"m"}) {
		t.Errorf("asks to avoid %v", got)
	}
}

// What a stage avoids is bounded, and said at most a few times a second.
func TestB44_M3_AvoidanceIsBounded(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 200)))
	var all []*machine
	for i := range 200 {
		m := b.on(fmt.Sprintf("n%03d", i))
		m.grant(0, 1)
		all = append(all, m)
	}
	before := len(b.wants)
	for _, m := range all {
		m.report(failed, m.last())
	}
	if said := len(b.wants) - before; said > 2 {
		t.Errorf("200 failures at once led to %d wants", said)
	}
	b.pass(300 * time.Millisecond)
	if got := b.avoid(); len(got) != 64 {
		t.Errorf("avoids %d nodes", len(got))
	}
}

// An eviction or a lost node is no failure: nothing is avoided.
func TestB44_B39_OnlyFailuresCount(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 2)))
	n := b.on("n")
	slots := n.grant(0, 2)
	n.evict(1)
	n.report(stopped, n.last())
	n.say(&msg.SlotsLost{ID: id, UID: b.uid, Node: "n", Slots: slots})
	b.pass(time.Second)
	if got := b.avoid(); len(got) > 0 {
		t.Errorf("avoids %v", got)
	}
}

// A node that fails one instance after another is left while the others go on, and comes back after a while.
func TestB44_AFaultyNodeIsLeftInBoundTime(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 100)))
	bad, good := b.on("bad"), b.on("good")
	bad.grant(0, 1)
	good.grant(0, 1)
	good.report(succeeded, good.last())
	for range 3 {
		if len(bad.gone()) > 0 {
			t.Fatal("given up too early")
		}
		bad.report(failed, bad.last())
	}
	b.pass(500 * time.Millisecond)
	if got := bad.gone(); len(bad.launched) != 3 || len(got) != 1 || !slices.Equal(b.avoid(), []model.NodeID{"bad"}) || b.target(0) != 99 {
		t.Fatalf("launched %d times on the bad node, gave back %v, avoids %v, wants %d", len(bad.launched), got, b.avoid(), b.target(0))
	}
	bad.grant(0, 1) // there is nothing better
	if len(bad.launched) != 4 {
		t.Fatal("what is granted all the same is not taken")
	}
	bad.report(failed, bad.last())
	b.pass(500 * time.Millisecond)
	if got := bad.gone(); len(bad.launched) != 4 || len(got) != 1 {
		t.Fatalf("launched %d times on the bad node, gave back %v", len(bad.launched), got)
	}
	for range 4 { // those that have failed are tried again elsewhere
		b.pass(10 * time.Second)
		good.report(succeeded, good.last())
	}
	b.pass(10*time.Minute + 20*time.Second)
	if got := b.avoid(); len(got) > 0 {
		t.Fatalf("still avoids %v", got)
	}
}

// When a program fails everywhere no node is to blame.
func TestB44_AFaultyProgramBlamesNoNode(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 100)))
	n := b.on("n")
	n.grant(0, 1)
	for range 20 {
		n.report(failed, n.last())
	}
	if len(n.launched) != 21 || len(n.gone()) > 0 {
		t.Fatalf("launched %d times", len(n.launched))
	}
}

// Twenty thousand instances that fail at once are all tried again, each on another node, without looking at every slot for
// every instance.
func TestB44_F44_AMassOfFailures(t *testing.T) {
	const nodes, slots = 2000, 10
	b := newBench(t)
	b.submit(stages(stage("s", nodes*slots)))
	on := map[uint64]*machine{}
	var all []*machine
	for i := range nodes {
		m := b.on(fmt.Sprintf("n%04d", i))
		m.grant(0, slots)
		for _, l := range m.launched {
			on[l.Index] = m
		}
		all = append(all, m)
	}
	for _, m := range all {
		m.report(failed, m.take()...)
	}
	b.pass(10 * time.Second)
	n := 0
	for _, m := range all {
		for _, l := range m.launched {
			if n++; on[l.Index] == m {
				t.Fatalf("instance %d is tried again on %s", l.Index, m.id)
			}
		}
	}
	if n != nodes*slots {
		t.Fatalf("%d instances are tried again", n)
	}
}
