package fabric_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/fabric"
	"github.com/troupe-sched/troupe/cluster/wire"
	"github.com/troupe-sched/troupe/cluster/wire/natstest"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// pair is a master and an agent over one server, and a stranger who can write to it.
type pair struct {
	master   *fabric.Master
	agent    *fabric.Agent
	stranger *nats.Conn
}

func open(t *testing.T, up func(*v1.FromAgent), down func(*v1.ToAgent), logs fabric.LogsFunc) *pair {
	t.Helper()
	s := natstest.Server(t)
	m, err := fabric.OpenMaster(fabric.MasterConfig{Cell: "dev", Dial: dialer(s), Deliver: up, Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	a, err := fabric.OpenAgent(fabric.AgentConfig{Cell: "dev", Node: "n1", Dial: dialer(s), Deliver: down, Logs: logs, Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return &pair{m, a, natstest.Conn(t, s)}
}

func TestF34_SignsOfLifeDoNotWaitForItems(t *testing.T) {
	gate, held := make(chan struct{}), make(chan struct{}, 1)
	beats, pings := make(chan uint64, 10), make(chan uint64, 10)
	release := sync.OnceFunc(func() { close(gate) })
	p := open(t, func(m *v1.FromAgent) {
		if len(m.GetChanges()) > 0 {
			held <- struct{}{}
			<-gate
			return
		}
		beats <- m.GetAck()
	}, func(m *v1.ToAgent) {
		if len(m.GetCommands()) > 0 {
			held <- struct{}{}
			<-gate
			return
		}
		pings <- m.GetAck()
	}, noLogs)
	defer release()
	p.agent.Send(&v1.FromAgent{Node: "n1", First: 1, Changes: []*v1.Change{{}}})
	<-held // the master is busy with items of this agent
	p.agent.Send(&v1.FromAgent{Node: "n1", Ack: 7})
	if ack := <-beats; ack != 7 {
		t.Fatalf("got %d", ack)
	}
	p.master.Send(&v1.ToAgent{Node: "n1", First: 1, Commands: []*v1.Command{launch(1)}})
	<-held // and so is the agent
	p.master.Send(&v1.ToAgent{Node: "n1", Ack: 8, Control: &v1.ToAgent_Ping{Ping: true}})
	if ack := <-pings; ack != 8 {
		t.Fatalf("got %d", ack)
	}
}

func TestADigestDoesNotOvertakeTheChangesItCounts(t *testing.T) {
	got := make(chan *v1.FromAgent, 1000)
	p := open(t, func(m *v1.FromAgent) { got <- m }, drop[*v1.ToAgent], noLogs)
	for i := range uint64(200) {
		p.agent.Send(&v1.FromAgent{Node: "n1", First: i + 1, Changes: []*v1.Change{{}}})
		p.agent.Send(&v1.FromAgent{Node: "n1", Digest: i + 1})
	}
	for i := range uint64(200) {
		if change, digest := <-got, <-got; change.GetFirst() != i+1 || digest.GetDigest() != i+1 {
			t.Fatalf("got %v and %v, want %d", change, digest, i+1)
		}
	}
}

func TestLargeMessagesArePiecesOfOne(t *testing.T) {
	got := make(chan *v1.ToAgent, 100)
	changes := make(chan *v1.FromAgent, 100)
	p := open(t, func(m *v1.FromAgent) { changes <- m }, func(m *v1.ToAgent) { got <- m }, noLogs)
	var commands []*v1.Command
	for i := range 40 {
		noise := make([]byte, 64<<10) // does not compress
		_, _ = rand.Read(noise)
		commands = append(commands, &v1.Command{Kind: &v1.Command_Stop{Stop: &v1.StopAttempt{Slot: uint64(i), Reason: hex(noise)}}})
	}
	p.master.Send(&v1.ToAgent{Node: "n1", Epoch: 2, Session: 3, Ack: 4, First: 11, Commands: commands, Control: &v1.ToAgent_Ping{Ping: true}})
	var whole []*v1.Command
	pings := 0
	for len(whole) < len(commands) {
		m := <-got
		if m.GetFirst() != 11+uint64(len(whole)) || m.GetEpoch() != 2 || m.GetSession() != 3 || m.GetAck() != 4 {
			t.Fatalf("a piece begins at %d after %d items", m.GetFirst(), len(whole))
		}
		if m.GetPing() {
			pings++
		}
		whole = append(whole, m.GetCommands()...)
	}
	if pings != 1 || !proto.Equal(&v1.ToAgent{Commands: whole}, &v1.ToAgent{Commands: commands}) {
		t.Fatalf("%d items and %d pings came, not what was sent", len(whole), pings)
	}
	var ends []*v1.Change
	for range 30 {
		noise := make([]byte, 64<<10)
		_, _ = rand.Read(noise)
		ends = append(ends, &v1.Change{Kind: &v1.Change_Attempt{Attempt: &v1.AttemptState{Result: noise}}})
	}
	p.agent.Send(&v1.FromAgent{Node: "n1", First: 1, Changes: ends, Digest: 99, Usage: &v1.Usage{CpuMilli: 5}})
	usages := 0
	for n := 0; n < len(ends); {
		m := <-changes
		if m.GetFirst() != uint64(n)+1 || m.GetDigest() != 0 || !proto.Equal(m.GetChanges()[0], ends[n]) {
			t.Fatalf("a piece begins at %d after %d items, digest %d", m.GetFirst(), n, m.GetDigest())
		}
		if m.GetUsage() != nil {
			usages++
		}
		n += len(m.GetChanges())
	}
	if usages != 1 {
		t.Fatalf("%d usages", usages)
	}
}

func hex(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

func TestWhatNATSDoesNotTakeIsCompressedOrCounted(t *testing.T) {
	got := make(chan *v1.ToAgent, 10)
	p := open(t, drop[*v1.FromAgent], func(m *v1.ToAgent) { got <- m }, noLogs)
	template := func(env string) *v1.ToAgent {
		return &v1.ToAgent{Node: "n1", Commands: []*v1.Command{{Kind: &v1.Command_Template{Template: &v1.Template{
			Spec: &v1.StageSpec{Env: map[string]string{"A": env}},
		}}}}}
	}
	big := template(strings.Repeat("the same again ", 400_000)) // 6 MB
	p.master.Send(big)
	if m := <-got; !proto.Equal(m, big) {
		t.Fatalf("%d bytes came", proto.Size(m))
	}
	noise := make([]byte, 3<<20)
	_, _ = rand.Read(noise)
	p.master.Send(template(hex(noise)))
	p.master.Send(template("small"))
	if m := <-got; proto.Size(m) > 1000 {
		t.Fatalf("%d bytes came", proto.Size(m))
	}
	if s := p.master.Stats(); s.Oversized != 1 || s.Sent != 2 {
		t.Fatalf("%+v", s)
	}
}

func TestPoisonIsCountedAndDropped(t *testing.T) {
	got, up := make(chan *v1.ToAgent, 10), make(chan *v1.FromAgent, 10)
	p := open(t, func(m *v1.FromAgent) { up <- m }, func(m *v1.ToAgent) { got <- m }, noLogs)
	zip, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	bomb := zip.EncodeAll(make([]byte, 100<<20), nil)
	foreign, _ := proto.Marshal(&v1.ToAgent{Node: "n2"})
	poison := []*nats.Msg{
		{Data: []byte("\xff\xff\xff")},
		{Data: []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x07}},
		{Data: bomb, Header: nats.Header{"Content-Encoding": {"zstd"}}},
		{Data: []byte("not zstd"), Header: nats.Header{"Content-Encoding": {"zstd"}}},
		{Data: []byte("x"), Header: nats.Header{"Content-Encoding": {"br"}}},
		{Data: foreign},
		{Data: nil}, // names no node
	}
	for _, subject := range []string{"troupe.agent.v1.dev.n1.to", "troupe.agent.v1.dev.n1.from"} {
		for _, m := range poison {
			m.Subject = subject
			if err := p.stranger.PublishMsg(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	good, _ := proto.Marshal(&v1.ToAgent{Node: "n1", Epoch: 5})
	for _, subject := range []string{"troupe.agent.v1.dev.N1.from", "troupe.agent.v1.dev.n1.to", "troupe.agent.v1.dev.n1.from"} {
		if err := p.stranger.Publish(subject, good); err != nil {
			t.Fatal(err)
		}
	}
	if m := <-got; m.GetEpoch() != 5 {
		t.Fatalf("got %v", m)
	}
	if m := <-up; m.GetEpoch() != 5 {
		t.Fatalf("got %v", m)
	}
	if s := p.agent.Stats(); s.Poison != 5 || s.Foreign != 2 || s.Received != 1 {
		t.Errorf("agent: %+v", s)
	}
	if s := p.master.Stats(); s.Poison != 6 || s.Foreign != 2 || s.Received != 1 {
		t.Errorf("master: %+v", s)
	}
}

func TestPoisonousLogRequestsAreRefused(t *testing.T) {
	p := open(t, drop[*v1.FromAgent], drop[*v1.ToAgent], noLogs)
	for _, header := range []nats.Header{{"Content-Type": {"application/protobuf"}}, {"Content-Type": {"a/b"}}, {"Troupe-Window": {"-1"}}} {
		m, err := p.stranger.RequestMsgWithContext(t.Context(), &nats.Msg{
			Subject: "troupe.agent.v1.dev.n1.logs", Header: header, Data: []byte("\xff\xff"),
		})
		if err != nil || m.Header.Get("Nats-Service-Error-Code") == "" {
			t.Errorf("%v: got %v, %v", header, m, err)
		}
	}
	// Answers cannot be sent into the cell.
	if err := p.stranger.PublishRequest("troupe.agent.v1.dev.n1.logs", "troupe.agent.v1.dev.n1.to", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := p.stranger.RequestWithContext(t.Context(), "troupe.agent.v1.dev.n1.logs", nil); err != nil {
		t.Fatal(err)
	}
	if s := p.agent.Stats(); s.Foreign != 0 || s.Received != 0 {
		t.Errorf("%+v", s)
	}
}

func TestM1_LogReadersHaveALimit(t *testing.T) {
	entered, gate := make(chan struct{}, 100), make(chan struct{})
	p := open(t, drop[*v1.FromAgent], drop[*v1.ToAgent], func(ctx context.Context, _ *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
		entered <- struct{}{}
		<-gate
		return nil
	})
	read := func() error {
		return p.master.Logs(t.Context(), &v1.LogPlace{Node: "n1"}, &v1.LogsRequest{}, func(*v1.LogChunk) error { return nil })
	}
	errs := make(chan error, 32)
	for range 32 {
		go func() { errs <- read() }()
	}
	for range 32 {
		<-entered
	}
	if err := read(); !errors.Is(err, model.Busy(0, "")) {
		t.Fatalf("got %v, want busy", err)
	}
	close(gate)
	for range 32 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// outlet connects to whatever server is there at the moment.
type outlet struct {
	mu     sync.Mutex
	server *server.Server
}

func (o *outlet) plug(s *server.Server) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.server = s
}

func (o *outlet) InProcessConn() (net.Conn, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.server.InProcessConn()
}

func TestNothingIsStoredUpWhileTheConnectionIsDown(t *testing.T) {
	first := natstest.Server(t)
	o := &outlet{server: first}
	lost, back := make(chan struct{}, 10), make(chan struct{}, 10)
	dial := func(purpose string) (*nats.Conn, error) {
		return nats.Connect("", append(wire.ConnOptions(purpose, discard), nats.InProcessServer(o),
			nats.ReconnectWait(time.Millisecond), nats.ReconnectJitter(0, 0),
			nats.DisconnectErrHandler(func(*nats.Conn, error) { lost <- struct{}{} }),
			nats.ReconnectHandler(func(*nats.Conn) { back <- struct{}{} }))...)
	}
	got := make(chan *v1.ToAgent, 1)
	m, err := fabric.OpenMaster(fabric.MasterConfig{Cell: "dev", Dial: dial, Deliver: drop[*v1.FromAgent], Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	a, err := fabric.OpenAgent(fabric.AgentConfig{
		Cell: "dev", Node: "n1", Dial: dial, Logs: noLogs, Log: discard, Deliver: func(m *v1.ToAgent) {
			select {
			case got <- m:
			default:
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	first.Shutdown()
	const connections = 3 + 2
	for range connections {
		<-lost
	}
	m.Send(&v1.ToAgent{Node: "n1", Epoch: 1, Commands: []*v1.Command{launch(1)}})
	for m.Stats().Down == 0 { // its lane drops it soon
		runtime.Gosched()
	}
	o.plug(natstest.Server(t))
	for range connections {
		<-back
	}
	for len(got) == 0 { // until the new server knows the agent
		m.Send(&v1.ToAgent{Node: "n1", Epoch: 2, Commands: []*v1.Command{launch(2)}})
		runtime.Gosched()
	}
	if m := <-got; m.GetEpoch() != 2 {
		t.Fatalf("a message of before came after: %v", m)
	}
}

func TestBadConfigOpensNothing(t *testing.T) {
	s := natstest.Server(t)
	if _, err := fabric.OpenMaster(fabric.MasterConfig{Cell: "a.b", Dial: dialer(s), Deliver: drop[*v1.FromAgent], Log: discard}); err == nil {
		t.Error("a bad cell was opened")
	}
	for _, c := range []fabric.AgentConfig{{Cell: ">", Node: "n1"}, {Cell: "dev", Node: "n.1"}} {
		c.Dial, c.Deliver, c.Logs, c.Log = dialer(s), drop[*v1.ToAgent], noLogs, discard
		if _, err := fabric.OpenAgent(c); err == nil {
			t.Errorf("%s %s was opened", c.Cell, c.Node)
		}
	}
	down := errors.New("no server")
	_, err := fabric.OpenMaster(fabric.MasterConfig{Cell: "dev", Log: discard, Dial: func(string) (*nats.Conn, error) { return nil, down }})
	if !errors.Is(err, down) {
		t.Errorf("got %v", err)
	}
	for s.NumClients() != 0 { // none is left behind
		runtime.Gosched()
	}
}

// pages is a cell with results of many pages.
type pages struct{ asked []*v1.ResultsRequest }

func (p *pages) Results(_ context.Context, req *v1.ResultsRequest) (*v1.ResultsReply, error) {
	p.asked = append(p.asked, req)
	reply := &v1.ResultsReply{}
	for i := req.GetFrom(); i < min(req.GetFrom()+10, 95); i++ {
		reply.Results = append(reply.Results, &v1.InstanceResult{Index: i, Data: bytes.Repeat([]byte{byte(i)}, int(i))})
	}
	if req.GetFrom()+10 < 95 {
		reply.Next = req.GetFrom() + 10
	}
	if req.GetStage() == "round" && len(p.asked) > 2 {
		reply.Next = 5
	}
	if req.GetStage() == "none" {
		return nil, model.NotFound("no stage")
	}
	return reply, nil
}

func TestInputsAreReadPageByPage(t *testing.T) {
	p := &pages{}
	n := uint64(0)
	err := fabric.Inputs(t.Context(), p, "q", "j", 7, "s", func(r *v1.InstanceResult) error {
		if r.GetIndex() != n || len(r.GetData()) != int(n) {
			t.Fatalf("got %v, want %d", r, n)
		}
		n++
		return nil
	})
	if err != nil || n != 95 || len(p.asked) != 10 || p.asked[9].GetUid() != 7 || p.asked[9].GetName() != "j" {
		t.Fatalf("%d results in %d pages, %v", n, len(p.asked), err)
	}
	ignore := func(*v1.InstanceResult) error { return nil }
	for stage, want := range map[string]error{"round": model.Internal(""), "none": model.NotFound("")} {
		if err := fabric.Inputs(t.Context(), &pages{}, "q", "j", 7, stage, ignore); !errors.Is(err, want) {
			t.Errorf("%s: got %v", stage, err)
		}
	}
	stop := errors.New("enough")
	if err := fabric.Inputs(t.Context(), &pages{}, "q", "j", 7, "s", func(*v1.InstanceResult) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}
