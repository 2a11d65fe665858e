package jetstreamlog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-sched/troupe/actors/journal"
)

const (
	// signOfLife is how often the server says that a consumer without messages is there. One that has been silent twice as
	// long is made anew.
	signOfLife = time.Second
	// silence is after how long without a message a reader asks whether there is one.
	silence = 500 * time.Millisecond
	// idleMax is after how long the server forgets a consumer whose reader has gone without a word.
	idleMax = 10 * time.Second
	// againMax is the longest pause before a reader asks again for what it could not get.
	againMax = 2 * time.Second
)

// Read implements journal.Log.
func (l *Log) Read(ctx context.Context, from uint64, fn func(seq uint64, data []byte) error) error {
	first, last, err := l.Bounds(ctx)
	switch {
	case err != nil:
		return err
	case from < first:
		return fmt.Errorf("%w: record %d, the first kept is %d", journal.ErrTrimmed, from, first)
	case from > last:
		return nil
	}
	message, err := l.messageOf(ctx, from)
	if err != nil {
		return err
	}
	r := l.reader(ctx, message, from)
	r.patience = l.opts.Patience
	defer r.close()
	for r.record <= last {
		if err := r.frame(last, fn); err != nil {
			return err
		}
	}
	return nil
}

// Tail implements journal.Log.
func (l *Log) Tail(ctx context.Context, from uint64, fn func(seq uint64, data []byte) error) error {
	message, err := l.place(ctx, from)
	if err != nil {
		return err
	}
	r := l.reader(ctx, message, from)
	defer r.close()
	for {
		if err := r.frame(1<<64-1, fn); err != nil {
			return err
		}
	}
}

