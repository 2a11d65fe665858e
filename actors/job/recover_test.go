package job_test

import (
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
)

// begun is a job with all of its instances running in slots of two nodes.
func begun(t *testing.T, instances int) (b *bench, n, m *machine, on, om []msg.Launch) {
	t.Helper()
	b = newBench(t)
	b.submit(stages(stage("s", int64(instances))))
	n, m = b.on("n"), b.on("m")
	n.grant(0, instances-instances/2)
	m.grant(0, instances/2)
	return b, n, m, n.take(), m.take()
}

func TestF29_ARestartedJobLaunchesNothingBeforeAllNodesHaveAnswered(t *testing.T) {
	b, n, m, on, om := begun(t, 4)
	b.crash(&msg.GetJob{})
	if len(b.claims) != 1 || !b.claims[0].Again {
		t.Fatalf("a restarted job claims %v", b.claims)
	}
	b.claimed(2)
	n.inventory(n.held(on[0], running)) // of the other slot it knows nothing
	b.pass(10 * time.Second)
	if len(n.launched)+len(m.launched) > 0 || len(n.stops) > 0 {
		t.Fatalf("launched %v and %v before all have answered", n.launched, m.launched)
	}
	m.inventory(m.held(om[0], running), m.held(om[1], running))
	if s := b.phase("running"); s.Counts.Running != 3 || b.target(0) != 4 {
		t.Fatalf("%v, wants %d", s.Counts, b.target(0))
	}
	n.grant(0, 1)
	if l := n.last(); l.Index != on[1].Index || l.Fence <= on[1].Fence {
		t.Errorf("launched %+v for %+v", l, on[1])
	}
	n.report(succeeded, on[0], n.last())
	m.report(succeeded, om...)
	if s := b.phase("succeeded"); s.Counts.Done != 4 || s.Counts.FailedAttempts != 0 {
		t.Errorf("%v", s.Counts)
	}
}

// A job replaces nothing before every node has answered, and a node that is lost answers with nothing. It asks again: the
// supervisor of nodes may have failed over its question.
func TestF29_B36_AJobWaitsForEveryNodeAndAsksAgain(t *testing.T) {
	b, n, m, on, om := begun(t, 2)
	b.crash(&msg.GetJob{})
	b.claimed(2)
	n.inventory(n.held(on[0], running))
	b.pass(3 * (b.env.Settle + b.env.Lost))
	n.grant(0, 1)
	if len(n.launched)+len(m.launched) > 0 {
		t.Fatalf("launched %v and %v while a node is silent", n.launched, m.launched)
	}
	if len(b.claims) < 3 || b.claims[2].Mark != b.claims[0].Mark || !b.claims[2].Again {
		t.Fatalf("claims %v", b.claims)
	}
	m.inventory() // it is lost
	if l := n.last(); l.Index != om[0].Index || l.Fence <= om[0].Fence {
		t.Errorf("launched %+v", l)
	}
}

func TestB46_F29_EndsThatTheActorBeforeHadNotSettledCount(t *testing.T) {
	b, n, m, on, om := begun(t, 2)
	b.crash(&msg.Reported{}) // stands for the report of the ends
	b.claimed(2)
	n.report(succeeded, on[0]) // told again, before the inventory
	n.inventory(n.held(on[0], succeeded))
	m.report(failed, om[0])
	m.inventory(m.held(om[0], failed))
	if s := b.status(); s.Counts.Done != 1 || s.Counts.FailedAttempts != 1 || len(n.launched)+len(m.launched) > 0 {
		t.Fatalf("%v; launched %v and %v", s.Counts, n.launched, m.launched)
	}
	b.pass(10 * time.Second)
	l := append(n.take(), m.take()...)
	if len(l) != 1 || l[0].Index != om[0].Index || l[0].Attempt != 2 {
		t.Errorf("launched %+v", l)
	}
}

// A launch that the node has never heard of is found out when the node answers a claim that was sent after it.
func TestF29_ALaunchThatANodeFailedOverIsMadeAgain(t *testing.T) {
	b, n, _, on, _ := begun(t, 1)
	told := len(b.claims)
	// The node's actor has restarted: it knows the slot from its agent, and no attempt in it.
	n.say(&msg.Inventory{Node: n.id, NodeRef: n.ref, Order: b.env.IDs.Order(), Slots: []msg.HeldSlot{{Slot: on[0].Slot}}})
	if len(n.launched) > 0 || len(b.claims) != told+1 {
		t.Fatalf("in doubt it launches %v and claims %v", n.launched, b.claims[told:])
	}
	n.inventory(msg.HeldSlot{Slot: on[0].Slot})
	b.pass(time.Second)
	if l := n.last(); l.Index != 0 || l.Fence <= on[0].Fence {
		t.Fatalf("launched %+v", l)
	}
	n.report(succeeded, on[0]) // should it have run after all
	if b.status().Counts.Done != 0 {
		t.Error("the end of an attempt that was given up is accepted")
	}
	n.report(succeeded, n.last())
	b.phase("succeeded")
}

