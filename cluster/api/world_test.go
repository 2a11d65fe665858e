package api_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/api/apitest"
	"github.com/troupe-sched/troupe/cluster/wire"
	"github.com/troupe-sched/troupe/cluster/wire/natstest"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// world is a served cell and a client that knows nothing but NATS.
type world struct {
	t       *testing.T
	cell    *apitest.Cell
	service *api.Service
	nc      *nats.Conn
}

// serve serves a cell named dev; adjust may change how.
func serve(t *testing.T, adjust func(*api.Config, *apitest.Cell)) *world {
	t.Helper()
	s := natstest.Server(t)
	c := api.Config{
		Conn: natstest.Conn(t, s, nats.NoEcho()), Cell: "dev", Version: "1.2.3", Log: slog.New(slog.DiscardHandler),
	}
	w := &world{t: t, cell: &apitest.Cell{}, nc: natstest.Conn(t, s)}
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
