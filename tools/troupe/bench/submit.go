package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Submitter is what a client of a cell can do for this measurement.
type Submitter interface {
	Submit(ctx context.Context, req *v1.SubmitRequest) (*v1.SubmitReply, error)
	SetQueue(ctx context.Context, spec *v1.QueueSpec) (*v1.QueueStatus, error)
}

// SubmitOptions of a run of submits.
type SubmitOptions struct {
	Clients int
	// Submits of each phase: one client alone, then all clients together.
	Submits int
}

// Submit is what a run has shown. A submit is answered when it is durable.
type Submit struct {
	Clients     int     `json:"clients"`
	Submits     int     `json:"submits"`
	AloneP50Us  float64 `json:"alone_p50_us"`
	AloneP99Us  float64 `json:"alone_p99_us"`
	P50Us       float64 `json:"p50_us"`
	P99Us       float64 `json:"p99_us"`
	SubmitsPerS float64 `json:"submits_per_s"`
	// PingP50Us is a request over the same connection that needs no disk: what NATS and the actors cost alone.
	PingP50Us float64 `json:"ping_p50_us"`
}

// RunSubmit measures durable submits through clients, each with a connection of its own. The jobs want more than any
// node has, so that nothing but the submit is measured.
func RunSubmit(ctx context.Context, connect func() (Submitter, func(), error), o SubmitOptions) (*Submit, error) {
	clients := make([]Submitter, o.Clients)
	for i := range clients {
		c, end, err := connect()
		if err != nil {
			return nil, err
		}
		defer end()
		clients[i] = c
	}
	if _, err := clients[0].SetQueue(ctx, &v1.QueueSpec{Name: "bench"}); err != nil {
		return nil, err
	}
	r := &Submit{Clients: o.Clients, Submits: o.Submits}
	ping, _, err := measure(clients[:1], min(o.Submits, 500), func(c Submitter, i int) error {
		_, err := c.Submit(ctx, &v1.SubmitRequest{Job: benchJob("missing")})
		if !errors.Is(err, model.NotFound("")) {
			return fmt.Errorf("bench: a job for a queue that is not there was answered with: %v", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	submit := func(phase string) func(Submitter, int) error {
		return func(c Submitter, i int) error {
			job := benchJob("bench")
			job.Name = fmt.Sprintf("%s-%d", phase, i)
			_, err := c.Submit(ctx, &v1.SubmitRequest{Job: job})
			return err
		}
	}
	alone, _, err := measure(clients[:1], min(o.Submits, 1000), submit("alone"))
	if err != nil {
		return nil, err
	}
	all, seconds, err := measure(clients, o.Submits, submit("all"))
	if err != nil {
		return nil, err
	}
	r.PingP50Us = median(ping)
	r.AloneP50Us, r.AloneP99Us = median(alone), percentile(alone, 99)
	r.P50Us, r.P99Us = median(all), percentile(all, 99)
	r.SubmitsPerS = float64(o.Submits) / seconds
	return r, nil
}

func benchJob(queue string) *v1.JobSpec {
	return &v1.JobSpec{Name: "x", Queue: queue, Stages: []*v1.StageSpec{{
		Name: "never", Command: []string{"true"}, Resources: &v1.Resources{Cpu: "1000000"},
	}}}
}

// measure calls fn n times, spread over the clients, and returns each call's time in microseconds and the whole in
// seconds.
func measure(clients []Submitter, n int, fn func(c Submitter, i int) error) (times []float64, seconds float64, err error) {
	times = make([]float64, n)
	errs := make([]error, len(clients))
	var next atomic.Int64
	var wait sync.WaitGroup
	start := time.Now()
	for w, c := range clients {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				began := time.Now()
				if errs[w] = fn(c, i); errs[w] != nil {
					return
				}
				times[i] = float64(time.Since(began).Nanoseconds()) / 1e3
			}
		})
	}
	wait.Wait()
	return times, time.Since(start).Seconds(), errors.Join(errs...)
}
