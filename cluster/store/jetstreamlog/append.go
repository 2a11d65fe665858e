package jetstreamlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-sched/troupe/actors/journal"
)

// frame is one write.
type frame struct {
	// after is the sequence of the message in the stream that it must follow.
	after uint64
	// id tells it from all other messages there are; it stays the same when it is sent again.
	id   string
	data []byte
}

// Append implements journal.Log.
func (l *Log) Append(seq uint64, data []byte, done func(error)) { l.writer.Append(seq, data, done) }

// store brings records into the stream, as one message, and returns when it knows that they are there. Only then comes
// the next: were several messages on their way, each expecting the one before it by its sequence, and had another
// master written in the meantime as many as were refused, the stream would take the rest of them.
func (l *Log) store(first uint64, records [][]byte) error {
	if err := l.storeFrame(first, records); err != nil {
		err = fmt.Errorf("jetstreamlog: records %d to %d: %w", first, first+uint64(len(records))-1, err)
		if !errors.Is(err, journal.ErrFull) { // that is tried again every second, and told by who does
			level := slog.LevelError
			if errors.Is(err, journal.ErrFenced) {
				level = slog.LevelInfo // of masters that try at once all but one find that
			}
			l.opts.Log.Log(l.ctx, level, "journal append failed", "err", err)
		}
		return err
	}
	return nil
}

func (l *Log) storeFrame(first uint64, records [][]byte) error {
	if l.opts.Room != nil {
		if err := l.opts.Room(); err != nil {
			return fmt.Errorf("%w: %w", journal.ErrFull, err)
		}
	}
	if l.end == nil {
		end, err := l.findEnd(l.ctx)
		if err != nil {
			return err
		}
		l.end = &end
	}
	if l.end.record+1 != first {
		return fmt.Errorf("%w: the log ends with record %d", journal.ErrFenced, l.end.record)
	}
	last := first + uint64(len(records)) - 1
	// The id says which records they are: after a refusal for want of room the same record may come in other company, and
	// must not be taken for what was refused.
	f := &frame{after: l.end.message, id: fmt.Sprintf("%s.%d-%d", l.writerID, first, last), data: encodeFrame(first, records)}
	err := l.publish(f)
	if err != nil {
		l.opts.Log.Warn("journal append not acknowledged, looking it up", "seq", first, "err", err)
		err = l.ensure(f)
	}
	if err != nil {
		return err
	}
	l.end = &end{message: f.after + 1, record: last}
	return nil
}

// publish is the one way into the stream. The message says after which one it comes, or it is not stored. It returns
// nil only if it is.
func (l *Log) publish(f *frame) error {
	msg := nats.NewMsg(Subject(l.opts.Cell))
	msg.Data = f.data
	msg.Header.Set(jetstream.MsgIDHeader, f.id)
	msg.Header.Set(jetstream.ExpectedStreamHeader, StreamName(l.opts.Cell))
	msg.Header.Set(jetstream.ExpectedLastSeqHeader, strconv.FormatUint(f.after, 10))
	// Asynchronously, so that a connection that breaks is known at once and not only when the time is up. Trying again is
	// for ensure, which has more patience.
	future, err := l.js.PublishMsgAsync(msg, jetstream.WithRetryAttempts(0))
	if err != nil {
		return err
	}
	select {
	case ack := <-future.Ok():
		if ack.Sequence != f.after+1 {
			return fmt.Errorf("%w: it is acknowledged as message %d, not %d", journal.ErrFenced, ack.Sequence, f.after+1)
		}
		return nil
	case err := <-future.Err():
		return err
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
}

// refusals is how often in a row the stream must refuse a message for its place, while in that place there is none,
// until it is believed: the one who says what is there may be behind the one who says what may be written.
const refusals = 4

// ensure finds out whether a message that was not acknowledged is stored, and stores it if it is not: nil when it is
// durable in its place, an error when it never will be or when patience has ended. It is sent again and again, the
// same bytes with the same expectation: the stream takes it at most once, and never once another's is in its place.
func (l *Log) ensure(f *frame) error {
	refused, timeout := 0, tryTimeout
	deadline := time.Now().Add(l.opts.Patience)
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		stored, err := l.lookup(f, timeout)
		if errors.Is(err, context.DeadlineExceeded) {
			timeout = min(2*timeout, tryMax)
		}
		if stored || errors.Is(err, journal.ErrFenced) {
			return err
		}
		if err == nil { // there is nothing in its place
			if err = l.publish(f); err == nil {
				return nil
			}
			refused++
			if !isWrongSequence(err) {
				refused = 0
			}
		}
		switch {
		case refused == refusals:
			return fmt.Errorf("%w: the stream does not end with message %d: %w", journal.ErrFenced, f.after, err)
		case l.ctx.Err() != nil:
			return fmt.Errorf("%w: whether they are stored is not known: %w", journal.ErrClosed, err)
		case lasting(err):
			return PortError(err)
		case time.Now().After(deadline):
			return fmt.Errorf("whether they are stored could not be found out within %v: %w", l.opts.Patience, err)
		}
		_ = pause(l.ctx, wait) // its end is seen in the next turn
	}
}

// lookup reads the place of a message back: true if the message is there, ErrFenced if another is, false if none is.
func (l *Log) lookup(f *frame, timeout time.Duration) (stored bool, err error) {
	ctx, cancel := context.WithTimeout(l.ctx, timeout)
	defer cancel()
	msg, err := l.stream.GetMsg(ctx, f.after+1)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return false, nil
	case err != nil:
		return false, err
	case msg.Header.Get(jetstream.MsgIDHeader) != f.id || !bytes.Equal(msg.Data, f.data):
		return false, fmt.Errorf("%w: message %d is not ours", journal.ErrFenced, f.after+1)
	}
	return true, nil
}

func isWrongSequence(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}
