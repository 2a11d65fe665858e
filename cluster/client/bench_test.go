package client_test

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/api/apitest"
	"github.com/troupe-sched/troupe/cluster/client"
	"github.com/troupe-sched/troupe/cluster/wire/natstest"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// BenchmarkSubmit is what the API adds to a submit: 64 clients at a time, a cell that answers at once.
func BenchmarkSubmit(b *testing.B) {
	server := natstest.Server(b)
	conn := natstest.Conn(b, server, nats.NoEcho())
	if _, err := api.Serve(api.Config{Conn: conn, Cell: "dev", Version: "1.0.0", Log: discard}, &echo{}); err != nil {
		b.Fatal(err)
	}
	c, err := client.New(client.Config{Conn: natstest.Conn(b, server), Cell: "dev"})
	if err != nil {
		b.Fatal(err)
	}
	job := &v1.JobSpec{Name: "j", Stages: []*v1.StageSpec{{Name: "s", Command: []string{"true"}}}}
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Submit(b.Context(), &v1.SubmitRequest{Job: proto.CloneOf(job)}); err != nil {
				b.Error(err)
			}
		}
	})
}

// echo is a cell that does nothing and remembers nothing.
type echo struct{ apitest.Cell }

func (*echo) Submit(context.Context, *v1.SubmitRequest) (*v1.SubmitReply, error) {
	return &v1.SubmitReply{Uid: 1}, nil
}
