package wire

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/subject"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// A stream answers one request with many messages on its reply subject and ends with an empty one, or with a refusal.
// Any NATS client can read it so. Beyond that every message has a number, and a reply subject that does two things: the
// server itself answers there when nobody reads any more, which ends the stream; and a reader that sent a window
// acknowledges there, so that a slow one slows the writer down instead of losing output, and says when it has enough.

const (
	// pieceMax bounds the data of one message.
	pieceMax = 64 << 10
	// WindowMax bounds the window that a reader may ask for.
	WindowMax = 1024
	// keepAlive is the longest silence of a stream that lives.
	keepAlive = 10 * time.Second
	// patience is how long a side waits for a sign of the other: three times the longest silence.
	patience = 3 * keepAlive
	// enough is what a reader answers in place of a number when it leaves before the end.
	enough = "enough"
)

var (
	errGone    = errors.New("nobody reads the stream any more")
	errStalled = model.Deadline("the reader of the stream stalled")
	errSilent  = model.Unavailable("the stream fell silent")
)

// Streams writes streams over one connection. Its zero value is not usable; see NewStreams.
type Streams struct {
	nc    *nats.Conn
	inbox string
	sub   *nats.Subscription

	keepAlive, patience time.Duration

	mu   sync.Mutex
	next uint64
	live map[string]*stream
}

// NewStreams begins to listen for the acknowledgements of all streams that are to be written over nc.
func NewStreams(nc *nats.Conn) (*Streams, error) {
	s := &Streams{
		nc: nc, inbox: nc.NewInbox(), live: map[string]*stream{}, keepAlive: keepAlive, patience: patience,
	}
	var err error
	s.sub, err = nc.Subscribe(s.inbox+".*", s.hear)
	return s, err
}

// Close stops listening; streams still being written end when their readers are missed.
func (s *Streams) Close() error { return s.sub.Unsubscribe() }

// hear takes an acknowledgement, or the server's word that a stream has no reader.
func (s *Streams) hear(m *nats.Msg) {
	s.mu.Lock()
	st := s.live[m.Subject]
	s.mu.Unlock()
	switch {
	case st == nil:
	case NoResponders(m), string(m.Data) == enough:
		st.cancel(errGone)
	default:
		if seq, err := strconv.ParseUint(string(m.Data), 10, 64); err == nil {
			st.acknowledge(seq)
		}
	}
}

// Serve writes one stream over s to the reply subject of a request: what run sends, then the end. It returns when the
// stream has ended, with what went wrong, also if that was told to the reader; explain makes the refusal of it. The reply
// subject must be safe.
func Serve[C Chunk](ctx context.Context, s *Streams, reply string, header nats.Header,
	run func(context.Context, func(C) error) error, explain func(error) *model.Fault) error {
	form, err := FormOf(header)
	var window uint64
	if err == nil {
		window, err = windowOf(header)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	st := &stream{
		nc: s.nc, to: reply, form: form, window: window, patience: s.patience, cancel: cancel, moved: make(chan struct{}, 1),
		alive: aliveAfter[C](nil),
	}
	s.enter(st)
	defer s.leave(st)
	if err == nil {
		stop := st.keepAlive(ctx, s.keepAlive)
		err = run(ctx, func(c C) error { return send(ctx, st, c) })
		stop()
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if errors.Is(err, errGone) {
		return nil
	}
	var refusal *model.Fault
	if err != nil {
		refusal = explain(err)
	}
	return errors.Join(err, st.end(refusal))
}

func (s *Streams) enter(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	st.acks = s.inbox + "." + strconv.FormatUint(s.next, 10)
	s.live[st.acks] = st
}

func (s *Streams) leave(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, st.acks)
}

func windowOf(h nats.Header) (uint64, error) {
	value := Header(h, HeaderWindow)
	if value == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil || n < 1 || n > WindowMax {
		return 0, model.Invalid("wrong window", &v1.FieldError{
			Field: "header." + HeaderWindow, Problem: clip(value) + " is not a window",
			Hint: "a number from 1 to " + strconv.Itoa(WindowMax) + "; leave it out if you do not acknowledge",
		})
	}
	return n, nil
}

// stream is one stream being written.
type stream struct {
	nc       *nats.Conn
	to, acks string
	form     Form
	window   uint64
	patience time.Duration
	cancel   context.CancelCauseFunc
	// moved says that acked grew.
	moved chan struct{}

	mu         sync.Mutex
	seq, acked uint64
	alive      proto.Message
	spoke      bool
}

func (st *stream) acknowledge(seq uint64) {
	st.mu.Lock()
	if seq > st.acked && seq <= st.seq {
		st.acked = seq
	}
	st.mu.Unlock()
	select {
	case st.moved <- struct{}{}:
	default:
	}
}

// send writes a chunk in pieces, each as soon as the window allows.
func send[C Chunk](ctx context.Context, st *stream, c C) error {
	pieces := cut(c)
	if len(pieces) == 0 {
		return context.Cause(ctx)
	}
	for _, piece := range pieces {
		if err := st.await(ctx); err != nil {
			return err
		}
		if err := st.publish(piece, aliveAfter(piece)); err != nil {
			return err
		}
	}
	return nil
}

// await returns when one more message may be sent.
func (st *stream) await(ctx context.Context) error {
	stalled := time.NewTimer(st.patience)
	defer stalled.Stop()
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		st.mu.Lock()
		open := st.window == 0 || st.seq-st.acked < st.window
		st.mu.Unlock()
		if open {
			return nil
		}
		select {
		case <-st.moved:
			stalled.Reset(st.patience)
		case <-stalled.C:
			return errStalled
		case <-ctx.Done():
		}
	}
}