// place finds the message that holds record from, or will hold it, however long the store does not answer.
func (l *Log) place(ctx context.Context, from uint64) (message uint64, err error) {
	for {
		message, err = l.placeNow(ctx, from)
		if err == nil || ctx.Err() != nil || l.over(err) {
			return message, err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

func (l *Log) placeNow(ctx context.Context, from uint64) (message uint64, err error) {
	first, _, err := l.Bounds(ctx)
	if err != nil {
		return 0, err
	}
	e, err := l.findEnd(ctx)
	switch {
	case err != nil:
		return 0, err
	case from < first:
		return 0, fmt.Errorf("%w: record %d, the first kept is %d", journal.ErrTrimmed, from, first)
	case from > e.record+1:
		return 0, fmt.Errorf("%w: the log ends with record %d, it had %d", journal.ErrCorrupt, e.record, from-1)
	case from == e.record+1:
		return e.message + 1, nil
	}
	return l.messageOf(ctx, from)
}

// over reports whether a reader must not try again.
func (l *Log) over(err error) bool {
	return errors.Is(err, journal.ErrCorrupt) || errors.Is(err, journal.ErrClosed) || l.ctx.Err() != nil
}

// reader hands out records in order. It has one consumer on the server at a time, made anew after whatever goes wrong.
type reader struct {
	l *Log
	// ctx is the caller's; wait ends with it or with the log.
	ctx, wait context.Context
	cancel    func()
	// message and record are what comes next.
	message, record uint64
	// begun: the first record was handed out; a frame may not begin before the one that is asked for any more.
	begun bool
	// patience is how long the store may be silent; for ever if zero.
	patience time.Duration

	timeout  time.Duration // of what start asks; see tryMax
	name     string        // its own among the readers of the stream
	serial   int           // of the consumer
	consumer string        // name of the consumer, empty if there is none
	// left are consumers of which the server could not be told that they are not needed any more.
	left     []string
	messages jetstream.MessagesContext
}

func (l *Log) reader(ctx context.Context, message, record uint64) *reader {
	wait, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(l.ctx, cancel)
	return &reader{
		l: l, ctx: ctx, wait: wait, cancel: func() { unhook(); cancel() },
		message: message, record: record, timeout: tryTimeout, name: l.writerID + "-" + strconv.FormatInt(l.readers.Add(1), 10),
	}
}

// close ends the reader.
func (r *reader) close() {
	r.stop()
	r.cancel()
}

// frame hands the records of the next message to fn, as far as record last.
func (r *reader) frame(last uint64, fn func(seq uint64, data []byte) error) error {
	f, err := r.next()
	if err != nil {
		return err
	}
	if f.first > r.record || f.last() < r.record || r.begun && f.first != r.record {
		return fmt.Errorf("%w: message %d holds records %d to %d, it must hold record %d", journal.ErrCorrupt, r.message, f.first, f.last(), r.record)
	}
	for _, data := range f.records[r.record-f.first:] {
		if r.record > last {
			return nil
		}
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if err := fn(r.record, data); err != nil {
			return err
		}
		r.record++
	}
	r.message, r.begun = r.message+1, true
	return nil
}

// next waits for the next message, over any trouble that passes.
func (r *reader) next() (stored, error) {
	begin := time.Now()
	missing := 0
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, againMax) {
		f, err := r.try()
		switch {
		case err == nil:
			return f, nil
		case r.ctx.Err() != nil:
			return f, r.ctx.Err()
		case r.l.ctx.Err() != nil:
			return f, journal.ErrClosed
		case errors.Is(err, jetstream.ErrMsgNotFound):
			// The one who was asked may be behind the one who knew of the message.
			if missing++; missing >= missingMax {
				return f, fmt.Errorf("%w: the stream has a hole or has lost its end: %w", journal.ErrCorrupt, err)
			}
		case r.l.over(PortError(err)):
			return f, PortError(err)
		case r.patience > 0 && time.Since(begin) > r.patience:
			return f, fmt.Errorf("jetstreamlog: read message %d: given up after %v: %w", r.message, r.patience, err)
		default:
			r.l.opts.Log.Debug("journal reader begins anew", "message", r.message, "reason", err)
		}
		r.stop()
		_ = pause(r.wait, wait) // its end is seen in the next turn
	}
}

// try gets the next message from the consumer, and makes that first if there is none.
func (r *reader) try() (f stored, err error) {
	if r.messages == nil {
		if err := r.start(); err != nil {
			return f, err
		}
	}
	msg, err := r.await()
	if err != nil {
		return f, err
	}
	meta, err := msg.Metadata()
	if err != nil {
		return f, fmt.Errorf("%w: message %d: %w", journal.ErrCorrupt, r.message, err)
	}
	if meta.Sequence.Stream != r.message {
		// Lost on the way, if it is there at all: start finds out.
		return f, fmt.Errorf("message %d where message %d belongs", meta.Sequence.Stream, r.message)
	}
	first, records, err := decodeFrame(msg.Data())
	if err != nil {
		return f, fmt.Errorf("message %d: %w", r.message, err)
	}
	return stored{first, records}, nil
}

// await waits for a message. It does not rely on the client library to find out that a consumer has fallen silent: that
// misses a connection that is back before it was told that it was gone. After a while without a message the stream is asked.
func (r *reader) await() (jetstream.Msg, error) {
	for {
		wait, cancel := context.WithTimeout(r.wait, silence)
		msg, err := r.messages.Next(jetstream.NextContext(wait))
		late := wait.Err() != nil
		cancel()
		if err == nil || !late || r.wait.Err() != nil {
			return msg, err
		}
		ask, cancel := context.WithTimeout(r.wait, tryTimeout)
		state, err := r.l.state(ask)
		cancel()
		if err != nil {
			return nil, err
		}
		if state.LastSeq+1 != r.message {
			return nil, fmt.Errorf("no message came, and the stream ends with message %d", state.LastSeq)
		}
	}
}

// start makes a consumer that begins with the next message, which must be there or the one after the last.
func (r *reader) start() error {
	try, cancel := context.WithTimeout(r.wait, r.timeout)
	defer func() {
		if r.timeout = tryTimeout; errors.Is(try.Err(), context.DeadlineExceeded) {
			r.timeout = tryMax
		}
		cancel()
	}()
	state, err := r.l.state(try)
	switch {
	case err != nil:
		return err
	case r.message < state.FirstSeq:
		return fmt.Errorf("%w: record %d", journal.ErrTrimmed, r.record)
	case r.message > state.LastSeq+1:
		return fmt.Errorf("message %d: the stream ends with message %d: %w", r.message, state.LastSeq, jetstream.ErrMsgNotFound)
	case r.message <= state.LastSeq:
		// A consumer would pass over a hole.
		if _, err := r.l.frameAt(try, r.message); err != nil {
			return err
		}
	}
	for _, name := range r.left {
		r.drop(name)
	}
	r.left = nil
	r.serial++
	// Its name is its reader's own, so that what is left of it by a connection that breaks is known by it.
	name := r.name + "-" + strconv.Itoa(r.serial)
	consumer, err := r.l.js.CreateConsumer(try, StreamName(r.l.opts.Cell), jetstream.ConsumerConfig{
		Name: name, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.message,
		AckPolicy: jetstream.AckNonePolicy, MaxDeliver: 1, MemoryStorage: true, Replicas: 1, InactiveThreshold: idleMax,
	})
	if err != nil {
		return err
	}
	r.consumer = name
	r.messages, err = consumer.Messages(jetstream.PullMaxBytes(readAhead), jetstream.PullExpiry(30*time.Second),
		jetstream.PullHeartbeat(signOfLife), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	return err
}

// stop lets go of the consumer. If the server cannot be told, it forgets it by itself soon.
func (r *reader) stop() {
	if r.messages != nil {
		r.messages.Stop()
		r.messages = nil
	}
	if r.consumer == "" {
		return
	}
	if r.drop(r.consumer) != nil && len(r.left) < leftMax {
		r.left = append(r.left, r.consumer)
	}
	r.consumer = ""
}

// drop tells the server that a consumer is not needed any more, without waiting for its answer.
func (r *reader) drop(name string) error {
	return r.l.js.Conn().PublishMsg(nats.NewMsg("$JS.API.CONSUMER.DELETE." + StreamName(r.l.opts.Cell) + "." + name))
}

// leftMax bounds the consumers that a reader remembers to remove; the server forgets the others after idleMax.
const leftMax = 100
