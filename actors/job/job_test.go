package job_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestF8_AJobRunsToItsEnd(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 2), stage("t", 1, "s")))
	if len(b.claims) > 0 || b.target(0) != 2 || b.target(1) != 0 {
		t.Fatalf("a new job claims %v and wants %d and %d", b.claims, b.target(0), b.target(1))
	}
	n := b.on("n")
	n.grant(0, 2)
	s := n.take()
	n.report(running, s...)
	b.phase("running")
	n.report(succeeded, s...)
	if b.target(0) != 0 || b.target(1) != 1 || len(n.released) != 2 {
		t.Fatalf("the first stage is done: wants %d and %d, released %v", b.target(0), b.target(1), n.released)
	}
	n.freed(n.released...)
	n.grant(1, 1)
	n.report(succeeded, n.take()...)
	b.phase("succeeded")
	if len(b.ended) != 1 || b.ended[0].Phase != "succeeded" || b.ended[0].EndedUnixMs == 0 || b.ended[0].Counts.Done != 3 {
		t.Errorf("the queue hears %v", b.ended)
	}
	if len(n.settled) != 3 {
		t.Errorf("settled %v", n.settled)
	}
}

// A result is durable before the agent may forget it.
func TestB14_F10_SettledComesAfterTheCommit(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 1)))
	n := b.on("n")
	n.grant(0, 1)
	l := n.last()
	b.log.slow = true
	n.report(succeeded, l)
	n.report(succeeded, l) // the node says it again
	b.pass(time.Minute)
	if len(n.settled) > 0 || b.status().Counts.Done != 0 || len(b.ended) > 0 {
		t.Fatalf("before it is durable: settled %v, %v", n.settled, b.status().Counts)
	}
	b.log.slow = false
	b.log.answer()
	b.settle()
	if len(n.settled) != 1 || n.settled[0] != l.Fence {
		t.Errorf("settled %v", n.settled)
	}
	b.phase("succeeded")
}

func TestB7_F10_OneResultOfOneAttempt(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 1)))
	n, m := b.on("n"), b.on("m")
	slots := n.grant(0, 1)
	first := n.last()
	n.say(&msg.SlotsLost{Node: "n", Slots: slots, Reason: "node lost"})
	m.grant(0, 1)
	if len(m.launched) > 0 {
		t.Fatal("launched again at once")
	}
	b.pass(2 * time.Second)
	second := m.last()
	if second.Index != first.Index || second.Fence <= first.Fence || second.Attempt != 1 {
		t.Fatalf("launched %+v after %+v", second, first)
	}
	n.report(succeeded, first) // too late: it was given up
	if b.status().Counts.Done != 0 || len(n.settled) != 1 {
		t.Fatalf("the end of an attempt that was given up: %v, settled %v", b.status().Counts, n.settled)
	}
	m.report(succeeded, second)
	if s := b.phase("succeeded"); s.Counts.Done != 1 || s.Counts.FailedAttempts != 0 {
		t.Errorf("%v", s.Counts)
	}
}

func TestF13_F10_AFailureIsTriedAgainAfterItsBackoff(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 1)))
	n := b.on("n")
	n.again = true
	n.grant(0, 1)
	fence := model.Fence(0)
	for attempt, longest := range []time.Duration{0, 8 * time.Second, 16 * time.Second} {
		b.pass(longest/2 - time.Millisecond)
		if attempt > 0 && len(n.launched) > attempt {
			t.Fatalf("attempt %d began before half of its backoff", attempt+1)
		}
		b.pass(longest/2 + 2*time.Millisecond)
		l := n.last()
		if len(n.launched) != attempt+1 || l.Attempt != uint32(attempt+1) || l.Fence <= fence {
			t.Fatalf("after the backoff: launched %+v", n.launched)
		}
		fence = l.Fence
		n.report(failed, l)
	}
	b.phase("running") // it ends when its slots are free
	n.freed(n.released...)
	s := b.phase("failed")
	if s.Counts.FailedAttempts != 3 || s.Counts.Dead != 1 || !strings.Contains(s.Reason, "instance 0") || !strings.Contains(s.Reason, "node n") {
		t.Errorf("%v: %s", s.Counts, s.Reason)
	}
}

func TestF4_SlotsAreUsedAgainWithoutAsking(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 1000)))
	n := b.on("n")
	wants := len(b.wants)
	n.grant(0, 10)
	done := 0
	for done < 1000 {
		batch := n.take()
		if len(batch) != 10 {
			t.Fatalf("%d instances run in 10 slots after %d", len(batch), done)
		}
		done += len(batch)
		if left := 1000 - done; left > 0 {
			n.report(succeeded, batch...)
			continue
		}
		n.report(succeeded, batch...)
	}
	if s := b.phase("succeeded"); s.Counts.Done != 1000 {
		t.Errorf("%v", s.Counts)
	}
	// One Work answers a report: launches, and the settling of the ones before when they are durable.
	if asked := len(b.wants) - wants; asked > 105 || n.works > 205 {
		t.Errorf("%d messages to the queue and %d to the node for 1000 instances in 10 slots", asked, n.works)
	}
}

// While far more is open than may be held at once, nothing is said at all.
func TestF4_F35_NothingIsAskedWhileTheTargetStays(t *testing.T) {
	b := newBench(t)
	s := stage("s", 1000)
	s.Parallel = 10
	b.submit(stages(s))
	n := b.on("n")
	n.grant(0, 10)
	wants := len(b.wants)
	for range 99 {
		n.report(succeeded, n.take()...)
	}
	if len(b.wants) != wants || len(n.released) > 0 {
		t.Errorf("%d messages to the queue, %v released", len(b.wants)-wants, n.released)
	}
	n.report(succeeded, n.take()...)
	b.phase("succeeded")
}

