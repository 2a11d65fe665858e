package api_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/api/apitest"
	"github.com/troupe-sched/troupe/cluster/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

var discard = slog.New(slog.DiscardHandler)

// held makes JobStatus wait: entered tells of each request inside, release lets all out.
func held(f *apitest.Cell) (entered chan string, release func()) {
	entered, gate := make(chan string, 1000), make(chan struct{})
	f.OnJobStatus = func(_ context.Context, m *v1.JobRef) (*v1.JobStatus, error) {
		entered <- m.GetName()
		<-gate
		return &v1.JobStatus{Name: m.GetName()}, nil
	}
	return entered, sync.OnceFunc(func() { close(gate) })
}

// send asks without waiting; the answer comes on the channel.
func (w *world) send(subject string) <-chan *nats.Msg {
	w.t.Helper()
	answer := make(chan *nats.Msg, 1)
	sub, err := w.nc.Subscribe(w.nc.NewInbox(), func(m *nats.Msg) { answer <- m })
	if err == nil {
		err = w.nc.PublishRequest(subject, sub.Subject, nil)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return answer
}

func TestM1_AtTheLimitRequestsAreRefusedAsBusyWithARetryTime(t *testing.T) {
	var entered chan string
	var release func()
	w := serve(t, func(c *api.Config, f *apitest.Cell) {
		c.Reads.InFlight = 2
		entered, release = held(f)
	})
	defer release()
	first, second := w.send("troupe.v1.dev.q.job.status.a"), w.send("troupe.v1.dev.q.job.status.b")
	<-entered
	<-entered
	m := w.ask("troupe.v1.dev.q.job.status.c", nil, nil)
	e := refused(t, m, 429, "busy", "2 reads are under way")
	if e.GetRetryAfterMs() <= 0 || m.Header.Get("Retry-After-Ms") != fmt.Sprint(e.GetRetryAfterMs()) {
		t.Fatalf("retry after %d ms in the body, %v in the header", e.GetRetryAfterMs(), m.Header)
	}
	// The limit holds for the lane, not for the verb.
	refused(t, w.ask("troupe.v1.dev._.cell.status", nil, nil), 429, "busy")
	release()
	for _, answer := range []<-chan *nats.Msg{first, second} {
		if f := wire.FaultIn(<-answer); f != nil {
			t.Fatal(f)
		}
	}
}

func TestF34_AFullLaneDoesNotKeepOutAnother(t *testing.T) {
	var entered chan string
	var release func()
	w := serve(t, func(c *api.Config, f *apitest.Cell) {
		c.Reads.InFlight = 1
		entered, release = held(f)
	})
	defer release()
	w.send("troupe.v1.dev.q.job.status.a")
	<-entered
	if f := wire.FaultIn(w.ask("troupe.v1.dev.q.job.submit", nil, nil)); f != nil {
		t.Fatalf("a write was kept out by a full lane of reads: %v", f)
	}
	if f := wire.FaultIn(w.ask("troupe.v1.dev.q.job.logs.j", nil, nil)); f != nil {
		t.Fatalf("logs were kept out by a full lane of reads: %v", f)
	}
}

func TestF33_RequestsOfOneVerbRunSideBySide(t *testing.T) {
	var entered chan string
	var release func()
	w := serve(t, func(_ *api.Config, f *apitest.Cell) { entered, release = held(f) })
	defer release()
	answers := make(map[string]<-chan *nats.Msg)
	for i := range 100 {
		name := fmt.Sprintf("j%d", i)
		answers[name] = w.send("troupe.v1.dev.q.job.status." + name)
	}
	for range answers {
		<-entered // all are inside before any is answered
	}
	release()
	for name, answer := range answers {
		s := &v1.JobStatus{}
		m := <-answer
		if err := wire.JSON.Unmarshal(m.Data, s); err != nil || s.GetName() != name {
			t.Fatalf("%s was answered %s, %v", name, m.Data, err)
		}
	}
}

func TestAHandlerThatOverlooksItsDeadlineIsAnsweredFor(t *testing.T) {
	var release func()
	w := serve(t, func(c *api.Config, f *apitest.Cell) {
		c.Reads.Timeout = time.Millisecond
		_, release = held(f)
	})
	defer release()
	refused(t, w.ask("troupe.v1.dev.q.job.status.a", nil, nil), 504, "deadline")
}

func TestTheCallersTimeoutReachesTheCell(t *testing.T) {
	w := serve(t, nil)
	w.cell.OnJobStatus = func(ctx context.Context, _ *v1.JobRef) (*v1.JobStatus, error) {
		deadline, ok := ctx.Deadline()
		if !ok || time.Until(deadline) > 2*time.Second {
			return nil, model.Internal("deadline %v %v", deadline, ok)
		}
		return &v1.JobStatus{}, nil
	}
	if f := wire.FaultIn(w.ask("troupe.v1.dev.q.job.status.a", nats.Header{"Troupe-Timeout-Ms": {"2000"}}, nil)); f != nil {
		t.Fatal(f)
	}
	refused(t, w.ask("troupe.v1.dev.q.job.status.a", nil, nil), 500, "internal")
}

func TestAPanicIsOneErrorAndTheServiceLives(t *testing.T) {
	w := serve(t, nil)
	w.cell.OnJobStatus = func(context.Context, *v1.JobRef) (*v1.JobStatus, error) { panic("boom") }
	w.cell.OnLogs = func(context.Context, *v1.LogsRequest, func(*v1.LogChunk) error) error { panic("boom") }
	refused(t, w.ask("troupe.v1.dev.q.job.status.a", nil, nil), 500, "internal")
	refused(t, w.ask("troupe.v1.dev.q.job.logs.a", nil, nil), 500, "internal")
	if f := wire.FaultIn(w.ask("troupe.v1.dev._.cell.status", nil, nil)); f != nil {
		t.Fatal(f)
	}
	w.close()
	if c := w.service.Stats()["job-status"]; c.Failed != 1 || c.InFlight != 0 {
		t.Fatalf("counted %+v", c)
	}
}

func TestX6_LogsStreamToAnyNATSClient(t *testing.T) {
	w := serve(t, nil)
	w.cell.OnLogs = func(_ context.Context, m *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
		if m.GetStage() == "gone" {
			return model.NotFound("no output is kept")
		}
		return errors.Join(fn(&v1.LogChunk{Stream: "stdout", Data: []byte("一")}), fn(&v1.LogChunk{Stream: "stderr", Data: []byte("2"), Offset: 3}))
	}
	sub, err := w.nc.SubscribeSync(w.nc.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	next := func() *nats.Msg {
		m, err := sub.NextMsgWithContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if err := w.nc.PublishRequest("troupe.v1.dev.q.job.logs.j", sub.Subject, []byte(`{"stage":"s","index":"4"}`)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"5LiA", "Mg=="} {
		c := &v1.LogChunk{}
		m := next()
		if err := wire.JSON.Unmarshal(m.Data, c); err != nil || !containsData(m.Data, want) {
			t.Fatalf("got %s, %v, want %s", m.Data, err, want)
		}
	}
	if m := next(); len(m.Data) != 0 || wire.FaultIn(m) != nil {
		t.Fatalf("the stream ended with %s %v", m.Data, m.Header)
	}
	if got := w.cell.Last().(*v1.LogsRequest); got.GetQueue() != "q" || got.GetName() != "j" || got.GetIndex() != 4 {
		t.Fatalf("the cell was asked %v", got)
	}
	refused(t, w.ask("troupe.v1.dev.q.job.logs.j", nil, []byte(`{"stage":"gone"}`)), 404, "not_found")
	refused(t, w.ask("troupe.v1.dev.q.job.logs.j", nats.Header{"Troupe-Window": {"x"}}, nil), 400, "invalid")
}

func containsData(body []byte, base64 string) bool {
	return string(body) != "" && len(base64) > 0 && strings.Contains(string(body), `"data":"`+base64+`"`)
}

func TestCloseAnswersWhatIsUnderWay(t *testing.T) {
	var entered chan string
	var release func()
	w := serve(t, func(_ *api.Config, f *apitest.Cell) { entered, release = held(f) })
	answer := w.send("troupe.v1.dev.q.job.status.a")
	<-entered
	closed := make(chan error, 1)
	go func() { closed <- w.service.Close(t.Context()) }()
	// Taken or not, a request gets an answer while the service closes: a refusal, or the server's "no responders".
	for {
		m, err := w.nc.RequestWithContext(t.Context(), "troupe.v1.dev._.cell.status", nil)
		if errors.Is(err, nats.ErrNoResponders) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if f := wire.FaultIn(m); f != nil && f.Err != model.ErrUnavailable {
			t.Fatal(f)
		}
	}
	release()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if f := wire.FaultIn(<-answer); f != nil {
		t.Fatalf("what was under way was refused: %v", f)
	}
}

func TestCloseGivesUpInTheEnd(t *testing.T) {
	w := serve(t, nil)
	entered := make(chan struct{})
	w.cell.OnJobStatus = func(ctx context.Context, _ *v1.JobRef) (*v1.JobStatus, error) {
		close(entered)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	answer := w.send("troupe.v1.dev.q.job.status.a")
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.service.Close(ctx); err != nil {
		t.Fatal(err)
	}
	refused(t, <-answer, 503, "unavailable", "stepping down")
}
