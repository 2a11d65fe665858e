package tree_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/node/nodetest"
	"github.com/troupe-sched/troupe/actors/tree"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// away is two nodes, of which n0 falls silent while it runs half of a job.
type away struct {
	*world
	fences map[uint64][]uint64 // of every instance, as they were launched
}

// leave starts a job of two instances, one on each node, and cuts n0 off. Each node has room for so many.
func leave(t *testing.T, room int64, service bool, outcome nodetest.Outcome) *away {
	t.Helper()
	a := &away{fences: map[uint64][]uint64{}}
	a.world = newWorld(t, 1, 0, func(l *v1.Launch) nodetest.Outcome {
		a.fences[l.GetIndex()] = append(a.fences[l.GetIndex()], l.GetFence())
		o := outcome
		o.After += time.Duration(l.GetIndex()) * 20 * time.Second
		o.Result = fmt.Append(nil, l.GetFence())
		return o
	})
	a.fleet.Join(info("n0", 1))
	job := &v1.JobSpec{Name: "j", Stages: []*v1.StageSpec{stage("s", 2)}}
	if service {
		job.Kind = "service"
	}
	a.submit(job)
	a.within(5*time.Second, func() bool { return len(a.fences[0]) == 1 })
	a.fleet.Join(info("n1", room))
	if !a.within(5*time.Second, func() bool { return len(a.fences[1]) == 1 }) || len(a.on("n0")) != 1 || len(a.on("n1")) != 1 {
		t.Fatalf("launched %v, n0 runs %v, n1 runs %v", a.fences, a.on("n0"), a.on("n1"))
	}
	a.fleet.Agent("n0").Cut(true)
	return a
}

// on is what runs on a node: fences by instance.
func (a *away) on(node string) map[uint64]uint64 {
	runs := map[uint64]uint64{}
	for _, l := range a.fleet.Agent(node).Running() {
		runs[l.GetIndex()] = l.GetFence()
	}
	return runs
}

func (a *away) mend() { a.fleet.Agent("n0").Cut(false) }

var forever = nodetest.Outcome{Hold: true}

// The rule of a node that comes back, for every case that may be: what was replaced meanwhile is stopped, and its
// replacement goes on; what was not replaced is kept; fences only grow.
func TestB46_S4_F13_WhatWasReplacedIsStoppedAndItsReplacementGoesOn(t *testing.T) {
	for _, service := range []bool{false, true} {
		a := leave(t, 2, service, forever)
		a.pass(40 * time.Second)
		before := a.on("n1")
		if len(before) != 2 || len(a.fences[0]) != 2 || a.fences[0][1] <= a.fences[0][0] {
			t.Fatalf("service %v: launched %v, n1 runs %v", service, a.fences, before)
		}
		if len(a.on("n0")) != 1 {
			t.Fatal("what runs on a node that is cut off has ended")
		}
		a.mend()
		a.pass(30 * time.Second)
		after := a.on("n1")
		if len(a.on("n0")) != 0 || len(after) != 2 || after[0] != before[0] || after[1] != before[1] {
			t.Fatalf("service %v: n0 runs %v, n1 runs %v after %v", service, a.on("n0"), after, before)
		}
		if s := a.status("j"); s.Counts.Running != 2 || s.Counts.FailedAttempts != 0 || len(a.fences[0])+len(a.fences[1]) != 3 {
			t.Fatalf("service %v: %v, launched %v", service, s.Counts, a.fences)
		}
		if n := a.fleet.Agent("n0").Slots(); n != 0 {
			t.Errorf("n0 holds %d slots", n)
		}
	}
}

func TestB46_S4_WhatWasNotReplacedIsKept(t *testing.T) {
	a := leave(t, 1, true, forever) // n1 has no room for another
	before := a.on("n0")[0]
	a.pass(40 * time.Second)
	a.mend()
	a.pass(30 * time.Second)
	if s := a.status("j"); a.on("n0")[0] != before || len(a.fences[0]) != 1 || s.Counts.Running != 2 {
		t.Fatalf("n0 runs %v, not %d; launched %v; %v", a.on("n0"), before, a.fences, s.Counts)
	}
}

func TestB46_B43_AShortSilenceRestartsNothing(t *testing.T) {
	a := leave(t, 2, false, forever)
	a.pass(10 * time.Second) // suspected, not lost
	a.mend()
	a.pass(30 * time.Second)
	if len(a.on("n0")) != 1 || len(a.on("n1")) != 1 || len(a.fences[0])+len(a.fences[1]) != 2 {
		t.Fatalf("launched %v; n0 runs %v, n1 %v", a.fences, a.on("n0"), a.on("n1"))
	}
}

// A job that is stopped while one of its nodes is away ends, and nothing of it is left when the node comes back.
func TestB46_S22_AStopWhileANodeIsAwayIsCarriedOut(t *testing.T) {
	for _, room := range []int64{1, 2} {
		a := leave(t, room, true, forever)
		a.pass(5 * time.Second)
		a.call(&v1.StopRequest{Name: "j"})
		if s := a.wait("j"); s.Phase != "stopped" {
			t.Fatalf("%v", s)
		}
		a.mend()
		a.pass(30 * time.Second)
		if a.fleet.Running() != 0 || a.fleet.Agent("n0").Slots()+a.fleet.Agent("n1").Slots() != 0 {
			t.Fatalf("n0 runs %v and n1 %v of a job that was stopped", a.on("n0"), a.on("n1"))
		}
	}
}