func TestF35_AWantIsSaidAgainInCaseItWasLost(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 5)))
	n := len(b.wants)
	b.pass(11 * time.Second)
	if len(b.wants) != n+1 || b.target(0) != 5 {
		t.Errorf("%d wants, the last %v", len(b.wants), b.wants[len(b.wants)-1])
	}
	b.sys.Tell(b.env.Refs.Jobs, &msg.ToAllJobs{Message: &msg.WantRequest{Queue: "other"}})
	b.settle()
	if len(b.wants) != n+1 {
		t.Error("the queue of others is told")
	}
	b.sys.Tell(b.env.Refs.Jobs, &msg.ToAllJobs{Message: &msg.WantRequest{Queue: "default"}})
	b.settle()
	if len(b.wants) != n+2 || b.target(0) != 5 {
		t.Error("a restarted queue is not told")
	}
}

func TestF4_WhatIsMoreThanWantedGoesBack(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 3)))
	n := b.on("n")
	n.grant(0, 5)
	if len(n.launched) != 3 || len(n.released) != 2 {
		t.Fatalf("of 5 slots %d are used and %v released", len(n.launched), n.released)
	}
	n.report(succeeded, n.launched[:2]...)
	if b.target(0) != 1 || len(n.released) != 4 {
		t.Errorf("wants %d, released %v", b.target(0), n.released)
	}
}

func TestF8_StagesWaitForThoseBeforeThem(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("a", 2), stage("b", 1, "a"), stage("c", 1), stage("d", 1, "b", "c")))
	if b.target(0) != 2 || b.target(1) != 0 || b.target(2) != 1 || b.target(3) != 0 {
		t.Fatalf("wants %v", b.wants[len(b.wants)-1].Stages)
	}
	n := b.on("n")
	n.grant(0, 2)
	l := n.take()
	n.report(succeeded, l[0])
	if b.target(1) != 0 {
		t.Fatal("a stage begins before all before it are done")
	}
	n.report(succeeded, l[1])
	if b.target(1) != 1 || b.target(3) != 0 {
		t.Fatalf("wants %v", b.wants[len(b.wants)-1].Stages)
	}
	for _, number := range []uint32{2, 1, 3} {
		n.grant(number, 1)
		n.report(succeeded, n.last())
	}
	if s := b.phase("succeeded"); s.Counts.Done != 5 {
		t.Errorf("%v", s.Counts)
	}
}

func TestF8_AThousandStagesInARow(t *testing.T) {
	b := newBench(t)
	var list []*v1.StageSpec
	for i := range 1000 {
		s := stage(fmt.Sprintf("s%d", i), 1)
		if i > 0 {
			s.After = []string{fmt.Sprintf("s%d", i-1)}
		}
		list = append(list, s)
	}
	b.submit(stages(list...))
	n := b.on("n")
	for i := range uint32(1000) {
		if b.target(i) != 1 {
			t.Fatalf("stage %d is not wanted: %v", i, b.wants[len(b.wants)-1].Stages)
		}
		slots := n.grant(i, 1)
		n.report(succeeded, n.last())
		n.freed(slots...)
	}
	if s := b.phase("succeeded"); s.Counts.Done != 1000 || len(n.launched) != 1000 {
		t.Errorf("%v after %d launches", s.Counts, len(n.launched))
	}
}

func TestM2_ResultsOverTheBudgetFailTheJob(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 1100)))
	n := b.on("n")
	n.grant(0, 1100)
	big := strings.Repeat("x", 64<<10)
	r := &msg.Reported{ID: id, UID: b.uid, Node: n.id, NodeRef: n.ref}
	for _, l := range n.launched {
		r.Attempts = append(r.Attempts, n.attempt(l, succeeded, big))
	}
	n.say(r)
	n.freed(n.released...)
	s := b.phase("failed")
	if s.Counts.Done != 1024 || !strings.Contains(s.Reason, "results of the job are over 64Mi") {
		t.Errorf("%v: %s", s.Counts, s.Reason)
	}
	total, from, pages := 0, uint64(0), 0
	for {
		reply := b.ask(&msg.GetResults{Request: &v1.ResultsRequest{From: from}}).(*v1.ResultsReply)
		size := 0
		for _, x := range reply.Results {
			size += len(x.Data)
		}
		if size > 600<<10 {
			t.Fatalf("a page of %d bytes", size)
		}
		total, pages = total+len(reply.Results), pages+1
		if from = reply.Next; from == 0 {
			break
		}
	}
	if total != 1024 || pages < 100 {
		t.Errorf("%d results in %d pages", total, pages)
	}
}

func TestF13_ARefusedLaunchIsTriedElsewhere(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 1)))
	n, m := b.on("n"), b.on("m")
	n.grant(0, 1)
	l := n.last()
	n.say(&msg.Reported{ID: id, UID: b.uid, Node: n.id, NodeRef: n.ref, Refused: []msg.Refused{{Slot: l.Slot, Fence: l.Fence, Reason: "full"}}})
	m.grant(0, 1)
	b.pass(2 * time.Second)
	if m.last().Fence <= l.Fence || m.last().Attempt != 1 {
		t.Errorf("launched %+v", m.last())
	}
	m.report(succeeded, m.last())
	if s := b.phase("succeeded"); s.Counts.FailedAttempts != 0 {
		t.Errorf("%v", s.Counts)
	}
}
