package fabric

import (
	"cmp"
	"errors"
	"log/slog"
	"slices"
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

// Lane tells of one lane in one direction, at this moment.
type Lane struct {
	// Name is "ping" and "beat" for signs of life to agents and from them, "to" and "from" for the items of sessions, "logs"
	// for requests for captured output.
	Name string
	// Waiting messages and their bytes, and the most there may be of both; one more is dropped.
	Waiting, Bytes, WaitingMax, BytesMax int
	// Passed went through since the start, Dropped did not for want of room.
	Passed, Dropped uint64
}

// sender is a lane out, and what its limits have cost.
type sender struct {
	*queue[*nats.Msg]
	passed, dropped atomic.Uint64
}

// receiver is a lane in.
type receiver struct {
	lane subject.Lane
	*nats.Subscription
}

// end is what both sides have in common: connections, lanes out and lanes in.
type end struct {
	log   *slog.Logger
	codec *codec
	dial  Dial

	conns map[string]*nats.Conn
	out   map[subject.Lane]*sender
	subs  []receiver
	counts
	once sync.Once
}

func newEnd(dial Dial, log *slog.Logger) (*end, error) {
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	return &end{
		log: log, codec: c, dial: dial, conns: map[string]*nats.Conn{}, out: map[subject.Lane]*sender{},
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
	s := &sender{}
	s.queue = newQueue(outCount, outBytes, func(m *nats.Msg) {
		if e.publish(nc, m) {
			s.passed.Add(1)
		}
	})
	e.out[lane] = s
	return nil
}

// publish is called by the lane's own goroutine: a connection that stalls holds up its lane and nobody else. It reports
// whether the message has left.
func (e *end) publish(nc *nats.Conn, m *nats.Msg) bool {
	if !nc.IsConnected() {
		e.down.Add(1)
		return false
	}
	switch err := nc.PublishMsg(m); {
	case err == nil:
		e.sent.Add(1)
		return true
	case errors.Is(err, nats.ErrMaxPayload):
		e.oversized.Add(1)
		e.log.Error("message is larger than NATS takes", "subject", m.Subject, "bytes", len(m.Data), "max", nc.MaxPayload())
	default:
		e.down.Add(1)
	}
	return false
}

// push hands a message to a lane.
func (e *end) push(lane subject.Lane, to string, m proto.Message) {
	out, err := e.codec.encode(to, m)
	if err != nil {
		e.oversized.Add(1) // a protobuf that cannot be encoded is one of over 2 GiB
		e.log.Error("message cannot be encoded", "subject", to, "error", err)
		return
	}
	if s := e.out[lane]; !s.push(out, len(out.Data)) {
		s.dropped.Add(1)
		e.full.Add(1)
	}
}

// receive opens a lane in.
func (e *end) receive(lane subject.Lane, pattern, purpose string, take func(*nats.Msg)) error {
	nc, err := e.conn(purpose)
	if err != nil {
		return err
	}
	sub, err := nc.Subscribe(pattern, take)
	if err != nil {
		return err
	}
	e.subs = append(e.subs, receiver{lane, sub})
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

func (e *end) lanes() []Lane {
	var all []Lane
	for name, s := range e.out { //order: sorted below
		count, weight := s.waiting()
		all = append(all, Lane{
			Name: string(name), Waiting: count, Bytes: weight, WaitingMax: outCount, BytesMax: outBytes,
			Passed: s.passed.Load(), Dropped: s.dropped.Load(),
		})
	}
	for _, sub := range e.subs {
		l := Lane{Name: string(sub.lane), WaitingMax: inCount, BytesMax: inBytes}
		// These fail only when the subscription is closed; then nothing waits.
		l.Waiting, l.Bytes, _ = sub.Pending()
		if n, err := sub.Delivered(); err == nil {
			l.Passed = uint64(n)
		}
		if n, err := sub.Dropped(); err == nil {
			l.Dropped = uint64(n)
		}
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b Lane) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
