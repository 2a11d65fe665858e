package tree_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/node/nodetest"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// kind is what an actor is, whatever its key: cell/jobs/default.a~17 is a job.
func kind(actor string) string {
	parts := strings.Split(strings.TrimPrefix(actor, "m/cell/"), "/")
	switch {
	case strings.HasPrefix(actor, "m/cell/") && len(parts) == 2:
		return strings.TrimSuffix(parts[0], "s")
	case strings.HasPrefix(actor, "m/cell/"):
		return parts[0]
	}
	return actor
}

// script lets instance 1 of the first stage fail once, and gives everyone a result that names it.
func script(l *v1.Launch) nodetest.Outcome {
	if l.Stage == 0 && l.Index == 1 && l.Attempt == 1 {
		return nodetest.Outcome{Phase: v1.AttemptPhase_ATTEMPT_PHASE_FAILED, Reason: "first try", After: 20 * time.Millisecond}
	}
	return nodetest.Outcome{Result: fmt.Appendf(nil, "%d.%d", l.Stage, l.Index), After: 30 * time.Millisecond}
}

// play runs two jobs to their ends on two machines with room for one slot each, while fate may let actors fail, and looks
// whether all is as it must be.
func play(t *testing.T, name string, seed uint64, fate func(actor string, message any) kit.Fate) {
	t.Helper()
	w := newWorld(t, seed, 0, script)
	w.step.OnFate(fate)
	w.fleet.Join(info("a", 1))
	w.fleet.Join(info("b", 1))
	w.submit(&v1.JobSpec{Name: "j", Stages: []*v1.StageSpec{stage("s", 3), stage("t", 1, "s")}})
	w.submit(&v1.JobSpec{Name: "k", Stages: []*v1.StageSpec{stage("s", 2)}})
	for _, job := range []string{"j", "k"} {
		if s := w.wait(job); s.Phase != "succeeded" || s.Counts.FailedAttempts != 1 {
			t.Errorf("%s: job %s: %v", name, job, s)
		}
		for i, st := range w.status(job).Stages {
			r := w.call(&v1.ResultsRequest{Name: job, Stage: st.Name}).(*v1.ResultsReply)
			if uint64(len(r.Results)) != st.Counts.Wanted {
				t.Errorf("%s: job %s stage %s has results %v", name, job, st.Name, r.Results)
			}
			for n, x := range r.Results {
				if string(x.Data) != fmt.Sprintf("%d.%d", i, n) {
					t.Errorf("%s: job %s stage %s: result %d is %q", name, job, st.Name, n, x.Data)
				}
			}
		}
	}
	for _, wrong := range w.fleet.Wrong() {
		t.Errorf("%s: %s", name, wrong)
	}
	w.step.OnFate(nil)
	w.idle(name)
}

// playService runs a service of two instances, the first of which ends once, in a queue that allows no more, and stops it.
func playService(t *testing.T, name string, seed uint64, fate func(actor string, message any) kit.Fate) {
	t.Helper()
	ended := false
	w := newWorld(t, seed, 0, func(l *v1.Launch) nodetest.Outcome {
		if l.Index == 0 && !ended {
			ended = true
			return nodetest.Outcome{After: 30 * time.Millisecond, Again: true}
		}
		return nodetest.Outcome{Hold: true, Again: true}
	})
	w.step.OnFate(fate)
	w.fleet.Join(info("a", 1))
	w.fleet.Join(info("b", 1))
	if q, ok := w.call(&v1.QueueSpec{Name: "q", MaxSlots: 2}).(*v1.QueueStatus); !ok || q.Spec.GetMaxSlots() != 2 {
		t.Errorf("%s: the queue is not set: %v", name, q)
	}
	r, ok := w.call(&v1.SubmitRequest{Key: "k", Job: &v1.JobSpec{Name: "w", Queue: "q", Kind: "service", Stages: []*v1.StageSpec{stage("s", 2)}}}).(*v1.SubmitReply)
	if !ok {
		t.Fatalf("%s: submitted: %v", name, r)
	}
	ref := &v1.JobRef{Queue: "q", Name: "w"}
	found := func() int { return len(w.call(&v1.LookupRequest{Name: "w.q"}).(*v1.LookupReply).Endpoints) }
	runs := false
	for n := 0; n < 200 && !runs; n++ {
		w.pass(time.Second)
		s := w.call(ref).(*v1.JobStatus)
		runs = s.Counts.Running == 2 && ended && w.fleet.Running() == 2 && found() == 2
	}
	if !runs {
		t.Errorf("%s: %d of 2 instances are found, %d run", name, found(), w.fleet.Running())
	}
	w.call(&v1.StopRequest{Queue: "q", Name: "w", Reason: "enough"})
	s := w.call(ref).(*v1.JobStatus)
	for range 200 {
		if s.EndedUnixMs != 0 {
			break
		}
		w.pass(time.Second)
		s = w.call(ref).(*v1.JobStatus)
	}
	w.pass(time.Second)
	if s.Phase != "stopped" || s.Reason != "enough" || found() != 0 || w.fleet.Running() != 0 {
		t.Errorf("%s: %v, %d are found, %d run", name, s, found(), w.fleet.Running())
	}
	for _, wrong := range w.fleet.Wrong() {
		t.Errorf("%s: %s", name, wrong)
	}
	w.step.OnFate(nil)
	w.idle(name)
}

