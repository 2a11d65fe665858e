package client_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/api/apitest"
	"github.com/troupe-sched/troupe/cluster/wire/natstest"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// A leader makes a job durable and dies before it answers; for longer than NATS itself would try nobody responds; then
// another leads. The caller notices that it took its time: one call, one key, one job.
func TestTrapNoResponders_B42_S6_ASubmitOutlivesItsMaster(t *testing.T) {
	server := natstest.Server(t)
	var mu sync.Mutex
	jobs, asked := map[string]uint64{}, 0 // by key: what the journal of both masters holds
	submit := func(req *v1.SubmitRequest) *v1.SubmitReply {
		mu.Lock()
		defer mu.Unlock()
		asked++
		if jobs[req.GetKey()] == 0 {
			jobs[req.GetKey()] = uint64(len(jobs) + 1)
		}
		return &v1.SubmitReply{Name: req.GetJob().GetName(), Uid: jobs[req.GetKey()]}
	}
	serve := func(nc *nats.Conn, cell *apitest.Cell) *api.Service {
		s, err := api.Serve(api.Config{Conn: nc, Cell: "dev", Version: "1.0.0", Log: discard}, cell)
		if err != nil {
			t.Error(err)
		}
		return s
	}
	begun := make(chan *api.Service, 1)
	first := natstest.Conn(t, server)
	second := natstest.Conn(t, server)
	serve(first, &apitest.Cell{OnSubmit: func(_ context.Context, req *v1.SubmitRequest) (*v1.SubmitReply, error) {
		r := submit(req)
		first.Close()
		// Two pauses of a quarter of a second are all that the protocol advises.
		time.AfterFunc(600*time.Millisecond, func() {
			begun <- serve(second, &apitest.Cell{OnSubmit: func(_ context.Context, req *v1.SubmitRequest) (*v1.SubmitReply, error) { return submit(req), nil }})
		})
		return r, nil
	}})
	c := dial(t, server)
	c.Try = 50 * time.Millisecond
	c.BackoffMax = 20 * time.Millisecond
	reply, err := c.Submit(t.Context(), &v1.SubmitRequest{Job: &v1.JobSpec{Name: "j"}})
	if err != nil || reply.GetUid() != 1 || len(jobs) != 1 || asked < 2 {
		t.Fatalf("%v, %v; %d jobs of %d requests", reply, err, len(jobs), asked)
	}
	if err := (<-begun).Close(t.Context()); err != nil {
		t.Error(err)
	}
}
