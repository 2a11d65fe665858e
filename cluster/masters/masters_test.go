package masters

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/elect"
	"github.com/troupe-sched/troupe/cluster/wire/natstest"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func open(t *testing.T, s *server.Server, id string, log *slog.Logger) *Masters {
	t.Helper()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	m, err := Open(Config{Conn: natstest.Conn(t, s), Cell: "c", ID: id, Host: "host-" + id, Version: "v1", Log: log,
		Elect: elect.Options{Suspect: 400 * time.Millisecond, Stagger: 100 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func ignore(uint64) {}

// due waits until one of the masters is due, and says which.
func due(t *testing.T, all ...*Masters) *Masters {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	first := make(chan *Masters, len(all))
	var ended sync.WaitGroup
	for _, m := range all {
		ended.Go(func() {
			if m.Due(ctx, ignore) == nil {
				first <- m
			}
		})
	}
	one := <-first
	cancel()
	ended.Wait()
	return one
}

// until waits until ok.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, end := time.NewTicker(5*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: it did not come about", what)
		}
	}
}

func role(m *Masters, id string) *v1.MasterInfo {
	for _, i := range m.List() {
		if i.GetId() == id {
			return i
		}
	}
	return nil
}

func TestB31_B30_MastersHearEachOtherAndTheNextOneTries(t *testing.T) {
	s := natstest.Server(t)
	a, b := open(t, s, "a", nil), open(t, s, "b", nil)
	a.Seen(3, 70)
	if due(t, a, b) == nil {
		t.Fatal("nobody is due")
	}
	outdone := a.Won(4)
	a.Seen(4, 90)
	b.Seen(4, 88)
	until(t, "b knows who leads and how far it lags", func() bool {
		i, self := role(b, "a"), role(b, "b")
		return b.Leader() == "a" && i.GetRole() == elect.Leader && i.GetEpoch() == 4 && self.GetLag() == 2 && self.GetRole() != ""
	})
	told := make(chan uint64, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- b.Due(ctx, func(seq uint64) {
			select {
			case told <- seq:
			default:
			}
		})
	}()
	if seq := <-told; seq != 90 {
		t.Fatalf("the leader has record %d, told was %d", 90, seq)
	}
	until(t, "a knows its follower", func() bool { id, err := a.Successor(""); return err == nil && id == "b" })
	if _, err := a.Successor("x"); !errors.Is(err, model.NotFound("")) {
		t.Errorf("successor x: %v", err)
	}
	if _, err := a.Successor("a"); !errors.Is(err, model.Invalid("")) {
		t.Errorf("successor a: %v", err)
	}
	a.Resigned("b")
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	cancel()
	if !b.Yielded(4) || b.Yielded(5) {
		t.Error("b has not heard that epoch 4 is over")
	}
	b.Won(5)
	until(t, "a follows b", func() bool { return a.Leader() == "b" })
	select {
	case <-outdone:
		t.Error("who has resigned cannot be outdone")
	default:
	}
}

func TestB31_AMutedLeaderIsDeposedAndLearnsOfItWhenItWakes(t *testing.T) {
	s := natstest.Server(t)
	a, b := open(t, s, "a", nil), open(t, s, "b", nil)
	outdone := a.Won(1)
	until(t, "b follows", func() bool { return b.Leader() == "a" })
	a.Mute(time.Hour)
	if due(t, b) != b {
		t.Fatal("b is not due")
	}
	b.Won(2)
	select {
	case <-outdone:
		t.Fatal("a hears while it is mute")
	default:
	}
	a.Mute(0)
	<-outdone
	a.Deposed()
	until(t, "a follows", func() bool { return a.Leader() == "b" && role(b, "a").GetRole() == elect.Follower })
}

func TestB31_TwoMastersOfOneNameAreToldAloudAndTheYoungerWaits(t *testing.T) {
	s := natstest.Server(t)
	var mu sync.Mutex
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(locked{&mu, &out}, nil))
	older := open(t, s, "a", log)
	younger := open(t, s, "a", log)
	until(t, "both say so", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return bytes.Count(out.Bytes(), []byte("another master has the same id")) == 2
	})
	if got := due(t, older, younger); got != older {
		t.Error("the younger one tries")
	}
}

type locked struct {
	mu *sync.Mutex
	w  *bytes.Buffer
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func TestNoiseAmongTheBeatsIsPassedOverAndMemoryIsBounded(t *testing.T) {
	s := natstest.Server(t)
	m := open(t, s, "a", nil)
	nc := natstest.Conn(t, s)
	for _, data := range [][]byte{nil, []byte("\xff\xff"), []byte("\n\x05\n\x03A b")} {
		if err := nc.Publish("troupe.master.v1.c.beat", data); err != nil {
			t.Fatal(err)
		}
	}
	others := natstest.Conn(t, s)
	for i := range 100 {
		o, err := Open(Config{Conn: others, Cell: "c", ID: "m" + string(rune('a'+i%26)) + string(rune('a'+i/26)), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		o.Close()
	}
	until(t, "many are heard", func() bool { return len(m.List()) > mastersMax/2 })
	if n := len(m.List()); n > mastersMax+1 {
		t.Errorf("%d masters are remembered", n)
	}
	if _, err := Open(Config{Conn: nc, Cell: "c", ID: "A b", Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, model.Invalid("")) {
		t.Errorf("a bad id: %v", err)
	}
}