// idle checks that nothing is left when all jobs have ended.
func (w *world) idle(name string) {
	w.t.Helper()
	w.pass(40 * time.Second)
	for _, id := range []string{"a", "b"} {
		if a := w.fleet.Agent(id); a.Slots() > 0 || a.Ends() > 0 {
			w.t.Errorf("%s: agent %s is left with %d slots and %d ends", name, id, a.Slots(), a.Ends())
		}
		if n := w.call(&v1.NodeRef{Id: id}).(*v1.NodeStatus); n.Slots > 0 || n.Liveness != "fresh" {
			w.t.Errorf("%s: node %s is left as %v", name, id, n)
		}
	}
	if c := w.call(&v1.CellStatusRequest{}).(*v1.CellStatus); c.CpuMilliHeld > 0 || c.WaitingSlots > 0 || c.JobsLive > 0 || c.NodesFresh != 2 {
		w.t.Errorf("%s: the cell is left as %v", name, c)
	}
	if q := w.call(&v1.QueueRef{Name: "default"}).(*v1.QueueStatus); q.LiveJobs > 0 {
		w.t.Errorf("%s: the queue is left as %v", name, q)
	}
}

// scenario is a play with a name for its failures.
type scenario func(t *testing.T, name string, seed uint64, fate func(actor string, message any) kit.Fate)

var (
	every = flag.Bool("every", false, "let actors fail at every message, not only at some of them")
	seed  = flag.Uint64("seed", 1, "order of messages")
)

// crashes plays once for each message that actors of a kind get in a plain run, and lets the actor fail over it: before
// anything comes of it, after the first message that it sends, after the second, and when it has handled it.
func crashes(t *testing.T, play scenario, whose string, share int) {
	t.Helper()
	count := 0
	play(t, "plain", *seed, func(actor string, _ any) kit.Fate {
		if kind(actor) == whose {
			count++
		}
		return kit.Lives
	})
	if count == 0 {
		t.Fatalf("no %s got any message", whose)
	}
	if *every {
		share = 1
	}
	for at := 1; at <= count; at++ {
		for i, fate := range []kit.Fate{kit.DiesBefore, 1, 2, 1000} {
			if (at+i)%share != 0 {
				continue
			}
			n, what := 0, ""
			play(t, fmt.Sprintf("%s %d/%d", whose, at, fate), *seed, func(actor string, m any) kit.Fate {
				if kind(actor) != whose {
					return kit.Lives
				}
				if n++; n != at {
					return kit.Lives
				}
				what = fmt.Sprintf("%s failed over %T", actor, m)
				return fate
			})
			if t.Failed() {
				t.Fatalf("%s (message %d, fate %d, seed %d)", what, at, fate, *seed)
			}
		}
	}
}

// Whatever message an actor fails over, and whenever: all jobs end with the same results, nothing runs twice, and nothing
// is left. Of actors that get many messages, every so many is tried; -every tries all.
func TestF28_F29_F2_JobsMayFailOverAnyMessage(t *testing.T)           { crashes(t, play, "job", 2) }
func TestF31_F2_NodesMayFailOverAnyMessage(t *testing.T)              { crashes(t, play, "node", 24) }
func TestF31_F2_ThePlacerMayFailOverAnyMessage(t *testing.T)          { crashes(t, play, "placer", 2) }
func TestB42_F2_QueuesMayFailOverAnyMessage(t *testing.T)             { crashes(t, play, "queue", 2) }
func TestB57_NamesMayFailOverAnyMessage(t *testing.T)                 { crashes(t, play, "names", 1) }
func TestB57_B42_TheGatewayMayFailOverAnyMessage(t *testing.T)        { crashes(t, play, "gateway", 2) }
func TestB57_TheSupervisorOfQueuesMayFailOverAnyMessage(t *testing.T) { crashes(t, play, "queues", 2) }
func TestB57_TheSupervisorOfJobsMayFailOverAnyMessage(t *testing.T)   { crashes(t, play, "jobs", 2) }
func TestB57_TheSupervisorOfNodesMayFailOverAnyMessage(t *testing.T)  { crashes(t, play, "nodes", 24) }

// The same while a service runs and is stopped.
func TestB4_B7_F2_AServiceIsStoppedWhateverActorFails(t *testing.T) {
	for _, c := range []struct {
		whose string
		share int
	}{{"job", 8}, {"node", 40}, {"placer", 8}, {"queue", 8}, {"names", 4}, {"queues", 8}, {"jobs", 8}, {"nodes", 60}} {
		crashes(t, playService, c.whose, c.share)
	}
}
