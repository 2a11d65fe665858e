package client_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/troupe-sched/troupe/cluster/client"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// A program that submits a job to a cell elsewhere and waits for its end.
func ExampleDial() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cell, err := client.Dial("nats://127.0.0.1:4222", "dev", slog.Default())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cell.Close()
	events, err := cell.Watch(ctx, "default", "hello")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = cell.Submit(ctx, &v1.SubmitRequest{Job: &v1.JobSpec{
		Name: "hello", Stages: []*v1.StageSpec{{Name: "say", Command: []string{"echo", "hello"}}},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for e := range events {
		fmt.Println(e.GetKind(), e.GetPhase())
		if e.GetKind() == "ended" {
			return
		}
	}
}
