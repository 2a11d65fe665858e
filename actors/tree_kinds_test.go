package actors_test

import (
	"context"
	"errors"
	"testing"

	"github.com/troupe-sched/troupe/actors"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Every actor says what it is; a failure says of which stage it is, and results who gave them.
func TestB12_B45_AnswersSayWhatTheyAreOf(t *testing.T) {
	ctx := t.Context()
	cell, err := actors.Open(ctx, actors.Options{Agent: &actors.AgentOptions{Funcs: map[string]actors.Func{
		"work": func(_ context.Context, c *actors.Call) error { return c.SetResult([]byte("done")) },
		"fail": func(context.Context, *actors.Call) error { return errors.New("no") },
	}}})
	if err != nil {
		t.Fatal(err)
	}
	defer cell.Close(context.WithoutCancel(ctx))
	job := &v1.JobSpec{Name: "j", Stages: []*v1.StageSpec{
		{Name: "first", Driver: "func", Func: "work"},
		{Name: "second", Driver: "func", Func: "fail", After: []string{"first"}, Retry: &v1.Retry{Attempts: 1}},
	}}
	if _, err := cell.Submit(ctx, &v1.SubmitRequest{Job: job}); err != nil {
		t.Fatal(err)
	}
	status, err := cell.Wait(ctx, &v1.JobRef{Name: "j"})
	if err != nil {
		t.Fatal(err)
	}
	if f := status.GetFailures(); len(f) != 1 || f[0].GetStage() != "second" {
		t.Errorf("failures are %v", f)
	}
	results, err := cell.Results(ctx, &v1.ResultsRequest{Name: "j", Stage: "first"})
	if err != nil || results.GetEpoch() != cell.Epoch() || results.GetEpoch() == 0 {
		t.Errorf("results are of epoch %d, %v", results.GetEpoch(), err)
	}
	tree, err := cell.CellTree(ctx, &v1.CellTreeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	var walk func(n *v1.TreeNode)
	walk = func(n *v1.TreeNode) {
		if n.GetKind() == "" {
			t.Errorf("%s is of no kind", n.GetName())
		}
		kinds[n.GetKind()] = true
		for _, c := range n.GetChildren() {
			walk(c)
		}
	}
	walk(tree.GetRoot())
	for _, want := range []string{"cell", "journal", "queues", "queue", "jobs", "job", "nodes", "node", "placer", "agent", "attempts"} {
		if !kinds[want] {
			t.Errorf("no actor is of kind %s: %v", want, kinds)
		}
	}
}
