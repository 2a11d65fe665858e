package actors_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/node/hollow"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

var _ api.Cell = (*actors.Cell)(nil)

const (
	succeeded = v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED
	failed    = v1.AttemptPhase_ATTEMPT_PHASE_FAILED
)

// theatre is a cell with hollow agents, which may be closed and opened again over the same agents.
type theatre struct {
	t     testing.TB
	ctx   context.Context
	opts  actors.Options
	cell  atomic.Pointer[actors.Cell]
	fleet *hollow.Fleet
}

func open(t *testing.T, nodes int, dir string, outcome func(*v1.Launch) (v1.AttemptPhase, []byte, bool)) *theatre {
	t.Helper()
	return openFor(t, nodes, dir, outcome)
}

func openFor(t testing.TB, nodes int, dir string, outcome func(*v1.Launch) (v1.AttemptPhase, []byte, bool), changes ...func(*actors.Options)) *theatre {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	limits := msg.DefaultLimits()
	limits.Settle = 2 * time.Second
	th := &theatre{t: t, ctx: ctx}
	th.fleet = hollow.New(hollow.Options{
		Nodes: nodes, Outcome: outcome,
		Info: &v1.NodeInfo{CpuMilli: 1000, MemoryBytes: 1 << 30, Drivers: []string{"process"}, Attributes: map[string]string{"os": "linux"}},
		Deliver: func(m *v1.FromAgent) {
			if c := th.cell.Load(); c != nil {
				c.Deliver(m)
			}
		},
	})
	th.opts = actors.Options{Name: "test", Dir: dir, Fabric: th.fleet, Limits: limits}
	for _, change := range changes {
		change(&th.opts)
	}
	th.start()
	th.fleet.Start()
	return th
}

func (th *theatre) start() *actors.Cell {
	th.t.Helper()
	c, err := actors.Open(th.ctx, th.opts)
	if err != nil {
		th.t.Fatal(err)
	}
	th.cell.Store(c)
	th.t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func (th *theatre) submit(job *v1.JobSpec, key string) *v1.SubmitReply {
	th.t.Helper()
	r, err := th.cell.Load().Submit(th.ctx, &v1.SubmitRequest{Job: job, Key: key})
	if err != nil {
		th.t.Fatal(err)
	}
	return r
}

func (th *theatre) wait(name string) *v1.JobStatus {
	th.t.Helper()
	s, err := th.cell.Load().Wait(th.ctx, &v1.JobRef{Queue: "default", Name: name})
	if err != nil {
		st, _ := th.cell.Load().JobStatus(context.Background(), &v1.JobRef{Queue: "default", Name: name})
		th.t.Fatalf("%v; job is %v", err, st)
	}
	return s
}

// until asks until ok says yes.
func (th *theatre) until(name string, ok func(*v1.JobStatus) bool) *v1.JobStatus {
	th.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := th.cell.Load().JobStatus(th.ctx, &v1.JobRef{Queue: "default", Name: name})
		if err == nil && ok(s) {
			return s
		}
		select {
		case <-tick.C:
		case <-th.ctx.Done():
			th.t.Fatalf("job %s: %v, %v", name, s, err)
		}
	}
}

func stage(name string, n int64, after ...string) *v1.StageSpec {
	return &v1.StageSpec{Name: name, Instances: n, After: after, Command: []string{"true"}, Resources: &v1.Resources{Cpu: "100m", Memory: "1Mi"}}
}

func TestB42_OneKeyMakesOneJob(t *testing.T) {
	th := open(t, 1, "", nil)
	job := &v1.JobSpec{Name: "once", Stages: []*v1.StageSpec{stage("s", 3)}}
	first := th.submit(job, "k1")
	second := th.submit(job, "k1")
	if !first.Created || second.Created || first.Uid != second.Uid {
		t.Fatalf("first %v, second %v", first, second)
	}
	th.wait("once")
	if third := th.submit(job, "k1"); third.Created || third.Uid != first.Uid {
		t.Fatalf("after its end the key made job %v", third)
	}
	other := &v1.JobSpec{Name: "other", Stages: []*v1.StageSpec{stage("s", 3)}}
	_, err := th.cell.Load().Submit(th.ctx, &v1.SubmitRequest{Job: other, Key: "k1"})
	if !errors.Is(err, model.Conflict("")) {
		t.Fatalf("a used key with another job gives %v", err)
	}
	if again := th.submit(job, "k2"); !again.Created || again.Uid == first.Uid {
		t.Fatalf("a new key for an ended job gives %v", again)
	}
	th.wait("once")
}

