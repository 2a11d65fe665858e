package fabric_test

import (
	"context"
	"io/fs"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/cluster/fabric"
	"github.com/troupe-sched/troupe/cluster/natsd"
	"github.com/troupe-sched/troupe/cluster/store/jetstreamlog"
	"github.com/troupe-sched/troupe/cluster/wire"
	"github.com/troupe-sched/troupe/cluster/wire/natstest"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// valve is a server whose connections stop writing while it is shut, as one does whose peer takes nothing.
type valve struct {
	srv  *server.Server
	mu   sync.Mutex
	open chan struct{} // closed while it is open
}

func newValve(s *server.Server) *valve {
	v := &valve{srv: s, open: make(chan struct{})}
	close(v.open)
	return v
}

func (v *valve) shut() (open func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	gate := make(chan struct{})
	v.open = gate
	return sync.OnceFunc(func() { close(gate) })
}

func (v *valve) InProcessConn() (net.Conn, error) {
	c, err := v.srv.InProcessConn()
	return &valved{c, v}, err
}

type valved struct {
	net.Conn
	v *valve
}

func (c *valved) Write(b []byte) (int, error) {
	c.v.mu.Lock()
	open := c.v.open
	c.v.mu.Unlock()
	<-open
	return c.Conn.Write(b)
}

func laneOf(t *testing.T, all []fabric.Lane, name string) fabric.Lane {
	t.Helper()
	for _, l := range all {
		if l.Name == name {
			return l
		}
	}
	t.Fatalf("there is no lane %s: %+v", name, all)
	return fabric.Lane{}
}

// When the connections of items and of output take nothing, signs of life pass both ways. What waits is bounded and
// counted, and goes on when they take again.
func TestF34_AStalledLaneHoldsUpNoOther(t *testing.T) {
	s := natstest.Server(t)
	v := newValve(s)
	dial := func(purpose string) (*nats.Conn, error) {
		to := nats.InProcessServer(s)
		if purpose != "control" {
			to = nats.InProcessServer(v)
		}
		return nats.Connect("", append(wire.ConnOptions(purpose, discard), to)...)
	}
	const sent = 20_000
	beats, pings, items := make(chan uint64, 1), make(chan uint64, 1), make(chan struct{}, sent)
	m, err := fabric.OpenMaster(fabric.MasterConfig{Cell: "dev", Dial: dial, Log: discard, Deliver: func(m *v1.FromAgent) {
		if len(m.GetChanges()) > 0 {
			items <- struct{}{}
		} else {
			beats <- m.GetAck()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	a, err := fabric.OpenAgent(fabric.AgentConfig{Cell: "dev", Node: "n1", Dial: dial, Logs: noLogs, Log: discard, Deliver: func(m *v1.ToAgent) {
		if len(m.GetCommands()) == 0 {
			pings <- m.GetAck()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	open := v.shut()
	t.Cleanup(open) // or nothing could be closed
	for i := range uint64(sent) {
		a.Send(&v1.FromAgent{Node: "n1", First: i + 1, Changes: []*v1.Change{{}}})
		m.Send(&v1.ToAgent{Node: "n1", First: i + 1, Commands: []*v1.Command{launch(i)}})
	}
	for i := range uint64(100) {
		a.Send(&v1.FromAgent{Node: "n1", Ack: i})
		m.Send(&v1.ToAgent{Node: "n1", Ack: i, Control: &v1.ToAgent_Ping{Ping: true}})
		if beat, ping := <-beats, <-pings; beat != i || ping != i {
			t.Fatalf("beat %d and ping %d, want %d", beat, ping, i)
		}
	}
	for _, l := range []fabric.Lane{laneOf(t, a.Lanes(), "from"), laneOf(t, m.Lanes(), "to")} {
		// One that is just passing may be counted twice.
		if sum := l.Passed + uint64(l.Waiting) + l.Dropped; l.Waiting < l.WaitingMax/2 || l.Bytes == 0 || l.Dropped == 0 || sum < sent || sum > sent+1 {
			t.Errorf("a stalled lane is %+v after %d messages", l, sent)
		}
	}
	for _, l := range []fabric.Lane{laneOf(t, a.Lanes(), "beat"), laneOf(t, m.Lanes(), "ping")} {
		if l.Dropped != 0 || l.Passed != 100 || l.WaitingMax == 0 || l.BytesMax == 0 {
			t.Errorf("the lane of signs of life is %+v", l)
		}
	}
	dropped := laneOf(t, a.Lanes(), "from").Dropped
	open()
	for range sent - dropped {
		<-items
	}
	if l := laneOf(t, m.Lanes(), "from"); l.Passed != sent-dropped || l.Dropped != 0 {
		t.Errorf("the lane in is %+v, %d were taken", l, sent-dropped)
	}
}

// flooded is a master, an agent and a journal on one real server, with reports and output that never end.
type flooded struct {
	*pair
	log             *jetstreamlog.Log
	reports, chunks atomic.Int64
	beats, pings    chan uint64
	// window has one for every report under way: as many as the connections carry, and none that only burns time.
	window chan bool
	data   []byte
}

func (f *flooded) up(m *v1.FromAgent) {
	if len(m.GetChanges()) > 0 {
		f.reports.Add(1)
		<-f.window
	} else {
		f.beats <- m.GetAck()
	}
}

func (f *flooded) down(m *v1.ToAgent) { f.pings <- m.GetAck() }

func (f *flooded) logs(ctx context.Context, _ *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
	for ctx.Err() == nil {
		if err := fn(&v1.LogChunk{Stream: "stdout", Data: f.data}); err != nil {
			return err
		}
	}
	return fs.ErrClosed
}

func flood(ctx context.Context, t *testing.T) *flooded {
	t.Helper()
	f := &flooded{beats: make(chan uint64, 1), pings: make(chan uint64, 1), window: make(chan bool, 500), data: make([]byte, 16<<10), pair: &pair{}}
	s, err := natsd.Start(natsd.Options{Dir: t.TempDir(), Name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	dial := func(purpose string) (*nats.Conn, error) { return s.Connect(purpose) }
	nc, err := dial("journal")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if f.log, err = jetstreamlog.Open(ctx, nc, jetstreamlog.Options{Cell: "dev"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.log.Close() })
	if f.master, err = fabric.OpenMaster(fabric.MasterConfig{Cell: "dev", Dial: dial, Log: discard, Deliver: f.up}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.master.Close)
	if f.agent, err = fabric.OpenAgent(fabric.AgentConfig{Cell: "dev", Node: "n1", Dial: dial, Log: discard, Deliver: f.down, Logs: f.logs}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.agent.Close)
	ctx, stop := context.WithCancel(ctx)
	var floods sync.WaitGroup
	t.Cleanup(func() {
		stop()
		floods.Wait()
	})
	floods.Go(func() {
		for i := uint64(1); ; i++ {
			select {
			case f.window <- true:
			case <-ctx.Done():
				return
			}
			f.agent.Send(&v1.FromAgent{Node: "n1", First: i, Changes: []*v1.Change{{Kind: &v1.Change_Attempt{Attempt: &v1.AttemptState{Result: f.data}}}}})
		}
	})
	for range 4 {
		floods.Go(func() {
			_ = f.master.Logs(ctx, &v1.LogPlace{Node: "n1"}, &v1.LogsRequest{Follow: true}, func(*v1.LogChunk) error { f.chunks.Add(1); return nil })
		})
	}
	return f
}

// While agents flood their master with reports and output, on one real server, no sign of life is lost and the journal
// goes on.
func TestF34_FloodsHoldUpNeitherLifeNorTheJournal(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f := flood(ctx, t)
	appends := make(chan error, 1)
	const rounds = 30
	for i := uint64(1); i <= rounds || f.reports.Load() < rounds || f.chunks.Load() < rounds; i++ {
		f.agent.Send(&v1.FromAgent{Node: "n1", Ack: i})
		f.master.Send(&v1.ToAgent{Node: "n1", Ack: i, Control: &v1.ToAgent_Ping{Ping: true}})
		f.log.Append(i, f.data, func(err error) { appends <- err })
		for range 3 {
			select {
			case n := <-f.beats:
				if n != i {
					t.Fatalf("beat %d, want %d", n, i)
				}
			case n := <-f.pings:
				if n != i {
					t.Fatalf("ping %d, want %d", n, i)
				}
			case err := <-appends:
				if err != nil {
					t.Fatalf("record %d: %v", i, err)
				}
			case <-ctx.Done():
				t.Fatalf("round %d does not end beside %d reports and %d chunks of output", i, f.reports.Load(), f.chunks.Load())
			}
		}
	}
	for _, l := range append(f.agent.Lanes(), f.master.Lanes()...) {
		if (l.Name == "beat" || l.Name == "ping") && l.Dropped > 0 {
			t.Errorf("signs of life were dropped: %+v", l)
		}
	}
}
