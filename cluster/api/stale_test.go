package api_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/client"
	"github.com/troupe-sched/troupe/cluster/wire"
	"github.com/troupe-sched/troupe/cluster/wire/natstest"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// replica is one master's view.
type replica struct {
	mark  model.Mark
	fault error
	asked atomic.Int64
}

func (r *replica) Stale(_ context.Context, req proto.Message) (proto.Message, model.Mark, error) {
	r.asked.Add(1)
	switch m := req.(type) {
	case *v1.JobRef:
		return &v1.JobStatus{Queue: m.GetQueue(), Name: m.GetName()}, r.mark, r.fault
	case *v1.CellStatusRequest:
		return &v1.CellStatus{Cell: "dev"}, r.mark, r.fault
	}
	return nil, r.mark, model.NotFound("none")
}

func serveStale(t *testing.T, nc *nats.Conn, r *replica) {
	t.Helper()
	s, err := api.ServeStale(api.Config{Conn: nc, Cell: "dev", Version: "1.2.3", Log: slog.New(slog.DiscardHandler)}, r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}

// Any client asks any master, and is told who answers and how old the answer is; nothing can be changed that way.
func TestB31_StaleReadsSayHowOldTheyAre(t *testing.T) {
	server := natstest.Server(t)
	r := &replica{mark: model.Mark{Master: "b", Epoch: 7, Seq: 1234, Lag: 5, Age: 1500 * time.Millisecond}}
	serveStale(t, natstest.Conn(t, server, nats.NoEcho()), r)
	w := &world{t: t, nc: natstest.Conn(t, server)}
	m := w.ask("troupe.stale.v1.dev.q.job.status.j", nil, []byte("{}"))
	status := &v1.JobStatus{}
	if err := wire.JSON.Unmarshal(m.Data, status); err != nil || status.GetName() != "j" || status.GetQueue() != "q" {
		t.Fatalf("%s, %v", m.Data, err)
	}
	for header, want := range map[string]string{
		"Troupe-Master": "b", "Troupe-Epoch": "7", "Troupe-Seq": "1234", "Troupe-Lag-Records": "5", "Troupe-Age-Ms": "1500",
	} {
		if got := m.Header.Get(header); got != want {
			t.Errorf("header %s is %q, want %q", header, got, want)
		}
	}
	if mark, ok := wire.MarkIn(m.Header); !ok || mark != r.mark {
		t.Errorf("read back as %+v, %v", mark, ok)
	}
	refused(t, w.ask("troupe.stale.v1.dev.q.job.submit", nil, []byte("{}")), 404, "not_found", "no verb")
	refused(t, w.ask("troupe.stale.v1.dev.q.job.status", nil, nil), 400, "invalid", "troupe.stale.v1.dev.<queue>.job.status.<name>")
	refused(t, w.ask("troupe.stale.v1.dev.q", nil, nil), 404, "not_found", "troupe.stale.v1.dev.<queue>")
	r.fault = model.Unavailable("it reads")
	refused(t, w.ask("troupe.stale.v1.dev.q.job.status.j", nil, nil), 503, "unavailable")
	if _, err := w.nc.Request("troupe.v1.dev.q.job.status.j", nil, 5*time.Second); err != nats.ErrNoResponders {
		t.Errorf("without a leader: %v, want %v", err, nats.ErrNoResponders)
	}
}

// The masters share the requests, and each request is answered by one.
func TestB31_MastersShareStaleReads(t *testing.T) {
	server := natstest.Server(t)
	replicas := []*replica{{mark: model.Mark{Master: "a"}}, {mark: model.Mark{Master: "b"}}, {mark: model.Mark{Master: "c"}}}
	for _, r := range replicas {
		serveStale(t, natstest.Conn(t, server, nats.NoEcho()), r)
	}
	seen := map[string]int{}
	c, err := client.New(client.Config{Conn: natstest.Conn(t, server), Cell: "dev", Stale: func(m model.Mark) { seen[m.Master]++ }})
	if err != nil {
		t.Fatal(err)
	}
	const n = 90
	for range n {
		if _, err := c.CellStatus(t.Context(), &v1.CellStatusRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	all := int64(0)
	for _, r := range replicas {
		all += r.asked.Load()
	}
	if all != n || len(seen) != 3 || seen["a"]+seen["b"]+seen["c"] != n {
		t.Fatalf("%d requests were answered %d times: %v", n, all, seen)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Submit(ctx, &v1.SubmitRequest{Job: &v1.JobSpec{Name: "j"}}); err == nil {
		t.Fatal("a submit is answered although nobody leads")
	}
}
