package fabric

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/subject"
	"github.com/troupe-sched/troupe/cluster/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// flushMax bounds the wait until the server knows a subscription.
const flushMax = 5 * time.Second

// logWindow is how many messages of one log may be under way.
const logWindow = 16

// MasterConfig says how a master reaches its agents.
type MasterConfig struct {
	Cell string
	Dial Dial
	// Deliver is called with every message of an agent, from several goroutines; it must not block. Messages are frozen.
	Deliver func(*v1.FromAgent)
	Log     *slog.Logger
}

// Master is the master's end of the link to all agents of a cell. It has three connections: signs of life, items, and
// captured output.
type Master struct {
	*end
	cell    string
	deliver func(*v1.FromAgent)
	bulk    *nats.Conn
}

// OpenMaster connects and begins to deliver.
func OpenMaster(c MasterConfig) (*Master, error) {
	e, err := newEnd(c.Dial, c.Log.With("cell", c.Cell))
	if err != nil {
		return nil, err
	}
	m := &Master{end: e, cell: c.Cell, deliver: c.Deliver}
	if err := m.open(); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *Master) open() (err error) {
	if m.bulk, err = m.conn("bulk"); err != nil {
		return err
	}
	for _, l := range []struct {
		out, in subject.Lane
		purpose string
	}{{subject.Ping, subject.Beat, "control"}, {subject.To, subject.From, "items"}} {
		pattern, err := subject.AgentPattern(m.cell, l.in)
		if err != nil {
			return err
		}
		if err := m.send(l.out, l.purpose); err != nil {
			return err
		}
		if err := m.receive(l.in, pattern, l.purpose, m.take); err != nil {
			return err
		}
	}
	return nil
}

// Send hands a message to its agent and returns at once; it may be lost. The message is frozen.
func (m *Master) Send(message *v1.ToAgent) {
	lane := subject.To
	if message.GetPing() && len(message.GetCommands()) == 0 {
		lane = subject.Ping // a sign of life, in whatever order it comes
	}
	to, err := subject.Agent(m.cell, message.GetNode(), lane)
	if err != nil {
		m.misaddressed.Add(1)
		return
	}
	for _, piece := range splitTo(message, pieceMax) {
		m.push(lane, to, piece)
	}
}

func (m *Master) take(in *nats.Msg) {
	message := &v1.FromAgent{}
	if m.accept(in, message) {
		m.deliver(message)
	}
}

// Logs streams the output of one attempt from the agent that has it: the one of place.Fence, or else the newest of
// place.Uid, req.Stage and req.Index. It fails with the fault not_found if that agent does not have it, and with
// unavailable if the agent does not answer.
func (m *Master) Logs(ctx context.Context, place *v1.LogPlace, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
	to, err := subject.Agent(m.cell, place.GetNode(), subject.Logs)
	if err != nil {
		return err
	}
	var own error
	err = wire.Receive(ctx, m.bulk, to, placed(place, req), logWindow, func(c *v1.LogChunk) error {
		own = fn(c)
		return own
	})
	var f *model.Fault
	switch {
	case err == nil || own != nil || errors.As(err, &f) || ctx.Err() != nil:
		return err
	case errors.Is(err, nats.ErrNoResponders):
		return model.Unavailable("node %s does not answer: its agent is not connected", place.GetNode())
	}
	return model.Unavailable("logs of node %s: %v", place.GetNode(), err)
}

// placed is the request as an agent needs it, which knows jobs by uid and attempts by fence.
func placed(place *v1.LogPlace, req *v1.LogsRequest) *v1.LogsRequest {
	req = proto.CloneOf(req)
	if req.GetFence() == 0 {
		req.Fence = place.GetFence()
	}
	if req.GetUid() == 0 {
		req.Uid = place.GetUid()
	}
	return req
}

// Stats counts what became of messages.
func (m *Master) Stats() Stats { return m.stats() }

// Lanes tell of every lane, of all agents together, sorted by name.
func (m *Master) Lanes() []Lane { return m.lanes() }

// Close ends the link; what waits is dropped.
func (m *Master) Close() { m.shut() }
