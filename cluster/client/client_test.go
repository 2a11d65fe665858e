package client_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/api/apitest"
	"github.com/troupe-sched/troupe/cluster/client"
	"github.com/troupe-sched/troupe/cluster/wire"
	"github.com/troupe-sched/troupe/cluster/wire/natstest"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

var discard = slog.New(slog.DiscardHandler)

// served is a cell and a client of it, over a real server.
type served struct {
	cell   *apitest.Cell
	server *server.Server
	client *client.Client
}

func serve(t *testing.T, adjust func(*api.Config)) *served {
	t.Helper()
	s := &served{cell: &apitest.Cell{}, server: natstest.Server(t)}
	c := api.Config{Conn: natstest.Conn(t, s.server, nats.NoEcho()), Cell: "dev", Version: "1.0.0", Log: discard}
	if adjust != nil {
		adjust(&c)
	}
	service, err := api.Serve(c, s.cell)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := service.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	s.client = dial(t, s.server)
	return s
}

// dial makes a client that is quick to try again.
func dial(t *testing.T, s *server.Server) *client.Client {
	t.Helper()
	return overNATS(t, natstest.Conn(t, s))
}

func overNATS(t *testing.T, nc *nats.Conn) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{
		Conn: nc, Cell: "dev", Wait: 30 * time.Second, Backoff: time.Microsecond, BackoffMax: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestX6_TheClientIsTheCell(t *testing.T) {
	s := serve(t, nil)
	ctx := t.Context()
	for name, call := range map[string]struct {
		sent proto.Message
		do   func(api.Cell) (proto.Message, error)
	}{
		"validate": {&v1.JobSpec{Name: "j", Queue: "q", Stages: []*v1.StageSpec{{Name: "s"}}}, nil},
		"status":   {&v1.JobRef{Queue: "q", Name: "j"}, nil},
		"list":     {&v1.ListJobsRequest{Queue: "q", Labels: map[string]string{"a": "b"}}, nil},
		"list all": {&v1.ListJobsRequest{Limit: 3}, nil},
		"stop":     {&v1.StopRequest{Queue: "q", Name: "j", Reason: "so"}, nil},
		"explain":  {&v1.ExplainRequest{Queue: "q", Name: "j", HasIndex: true}, nil},
		"results":  {&v1.ResultsRequest{Queue: "q", Name: "j", Stage: "s", From: 1 << 60}, nil},
		"lookup":   {&v1.LookupRequest{Name: "0.web.q.dev"}, nil},
		"set":      {&v1.QueueSpec{Name: "q", MaxJobs: 3}, nil},
		"queues":   {&v1.ListQueuesRequest{}, nil},
		"nodes":    {&v1.ListNodesRequest{After: "n1"}, nil},
		"node":     {&v1.NodeRef{Id: "n1"}, nil},
		"drain":    {&v1.DrainRequest{Id: "n1", Drained: true, Reason: "repair", Maintenance: true, Evict: true, Force: true}, nil},
		"taint":    {&v1.TaintRequest{Id: "n1", Taints: []*v1.Taint{{Key: "gpu", Effect: "avoid"}}}, nil},
		"untaint":  {&v1.TaintRequest{Id: "n1"}, nil},
		"lost":     {&v1.LostRequest{Id: "n1", Reason: "burnt"}, nil},
		"silent":   {&v1.LostRequest{AllSilent: true}, nil},
		"ledger":   {&v1.LedgerRequest{Queue: "q", Limit: 3}, nil},
		"ledgers":  {&v1.LedgerRequest{}, nil},
		"undrain":  {&v1.DrainRequest{Id: "n1"}, nil},
		"cell":     {&v1.CellStatusRequest{}, nil},
		"tree":     {&v1.CellTreeRequest{}, nil},
		"masters":  {&v1.ListMastersRequest{}, nil},
		"resign":   {&v1.ResignRequest{To: "b", Reason: "update", Epoch: 7}, nil},
		"drill":    {&v1.DrillRequest{Kind: "partition", ForMs: 1000, Node: "n1"}, nil},
	} {
		direct := &apitest.Cell{}
		want, err := invoke(ctx, direct, call.sent)
		if err != nil {
			t.Fatal(err)
		}
		got, err := invoke(ctx, s.client, call.sent)
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: got %v, %v, the cell itself says %v", name, got, err, want)
		}
		if !proto.Equal(s.cell.Last(), call.sent) {
			t.Errorf("%s: sent %v, the cell was asked %v", name, call.sent, s.cell.Last())
		}
	}
	for _, remove := range []bool{false, true} {
		ask := s.client.QueueStatus
		if remove {
			ask = s.client.RemoveQueue
		}
		if _, err := ask(ctx, &v1.QueueRef{Name: "q"}); err != nil || !proto.Equal(s.cell.Last(), &v1.QueueRef{Name: "q"}) {
			t.Errorf("remove %v: %v, %v", remove, s.cell.Last(), err)
		}
	}
}

