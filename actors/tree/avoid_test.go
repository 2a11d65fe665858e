package tree_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/node/nodetest"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// An instance that has failed on a node is tried on another, if there is one, and else there again without long delay.
func TestB44_AnInstanceIsTriedElsewhere(t *testing.T) {
	for _, nodes := range []int{1, 2, 3} {
		for seed := range uint64(10) {
			w := newWorld(t, seed, nodes, func(l *v1.Launch) nodetest.Outcome {
				if int(l.Attempt) < nodes {
					return nodetest.Outcome{Phase: v1.AttemptPhase_ATTEMPT_PHASE_FAILED, After: 20 * time.Millisecond}
				}
				if nodes == 1 && l.Attempt == 1 {
					return nodetest.Outcome{Phase: v1.AttemptPhase_ATTEMPT_PHASE_FAILED, After: 20 * time.Millisecond}
				}
				return nodetest.Outcome{Hold: true}
			})
			w.pass(time.Second)
			w.submit(&v1.JobSpec{Name: "j", Stages: []*v1.StageSpec{stage("s", 1)}})
			var s *v1.JobStatus
			if !w.within(4*time.Second, func() bool { return w.fleet.Running() == 1 && w.fleet.Begun() == max(nodes, 2) }) {
				t.Fatalf("%d nodes, seed %d: %v", nodes, seed, w.status("j"))
			}
			w.pass(time.Second)
			s = w.status("j")
			seen := map[string]bool{s.Instances[0].Node: true}
			for _, f := range s.Failures {
				seen[f.Node] = true
			}
			if nodes > 1 && seen[""] || len(s.Instances) != 1 {
				t.Fatalf("%d nodes, seed %d: %v", nodes, seed, s)
			}
			if last := s.Failures[0].Node; nodes > 1 && last == s.Instances[0].Node {
				t.Errorf("%d nodes, seed %d: tried again on %s", nodes, seed, last)
			}
		}
	}
}

// A cell of one node goes on when every instance fails there once.
func TestB44_OneNodeIsEnough(t *testing.T) {
	w := newWorld(t, 1, 1, func(l *v1.Launch) nodetest.Outcome {
		if l.Attempt == 1 {
			return nodetest.Outcome{Phase: v1.AttemptPhase_ATTEMPT_PHASE_FAILED, Reason: fmt.Sprint("first of ", l.Index), After: 20 * time.Millisecond}
		}
		return nodetest.Outcome{After: 20 * time.Millisecond}
	})
	w.submit(&v1.JobSpec{Name: "j", Stages: []*v1.StageSpec{stage("s", 30)}})
	before := w.step.Now()
	if s := w.wait("j"); s.Phase != "succeeded" || s.Counts.FailedAttempts != 30 {
		t.Fatalf("%v", s)
	}
	if took := w.step.Now().Sub(before); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}
