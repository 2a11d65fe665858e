package api_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/wire"
	"github.com/troupe-sched/troupe/cluster/wire/natstest"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// fake is a cell that remembers what it was asked. The function fields replace its answers.
type fake struct {
	mu    sync.Mutex
	asked []proto.Message

	submit func(context.Context, *v1.SubmitRequest) (*v1.SubmitReply, error)
	status func(context.Context, *v1.JobRef) (*v1.JobStatus, error)
	logs   func(context.Context, *v1.LogsRequest, func(*v1.LogChunk) error) error
}

var _ api.Cell = (*fake)(nil)

func (f *fake) note(m proto.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, m)
}

// last is what was asked last.
func (f *fake) last() proto.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.asked) == 0 {
		return nil
	}
	return f.asked[len(f.asked)-1]
}

func (f *fake) Submit(ctx context.Context, m *v1.SubmitRequest) (*v1.SubmitReply, error) {
	f.note(m)
	if f.submit != nil {
		return f.submit(ctx, m)
	}
	return &v1.SubmitReply{Queue: m.GetJob().GetQueue(), Name: m.GetJob().GetName(), Uid: 7, Created: true, Seq: 9}, nil
}

func (f *fake) Validate(_ context.Context, m *v1.JobSpec) (*v1.ValidateReply, error) {
	f.note(m)
	return &v1.ValidateReply{Job: m, Instances: 1}, nil
}

func (f *fake) JobStatus(ctx context.Context, m *v1.JobRef) (*v1.JobStatus, error) {
	f.note(m)
	if f.status != nil {
		return f.status(ctx, m)
	}
	return &v1.JobStatus{Queue: m.GetQueue(), Name: m.GetName(), Phase: "running"}, nil
}

func (f *fake) ListJobs(_ context.Context, m *v1.ListJobsRequest) (*v1.ListJobsReply, error) {
	f.note(m)
	return &v1.ListJobsReply{Next: m.GetQueue()}, nil
}

func (f *fake) StopJob(_ context.Context, m *v1.StopRequest) (*v1.StopReply, error) {
	f.note(m)
	return &v1.StopReply{Stopping: true}, nil
}

func (f *fake) Explain(_ context.Context, m *v1.ExplainRequest) (*v1.ExplainReply, error) {
	f.note(m)
	return &v1.ExplainReply{Summary: "it runs"}, nil
}

func (f *fake) Results(_ context.Context, m *v1.ResultsRequest) (*v1.ResultsReply, error) {
	f.note(m)
	return &v1.ResultsReply{Results: []*v1.InstanceResult{{Index: 3, Data: []byte("结果")}}}, nil
}

func (f *fake) Logs(ctx context.Context, m *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
	f.note(m)
	if f.logs != nil {
		return f.logs(ctx, m, fn)
	}
	return fn(&v1.LogChunk{Stream: "stdout", Data: []byte("hello")})
}

func (f *fake) Lookup(_ context.Context, m *v1.LookupRequest) (*v1.LookupReply, error) {
	f.note(m)
	return &v1.LookupReply{}, nil
}

func (f *fake) SetQueue(_ context.Context, m *v1.QueueSpec) (*v1.QueueStatus, error) {
	f.note(m)
	return &v1.QueueStatus{Spec: m}, nil
}

func (f *fake) QueueStatus(_ context.Context, m *v1.QueueRef) (*v1.QueueStatus, error) {
	f.note(m)
	return &v1.QueueStatus{}, nil
}

func (f *fake) ListQueues(_ context.Context, m *v1.ListQueuesRequest) (*v1.ListQueuesReply, error) {
	f.note(m)
	return &v1.ListQueuesReply{}, nil
}

func (f *fake) RemoveQueue(_ context.Context, m *v1.QueueRef) (*v1.QueueStatus, error) {
	f.note(m)
	return &v1.QueueStatus{}, nil
}

func (f *fake) ListNodes(_ context.Context, m *v1.ListNodesRequest) (*v1.ListNodesReply, error) {
	f.note(m)
	return &v1.ListNodesReply{}, nil
}

func (f *fake) NodeStatus(_ context.Context, m *v1.NodeRef) (*v1.NodeStatus, error) {
	f.note(m)
	return &v1.NodeStatus{}, nil
}

func (f *fake) DrainNode(_ context.Context, m *v1.DrainRequest) (*v1.NodeStatus, error) {
	f.note(m)
	return &v1.NodeStatus{Drained: m.GetDrained()}, nil
}

func (f *fake) CellStatus(_ context.Context, m *v1.CellStatusRequest) (*v1.CellStatus, error) {
	f.note(m)
	return &v1.CellStatus{Cell: "dev"}, nil
}

func (f *fake) CellTree(_ context.Context, m *v1.CellTreeRequest) (*v1.CellTree, error) {
	f.note(m)
	return &v1.CellTree{Root: &v1.TreeNode{Name: "cell"}}, nil
}

// world is a served fake and a client that knows nothing but NATS.
type world struct {
	t       *testing.T
	cell    *fake
	service *api.Service
	nc      *nats.Conn
}

// serve serves a fake cell named dev; adjust may change how.
func serve(t *testing.T, adjust func(*api.Config, *fake)) *world {
	t.Helper()
	s := natstest.Server(t)
	c := api.Config{
		Conn: natstest.Conn(t, s, nats.NoEcho()), Cell: "dev", Version: "1.2.3", Log: slog.New(slog.DiscardHandler),
	}
	w := &world{t: t, cell: &fake{}, nc: natstest.Conn(t, s)}
	if adjust != nil {
		adjust(&c, w.cell)
	}
	var err error
	if w.service, err = api.Serve(c, w.cell); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.close() })
	return w
}

func (w *world) close() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := w.service.Close(ctx); err != nil {
		w.t.Errorf("close: %v", err)
	}
}

// ask sends one raw request.
func (w *world) ask(subject string, header nats.Header, body []byte) *nats.Msg {
	w.t.Helper()
	m, err := w.nc.RequestMsgWithContext(w.t.Context(), &nats.Msg{Subject: subject, Header: header, Data: body})
	if err != nil {
		w.t.Fatalf("%s: %v", subject, err)
	}
	return m
}

// refused checks that m is a refusal in JSON, complete in headers and body.
func refused(t *testing.T, m *nats.Msg, code int32, word string, says ...string) *v1.Error {
	t.Helper()
	e := &v1.Error{}
	if err := wire.JSON.Unmarshal(m.Data, e); err != nil {
		t.Fatalf("the body %s is no error: %v", m.Data, err)
	}
	if e.GetCode() != code || e.GetErrCode() != word || e.GetDescription() == "" || e.GetErrorId() == "" {
		t.Fatalf("got %v, want %d %s with description and id", e, code, word)
	}
	number, _ := json.Marshal(code)
	if m.Header.Get("Nats-Service-Error-Code") != string(number) || m.Header.Get("Nats-Service-Error") == "" {
		t.Fatalf("the headers are %v", m.Header)
	}
	for _, s := range says {
		if !strings.Contains(string(m.Data), s) {
			t.Errorf("%s does not say %q", m.Data, s)
		}
	}
	return e
}