// invoke asks a cell the question that a message is.
func invoke(ctx context.Context, c api.Cell, m proto.Message) (proto.Message, error) {
	switch m := m.(type) {
	case *v1.JobSpec:
		return c.Validate(ctx, m)
	case *v1.JobRef:
		return c.JobStatus(ctx, m)
	case *v1.ListJobsRequest:
		return c.ListJobs(ctx, m)
	case *v1.StopRequest:
		return c.StopJob(ctx, m)
	case *v1.ExplainRequest:
		return c.Explain(ctx, m)
	case *v1.ResultsRequest:
		return c.Results(ctx, m)
	case *v1.LookupRequest:
		return c.Lookup(ctx, m)
	case *v1.QueueSpec:
		return c.SetQueue(ctx, m)
	case *v1.ListQueuesRequest:
		return c.ListQueues(ctx, m)
	case *v1.ListNodesRequest:
		return c.ListNodes(ctx, m)
	case *v1.NodeRef:
		return c.NodeStatus(ctx, m)
	case *v1.DrainRequest:
		return c.DrainNode(ctx, m)
	case *v1.LostRequest:
		return c.LoseNode(ctx, m)
	case *v1.TaintRequest:
		return c.TaintNode(ctx, m)
	case *v1.LedgerRequest:
		return c.QueueLedger(ctx, m)
	case *v1.CellStatusRequest:
		return c.CellStatus(ctx, m)
	case *v1.CellTreeRequest:
		return c.CellTree(ctx, m)
	case *v1.ListMastersRequest:
		return c.ListMasters(ctx, m)
	case *v1.ResignRequest:
		return c.Resign(ctx, m)
	case *v1.DrillRequest:
		return c.Drill(ctx, m)
	}
	return nil, errors.New("no such question")
}

func TestB42_ASubmitIsRepeatedUnderOneKey(t *testing.T) {
	s := serve(t, nil)
	var mu sync.Mutex
	var keys []string
	failures := []error{model.Busy(time.Millisecond, "full"), model.Unavailable("stepping down"), model.Deadline("late"), nil}
	s.cell.OnSubmit = func(_ context.Context, m *v1.SubmitRequest) (*v1.SubmitReply, error) {
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, m.GetKey())
		return &v1.SubmitReply{Name: m.GetJob().GetName(), Queue: m.GetJob().GetQueue()}, failures[len(keys)-1]
	}
	for _, given := range []string{"", "mine"} {
		keys = nil
		req := &v1.SubmitRequest{Job: &v1.JobSpec{Name: "j"}, Key: given}
		reply, err := s.client.Submit(t.Context(), req)
		if err != nil || reply.GetName() != "j" || reply.GetQueue() != "default" {
			t.Fatalf("got %v, %v", reply, err)
		}
		if len(keys) != 4 || keys[0] == "" || given != "" && keys[0] != given {
			t.Fatalf("asked with the keys %q", keys)
		}
		for _, k := range keys {
			if k != keys[0] {
				t.Fatalf("asked with the keys %q", keys)
			}
		}
		if req.GetKey() != given || req.GetJob().GetQueue() != "" {
			t.Fatalf("the frozen request became %v", req)
		}
	}
	first := keys[0]
	keys = nil
	if _, err := s.client.Submit(t.Context(), &v1.SubmitRequest{}); err != nil || keys[0] == first {
		t.Fatalf("two calls share the key %q, %v", first, err)
	}
}

