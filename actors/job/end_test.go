package job_test

import (
	"strings"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// A second try of a stop comes while the first is on its way to the disk: what it is told is what is true when it hears it.
func TestB42_AStopThatIsTriedAgainIsToldThatTheJobIsStopping(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 1)))
	n := b.on("n")
	n.grant(0, 1)
	b.log.slow, b.answers = true, nil
	b.tell(&msg.StopJob{Reason: "enough"})
	b.tell(&msg.StopJob{Reason: "enough"})
	if len(b.answers) != 0 {
		t.Fatalf("answered %v before it is durable", b.answers)
	}
	b.log.slow = false
	b.log.answer()
	b.settle()
	for _, answer := range b.answers {
		if r, ok := answer.(*v1.StopReply); !ok || !r.Stopping || r.Phase != "stopping" {
			t.Errorf("answered %v", answer)
		}
	}
	if len(b.answers) != 2 {
		t.Errorf("%d answers", len(b.answers))
	}
}

func TestB7_StopEndsAJobWhenItsSlotsAreFree(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 2)))
	n := b.on("n")
	n.grant(0, 2)
	if f, ok := b.ask(&msg.StopJob{UID: 12345}).(*model.Fault); !ok || f.Err != model.ErrNotFound {
		t.Fatalf("the stop of another job of that name is answered by %v", b.answers)
	}
	b.phase("running")
	if r, ok := b.ask(&msg.StopJob{Reason: "enough"}).(*v1.StopReply); !ok || !r.Stopping {
		t.Fatalf("answered %v", b.answers)
	}
	if b.target(0) != 0 || len(n.released) != 2 || n.reason != "enough" {
		t.Fatalf("wants %d, released %v because of %q", b.target(0), n.released, n.reason)
	}
	b.phase("stopping")
	if r := b.ask(&msg.StopJob{Reason: "really"}).(*v1.StopReply); !r.Stopping {
		t.Errorf("a second stop is answered by %v", r)
	}
	n.report(stopped, n.launched...)
	b.phase("stopping")
	n.freed(n.released...)
	if s := b.phase("stopped"); s.Reason != "enough" || s.Counts.FailedAttempts != 0 {
		t.Errorf("%v: %s", s.Counts, s.Reason)
	}
	if r := b.ask(&msg.StopJob{}).(*v1.StopReply); r.Stopping || r.Phase != "stopped" {
		t.Errorf("a stop of an ended job is answered by %v", r)
	}
	if len(n.settled) != 2 || len(b.ended) != 1 {
		t.Errorf("settled %v, the queue heard %v", n.settled, b.ended)
	}
}

func TestB7_WhatSucceedsWhileItIsStoppedStillCounts(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 1)))
	n := b.on("n")
	n.grant(0, 1)
	b.tell(&msg.StopJob{Reason: "enough"})
	n.report(succeeded, n.last())
	n.freed(n.released...)
	if s := b.phase("stopped"); s.Counts.Done != 1 {
		t.Errorf("%v", s.Counts)
	}
}

func TestB7_TimeLimitFailsAJob(t *testing.T) {
	b := newBench(t)
	b.submit(func(s *v1.JobSpec) { s.TimeLimit = "60s" })
	n := b.on("n")
	n.grant(0, 1)
	b.pass(59 * time.Second)
	b.phase("running")
	b.pass(2 * time.Second)
	n.freed(n.released...)
	if s := b.phase("failed"); !strings.Contains(s.Reason, "time limit") {
		t.Errorf("%s", s.Reason)
	}
}

func TestB4_AServiceRunsAgainWhateverItsEnd(t *testing.T) {
	b := newBench(t)
	b.submit(service)
	n := b.on("n")
	n.again = true
	n.grant(0, 1)
	for i, end := range []v1.AttemptPhase{succeeded, failed, failed, failed, failed, succeeded} {
		n.report(end, n.last())
		b.pass(10 * time.Minute)
		if len(n.launched) != i+2 {
			t.Fatalf("after end %d: %d launches", i+1, len(n.launched))
		}
	}
	b.phase("running")
	n.report(running, n.last())
	b.pass(time.Second)
	if last := b.names[len(b.names)-1]; len(last.Endpoints) != 1 || last.Endpoints[0].Fence != n.last().Fence || last.Endpoints[0].Node != "n" {
		t.Errorf("names hears %+v", last)
	}
	b.tell(&msg.StopJob{Reason: "enough"})
	n.report(stopped, n.last())
	n.freed(n.released...)
	b.phase("stopped")
	if last := b.names[len(b.names)-1]; len(last.Endpoints) != 0 {
		t.Errorf("names hears %+v of an ended service", last)
	}
}

func TestB42_AGrantForAnEndedJobGoesBack(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 1)))
	n := b.on("n")
	n.grant(0, 1)
	n.report(succeeded, n.last())
	b.phase("succeeded")
	n.released = nil
	slots := n.grant(0, 2)
	if len(n.released) != 2 || n.released[0] != slots[0] || len(n.launched) != 1 {
		t.Errorf("of %v released %v; launched %v", slots, n.released, n.launched)
	}
}

