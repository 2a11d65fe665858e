package job_test

import (
	"slices"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func gang(n int64) *v1.StageSpec {
	st := stage("s", n)
	st.Gang = &v1.Gang{Hold: "20s"}
	return st
}

func TestGang_AGangLaunchesWhenItIsAllThere(t *testing.T) {
	b := newBench(t)
	b.submit(stages(gang(3)))
	n, m := b.on("n"), b.on("m")
	n.grant(0, 2)
	b.pass(19 * time.Second)
	if len(n.launched) > 0 || b.target(0) != 3 {
		t.Fatalf("launched %v, wants %d", n.launched, b.target(0))
	}
	if e := b.ask(&msg.ExplainJob{Request: &v1.ExplainRequest{}}).(*v1.ExplainReply).Stages[0]; e.WaitsFor != "gang" ||
		e.Summary != "2 slots of the gang are held; they go back in 1s unless the rest comes" {
		t.Errorf("%v", e)
	}
	m.grant(0, 1)
	if len(n.launched) != 2 || len(m.launched) != 1 {
		t.Fatalf("launched %v and %v", n.launched, m.launched)
	}
	b.pass(time.Minute)
	if got := append(n.gone(), m.gone()...); len(got) > 0 {
		t.Fatalf("gave back %v of a gang that runs", got)
	}
	n.report(succeeded, n.launched...)
	m.report(succeeded, m.launched...)
	b.phase("succeeded")
}

// A part goes back whole when its time is over, and is wanted again after a rest that grows.
func TestGang_APartOfAGangIsHeldForSoLong(t *testing.T) {
	b := newBench(t)
	b.submit(stages(gang(3)))
	n := b.on("n")
	offset := time.Duration(uint64(b.uid)%16) * time.Second / 8
	for i := range 3 {
		slots := n.grant(0, 2)
		b.pass(20*time.Second - time.Millisecond)
		if got := n.gone(); len(got) > 0 {
			t.Fatalf("gave back %v too early", got)
		}
		b.pass(time.Millisecond)
		got := n.yielded
		slices.Sort(got)
		if !slices.Equal(got, slots) || b.target(0) != 0 {
			t.Fatalf("gave back %v of %v, wants %d", got, slots, b.target(0))
		}
		n.freed(n.gone()...)
		rest := time.Second<<i + offset
		b.pass(rest - time.Millisecond)
		if b.target(0) != 0 {
			t.Fatalf("wants %d while it rests", b.target(0))
		}
		b.pass(time.Millisecond)
		if b.target(0) != 3 || len(n.launched) > 0 {
			t.Fatalf("after a rest of %v it wants %d, launched %v", rest, b.target(0), n.launched)
		}
	}
	n.grant(0, 3)
	if len(n.launched) != 3 {
		t.Fatalf("launched %v", n.launched)
	}
}

// Slots that come while a gang rests are not kept.
func TestGang_WhatComesWhileAGangRestsGoesBack(t *testing.T) {
	b := newBench(t)
	b.submit(stages(gang(3)))
	n := b.on("n")
	n.grant(0, 1)
	b.pass(20 * time.Second)
	n.freed(n.gone()...)
	late := n.grant(0, 2)
	got := n.gone()
	slices.Sort(got)
	if !slices.Equal(got, late) || len(n.launched) > 0 {
		t.Fatalf("gave back %v of %v, launched %v", got, late, n.launched)
	}
}

// Once it has begun, one that fails is tried again alone.
func TestGang_F13_OneOfAGangFails(t *testing.T) {
	b := newBench(t)
	b.submit(stages(gang(2)))
	n, m := b.on("n"), b.on("m")
	n.grant(0, 2)
	n.report(failed, n.launched[1])
	b.pass(8 * time.Second)
	n.freed(n.gone()...)
	m.grant(0, 1)
	if len(m.launched) != 1 {
		t.Fatalf("launched %v", m.launched)
	}
	b.pass(time.Minute)
	if got := append(n.gone(), m.gone()...); len(got) > 0 {
		t.Fatalf("gave back %v", got)
	}
}

// A gang of which some are done is not waited for any more.
func TestGang_F13_TheRestOfAGangGoesOn(t *testing.T) {
	b := newBench(t)
	b.submit(stages(gang(3)))
	n, m := b.on("n"), b.on("m")
	slots := n.grant(0, 3)
	n.report(succeeded, n.launched[0])
	n.say(&msg.SlotsLost{ID: id, UID: b.uid, Node: "n", Slots: slots, Reason: "node lost"})
	b.pass(time.Second)
	m.grant(0, 1)
	if len(m.launched) != 1 {
		t.Fatalf("launched %v", m.launched)
	}
}

// An actor that begins anew over a part holds it, and over a gang that runs lets it run.
func TestGang_F29_AGangMeetsACrash(t *testing.T) {
	b := newBench(t)
	b.submit(stages(gang(3)))
	n := b.on("n")
	slots := n.grant(0, 2)
	b.crash(&msg.GetJob{})
	b.claimed(1)
	n.inventory(msg.HeldSlot{Slot: slots[0]}, msg.HeldSlot{Slot: slots[1]})
	if len(n.launched) > 0 || b.target(0) != 3 {
		t.Fatalf("launched %v, wants %d", n.launched, b.target(0))
	}
	n.grant(0, 1)
	if len(n.launched) != 3 {
		t.Fatalf("launched %v", n.launched)
	}
	l := n.take()
	b.crash(&msg.GetJob{})
	b.claimed(1)
	n.inventory(n.held(l[0], running), n.held(l[1], running)) // the third launch has not reached the node, nor has its slot
	n.grant(0, 1)
	if len(n.launched) != 1 {
		t.Fatalf("launched %v", n.launched)
	}
}

// An instance goes to the slot on the node that holds most of its stage's data.
func TestF11_DataDecidesAmongSlots(t *testing.T) {
	for _, most := range []string{"n", "m"} {
		b := newBench(t)
		st := stage("s", 2)
		st.Data = map[string]string{"n": "1Gi", "m": "1Gi"}
		st.Data[most] = "2Gi"
		b.submit(stages(st))
		nodes := map[string]*machine{"n": b.on("n"), "m": b.on("m")}
		var first []msg.Launch
		for _, name := range []string{"n", "m"} {
			nodes[name].grant(0, 1)
			first = append(first, nodes[name].take()...)
		}
		const gone = v1.AttemptPhase_ATTEMPT_PHASE_LOST
		nodes["n"].report(gone, first[0])
		b.pass(500 * time.Millisecond)
		nodes["m"].report(gone, first[1])
		b.pass(500 * time.Millisecond) // one of them is due, and has two slots to choose from
		if len(nodes["n"].launched)+len(nodes["m"].launched) != 1 || len(nodes[most].launched) != 1 {
			t.Errorf("launched %v and %v, most data is on %s", nodes["n"].launched, nodes["m"].launched, most)
		}
		b.pass(time.Second)
		for _, m := range nodes {
			m.launched = m.launched[:min(1, len(m.launched))]
		}
		nodes[most].report(succeeded, nodes[most].last())
		if got := nodes[most].gone(); len(got) != 1 {
			t.Errorf("gave back %v", got)
		}
	}
}
