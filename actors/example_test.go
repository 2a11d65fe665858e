package actors_test

import (
	"context"
	"fmt"
	"log"
	"strconv"

	"github.com/troupe-sched/troupe/actors"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// A cell in memory whose jobs are Go functions: squares are computed side by side and summed by a second stage.
func Example() {
	ctx := context.Background()
	cell, err := actors.Open(ctx, actors.Options{Agent: &actors.AgentOptions{Funcs: map[string]actors.Func{
		"square": func(_ context.Context, c *actors.Call) error {
			return c.SetResult([]byte(strconv.FormatUint(c.Index*c.Index, 10)))
		},
		"sum": func(_ context.Context, c *actors.Call) error {
			squares, err := c.Inputs("squares")
			if err != nil {
				return err
			}
			sum := 0
			for _, s := range squares {
				n, err := strconv.Atoi(string(s))
				if err != nil {
					return err
				}
				sum += n
			}
			return c.SetResult([]byte(strconv.Itoa(sum)))
		},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	defer cell.Close(ctx)

	job := &v1.JobSpec{Name: "squares", Stages: []*v1.StageSpec{
		{Name: "squares", Driver: "func", Func: "square", Instances: 10},
		{Name: "sum", Driver: "func", Func: "sum", After: []string{"squares"}},
	}}
	if _, err := cell.Submit(ctx, &v1.SubmitRequest{Job: job}); err != nil {
		log.Fatal(err)
	}
	status, err := cell.Wait(ctx, &v1.JobRef{Name: "squares"})
	if err != nil {
		log.Fatal(err)
	}
	results, err := cell.Results(ctx, &v1.ResultsRequest{Name: "squares", Stage: "sum"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(status.GetPhase(), string(results.GetResults()[0].GetData()))
	// Output: succeeded 285
}
