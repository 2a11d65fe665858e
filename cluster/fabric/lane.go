package fabric

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/cluster/subject"
)

const (
	// outCount and outBytes bound what waits to be sent on one lane.
	outCount = 16_384
	outBytes = 64 << 20
	// inCount and inBytes bound what waits to be taken from one lane.
	inCount = 65_536
	inBytes = 64 << 20
)

// Dial opens one connection to NATS; purpose names it: "control", "items" or "bulk". It should use wire.ConnOptions.
type Dial func(purpose string) (*nats.Conn, error)

// Stats counts what one side has done with messages.
type Stats struct {
	Sent, Received uint64
	// Full were dropped because too much waited to be sent, Down because the connection was down, Oversized because
	// NATS does not take so much, Misaddressed because the node is none.
	Full, Down, Oversized, Misaddressed uint64
	// Poison could not be decoded, Foreign named another node than the subject they came on.
	Poison, Foreign uint64
	// Slow were dropped because too much waited to be taken.
	Slow uint64
}

type counts struct {
	sent, received, full, down, oversized, misaddressed, poison, foreign atomic.Uint64
}

// end is what both sides have in common: connections, lanes out and lanes in.
type end struct {
	log   *slog.Logger
	codec *codec
	dial  Dial

	conns map[string]*nats.Conn
	out   map[subject.Lane]*queue[*nats.Msg]
	subs  []*nats.Subscription
	counts
	once sync.Once
}

func newEnd(dial Dial, log *slog.Logger) (*end, error) {
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	return &end{
		log: log, codec: c, dial: dial, conns: map[string]*nats.Conn{}, out: map[subject.Lane]*queue[*nats.Msg]{},
	}, nil
}

// conn opens the connection of a purpose once.
func (e *end) conn(purpose string) (*nats.Conn, error) {
	if nc := e.conns[purpose]; nc != nil {
		return nc, nil
	}
	nc, err := e.dial(purpose)
	if err == nil {
		e.conns[purpose] = nc
	}
	return nc, err
}

// send opens a lane out.
func (e *end) send(lane subject.Lane, purpose string) error {
	nc, err := e.conn(purpose)
	if err != nil {
		return err
	}
	e.out[lane] = newQueue(outCount, outBytes, func(m *nats.Msg) { e.publish(nc, m) })
	return nil
}

// publish is called by the lane's own goroutine: a connection that stalls holds up its lane and nobody else.
func (e *end) publish(nc *nats.Conn, m *nats.Msg) {
	if !nc.IsConnected() {
		e.down.Add(1)
		return
	}
	switch err := nc.PublishMsg(m); {
	case err == nil:
		e.sent.Add(1)
	case errors.Is(err, nats.ErrMaxPayload):
		e.oversized.Add(1)
		e.log.Error("message is larger than NATS takes", "subject", m.Subject, "bytes", len(m.Data), "max", nc.MaxPayload())
	default:
		e.down.Add(1)
	}
}

// push hands a message to a lane.
func (e *end) push(lane subject.Lane, to string, m proto.Message) {
	out, err := e.codec.encode(to, m)
	if err != nil {
		e.oversized.Add(1) // a protobuf that cannot be encoded is one of over 2 GiB
		e.log.Error("message cannot be encoded", "subject", to, "error", err)
		return
	}
	if !e.out[lane].push(out, len(out.Data)) {
		e.full.Add(1)
	}
}

// receive opens a lane in.
func (e *end) receive(pattern, purpose string, take func(*nats.Msg)) error {
	nc, err := e.conn(purpose)
	if err != nil {
		return err
	}
	sub, err := nc.Subscribe(pattern, take)
	if err != nil {
		return err
	}
	e.subs = append(e.subs, sub)
	if err := sub.SetPendingLimits(inCount, inBytes); err != nil {
		return err
	}
	return nc.FlushTimeout(flushMax)
}

// node is a message of the agent protocol.
type node interface {
	proto.Message
	GetNode() string
}

// accept decodes a message and checks that it speaks for the node whose subject it came on: that subject is what
// permissions are given for.
func (e *end) accept(in *nats.Msg, m node) bool {
	_, id, _, err := subject.ParseAgent(in.Subject)
	if err == nil {
		err = e.codec.decode(in, m)
	}
	if err != nil {
		if e.poison.Add(1) == 1 {
			e.log.Warn("messages that cannot be read are dropped", "subject", in.Subject, "error", err)
		}
		return false
	}
	if m.GetNode() != id {
		if e.foreign.Add(1) == 1 {
			e.log.Warn("messages that name another node are dropped", "subject", in.Subject, "node", m.GetNode())
		}
		return false
	}
	e.received.Add(1)
	return true
}

func (e *end) shut() {
	e.once.Do(func() {
		for _, sub := range e.subs {
			_ = sub.Unsubscribe() // it fails only if the connection is closed already
		}
		for _, q := range e.out {
			q.close()
		}
		for _, nc := range e.conns {
			nc.Close()
		}
	})
}

func (e *end) stats() Stats {
	s := Stats{
		Sent: e.sent.Load(), Received: e.counts.received.Load(), Full: e.full.Load(), Down: e.down.Load(),
		Oversized: e.oversized.Load(), Misaddressed: e.misaddressed.Load(), Poison: e.poison.Load(), Foreign: e.foreign.Load(),
	}
	for _, sub := range e.subs {
		if n, err := sub.Dropped(); err == nil {
			s.Slow += uint64(n)
		}
	}
	return s
}