func TestB42_ASlowAnswerIsAskedForAgain(t *testing.T) {
	s := serve(t, nil)
	var asked atomic.Int32
	s.cell.OnJobStatus = func(ctx context.Context, _ *v1.JobRef) (*v1.JobStatus, error) {
		if asked.Add(1) == 1 {
			<-ctx.Done() // the caller's own patience reached the master
			return nil, context.Cause(ctx)
		}
		return &v1.JobStatus{Phase: "running"}, nil
	}
	s.client.Try = 20 * time.Millisecond
	status, err := s.client.JobStatus(t.Context(), &v1.JobRef{Queue: "q", Name: "j"})
	if err != nil || status.GetPhase() != "running" {
		t.Fatalf("got %v, %v", status, err)
	}
}

// A stop that is tried again means the job that had the name when it was asked for, whoever has it by then.
func TestB42_AStopNeverMeetsTheNextJobOfTheName(t *testing.T) {
	s := serve(t, nil)
	var newest atomic.Uint64
	newest.Store(7)
	s.cell.OnJobStatus = func(context.Context, *v1.JobRef) (*v1.JobStatus, error) {
		return &v1.JobStatus{Uid: newest.Load()}, nil
	}
	var asked atomic.Int32
	s.cell.OnStopJob = func(ctx context.Context, req *v1.StopRequest) (*v1.StopReply, error) {
		switch {
		case req.GetUid() != 7:
			t.Errorf("job %d is to be stopped", req.GetUid())
		case asked.Add(1) == 1:
			newest.Store(9)
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		return nil, model.NotFound("job 7 has ended")
	}
	s.client.Try = 20 * time.Millisecond
	if _, err := s.client.StopJob(t.Context(), &v1.StopRequest{Queue: "q", Name: "j"}); !errors.Is(err, model.NotFound("")) || asked.Load() != 2 {
		t.Errorf("%v after %d attempts", err, asked.Load())
	}
}

func TestRefusalsAreNotRepeated(t *testing.T) {
	s := serve(t, nil)
	var asked atomic.Int32
	for _, want := range []*model.Fault{
		model.NotFound("no job q/j"), model.Conflict("it is there"), model.Internal("broken"),
		model.Invalid("bad", &v1.FieldError{Field: "job.name", Problem: "is missing", Hint: "name it"}),
	} {
		asked.Store(0)
		s.cell.OnJobStatus = func(context.Context, *v1.JobRef) (*v1.JobStatus, error) { asked.Add(1); return nil, want }
		_, err := s.client.JobStatus(t.Context(), &v1.JobRef{Queue: "q", Name: "j"})
		var f *model.Fault
		if !errors.As(err, &f) || f.Err != want.Err || f.Error() != want.Error() || f.ID == "" || asked.Load() != 1 {
			t.Errorf("got %v after %d attempts, want %v after one", err, asked.Load(), want)
		}
	}
}

func TestTrapOverlongSubjects_BadNamesNeverReachNATS(t *testing.T) {
	s := serve(t, nil)
	for _, name := range []string{"", "*", ">", "a.b", "a b", "A", strings.Repeat("n", 5000)} {
		_, err := s.client.JobStatus(t.Context(), &v1.JobRef{Queue: "q", Name: name})
		if !errors.Is(err, model.Invalid("")) {
			t.Errorf("%.10q: got %v", name, err)
		}
		if _, err := client.New(client.Config{Conn: s.client.Conn, Cell: name}); !errors.Is(err, model.Invalid("")) {
			t.Errorf("cell %.10q: got %v", name, err)
		}
		if name != "" {
			if _, err := s.client.Watch(t.Context(), "q", name); !errors.Is(err, model.Invalid("")) {
				t.Errorf("watch %.10q: got %v", name, err)
			}
		}
	}
	if s.cell.Last() != nil || !s.client.Conn.IsConnected() {
		t.Fatal("a bad name reached the cell, or cost the connection")
	}
	_, err := s.client.Submit(t.Context(), &v1.SubmitRequest{Job: &v1.JobSpec{Name: strings.Repeat("j", 2<<20)}})
	if !errors.Is(err, model.TooLarge("")) {
		t.Fatalf("got %v", err)
	}
}

func TestNoMasterIsToldByCellAndPlace(t *testing.T) {
	server := natstest.Server(t)
	c := dial(t, server)
	c.Wait = 20 * time.Millisecond
	for name, err := range map[string]error{
		"status": second(c.CellStatus(t.Context(), &v1.CellStatusRequest{})),
		"logs":   c.Logs(t.Context(), &v1.LogsRequest{Queue: "q", Name: "j"}, func(*v1.LogChunk) error { return nil }),
	} {
		if !errors.Is(err, model.Unavailable("")) || !strings.Contains(err.Error(), `no master answers for cell "dev" at the NATS server in this process`) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.CellStatus(ctx, &v1.CellStatusRequest{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	_, err := client.Dial("nats://me:secret@127.0.0.1:1", "dev", discard)
	if !errors.Is(err, model.Unavailable("")) || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("no server: got %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestTrapNoResponders_B42_AMasterThatComesLaterIsFound(t *testing.T) {
	server := natstest.Server(t)
	c := dial(t, server)
	asked := make(chan struct{})
	sub, err := c.Conn.Subscribe("troupe.v1.dev._.cell.status", func(*nats.Msg) { close(asked) }) // takes one and is silent
	if err == nil {
		err = sub.AutoUnsubscribe(1)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.Try = 20 * time.Millisecond
	answered := make(chan error, 1)
	go func() { answered <- second(c.CellStatus(t.Context(), &v1.CellStatusRequest{})) }()
	<-asked
	service, err := api.Serve(api.Config{Conn: natstest.Conn(t, server), Cell: "dev", Version: "1.0.0", Log: discard}, &apitest.Cell{})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	if err := service.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestLateAnswersAreToldAsSuch(t *testing.T) {
	server := natstest.Server(t)
	c := dial(t, server)
	if _, err := c.Conn.Subscribe("troupe.v1.dev.>", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	c.Try, c.Wait = 5*time.Millisecond, 20*time.Millisecond
	_, err := c.CellStatus(t.Context(), &v1.CellStatusRequest{})
	if !errors.Is(err, model.Deadline("")) || !strings.Contains(err.Error(), "did not answer cell.status in time") {
		t.Fatalf("got %v", err)
	}
	c.Conn.Close()
	if _, err := c.CellStatus(t.Context(), &v1.CellStatusRequest{}); !errors.Is(err, model.Unavailable("")) {
		t.Fatalf("closed connection: got %v", err)
	}
}

func TestAStrangeAnswerIsNoPanic(t *testing.T) {
	server := natstest.Server(t)
	c := dial(t, server)
	_, err := c.Conn.Subscribe("troupe.v1.dev.>", func(m *nats.Msg) {
		_ = m.RespondMsg(wire.Protobuf.Message(m.Reply, []byte("\xff\xff\xff")))
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CellStatus(t.Context(), &v1.CellStatusRequest{}); !errors.Is(err, model.Internal("")) {
		t.Fatalf("got %v", err)
	}
}

func TestLogsOverNATS(t *testing.T) {
	s := serve(t, nil)
	var asked atomic.Int32
	s.cell.OnLogs = func(_ context.Context, m *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
		if asked.Add(1) <= 2 {
			return model.Busy(time.Millisecond, "many readers")
		}
		for i := range 200 {
			if err := fn(&v1.LogChunk{Stream: "stdout", Data: []byte{byte(i)}, Offset: int64(i)}); err != nil {
				return err
			}
		}
		return m2err(m.GetStage())
	}
	var got []byte
	read := func(c *v1.LogChunk) error { got = append(got, c.GetData()...); return nil }
	if err := s.client.Logs(t.Context(), &v1.LogsRequest{Queue: "q", Name: "j"}, read); err != nil || len(got) != 200 || got[199] != 199 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	// A break in the middle is told and not repeated.
	got = nil
	err := s.client.Logs(t.Context(), &v1.LogsRequest{Queue: "q", Name: "j", Stage: "breaks"}, read)
	if !errors.Is(err, model.Unavailable("")) || len(got) != 200 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	stop := errors.New("enough")
	if err := s.client.Logs(t.Context(), &v1.LogsRequest{Queue: "q", Name: "j"}, func(*v1.LogChunk) error { return stop }); !errors.Is(err, stop) {
		t.Fatalf("got %v", err)
	}
}

func m2err(stage string) error {
	if stage == "breaks" {
		return model.Unavailable("the node went away")
	}
	return nil
}