func TestM3_WorkThatAFullMailboxRefusedIsMadeUpFor(t *testing.T) {
	b, n, _, on, _ := begun(t, 1)
	told := len(b.claims)
	n.say(&kit.Busy{To: n.ref, Message: &msg.Work{ID: id, UID: b.uid, Launch: on}})
	b.pass(time.Second)
	if len(b.claims) != told+1 {
		t.Fatalf("the node is asked %d times what it holds", len(b.claims)-told)
	}
	n.inventory(msg.HeldSlot{Slot: on[0].Slot})
	b.pass(time.Second)
	if l := n.last(); l.Index != on[0].Index || l.Fence <= on[0].Fence {
		t.Fatalf("launched %+v", l)
	}
	n.report(succeeded, n.last())
	b.phase("succeeded")
}

func TestF29_AReleaseThatANodeFailedOverIsSaidAgain(t *testing.T) {
	b, n, _, on, _ := begun(t, 1)
	b.tell(&msg.StopJob{Reason: "enough"})
	if len(n.released) != 1 {
		t.Fatalf("released %v", n.released)
	}
	n.say(&msg.Inventory{Node: n.id, NodeRef: n.ref, Order: b.env.IDs.Order(), Slots: []msg.HeldSlot{n.held(on[0], running)}})
	if len(n.released) != 2 {
		t.Fatalf("released %v", n.released)
	}
	n.report(stopped, on[0])
	n.freed(on[0].Slot)
	b.phase("stopped")
}

func TestF29_ALateInventoryTakesNoNewSlotAway(t *testing.T) {
	b, n, _, _, _ := begun(t, 2)
	late := &msg.Inventory{Node: "k", NodeRef: b.on("k").ref, Order: b.env.IDs.Order()}
	b.on("k").grant(0, 1)
	n.say(late)
	if s := b.status(); s.Counts.Slots != 2 { // the third was more than it wants and has gone back
		t.Errorf("%v", s.Counts)
	}
	b, n, _, _, _ = begun(t, 2)
	late = &msg.Inventory{Node: n.id, NodeRef: n.ref, Order: 1}
	n.say(late)
	if s := b.status(); s.Counts.Slots != 2 || s.Counts.Running != 2 {
		t.Errorf("%v", s.Counts)
	}
}

func TestB7_StopWhileRecovering(t *testing.T) {
	b, n, m, on, om := begun(t, 2)
	b.crash(&msg.GetJob{})
	b.tell(&msg.StopJob{Reason: "enough"})
	b.claimed(2)
	n.inventory(n.held(on[0], running))
	if b.phase("stopping"); len(n.released) > 0 {
		t.Fatal("it gives back what it has before it knows all")
	}
	m.inventory(m.held(om[0], running))
	if len(n.released) != 1 || len(m.released) != 1 {
		t.Fatalf("released %v and %v", n.released, m.released)
	}
	n.freed(on[0].Slot)
	m.freed(om[0].Slot)
	if s := b.phase("stopped"); s.Reason != "enough" || b.failed() {
		t.Errorf("%s; %s", s.Reason, b.logs.String())
	}
}

// A job that is durably stopping gets a grant before it knows what it holds.
func TestB7_AGrantWhileAStoppingJobRecovers(t *testing.T) {
	b, n, m, on, om := begun(t, 2)
	b.tell(&msg.StopJob{Reason: "enough"})
	b.crash(&msg.GetJob{})
	n.released, m.released = nil, nil
	slots := n.grant(0, 1)
	b.claimed(2)
	n.inventory(n.held(on[0], running))
	m.inventory(m.held(om[0], running))
	n.freed(append(slots, on[0].Slot)...)
	m.freed(om[0].Slot)
	if s := b.phase("stopped"); s.Reason != "enough" || b.failed() {
		t.Errorf("%s; %s", s.Reason, b.logs.String())
	}
	if len(n.released) != 2 {
		t.Errorf("released %v", n.released)
	}
}

