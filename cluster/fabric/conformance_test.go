package fabric_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/fabric"
	"github.com/troupe-sched/troupe/cluster/wire"
	"github.com/troupe-sched/troupe/cluster/wire/natstest"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

var discard = slog.New(slog.DiscardHandler)

// master and agent are the ports as actors see them.
type master interface {
	Send(*v1.ToAgent)
	Logs(context.Context, *v1.LogPlace, *v1.LogsRequest, func(*v1.LogChunk) error) error
	Stats() fabric.Stats
	Close()
}

type agent interface {
	Send(*v1.FromAgent)
	Close()
}

// link is one implementation, opened for one test.
type link struct {
	master func(deliver func(*v1.FromAgent)) master
	agent  func(node string, deliver func(*v1.ToAgent), logs fabric.LogsFunc) agent
}

func dialer(s *server.Server) fabric.Dial {
	return func(purpose string) (*nats.Conn, error) {
		return nats.Connect("", append(wire.ConnOptions(purpose, discard), nats.InProcessServer(s))...)
	}
}

func overNATS(t *testing.T) link {
	s := natstest.Server(t)
	return link{
		master: func(deliver func(*v1.FromAgent)) master {
			m, err := fabric.OpenMaster(fabric.MasterConfig{Cell: "dev", Dial: dialer(s), Deliver: deliver, Log: discard})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(m.Close)
			return m
		},
		agent: func(node string, deliver func(*v1.ToAgent), logs fabric.LogsFunc) agent {
			a, err := fabric.OpenAgent(fabric.AgentConfig{
				Cell: "dev", Node: node, Dial: dialer(s), Deliver: deliver, Logs: logs, Log: discard,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(a.Close)
			return a
		},
	}
}

// conform runs one test of what any link promises.
func conform(t *testing.T, test func(*testing.T, link)) { test(t, overNATS(t)) }

func drop[M any](M) {}

func noLogs(context.Context, *v1.LogsRequest, func(*v1.LogChunk) error) error { return fs.ErrNotExist }

func launch(n uint64) *v1.Command {
	return &v1.Command{Kind: &v1.Command_Launch{Launch: &v1.Launch{Slot: n, Fence: n}}}
}

func TestF33_ItemsArriveInOrderAtTheirNodeOnly(t *testing.T) {
	conform(t, func(t *testing.T, l link) {
		const n = 2000
		m := l.master(drop[*v1.FromAgent])
		got := map[string]chan *v1.ToAgent{"n1": make(chan *v1.ToAgent, n), "n2": make(chan *v1.ToAgent, n)}
		for node, ch := range got {
			l.agent(node, func(m *v1.ToAgent) { ch <- m }, noLogs)
		}
		for i := range uint64(n) {
			for node := range got {
				m.Send(&v1.ToAgent{Node: node, Epoch: 3, Session: 5, First: i + 1, Commands: []*v1.Command{launch(i)}})
			}
		}
		for node, ch := range got {
			for i := range uint64(n) {
				want := &v1.ToAgent{Node: node, Epoch: 3, Session: 5, First: i + 1, Commands: []*v1.Command{launch(i)}}
				if m := <-ch; !proto.Equal(m, want) {
					t.Fatalf("%s: got %v, want %v", node, m, want)
				}
			}
		}
	})
}

func TestF33_ChangesArriveInOrderFromEveryNode(t *testing.T) {
	conform(t, func(t *testing.T, l link) {
		const n = 2000
		got := make(chan *v1.FromAgent, 3*n)
		l.master(func(m *v1.FromAgent) { got <- m })
		for i := range 3 {
			node := fmt.Sprintf("n%d", i)
			a := l.agent(node, drop[*v1.ToAgent], noLogs)
			go func() {
				for i := range uint64(n) {
					a.Send(&v1.FromAgent{Node: node, First: i + 1, Changes: []*v1.Change{{}}})
				}
			}()
		}
		next := map[string]uint64{}
		for range 3 * n {
			m := <-got
			if next[m.GetNode()]++; m.GetFirst() != next[m.GetNode()] {
				t.Fatalf("%s sent %d, want %d", m.GetNode(), m.GetFirst(), next[m.GetNode()])
			}
		}
	})
}

func TestLogsOfANodeAreStreamed(t *testing.T) {
	conform(t, func(t *testing.T, l link) {
		m := l.master(drop[*v1.FromAgent])
		asked := make(chan *v1.LogsRequest, 10)
		l.agent("n1", drop[*v1.ToAgent], func(ctx context.Context, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
			asked <- req
			switch req.GetStage() {
			case "gone":
				return fmt.Errorf("logs: %w", fs.ErrNotExist)
			case "full":
				return model.Busy(0, "too many")
			case "follow":
				if err := fn(&v1.LogChunk{Stream: "stdout", Data: []byte("begun")}); err != nil {
					return err
				}
				<-ctx.Done()
				return ctx.Err()
			}
			for i := range 100 {
				if err := fn(&v1.LogChunk{Stream: "stdout", Data: []byte{byte(i)}, Offset: int64(i)}); err != nil {
					return err
				}
			}
			return nil
		})
		var got []byte
		read := func(c *v1.LogChunk) error { got = append(got, c.GetData()...); return nil }
		place := &v1.LogPlace{Node: "n1", Uid: 7, Fence: 9}
		if err := m.Logs(t.Context(), place, &v1.LogsRequest{Stage: "s", Index: 3, TailBytes: 100}, read); err != nil || len(got) != 100 {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if req, want := <-asked, (&v1.LogsRequest{Stage: "s", Index: 3, TailBytes: 100, Uid: 7, Fence: 9}); !proto.Equal(req, want) {
			t.Fatalf("the agent was asked %v, want %v", req, want)
		}
		for stage, want := range map[string]*model.Fault{"gone": model.NotFound(""), "full": model.Busy(0, "")} {
			if err := m.Logs(t.Context(), place, &v1.LogsRequest{Stage: stage}, read); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %s", stage, err, want.Err)
			}
		}
		if err := m.Logs(t.Context(), &v1.LogPlace{Node: "n9"}, &v1.LogsRequest{}, read); !errors.Is(err, model.Unavailable("")) {
			t.Errorf("unknown node: got %v", err)
		}
		if err := m.Logs(t.Context(), &v1.LogPlace{Node: "*"}, &v1.LogsRequest{}, read); err == nil {
			t.Error("a wild node was asked")
		}
		stop := errors.New("enough")
		if err := m.Logs(t.Context(), place, &v1.LogsRequest{Stage: "s"}, func(*v1.LogChunk) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err := m.Logs(ctx, place, &v1.LogsRequest{Stage: "follow"}, func(*v1.LogChunk) error { cancel(); return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want cancelled", err)
		}
	})
}

func TestMisaddressedMessagesAreDropped(t *testing.T) {
	conform(t, func(t *testing.T, l link) {
		got := make(chan *v1.FromAgent, 10)
		m := l.master(func(m *v1.FromAgent) { got <- m })
		a := l.agent("n1", drop[*v1.ToAgent], noLogs)
		for _, node := range []string{"", "*", ">", "n1.to", "N1", "a b"} {
			m.Send(&v1.ToAgent{Node: node})
		}
		if s := m.Stats(); s.Misaddressed != 6 || s.Sent != 0 {
			t.Fatalf("%+v", s)
		}
		a.Send(&v1.FromAgent{Node: "n2", Epoch: 1}) // an agent does not speak for another
		a.Send(&v1.FromAgent{Node: "n1", Epoch: 2})
		if m := <-got; m.GetEpoch() != 2 {
			t.Fatalf("got %v", m)
		}
	})
}

func TestSendAfterCloseIsALoss(t *testing.T) {
	conform(t, func(t *testing.T, l link) {
		m := l.master(drop[*v1.FromAgent])
		a := l.agent("n1", drop[*v1.ToAgent], noLogs)
		a.Close()
		a.Close()
		a.Send(&v1.FromAgent{Node: "n1"})
		m.Send(&v1.ToAgent{Node: "n1"})
		m.Close()
		m.Close()
		m.Send(&v1.ToAgent{Node: "n1"})
	})
}
