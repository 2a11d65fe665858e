package actors_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/place"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// running is the outcome of attempts that do not end.
func running(*v1.Launch) (v1.AttemptPhase, []byte, bool) { return 0, nil, true }

// on counts what runs, by node.
func on(s *v1.JobStatus) map[string]int {
	n := map[string]int{}
	for _, i := range s.GetInstances() {
		n[i.GetNode()]++
	}
	return n
}

func TestB41_X4_ATaintKeepsWorkAwayUntilItIsTakenOff(t *testing.T) {
	th := open(t, 2, "", running)
	c := th.cell.Load()
	th.eventually(func() bool {
		_, err := c.TaintNode(th.ctx, &v1.TaintRequest{Id: "node-00000", Taints: []*v1.Taint{{Key: "team", Value: "ml"}}})
		return err == nil
	})
	th.submit(&v1.JobSpec{Name: "j", Stages: []*v1.StageSpec{stage("s", 15)}}, "")
	if s := th.until("j", func(s *v1.JobStatus) bool { return s.Counts.Running == 10 }); on(s)["node-00000"] != 0 {
		t.Fatalf("a tainted node got work: %v", on(s))
	}
	r, err := c.Explain(th.ctx, &v1.ExplainRequest{Queue: "default", Name: "j"})
	if err != nil || len(r.GetStages()) != 1 || len(r.GetStages()[0].GetRefusals()) == 0 {
		t.Fatalf("%v, %v", r, err)
	}
	if text := r.String(); !strings.Contains(text, `"taint"`) || !strings.Contains(text, "team=ml") {
		t.Errorf("explained by %s", text)
	}
	tolerant := &v1.JobSpec{Name: "tolerant", Stages: []*v1.StageSpec{stage("s", 1)}}
	tolerant.Stages[0].Tolerations = []*v1.Toleration{{Key: "team", Value: "ml"}}
	th.submit(tolerant, "")
	if s := th.until("tolerant", func(s *v1.JobStatus) bool { return s.Counts.Running == 1 }); on(s)["node-00000"] != 1 {
		t.Errorf("who tolerates the taint runs on %v", on(s))
	}
	if _, err := c.TaintNode(th.ctx, &v1.TaintRequest{Id: "node-00000"}); err != nil {
		t.Fatal(err)
	}
	th.until("j", func(s *v1.JobStatus) bool { return s.Counts.Running == 15 })
	if _, err := c.TaintNode(th.ctx, &v1.TaintRequest{Id: "nowhere"}); !errors.Is(err, model.NotFound("")) {
		t.Errorf("a node that is not there: %v", err)
	}
}

// odd refuses nodes whose name ends in an even digit.
type odd struct{}

func even(v place.View) bool {
	id := v.ID()
	return (id[len(id)-1]-'0')%2 == 0
}

func (odd) Name() string                                      { return "odd" }
func (odd) Admits(v place.View, _ *place.Shape) bool          { return !even(v) }
func (odd) Refusal(place.View, *place.Shape) (string, string) { return "even", "with an odd name" }

// last is the better the later a node's name comes.
type last struct{}

func (last) Name() string { return "x-last" }
func (last) Rate(v place.View, _ *place.Shape) int64 {
	id := v.ID()
	return int64(id[len(id)-1] - '0')
}

func TestS9_X4_AProgramAddsFiltersAndScores(t *testing.T) {
	th := openFor(t, 6, "", running, func(o *actors.Options) { o.Filters, o.Scores = []place.Filter{odd{}}, []place.Score{last{}} })
	c := th.cell.Load()
	th.eventually(func() bool {
		s, err := c.CellStatus(th.ctx, &v1.CellStatusRequest{})
		return err == nil && s.GetNodesFresh() == 6
	})
	job := &v1.JobSpec{Name: "few", Stages: []*v1.StageSpec{stage("s", 10)}}
	job.Stages[0].Score = &v1.Score{By: "x-last"}
	th.submit(job, "")
	if n := on(th.until("few", func(s *v1.JobStatus) bool { return s.Counts.Running == 10 })); n["node-00005"] != 10 {
		t.Errorf("the last node would do, but it runs on %v", n)
	}
	th.submit(&v1.JobSpec{Name: "j", Stages: []*v1.StageSpec{stage("s", 25)}}, "")
	s := th.until("j", func(s *v1.JobStatus) bool { return s.Counts.Running == 20 })
	if n := on(s); len(n) != 2 || n["node-00001"] != 10 || n["node-00003"] != 10 {
		t.Errorf("runs on %v", n)
	}
	r, err := c.Explain(th.ctx, &v1.ExplainRequest{Queue: "default", Name: "j"})
	if err != nil || !strings.Contains(r.String(), `filter:"odd"`) {
		t.Errorf("explained by %v, %v", r, err)
	}
	one := &v1.JobSpec{Name: "one", Stages: []*v1.StageSpec{stage("s", 1)}}
	one.Stages[0].Score = &v1.Score{By: "x-other"}
	var f *model.Fault
	if _, err := c.Submit(th.ctx, &v1.SubmitRequest{Job: one}); !errors.As(err, &f) || f.Fields[0].GetField() != "stages[0].score.by" ||
		!strings.Contains(f.Fields[0].GetHint(), "x-last") {
		t.Errorf("a score that nobody has added: %v", err)
	}
	if _, err := actors.Open(th.ctx, actors.Options{Scores: []place.Score{badName{}}}); !errors.Is(err, model.Invalid("")) {
		t.Errorf("a score by the name of another: %v", err)
	}
}

// badName could be taken for a built-in score.
type badName struct{ last }

func (badName) Name() string { return "hybrid" }