// publish writes one chunk as the next message; alive is what to say after it in a long silence.
func (st *stream) publish(c, alive proto.Message) error {
	body, err := st.form.Marshal(c)
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.spoke, st.alive = true, alive
	return st.put(st.form.Message(st.to, body))
}

// put numbers a message and sends it. The lock is held, so that numbers leave in order.
func (st *stream) put(m *nats.Msg) error {
	st.seq++
	m.Header.Set(HeaderSeq, strconv.FormatUint(st.seq, 10))
	m.Reply = st.acks
	return st.nc.PublishMsg(m)
}

// end writes the last message: an empty one, or a refusal.
func (st *stream) end(refusal *model.Fault) error {
	m := st.form.Message(st.to, nil)
	if refusal != nil {
		var err error
		if m, err = Refusal(st.to, st.form, refusal); err != nil {
			return err
		}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.put(m)
}

// keepAlive sends a chunk without data whenever the stream was silent for long: readers learn that it lives, and the
// writer that nobody reads. The returned function stops it and waits until it has stopped.
func (st *stream) keepAlive(ctx context.Context, silence time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(silence)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				st.mu.Lock()
				spoke, alive := st.spoke, st.alive
				st.spoke = false
				st.mu.Unlock()
				if !spoke {
					// A failure shows at the next message, or as the reader's own.
					_ = st.publish(alive, alive)
				}
			}
		}
	}()
	return func() { cancel(); <-done }
}

// Receive sends a request whose answer is a stream and calls fn with every chunk until its end. It fails with
// nats.ErrNoResponders if nobody took the request, with a fault if it was refused or broke. window is how many messages
// may be under way.
func Receive[C Chunk](ctx context.Context, nc *nats.Conn, to string, request proto.Message, window int, fn func(C) error) error {
	return receive(ctx, nc, to, request, window, patience, fn)
}

func receive[C Chunk](ctx context.Context, nc *nats.Conn, to string, request proto.Message, window int, patience time.Duration,
	fn func(C) error) error {
	body, err := Protobuf.Marshal(request)
	if err != nil {
		return err
	}
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	m := Protobuf.Message(to, body)
	m.Reply = sub.Subject
	m.Header.Set(HeaderWindow, strconv.Itoa(window))
	if err := nc.PublishMsg(m); err != nil {
		return err
	}
	r := reader{nc: nc, sub: sub, patience: patience}
	err = all(ctx, &r, fn)
	if err != nil {
		// If this word is lost, the writer learns it from the server at its next message.
		_ = r.answer([]byte(enough))
	}
	return err
}

// reader reads one stream.
type reader struct {
	nc       *nats.Conn
	sub      *nats.Subscription
	patience time.Duration
	acks     string
	seq      uint64
}

// all calls fn with every chunk that has content.
func all[C Chunk](ctx context.Context, r *reader, fn func(C) error) error {
	for {
		var c C
		c = c.ProtoReflect().New().Interface().(C)
		more, err := r.next(ctx, c)
		if err != nil || !more {
			return err
		}
		if !empty(c) {
			if err := fn(c); err != nil {
				return err
			}
		}
		// An acknowledgement opens the writer's window again.
		if err := r.answer(strconv.AppendUint(nil, r.seq, 10)); err != nil {
			return err
		}
	}
}

// next reads the next chunk into c; more is false at the end.
func (r *reader) next(ctx context.Context, c proto.Message) (more bool, err error) {
	wait, cancel := context.WithTimeoutCause(ctx, r.patience, errSilent)
	defer cancel()
	m, err := r.sub.NextMsgWithContext(wait)
	if err != nil {
		if cause := context.Cause(wait); cause != nil {
			err = cause
		}
		return false, err
	}
	if NoResponders(m) {
		return false, nats.ErrNoResponders
	}
	if f := FaultIn(m); f != nil {
		return false, f
	}
	r.seq++
	if got := m.Header.Get(HeaderSeq); got != strconv.FormatUint(r.seq, 10) {
		return false, model.Unavailable("the stream broke: expected message %d, got %q", r.seq, clip(got))
	}
	if len(m.Data) == 0 {
		return false, nil
	}
	form, err := FormOf(m.Header)
	if err != nil {
		return false, err
	}
	r.acks = m.Reply
	return true, form.Read(m.Data, c)
}

// answer tells the writer something. The subject was chosen by the peer, and is used with our rights.
func (r *reader) answer(body []byte) error {
	if !subject.SafeReply(r.acks) {
		return nil
	}
	return r.nc.Publish(r.acks, body)
}
