package actors_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"sync"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// openWith opens a cell in memory with one agent that knows the functions.
func openWith(funcs map[string]actors.Func, guests ...kit.Spec) *actors.Cell {
	cell, err := actors.Open(context.Background(), actors.Options{Agent: &actors.AgentOptions{Funcs: funcs}, Guests: guests})
	if err != nil {
		log.Fatal(err)
	}
	return cell
}

// funcJob is a job of one stage that runs a function.
func funcJob(name, f string, instances int64) *v1.SubmitRequest {
	return &v1.SubmitRequest{Job: &v1.JobSpec{Name: name, Stages: []*v1.StageSpec{{
		Name: "all", Driver: "func", Func: f, Instances: instances, Retry: &v1.Retry{Attempts: 2, Backoff: "1ms"},
	}}}}
}

// A panic is a failed attempt; it is tried again, and the last failure says why the job has failed.
func ExampleCell_Wait() {
	ctx := context.Background()
	cell := openWith(map[string]actors.Func{"flaky": func(_ context.Context, c *actors.Call) error {
		if c.Attempt == 1 {
			panic("at first it does not work")
		}
		return errors.New("nor the second time")
	}})
	defer cell.Close(ctx)
	if _, err := cell.Submit(ctx, funcJob("flaky", "flaky", 1)); err != nil {
		log.Fatal(err)
	}
	status, err := cell.Wait(ctx, &v1.JobRef{Name: "flaky"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(status.GetPhase(), status.GetCounts().GetFailedAttempts())
	fmt.Println(strings.Contains(status.GetReason(), "nor the second time"))
	// Output:
	// failed 2
	// true
}

// Events are sent once they are durable.
func ExampleCell_Watch() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cell := openWith(map[string]actors.Func{"nop": func(context.Context, *actors.Call) error { return nil }})
	defer cell.Close(context.Background())
	events, err := cell.Watch(ctx, "default", "watched")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := cell.Submit(ctx, funcJob("watched", "nop", 1)); err != nil {
		log.Fatal(err)
	}
	for e := range events {
		fmt.Println(strings.TrimSpace(e.GetKind() + " " + e.GetPhase()))
		if e.GetKind() == "ended" {
			break
		}
	}
	// Output:
	// submitted
	// progressed
	// ended succeeded
}

// Explain says why a job waits, and the smallest change that would help.
func ExampleCell_Explain() {
	ctx := context.Background()
	cell, err := actors.Open(ctx, actors.Options{Agent: &actors.AgentOptions{
		MemoryBytes: 1 << 30, Funcs: map[string]actors.Func{"nop": func(context.Context, *actors.Call) error { return nil }},
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer cell.Close(ctx)
	// A small job first: when it has run, the agent has joined.
	small, big := funcJob("small", "nop", 1), funcJob("big", "nop", 1)
	if _, err := cell.Submit(ctx, small); err != nil {
		log.Fatal(err)
	}
	if _, err := cell.Wait(ctx, &v1.JobRef{Name: "small"}); err != nil {
		log.Fatal(err)
	}
	big.Job.Stages[0].Resources = &v1.Resources{Memory: "1100Mi"}
	if _, err := cell.Submit(ctx, big); err != nil {
		log.Fatal(err)
	}
	why, err := cell.Explain(ctx, &v1.ExplainRequest{Name: "big"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(why.GetStages()[0].GetNodesFit(), "of", why.GetStages()[0].GetNodes(), "nodes fit")
	// "it would fit on node local with 76Mi less memory", once the small job's slot is free.
	fmt.Println(strings.Contains(why.GetStages()[0].GetRemedy(), "less memory"))
	// Output:
	// 0 of 1 nodes fit
	// true
}

// counter is an actor of the program: it counts the jobs that have ended.
type counter struct {
	done func(ended int)
	n    int
}

func (c *counter) Receive(_ *kit.Context, message any) {
	if e, ok := message.(*v1.JobEvent); ok && e.GetKind() == "ended" {
		c.n++
		c.done(c.n)
	}
}

// A program's own actor runs in the supervised tree and receives the events of all jobs; and the program can ask the
// cell's actors what package msg documents.
func ExampleCell_Subscribe() {
	ctx := context.Background()
	var both sync.WaitGroup
	both.Add(2)
	mine := make(chan kit.Ref, 1)
	cell := openWith(
		map[string]actors.Func{"nop": func(context.Context, *actors.Call) error { return nil }},
		kit.Spec{Name: "counter", New: func() kit.Behavior { return &announcer{mine, &counter{done: func(int) { both.Done() }}} }},
	)
	defer cell.Close(ctx)
	if err := cell.Subscribe(<-mine); err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"one", "two"} {
		if _, err := cell.Submit(ctx, funcJob(name, "nop", 1)); err != nil {
			log.Fatal(err)
		}
	}
	both.Wait()
	queue, err := cell.Ref(ctx, "queue", "default")
	if err != nil {
		log.Fatal(err)
	}
	answer, err := cell.Ask(ctx, queue, &msg.GetQueue{})
	if err != nil {
		log.Fatal(err)
	}
	status := answer.(*v1.QueueStatus)
	fmt.Println(status.GetSpec().GetName(), status.GetLiveJobs()+status.GetEndedJobs())
	// Output: default 2
}

// announcer tells the program its address when it starts.
type announcer struct {
	to chan<- kit.Ref
	kit.Behavior
}

func (a *announcer) Receive(ctx *kit.Context, message any) {
	if _, started := message.(kit.Started); started {
		a.to <- ctx.Self()
	}
	a.Behavior.Receive(ctx, message)
}
