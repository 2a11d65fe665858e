package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/fabric"
	"github.com/troupe-sched/troupe/cluster/wire/natstest"
	"github.com/troupe-sched/troupe/node/hollow"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// theatre is a real cell in memory: its API, its events and its link to two hollow agents go over one NATS server.
func theatre(t *testing.T) (*actors.Cell, *nats.Conn) {
	t.Helper()
	server := natstest.Server(t)
	dial := func(string) (*nats.Conn, error) { return natstest.Conn(t, server), nil }
	var cell atomic.Pointer[actors.Cell]
	links := map[string]*fabric.Agent{}
	fleet := hollow.New(hollow.Options{
		Nodes: 2, Info: &v1.NodeInfo{CpuMilli: 1000, MemoryBytes: 1 << 30, Drivers: []string{"process"}},
		Outcome: func(l *v1.Launch) (v1.AttemptPhase, []byte, bool) {
			return v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED, fmt.Appendf(nil, "结果 %d", l.GetIndex()), false
		},
		Deliver: func(m *v1.FromAgent) { links[m.GetNode()].Send(m) },
	})
	master, err := fabric.OpenMaster(fabric.MasterConfig{Cell: "dev", Dial: dial, Log: discard, Deliver: func(m *v1.FromAgent) {
		if c := cell.Load(); c != nil {
			c.Deliver(m)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(master.Close)
	events, err := api.NewPublisher(natstest.Conn(t, server), "dev", discard)
	if err != nil {
		t.Fatal(err)
	}
	c, err := actors.Open(t.Context(), actors.Options{Name: "dev", Fabric: master, Events: events.Publish, Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	cell.Store(c)
	service, err := api.Serve(api.Config{Conn: natstest.Conn(t, server, nats.NoEcho()), Cell: "dev", Version: "1.0.0", Log: discard}, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for name, end := range map[string]func(context.Context) error{"service": service.Close, "cell": c.Close, "events": events.Close} {
			if err := end(ctx); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	for _, id := range []string{"node-00000", "node-00001"} {
		links[id], err = fabric.OpenAgent(fabric.AgentConfig{
			Cell: "dev", Node: id, Dial: dial, Deliver: fleet.Send, Log: discard,
			Logs: func(_ context.Context, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
				return fn(&v1.LogChunk{Stream: "stdout", Data: fmt.Appendf(nil, "output of %d", req.GetIndex())})
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(links[id].Close)
	}
	fleet.Start()
	return c, natstest.Conn(t, server)
}

// TestX6_ARealJobDrivenByNothingButNATS submits, follows, explains and reads a job with raw requests in JSON.
func TestX6_ARealJobDrivenByNothingButNATS(t *testing.T) {
	_, nc := theatre(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ask := func(subject, body string, into any) {
		t.Helper()
		m, err := nc.RequestWithContext(ctx, "troupe.v1.dev."+subject, []byte(body))
		if err != nil || m.Header.Get("Nats-Service-Error") != "" {
			t.Fatalf("%s: %v %v", subject, m, err)
		}
		if err := json.Unmarshal(m.Data, into); err != nil {
			t.Fatalf("%s: %s: %v", subject, m.Data, err)
		}
	}
	events, err := nc.SubscribeSync("troupe.v1.dev.default.event.*.count")
	if err != nil {
		t.Fatal(err)
	}
	var first, second struct {
		Uid     string
		Created bool
	}
	job := `{"key":"k1","job":{"name":"count","stages":[{"name":"map","instances":"50","command":["true"]}]}}`
	ask("default.job.submit", job, &first)
	ask("default.job.submit", job, &second)
	if !first.Created || second.Created || first.Uid != second.Uid {
		t.Fatalf("one key made %+v and %+v", first, second)
	}
	for kind := ""; kind != "ended"; {
		m, err := events.NextMsgWithContext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var e struct{ Kind, Phase string }
		if err := json.Unmarshal(m.Data, &e); err != nil {
			t.Fatal(err)
		}
		if kind = e.Kind; kind == "ended" && e.Phase != "succeeded" {
			t.Fatalf("the job ended as %s", m.Data)
		}
	}
	var status struct {
		Phase  string
		Counts struct{ Done string }
	}
	ask("default.job.status.count", "", &status)
	if status.Phase != "succeeded" || status.Counts.Done != "50" {
		t.Fatalf("got %+v", status)
	}
	var results struct{ Results []struct{ Data []byte } }
	ask("default.job.results.count", `{"stage":"map"}`, &results)
	if len(results.Results) != 50 || string(results.Results[49].Data) != "结果 49" {
		t.Fatalf("%d results", len(results.Results))
	}
	var cell struct {
		Nodes string
		Jobs  string `json:"jobs_ended"`
	}
	ask("_.cell.status", "", &cell)
	if cell.Nodes != "2" || cell.Jobs != "1" {
		t.Fatalf("got %+v", cell)
	}
	m, err := nc.RequestWithContext(ctx, "troupe.v1.dev.default.job.status.nothing", nil)
	if err != nil || m.Header.Get("Nats-Service-Error-Code") != "404" {
		t.Fatalf("an unknown job: %v, %v", m, err)
	}
}

// TestTheEmbeddedCellAndTheClientSayTheSame asks one cell both ways.
func TestTheEmbeddedCellAndTheClientSayTheSame(t *testing.T) {
	cell, nc := theatre(t)
	far := overNATS(t, nc)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := far.Submit(ctx, &v1.SubmitRequest{Job: &v1.JobSpec{
		Name: "j", Stages: []*v1.StageSpec{{Name: "s", Instances: 3, Command: []string{"true"}}},
	}}); err != nil {
		t.Fatal(err)
	}
	ref := &v1.JobRef{Queue: "default", Name: "j"}
	if _, err := cell.Wait(ctx, ref); err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func(api.Cell) (any, error){
		"status":  func(c api.Cell) (any, error) { return c.JobStatus(ctx, ref) },
		"unknown": func(c api.Cell) (any, error) { return c.JobStatus(ctx, &v1.JobRef{Queue: "default", Name: "k"}) },
		"list":    func(c api.Cell) (any, error) { return c.ListJobs(ctx, &v1.ListJobsRequest{Ended: true}) },
		"explain": func(c api.Cell) (any, error) { return c.Explain(ctx, &v1.ExplainRequest{Queue: "default", Name: "j"}) },
		"results": func(c api.Cell) (any, error) {
			return c.Results(ctx, &v1.ResultsRequest{Queue: "default", Name: "j", Stage: "s"})
		},
		"invalid": func(c api.Cell) (any, error) { return c.Validate(ctx, &v1.JobSpec{Name: "No Name", Queue: "default"}) },
		"queues":  func(c api.Cell) (any, error) { return c.ListQueues(ctx, &v1.ListQueuesRequest{}) },
		"logs": func(c api.Cell) (any, error) {
			var out []byte
			err := c.Logs(ctx, &v1.LogsRequest{Queue: "default", Name: "j", Stage: "s", Index: 2}, func(chunk *v1.LogChunk) error {
				out = append(out, chunk.GetData()...)
				return nil
			})
			return string(out), err
		},
	} {
		near, nearErr := ask(cell)
		there, farErr := ask(far)
		if fmt.Sprint(near, nearErr) != fmt.Sprint(there, farErr) {
			t.Errorf("%s:\nthe cell says   %v, %v\nthe client says %v, %v", name, near, nearErr, there, farErr)
		}
		if name == "logs" && there != "output of 2" {
			t.Errorf("logs: %v, %v", there, farErr)
		}
	}
}
