package api

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/cluster/wire"
	"github.com/troupe-sched/troupe/cluster/wire/natstest"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// watched is a publisher whose events are read by a NATS client.
func watched(t *testing.T, most int) (*Publisher, *nats.Conn, *nats.Subscription, *bytes.Buffer) {
	t.Helper()
	s := natstest.Server(t)
	nc, own := natstest.Conn(t, s), natstest.Conn(t, s)
	sub, err := nc.SubscribeSync("troupe.v1.dev.*.event.>")
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	p, err := newPublisher(own, "dev", slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn})), most)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p, own, sub, log
}

func event(n int) *v1.JobEvent {
	return &v1.JobEvent{Seq: uint64(n), Queue: "q", Job: "j", Kind: "progressed"}
}

func next(t *testing.T, sub *nats.Subscription) (*v1.JobEvent, *nats.Msg) {
	t.Helper()
	m, err := sub.NextMsgWithContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e := &v1.JobEvent{}
	if err := wire.JSON.Unmarshal(m.Data, e); err != nil {
		t.Fatalf("%s: %v", m.Data, err)
	}
	return e, m
}

func TestX6_EveryEventIsAMessageAnyClientReads(t *testing.T) {
	p, _, sub, _ := watched(t, 10_000)
	for i := range 5000 {
		p.Publish(event(i))
	}
	p.Publish(&v1.JobEvent{Queue: "q", Job: "j", Kind: "ended", Phase: "succeeded"})
	for i := range 5000 {
		e, m := next(t, sub)
		if e.GetSeq() != uint64(i) || m.Subject != "troupe.v1.dev.q.event.progressed.j" || m.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("event %d is %v on %s", i, e, m.Subject)
		}
	}
	if e, m := next(t, sub); e.GetPhase() != "succeeded" || m.Subject != "troupe.v1.dev.q.event.ended.j" {
		t.Fatalf("got %v on %s", e, m.Subject)
	}
	p.Publish(&v1.JobEvent{Queue: "_", Job: "_", Kind: "drained", Node: "n1", Phase: "maintenance"})
	if e, m := next(t, sub); e.GetNode() != "n1" || m.Subject != "troupe.v1.dev._.event.drained._" {
		t.Fatalf("got %v on %s", e, m.Subject)
	}
	if p.Dropped() != 0 || p.Sent() != 5002 {
		t.Fatalf("%d dropped, %d sent", p.Dropped(), p.Sent())
	}
}