func TestB42_ANameIsUsedAgain(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 1)))
	n := b.on("n")
	old := b.uid
	n.grant(0, 1)
	n.report(succeeded, n.last())
	b.phase("succeeded")
	b.submit(stages(stage("s", 3)))
	if s := b.phase("pending"); s.Uid != uint64(b.uid) || b.target(0) != 3 {
		t.Fatalf("%v, wants %d", s, b.target(0))
	}
	n.grant(0, 3)
	l := n.take()
	// Something of the job before comes late.
	n.released = nil
	b.sys.Tell(b.env.Refs.Jobs, &msg.ToJob{ID: id, UID: old, Message: &msg.Inventory{
		Node: n.id, NodeRef: n.ref, Slots: []msg.HeldSlot{{Slot: 4711}}, Order: b.env.IDs.Order(),
	}})
	b.settle()
	if len(n.released) != 1 || n.released[0] != 4711 {
		t.Errorf("released %v", n.released)
	}
	n.report(succeeded, l...)
	b.phase("succeeded")
}

// The actor of an ended job goes, and one comes back for a question or for a new job, also if that comes just then.
func TestW5_EndedJobsKeepNoActor(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 1)))
	n := b.on("n")
	n.grant(0, 1)
	n.report(succeeded, n.last())
	actors := b.sys.Stats().Actors
	b.pass(11 * time.Second)
	if now := b.sys.Stats().Actors; now != actors-1 {
		t.Errorf("%d actors, %d before", now, actors)
	}
	b.phase("succeeded")
	for range 50 {
		b.answers = nil
		b.sys.TellFrom(b.asker, b.env.Refs.Jobs, &msg.ToJob{ID: model.JobID{Queue: "default", Name: "none"}, Message: &msg.GetJob{}})
		b.settle()
		if f, ok := b.answers[0].(*model.Fault); !ok || !f.Is(model.NotFound("")) {
			t.Fatalf("answered %v", b.answers)
		}
	}
	b.pass(time.Millisecond)
	if now := b.sys.Stats().Actors; now > actors {
		t.Errorf("%d actors after questions about nothing", now)
	}
	n.job = nil
	for delay := 9990 * time.Millisecond; delay < 10010*time.Millisecond; delay += time.Millisecond {
		b.submit(stages(stage("s", 1)))
		n.job = nil
		n.grant(0, 1)
		n.report(succeeded, n.last())
		b.phase("succeeded")
		b.pass(delay)
	}
}

func TestB42_StopOfNothing(t *testing.T) {
	b := newBench(t)
	for _, m := range []any{&msg.StopJob{}, &msg.GetJob{}, &msg.ExplainJob{Request: &v1.ExplainRequest{}}, &msg.GetResults{Request: &v1.ResultsRequest{}}, &msg.LocateLogs{Request: &v1.LogsRequest{}}} {
		if f, ok := b.ask(m).(*model.Fault); !ok || !f.Is(model.NotFound("")) {
			t.Errorf("%T of no job is answered by %v", m, b.answers)
		}
	}
}

// Whatever is said to a job in whatever order, it makes no move that the table of lifecycles does not have: that would
// be a failure of its actor.
func TestB7_NoMessageMakesAnIllegalMove(t *testing.T) {
	for seed := range uint64(60) {
		b := newBench(t)
		b.submit(stages(stage("s", 4), stage("t", 2, "s")), func(s *v1.JobSpec) { s.TimeLimit = "20s" })
		n := b.on("n")
		rng := kit.NewStepper(seed, time.Unix(0, 0)).Rand()
		for range 60 {
			switch l := n.launched; rng.IntN(9) {
			case 0:
				n.grant(uint32(rng.IntN(3)), rng.IntN(3))
			case 1, 2:
				if len(l) > 0 {
					n.report(succeeded, l[rng.IntN(len(l))])
				}
			case 3:
				if len(l) > 0 {
					n.report(v1.AttemptPhase(1+rng.IntN(6)), l[rng.IntN(len(l))])
				}
			case 4:
				n.freed(n.released...)
			case 5:
				if len(l) > 0 {
					n.say(&msg.SlotsLost{Node: n.id, Slots: []model.SlotID{l[rng.IntN(len(l))].Slot}})
				}
			case 6:
				if rng.IntN(10) == 0 {
					b.tell(&msg.StopJob{Reason: "x"})
				}
			case 7:
				b.pass(time.Duration(rng.IntN(2000)) * time.Millisecond)
			case 8:
				if rng.IntN(3) == 0 {
					b.crash(&msg.GetJob{})
					b.claimed(0)
				}
			}
		}
		if b.failed() {
			t.Fatalf("seed %d: an actor has failed of itself: %s", seed, b.logs.String())
		}
	}
}
