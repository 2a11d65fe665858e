package fabric

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/subject"
	"github.com/troupe-sched/troupe/cluster/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// logsMax bounds the logs that are read from one agent at a time.
const logsMax = 32

// LogsFunc serves captured output: it calls fn with chunks until the end, or until ctx ends, and fails with
// fs.ErrNotExist if it knows of no such attempt.
type LogsFunc func(ctx context.Context, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error

// AgentConfig says how an agent reaches its master.
type AgentConfig struct {
	Cell, Node string
	Dial       Dial
	// Deliver is called with every message of the master, from several goroutines; it must not block. Messages are frozen.
	Deliver func(*v1.ToAgent)
	// Logs serves captured output; it is called from many goroutines at a time.
	Logs LogsFunc
	Log  *slog.Logger
}

// Agent is an agent's end of the link to whoever is master. It has three connections, so that none of these waits for
// another on the way: signs of life, the items of the session, and captured output.
type Agent struct {
	*end
	AgentConfig
	beat, from string
	streams    *wire.Streams
	readers    chan struct{}
	left       sync.Once
	ctx        context.Context
	cancel     context.CancelFunc
}

// OpenAgent connects and begins to deliver.
func OpenAgent(c AgentConfig) (*Agent, error) {
	e, err := newEnd(c.Dial, c.Log.With("cell", c.Cell, "node", c.Node))
	if err != nil {
		return nil, err
	}
	a := &Agent{end: e, AgentConfig: c, readers: make(chan struct{}, logsMax)}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	if err := a.open(); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

func (a *Agent) open() error {
	subjects := map[subject.Lane]string{}
	for _, lane := range []subject.Lane{subject.Ping, subject.To, subject.Beat, subject.From, subject.Logs} {
		s, err := subject.Agent(a.Cell, a.Node, lane)
		if err != nil {
			return err
		}
		subjects[lane] = s
	}
	a.beat, a.from = subjects[subject.Beat], subjects[subject.From]
	if err := errors.Join(a.send(subject.Beat, "control"), a.send(subject.From, "items")); err != nil {
		return err
	}
	bulk, err := a.conn("bulk")
	if err != nil {
		return err
	}
	if a.streams, err = wire.NewStreams(bulk); err != nil {
		return err
	}
	return errors.Join(
		a.receive(subject.Logs, subjects[subject.Logs], "bulk", func(m *nats.Msg) { a.logs(bulk, m) }),
		a.receive(subject.Ping, subjects[subject.Ping], "control", a.take),
		a.receive(subject.To, subjects[subject.To], "items", a.take),
	)
}

// Send hands a message to the master and returns at once; it may be lost. The message is frozen.
func (a *Agent) Send(message *v1.FromAgent) {
	if message.GetNode() != a.Node {
		a.misaddressed.Add(1)
		return
	}
	if alive(message) {
		a.push(subject.Beat, a.beat, message)
		return
	}
	for _, piece := range splitFrom(message, pieceMax) {
		a.push(subject.From, a.from, piece)
	}
}

// alive reports whether a message is a mere sign of life. One with a digest is not: it must not overtake the changes
// that it counts.
func alive(m *v1.FromAgent) bool {
	return len(m.GetChanges()) == 0 && m.GetHello() == nil && m.GetDigest() == 0
}

func (a *Agent) take(in *nats.Msg) {
	message := &v1.ToAgent{}
	if a.accept(in, message) {
		a.Deliver(message)
	}
}

// logs takes a request for captured output.
func (a *Agent) logs(nc *nats.Conn, m *nats.Msg) {
	if !subject.SafeReply(m.Reply) {
		a.poison.Add(1)
		return
	}
	select {
	case a.readers <- struct{}{}:
		go func() {
			defer func() { <-a.readers }()
			a.serve(m)
		}()
	default:
		refusal, err := wire.Refusal(m.Reply, wire.JSON, model.Busy(0, "%d logs of node %s are being read, no more at a time", logsMax, a.Node))
		if err == nil {
			err = nc.PublishMsg(refusal)
		}
		if err != nil {
			a.Log.Warn("refusal not sent", "error", err)
		}
	}
}

func (a *Agent) serve(m *nats.Msg) {
	run := func(ctx context.Context, send func(*v1.LogChunk) error) error {
		form, err := wire.FormOf(m.Header)
		if err != nil {
			return err
		}
		req := &v1.LogsRequest{}
		if err := form.Read(m.Data, req); err != nil {
			a.poison.Add(1)
			return model.FaultOf(err)
		}
		return a.Logs(ctx, req, send)
	}
	if err := wire.Serve(a.ctx, a.streams, m.Reply, m.Header, run, absent); err != nil {
		a.Log.Debug("log stream ended", "error", err)
	}
}

// absent is the refusal of an error while reading logs.
func absent(err error) *model.Fault {
	var f *model.Fault
	if !errors.As(err, &f) && errors.Is(err, fs.ErrNotExist) {
		return model.NotFound("no output of such an attempt is kept: %v", err)
	}
	return model.FaultOf(err)
}

// Stats counts what became of messages.
func (a *Agent) Stats() Stats { return a.stats() }

// Lanes tell of every lane, sorted by name.
func (a *Agent) Lanes() []Lane { return a.lanes() }

// Close ends the link; what waits is dropped, and logs being read are cut.
func (a *Agent) Close() {
	a.cancel()
	a.shut()
	a.left.Do(func() {
		for range cap(a.readers) { // all places taken: nobody reads any more, or ever will
			a.readers <- struct{}{}
		}
	})
}