func TestB9_F8_StagesRunInOrderAndResultsAreKept(t *testing.T) {
	var last atomic.Uint32
	th := open(t, 3, "", func(l *v1.Launch) (v1.AttemptPhase, []byte, bool) {
		if l.Stage < last.Load() {
			return failed, nil, false
		}
		last.Store(l.Stage)
		return succeeded, []byte(fmt.Sprintf("%d.%d", l.Stage, l.Index)), false
	})
	th.submit(&v1.JobSpec{Name: "chain", Stages: []*v1.StageSpec{stage("a", 100), stage("b", 50, "a"), stage("c", 1, "b")}}, "")
	s := th.wait("chain")
	if s.Phase != "succeeded" || s.Counts.Done != 151 || s.Counts.FailedAttempts != 0 {
		t.Fatalf("status %v", s)
	}
	seen := 0
	for from := uint64(0); ; {
		r, err := th.cell.Load().Results(th.ctx, &v1.ResultsRequest{Name: "chain", Stage: "a", From: from})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range r.Results {
			if string(x.Data) != fmt.Sprintf("0.%d", seen) {
				t.Fatalf("result %d is %q", seen, x.Data)
			}
			seen++
		}
		if from = r.Next; from == 0 {
			break
		}
	}
	if seen != 100 {
		t.Fatalf("%d of 100 results", seen)
	}
}

func TestF13_F10_FailedInstancesAreTriedAgain(t *testing.T) {
	th := open(t, 2, "", func(l *v1.Launch) (v1.AttemptPhase, []byte, bool) {
		if l.Index == 3 && l.Attempt < 3 {
			return failed, nil, false
		}
		return succeeded, nil, false
	})
	st := stage("s", 10)
	st.Retry = &v1.Retry{Attempts: 3, Backoff: "1ms"}
	th.submit(&v1.JobSpec{Name: "retry", Stages: []*v1.StageSpec{st}}, "")
	if s := th.wait("retry"); s.Phase != "succeeded" || s.Counts.FailedAttempts != 2 || th.fleet.Ran() != 12 {
		t.Fatalf("status %v after %d attempts", s, th.fleet.Ran())
	}
}

func TestF13_B7_TheLastFailureFailsTheJob(t *testing.T) {
	th := open(t, 2, "", func(l *v1.Launch) (v1.AttemptPhase, []byte, bool) {
		return map[bool]v1.AttemptPhase{true: failed, false: succeeded}[l.Index == 3], nil, false
	})
	st := stage("s", 10)
	st.Retry = &v1.Retry{Attempts: 2, Backoff: "1ms"}
	th.submit(&v1.JobSpec{Name: "dead", Stages: []*v1.StageSpec{st, stage("never", 1, "s")}}, "")
	s := th.wait("dead")
	if s.Phase != "failed" || s.Counts.Dead != 1 || !strings.Contains(s.Reason, "instance 3") || len(s.Failures) != 1 {
		t.Fatalf("status %v", s)
	}
}

func TestB4_B7_AServiceRunsUntilStopped(t *testing.T) {
	th := open(t, 2, "", func(*v1.Launch) (v1.AttemptPhase, []byte, bool) { return 0, nil, true })
	th.submit(&v1.JobSpec{Name: "web", Kind: "service", Stages: []*v1.StageSpec{stage("w", 5)}}, "")
	th.until("web", func(s *v1.JobStatus) bool {
		return s.Counts.Running == 5 && len(s.Instances) == 5 && s.Instances[4].Phase == "running"
	})
	if _, err := th.cell.Load().StopJob(th.ctx, &v1.StopRequest{Name: "web", Reason: "enough"}); err != nil {
		t.Fatal(err)
	}
	if s := th.wait("web"); s.Phase != "stopped" || s.Reason != "enough" {
		t.Fatalf("status %v", s)
	}
	n, err := th.cell.Load().NodeStatus(th.ctx, &v1.NodeRef{Id: "node-00000"})
	if err != nil || n.Slots != 0 || n.CpuMilliHeld != 0 {
		t.Fatalf("node holds %v, %v", n, err)
	}
}