// An end that comes late is dismissed when its attempt was replaced: only the replacement's result counts, and it is not
// stopped for it. When it was not, it counts.
func TestB46_F10_ALateEndCountsUnlessItsAttemptWasReplaced(t *testing.T) {
	for _, replaced := range []bool{true, false} {
		room := int64(1)
		if replaced {
			room = 2
		}
		a := leave(t, room, false, nodetest.Outcome{After: 45 * time.Second})
		a.pass(40 * time.Second) // it is lost, and replaced if there is room
		if got := len(a.fences[0]) == 2; got != replaced {
			t.Fatalf("launched %v", a.fences)
		}
		a.pass(6 * time.Second) // it has ended, and cannot say so
		a.mend()
		if s := a.wait("j"); s.Phase != "succeeded" || s.Counts.Done != 2 || s.Counts.FailedAttempts != 0 {
			t.Fatalf("%v", s)
		}
		valid := a.fences[0][len(a.fences[0])-1]
		r := a.call(&v1.ResultsRequest{Name: "j", Stage: "s"}).(*v1.ResultsReply).GetResults()
		if len(r) != 2 || string(r[0].GetData()) != fmt.Sprint(valid) || (len(a.fences[0]) == 2) != replaced {
			t.Fatalf("results %v, launched %v", r, a.fences)
		}
		a.pass(10 * time.Second)
		if n := a.fleet.Agent("n0").Ends() + a.fleet.Agent("n0").Slots(); n != 0 {
			t.Errorf("n0 keeps %d slots and ends", n)
		}
	}
}

// The same when the master changes meanwhile: the new one asks, waits, and replaces what it could not find.
func TestB46_F30_F31_S4_ANodeComesBackToAnotherMaster(t *testing.T) {
	a := leave(t, 2, true, forever)
	a.sys.Kill()
	a.begin(nil)
	a.pass(10 * time.Second)
	if len(a.fences[0])+len(a.fences[1]) != 2 {
		t.Fatalf("launched %v before all nodes were heard or lost", a.fences)
	}
	a.pass(30 * time.Second)
	if len(a.fences[0]) != 2 || len(a.fences[1]) != 1 || a.fences[0][1] <= a.fences[0][0] {
		t.Fatalf("launched %v", a.fences)
	}
	a.mend()
	a.pass(30 * time.Second)
	if len(a.on("n0")) != 0 || len(a.on("n1")) != 2 || len(a.fences[0]) != 2 {
		t.Fatalf("n0 runs %v, n1 runs %v, launched %v", a.on("n0"), a.on("n1"), a.fences)
	}
}

// Nodes leave and come back at any time, masters change, and each instance has one valid attempt in the end.
func TestB46_S4_F10_NodesComeAndGoAndEveryInstanceEndsOnce(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 7))
		newest := map[uint64]uint64{}
		w := newWorld(t, seed, 4, func(l *v1.Launch) nodetest.Outcome {
			if l.GetFence() <= newest[l.GetIndex()] {
				t.Fatalf("seed %d: instance %d is launched under %d after %d", seed, l.GetIndex(), l.GetFence(), newest[l.GetIndex()])
			}
			newest[l.GetIndex()] = l.GetFence()
			return nodetest.Outcome{After: time.Duration(rng.IntN(40_000)) * time.Millisecond, Result: fmt.Append(nil, l.GetIndex())}
		})
		w.submit(&v1.JobSpec{Name: "j", Stages: []*v1.StageSpec{stage("s", 60)}})
		for range 8 {
			w.pass(time.Duration(rng.IntN(15_000)) * time.Millisecond)
			w.fleet.Agent(fmt.Sprintf("n%d", rng.IntN(4))).Cut(rng.IntN(2) == 0)
			if rng.IntN(4) == 0 {
				w.sys.Kill()
				w.begin(func(c *tree.Config) {
					c.Limits = msg.DefaultLimits()
					c.Limits.LostRate = 60
				})
			}
		}
		for i := range 4 {
			w.fleet.Agent(fmt.Sprintf("n%d", i)).Cut(false)
		}
		if s := w.wait("j"); s.Phase != "succeeded" || s.Counts.Done != 60 || s.Counts.FailedAttempts != 0 {
			t.Fatalf("seed %d: %v", seed, s)
		}
		w.pass(30 * time.Second)
		for i := range 4 {
			if a := w.fleet.Agent(fmt.Sprintf("n%d", i)); len(a.Running())+a.Slots()+a.Ends() != 0 {
				t.Errorf("seed %d: n%d is left with %d attempts, %d slots, %d ends", seed, i, len(a.Running()), a.Slots(), a.Ends())
			}
		}
	}
}
