package tree_test

import (
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/node/nodetest"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// What runs on a node that goes into maintenance is moved away, no more at once than its stage allows.
func TestB41_B39_ADrainMovesWorkWithinItsLimit(t *testing.T) {
	for seed := range uint64(5) {
		w := newWorld(t, seed, 3, func(*v1.Launch) nodetest.Outcome { return nodetest.Outcome{Hold: true, Again: true} })
		w.pass(time.Second)
		st := stage("s", 12)
		st.MaxUnavailable = "2"
		w.submit(&v1.JobSpec{Name: "j", Kind: "service", Stages: []*v1.StageSpec{st}})
		w.pass(5 * time.Second)
		before := map[string]int{}
		for _, i := range w.status("j").Instances {
			before[i.Node]++
		}
		if len(w.status("j").Instances) != 12 || before["n0"] == 0 {
			t.Fatalf("seed %d: %v", seed, before)
		}
		if r, ok := w.call(&v1.DrainRequest{Id: "n0", Drained: true, Maintenance: true, Evict: true, Reason: "disks"}).(*v1.NodeStatus); !ok || !r.Evict {
			t.Fatalf("seed %d: %v", seed, r)
		}
		fewest := 12
		moved := w.within(time.Minute, func() bool {
			fewest = min(fewest, w.fleet.Running())
			return w.fleet.Agent("n0").Slots() == 0 && w.fleet.Running() == 12
		})
		if !moved || fewest < 10 {
			t.Errorf("seed %d: moved: %v, fewest at once: %d; %v", seed, moved, fewest, w.status("j"))
		}
		s := w.status("j")
		if int(s.Evicted) != before["n0"] || s.Evictions[0].Rule != "maintenance" || s.Counts.FailedAttempts != 0 {
			t.Errorf("seed %d: %d were on n0; %v", seed, before["n0"], s)
		}
		for _, wrong := range w.fleet.Wrong() {
			t.Errorf("seed %d: %s", seed, wrong)
		}
		if n := w.call(&v1.NodeRef{Id: "n0"}).(*v1.NodeStatus); n.Slots != 0 || !n.Maintenance {
			t.Errorf("seed %d: %v", seed, n)
		}
	}
}

// Gangs that fit only one after the other both run, and never in parts.
func TestGangsThatDoNotFitTogetherRunOneAfterTheOther(t *testing.T) {
	for seed := range uint64(10) {
		begun := map[uint64][]time.Time{}
		var w *world
		w = newWorld(t, seed, 2, func(l *v1.Launch) nodetest.Outcome {
			begun[l.JobUid] = append(begun[l.JobUid], w.step.Now())
			return nodetest.Outcome{After: 2 * time.Second}
		})
		w.pass(time.Second)
		for _, name := range []string{"a", "b", "c"} {
			st := stage("s", 14) // of twenty slots
			st.Gang = &v1.Gang{Hold: "5s"}
			w.submit(&v1.JobSpec{Name: name, Stages: []*v1.StageSpec{st}})
		}
		started := w.step.Now()
		for _, name := range []string{"a", "b", "c"} {
			if s := w.wait(name); s.Phase != "succeeded" {
				t.Errorf("seed %d: %v", seed, s)
			}
		}
		if took := w.step.Now().Sub(started); took > 30*time.Second {
			t.Errorf("seed %d: three gangs of two seconds took %v", seed, took)
		}
		for uid, at := range begun {
			if len(at) != 14 || at[13].Sub(at[0]) > 10*time.Millisecond {
				t.Errorf("seed %d: job %d began at %v", seed, uid, at)
			}
		}
	}
}