func TestF13_B46_ALostNodeThatComesBackIsStoppedWhereItWasReplaced(t *testing.T) {
	b, n, m, on, om := begun(t, 2)
	n.say(&msg.SlotsLost{Node: n.id, Slots: []model.SlotID{on[0].Slot}, Reason: "node lost"})
	m.grant(0, 1)
	b.pass(2 * time.Second)
	again := m.last()
	n.inventory(n.held(on[0], running))
	if len(n.stops)+len(n.released) == 0 {
		t.Fatal("two attempts of one instance go on")
	}
	n.report(stopped, on[0])
	m.report(succeeded, again)
	m.report(succeeded, om...)
	if s := b.phase("succeeded"); s.Counts.Done != 2 || s.Counts.FailedAttempts != 0 {
		t.Errorf("%v", s.Counts)
	}
}

// Of two attempts of one instance the later one is valid; the slot of the other does not stay with the job unused.
func TestB7_F4_OfTwoAttemptsTheLaterOneStays(t *testing.T) {
	b, n, m, on, om := begun(t, 2)
	b.crash(&msg.GetJob{})
	b.claimed(2)
	twin := on[0]
	twin.Index = om[0].Index // both have run the same instance; the one on m has the greater fence
	n.inventory(n.held(twin, running))
	m.inventory(m.held(om[0], running))
	if s := b.status(); s.Counts.Running != 1 {
		t.Fatalf("%v", s.Counts)
	}
	if len(n.stops)+len(n.released) == 0 || len(m.stops)+len(m.released) > 0 {
		t.Fatalf("stopped %v %v on n and %v %v on m", n.stops, n.released, m.stops, m.released)
	}
	n.report(stopped, twin)
	n.freed(n.released...)
	n.grant(0, len(n.released))
	if l := append(n.take(), m.take()...); len(l) != 1 || l[0].Index != on[0].Index {
		t.Errorf("the other instance does not run: %+v", l)
	}
}

func TestB42_ARestartedActorOfAnEndedJobSettlesAndReleasesWhatIsLeft(t *testing.T) {
	b, n, _, on, _ := begun(t, 1)
	n.report(succeeded, on[0])
	b.phase("succeeded")
	n.settled, n.released = nil, nil
	b.crash(&msg.GetJob{})
	if len(b.claims) != 1 || !b.claims[0].Again {
		t.Fatalf("it claims %v", b.claims)
	}
	n.report(succeeded, on[0])
	n.inventory(n.held(on[0], succeeded))
	if len(n.settled) != 1 || len(n.released) != 1 {
		t.Errorf("settled %v, released %v", n.settled, n.released)
	}
	if s := b.phase("succeeded"); s.Counts.Done != 1 {
		t.Errorf("%v", s.Counts)
	}
}

// The queue hears of the end although the actor fails over its own news of it.
func TestB14_B57_TheEndIsToldAlsoWhenTheActorFailsThen(t *testing.T) {
	b, n, _, on, _ := begun(t, 1)
	b.step.OnFate(func(_ string, m any) kit.Fate {
		if c, ok := m.(*msg.Committed); ok && c.Events[0].GetJobEnded() != nil {
			return kit.DiesBefore
		}
		return kit.Lives
	})
	n.report(succeeded, on[0])
	if len(b.ended) != 1 || b.ended[0].Phase != "succeeded" || b.sys.Stats().Failures != 1 {
		t.Fatalf("the queue heard %v", b.ended)
	}
	b.phase("succeeded")
}

// One commit never grows beyond what a record may hold, however much has gathered while the journal was slow.
func TestM3_ACommitIsBounded(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 140_000)))
	n := b.on("n")
	n.grant(0, 130_000)
	l := n.take()
	b.log.slow = true
	n.report(succeeded, l[0])
	var odd []msg.Launch // ranges of one instance each take the most room
	for i := 1; i < len(l); i += 2 {
		odd = append(odd, l[i])
	}
	n.report(succeeded, odd...)
	largest := 0
	b.step.OnFate(nil)
	b.log.Log = measured{b.log.Log, &largest}
	b.log.slow = false
	for len(b.log.waiting) > 0 {
		b.log.answer()
		b.settle()
	}
	if s := b.status(); s.Counts.Done != uint64(len(odd)+1) {
		t.Errorf("%v", s.Counts)
	}
	if largest > 512<<10 {
		t.Errorf("a record of %d bytes", largest)
	}
}
