package tree_test

import (
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/node/nodetest"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// playEvict runs a job whose attempts end only when they are evicted, and beside it a gang that needs more room than is
// left, while fate may let actors fail. The test asks for slots as a placer does: again when they are not freed in time.
func playEvict(t *testing.T, name string, seed uint64, fate func(actor string, message any) kit.Fate) {
	t.Helper()
	held := map[uint64]bool{} // fences
	begun := map[uint64]bool{}
	w := newWorld(t, seed, 0, func(l *v1.Launch) nodetest.Outcome {
		if l.JobUid != 1 || begun[l.Index] {
			return nodetest.Outcome{After: 30 * time.Millisecond}
		}
		begun[l.Index], held[l.Fence] = true, true
		return nodetest.Outcome{Hold: true}
	})
	w.step.OnFate(fate)
	w.fleet.Join(info("a", 2))
	w.fleet.Join(info("b", 2))
	uid := w.submit(&v1.JobSpec{Name: "j", Stages: []*v1.StageSpec{stage("s", 3)}}).Uid
	together := stage("s", 3)
	together.Gang = &v1.Gang{Hold: "5s"}
	w.submit(&v1.JobSpec{Name: "g", Stages: []*v1.StageSpec{together}})
	w.pass(5 * time.Second)
	for range 40 {
		s := w.status("j")
		if s.EndedUnixMs != 0 {
			break
		}
		for _, node := range []string{"a", "b"} {
			n := 0
			for _, i := range s.Instances {
				if i.Node == node && held[i.Fence] {
					n++
				}
			}
			if n > 0 {
				w.sys.Tell(w.env.Refs.Jobs, &msg.ToJob{ID: model.JobID{Queue: "default", Name: "j"}, UID: model.UID(uid), Message: &msg.Evict{
					Stage: model.StageID{Job: model.UID(uid)}, Node: model.NodeID(node), Count: n, Rule: msg.RuleMaintenance, Reason: "test",
					Serial: w.env.IDs.Slot(), Until: w.step.Now().Add(40 * time.Second),
				}})
			}
		}
		w.pass(40 * time.Second)
	}
	for _, job := range []string{"j", "g"} {
		if s := w.wait(job); s.Phase != "succeeded" || s.Counts.FailedAttempts != 0 {
			t.Errorf("%s: job %s: %v", name, job, s)
		}
	}
	// A node that fails over a launch loses the attempt: nobody evicts that.
	if s := w.status("j"); s.Evicted < 3 && name == "plain" {
		t.Errorf("%s: three instances were evicted, but told are %v", name, s.Evictions)
	}
	for _, wrong := range w.fleet.Wrong() {
		t.Errorf("%s: %s", name, wrong)
	}
	w.step.OnFate(nil)
	w.idle(name)
}

// Whatever fails between the demand for a slot and the news that it is free, the work waits again, nothing is counted as a
// failure, and nothing is left.
func TestB39_F2_EvictionsMeetCrashes(t *testing.T) {
	for _, c := range []struct {
		whose string
		share int
	}{{"job", 6}, {"node", 40}, {"placer", 12}, {"queue", 12}, {"jobs", 12}, {"nodes", 80}} {
		crashes(t, playEvict, c.whose, c.share)
	}
}
