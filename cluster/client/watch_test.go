package client_test

import (
	"context"
	"testing"

	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/wire"
	"github.com/troupe-sched/troupe/cluster/wire/natstest"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestX6_WatchersSeeTheEventsTheyAskedFor(t *testing.T) {
	server := natstest.Server(t)
	c := dial(t, server)
	p, err := api.NewPublisher(natstest.Conn(t, server), "dev", discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	watches := map[string]<-chan *v1.JobEvent{}
	for name, of := range map[string][2]string{"q/j": {"q", "j"}, "q": {"q", ""}, "all": {"", ""}, "j of any": {"", "j"}} {
		if watches[name], err = c.Watch(ctx, of[0], of[1]); err != nil {
			t.Fatal(err)
		}
	}
	for i, of := range [][2]string{{"q", "j"}, {"q", "k"}, {"r", "j"}, {"q", "j"}} {
		p.Publish(&v1.JobEvent{Queue: of[0], Job: of[1], Kind: "progressed", Seq: uint64(i)})
	}
	for name, want := range map[string][]uint64{"q/j": {0, 3}, "q": {0, 1, 3}, "all": {0, 1, 2, 3}, "j of any": {0, 2, 3}} {
		for _, seq := range want {
			if e := <-watches[name]; e.GetSeq() != seq || e.GetKind() != "progressed" {
				t.Errorf("%s: got %v, want event %d", name, e, seq)
			}
		}
	}
	cancel()
	for name, w := range watches {
		if e, open := <-w; open {
			t.Errorf("%s: got %v after the end", name, e)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := c.Conn.NumSubscriptions(); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}

func TestM3_ASlowWatcherIsToldThatItMissedSome(t *testing.T) {
	server := natstest.Server(t)
	c := dial(t, server)
	own := natstest.Conn(t, server)
	events, err := c.Watch(t.Context(), "q", "j")
	if err != nil {
		t.Fatal(err)
	}
	body, err := wire.JSON.Marshal(&v1.JobEvent{Queue: "q", Job: "j", Kind: "progressed"})
	if err != nil {
		t.Fatal(err)
	}
	const n = 10_000 // more than a watch holds
	for range n {
		if err := own.PublishMsg(wire.JSON.Message("troupe.v1.dev.q.event.progressed.j", body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := own.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := c.Conn.Flush(); err != nil { // all have come, and most found no place
		t.Fatal(err)
	}
	seen := 0
	for e := range events {
		if e.GetKind() == api.EventMissed {
			break
		}
		if seen++; seen == n {
			t.Fatal("nothing was dropped, so the test shows nothing")
		}
	}
}

func TestWatchersAreToldOfWhatTheyCannotKnow(t *testing.T) {
	server := natstest.Server(t)
	c := dial(t, server)
	own := natstest.Conn(t, server)
	events, err := c.Watch(t.Context(), "q", "j")
	if err != nil {
		t.Fatal(err)
	}
	next := func(want string) {
		t.Helper()
		if e := <-events; e.GetKind() != want || e.GetQueue() != "q" || e.GetJob() != "j" {
			t.Fatalf("got %v, want %s", e, want)
		}
	}
	// The publisher lost some.
	m := wire.JSON.Message("troupe.v1.dev._.event.missed._", []byte(`{"kind":"missed","queue":"_","job":"_"}`))
	if err := own.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
	next(api.EventMissed)
	// An event that nobody can read.
	if err := own.Publish("troupe.v1.dev.q.event.ended.j", []byte("poison")); err != nil {
		t.Fatal(err)
	}
	next(api.EventMissed)
	// A newer cell says more, which is no reason not to listen.
	if err := own.Publish("troupe.v1.dev.q.event.ended.j", []byte(`{"kind":"ended","queue":"q","job":"j","mood":"good"}`)); err != nil {
		t.Fatal(err)
	}
	next("ended")
	// The connection was down.
	if err := c.Conn.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	next(api.EventMissed)
	c.Conn.Close()
	for e := range events {
		t.Logf("last words: %v", e)
	}
}