// paused makes a publisher whose loop has not begun, so that the ring fills.
func paused(nc *nats.Conn, log *slog.Logger, most int) *Publisher {
	return &Publisher{
		nc: nc, cell: "dev", log: log, waiting: make([]*v1.JobEvent, most), wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

func TestM3_AtTheLimitTheOldestEventsGoAndWatchersAreTold(t *testing.T) {
	_, own, sub, _ := watched(t, 1)
	log := &bytes.Buffer{}
	p := paused(own, slog.New(slog.NewTextHandler(log, nil)), 4)
	for i := range 10 {
		p.Publish(event(i))
	}
	go p.run()
	if e, m := next(t, sub); e.GetKind() != EventMissed || m.Subject != "troupe.v1.dev._.event.missed._" {
		t.Fatalf("watchers were told %v on %s", e, m.Subject)
	}
	for i := 6; i < 10; i++ {
		if e, _ := next(t, sub); e.GetSeq() != uint64(i) {
			t.Fatalf("got %v, want %d", e, i)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "\n"); p.Dropped() != 6 || n != 1 {
		t.Fatalf("%d dropped, %d lines logged", p.Dropped(), n)
	}
}

// A new leader does not know what the one before it has told.
func TestB31_WatchersAreToldThatALeaderIsNew(t *testing.T) {
	p, _, sub, _ := watched(t, 4)
	p.Miss()
	if e, m := next(t, sub); e.GetKind() != EventMissed || m.Subject != "troupe.v1.dev._.event.missed._" {
		t.Fatalf("%v on %s", e, m.Subject)
	}
}

func TestPublishNeverBlocksAndCloseIsFinal(t *testing.T) {
	p, own, sub, log := watched(t, 16)
	own.Close()
	for i := range 1000 {
		p.Publish(event(i))
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Publish(event(1))
	if p.Dropped() != 1000 || p.Sent() != 0 {
		t.Fatalf("%d dropped, %d sent", p.Dropped(), p.Sent())
	}
	if strings.Count(log.String(), "\n") == 0 {
		t.Fatal("the loss was not logged")
	}
	if n, _, _ := sub.Pending(); n != 0 {
		t.Fatal("an event left a closed connection")
	}
}

func TestAnImpossibleEventIsALossAndNoMore(t *testing.T) {
	p, _, sub, _ := watched(t, 16)
	p.Publish(&v1.JobEvent{Queue: "q", Job: "*", Kind: "ended"})
	p.Publish(event(1))
	if e, _ := next(t, sub); e.GetKind() != EventMissed {
		t.Fatalf("got %v", e)
	}
	if e, _ := next(t, sub); e.GetSeq() != 1 {
		t.Fatalf("got %v", e)
	}
	if _, err := NewPublisher(nil, "no.cell", slog.Default()); err == nil {
		t.Fatal("a bad cell name was taken")
	}
}

func TestAddressesArePlacedBack(t *testing.T) {
	for _, e := range Endpoints() {
		m := e.Request.ProtoReflect().New().Interface()
		want := e.Request.ProtoReflect().New().Interface()
		for _, path := range []string{e.QueueField, e.IDField} {
			if path != "" {
				agree(m, path, "n1")
				agree(want, path, "n1")
			}
		}
		to, err := e.Address("dev", m)
		if err != nil {
			t.Fatalf("%s: %v", e.Name(), err)
		}
		got := e.Request.ProtoReflect().New().Interface()
		if err := e.place(to, got); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v was placed back as %v, %v", e.Name(), want, got, err)
		}
		if s, err := to.Build(); err != nil || s != strings.NewReplacer("<queue>", "n1", "<name>", "n1", "<id>", "n1").Replace(e.Form("dev")) {
			t.Errorf("%s: %s, %v", e.Name(), s, err)
		}
	}
}

func TestAddressesRefuseBadNamesBeforeNATS(t *testing.T) {
	byName := map[string]Endpoint{}
	for _, e := range Endpoints() {
		byName[e.Name()] = e
	}
	for name, c := range map[string]struct {
		endpoint string
		m        proto.Message
		field    string
	}{
		"wild job":      {"job-status", &v1.JobRef{Queue: "q", Name: "*"}, "name"},
		"no job":        {"job-status", &v1.JobRef{Queue: "q"}, "name"},
		"dotted queue":  {"job-status", &v1.JobRef{Queue: "a.b", Name: "j"}, "queue"},
		"under queue":   {"job-status", &v1.JobRef{Queue: "_", Name: "j"}, "queue"},
		"list of _":     {"job-list", &v1.ListJobsRequest{Queue: "_"}, "queue"},
		"submit to >":   {"job-submit", &v1.SubmitRequest{Job: &v1.JobSpec{Queue: ">"}}, "job.queue"},
		"unnamed queue": {"queue-set", &v1.QueueSpec{}, "name"},
		"overlong node": {"node-status", &v1.NodeRef{Id: strings.Repeat("n", 5000)}, "id"},
	} {
		_, err := byName[c.endpoint].Address("dev", c.m)
		if err == nil || !strings.Contains(err.Error(), c.field+": ") || len(err.Error()) > 400 {
			t.Errorf("%s: got %v, want a refusal of %s", name, err, c.field)
		}
	}
	to, err := byName["job-submit"].Address("dev", &v1.SubmitRequest{})
	if err != nil || to.Queue != DefaultQueue {
		t.Errorf("a job without queue goes to %q, %v", to.Queue, err)
	}
}