func TestB46_F30_F31_S5_AMasterThatComesBackRestartsNothing(t *testing.T) {
	dir := t.TempDir()
	th := open(t, 3, dir, func(l *v1.Launch) (v1.AttemptPhase, []byte, bool) { return succeeded, nil, l.Index%2 == 0 })
	th.submit(&v1.JobSpec{Name: "web", Kind: "service", Stages: []*v1.StageSpec{stage("w", 8)}}, "")
	half := stage("half", 20)
	th.submit(&v1.JobSpec{Name: "half", Stages: []*v1.StageSpec{half}}, "k")
	th.until("half", func(s *v1.JobStatus) bool { return s.Counts.Done == 10 && s.Counts.Running == 10 })
	before := th.fleet.Ran()
	first := th.cell.Load().Epoch()
	if err := th.cell.Load().Close(th.ctx); err != nil {
		t.Fatal(err)
	}
	th.start()
	s := th.until("half", func(s *v1.JobStatus) bool { return s.Counts.Running == 10 })
	if s.Counts.Done != 10 || th.cell.Load().Epoch() <= first {
		t.Fatalf("after the restart: %v, epoch %d after %d", s, th.cell.Load().Epoch(), first)
	}
	if r := th.submit(&v1.JobSpec{Name: "half", Stages: []*v1.StageSpec{half}}, "k"); r.Created {
		t.Fatal("the key was forgotten over the restart")
	}
	web := func() uint64 { // the service's odd instances end at once and run again
		st, _ := th.cell.Load().JobStatus(th.ctx, &v1.JobRef{Name: "web"})
		return st.GetCounts().GetRunning()
	}
	if th.fleet.Ran()-before > 100 || web() < 4 {
		t.Fatalf("%d attempts before, %d after the restart; %d of the service run", before, th.fleet.Ran(), web())
	}
}

func TestX4_ExplainSaysWhatWouldHelp(t *testing.T) {
	th := open(t, 2, "", nil)
	st := stage("s", 1)
	st.Resources = &v1.Resources{Cpu: "100m", Memory: "2Gi"}
	th.submit(&v1.JobSpec{Name: "big", Stages: []*v1.StageSpec{st}}, "")
	var e *v1.ExplainReply
	th.until("big", func(*v1.JobStatus) bool {
		var err error
		e, err = th.cell.Load().Explain(th.ctx, &v1.ExplainRequest{Name: "big"})
		return err == nil && e.Stages[0].Nodes == 2 && e.Stages[0].WaitsFor != "starting"
	})
	x := e.Stages[0]
	if x.NodesFit != 0 || len(x.Refusals) == 0 || x.Refusals[0].Filter != "memory" || !strings.Contains(x.Remedy, "memory") {
		t.Fatalf("explain says %v", e)
	}
}

func TestB12_ListsPageInOrder(t *testing.T) {
	th := open(t, 1, "", nil)
	c := th.cell.Load()
	for _, q := range []string{"a", "a-b"} {
		if _, err := c.SetQueue(th.ctx, &v1.QueueSpec{Name: q}); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			th.submit(&v1.JobSpec{Name: fmt.Sprintf("j%d", i), Queue: q, Labels: map[string]string{"i": fmt.Sprint(i % 2)}, Stages: []*v1.StageSpec{stage("s", 1)}}, "")
		}
	}
	var got []string
	for after := ""; ; {
		r, err := c.ListJobs(th.ctx, &v1.ListJobsRequest{Ended: true, Limit: 3, After: after})
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range r.Jobs {
			got = append(got, j.Queue+"/"+j.Name)
		}
		if after = r.Next; after == "" {
			break
		}
	}
	if strings.Join(got, " ") != "a/j0 a/j1 a/j2 a/j3 a/j4 a-b/j0 a-b/j1 a-b/j2 a-b/j3 a-b/j4" {
		t.Fatalf("listed %v", got)
	}
	r, err := c.ListJobs(th.ctx, &v1.ListJobsRequest{Queue: "a", Ended: true, Labels: map[string]string{"i": "1"}})
	if err != nil || len(r.Jobs) != 2 {
		t.Fatalf("by label: %v, %v", r, err)
	}
	if _, err := c.RemoveQueue(th.ctx, &v1.QueueRef{Name: "nope"}); !errors.Is(err, model.NotFound("")) {
		t.Fatal(err)
	}
}

func TestB41_ADrainedNodeTakesNothingNew(t *testing.T) {
	th := open(t, 2, "", func(*v1.Launch) (v1.AttemptPhase, []byte, bool) { return 0, nil, true })
	c := th.cell.Load()
	th.eventually(func() bool {
		_, err := c.DrainNode(th.ctx, &v1.DrainRequest{Id: "node-00000", Drained: true, Reason: "repair"})
		return err == nil
	})
	th.submit(&v1.JobSpec{Name: "j", Stages: []*v1.StageSpec{stage("s", 15)}}, "")
	s := th.until("j", func(s *v1.JobStatus) bool { return s.Counts.Running == 10 })
	for _, i := range s.Instances {
		if i.Node == "node-00000" {
			t.Fatal("a drained node got work")
		}
	}
	if _, err := c.DrainNode(th.ctx, &v1.DrainRequest{Id: "node-00000"}); err != nil {
		t.Fatal(err)
	}
	th.until("j", func(s *v1.JobStatus) bool { return s.Counts.Running == 15 })
}

func (th *theatre) eventually(ok func() bool) {
	th.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-th.ctx.Done():
			th.t.Fatal(th.ctx.Err())
		}
	}
}
