package jetstreamlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-sched/troupe/actors/journal"
)

// end is where the log ends: its last message in the stream and the last record in that; zeros if it is empty.
type end struct{ message, record uint64 }

// Bounds implements journal.Log.
func (l *Log) Bounds(ctx context.Context) (first, last uint64, err error) {
	err = l.call(ctx, func(ctx context.Context) error {
		state, err := l.state(ctx)
		if err != nil {
			return err
		}
		if state.LastSeq == 0 {
			first, last = 1, 0
			return nil
		}
		begin, err := l.frameAt(ctx, state.FirstSeq)
		if err != nil {
			return err
		}
		final, err := l.frameAt(ctx, state.LastSeq)
		first, last = begin.first, final.last()
		return err
	})
	return first, last, err
}

// findEnd finds out where the log ends.
func (l *Log) findEnd(ctx context.Context) (e end, err error) {
	err = l.call(ctx, func(ctx context.Context) error {
		state, err := l.state(ctx)
		if err != nil || state.LastSeq == 0 {
			return err
		}
		final, err := l.frameAt(ctx, state.LastSeq)
		e = end{message: state.LastSeq, record: final.last()}
		return err
	})
	return e, err
}

// state asks for the bounds of the stream.
func (l *Log) state(ctx context.Context) (jetstream.StreamState, error) {
	info, err := l.stream.Info(ctx)
	if err != nil {
		return jetstream.StreamState{}, err
	}
	if s := info.State; s.LastSeq > 0 && s.Msgs == 0 {
		return s, fmt.Errorf("%w: the stream had %d messages, and all were purged", journal.ErrCorrupt, s.LastSeq)
	}
	return info.State, nil
}

// stored is a frame as it is read.
type stored struct {
	first   uint64
	records [][]byte
}

func (s stored) last() uint64 { return s.first + uint64(len(s.records)) - 1 }

// frameAt reads one message. That there is none is not for good: a trim may have come between.
func (l *Log) frameAt(ctx context.Context, message uint64) (stored, error) {
	msg, err := l.stream.GetMsg(ctx, message)
	if err != nil {
		return stored{}, fmt.Errorf("message %d: %w", message, err)
	}
	first, records, err := decodeFrame(msg.Data)
	if err != nil {
		return stored{}, fmt.Errorf("message %d: %w", message, err)
	}
	return stored{first, records}, nil
}

// messageOf finds the message that holds a record between those of the first and the last message.
func (l *Log) messageOf(ctx context.Context, record uint64) (message uint64, err error) {
	err = l.call(ctx, func(ctx context.Context) error {
		state, err := l.state(ctx)
		if err != nil {
			return err
		}
		low, high := state.FirstSeq, state.LastSeq // the message is one of these
		for low < high {
			mid := high - (high-low)/2
			f, err := l.frameAt(ctx, mid)
			if err != nil {
				return err
			}
			if f.first <= record {
				low = mid
			} else {
				high = mid - 1
			}
		}
		message = low
		return nil
	})
	return message, err
}

// Trim implements journal.Log. It keeps what shares a message with the first record that must stay.
func (l *Log) Trim(ctx context.Context, seq uint64) error {
	first, last, err := l.Bounds(ctx)
	if err != nil {
		return err
	}
	if seq = min(seq, last); seq <= first {
		return nil
	}
	message, err := l.messageOf(ctx, seq)
	if err != nil {
		return err
	}
	return l.call(ctx, func(ctx context.Context) error { return l.stream.Purge(ctx, jetstream.WithPurgeSequence(message)) })
}

// Read implements journal.Log.
func (l *Log) Read(ctx context.Context, from uint64, fn func(seq uint64, data []byte) error) error {
	first, last, err := l.Bounds(ctx)
	switch {
	case err != nil:
		return err
	case from < first:
		return fmt.Errorf("%w: record %d was trimmed, the first kept is %d", journal.ErrCorrupt, from, first)
	case from > last:
		return nil
	}
	message, err := l.messageOf(ctx, from)
	if err != nil {
		return err
	}
	messages, err := l.follow(ctx, message)
	if err != nil {
		return err
	}
	defer messages.Stop()
	for want := from; want <= last; message++ {
		f, more, err := l.next(ctx, messages, message)
		if err != nil {
			return err
		}
		if f.first > want || f.last() < want || want != from && f.first != want {
			return fmt.Errorf("%w: message %d holds records %d to %d, it must hold record %d", journal.ErrCorrupt, message, f.first, f.last(), want)
		}
		for _, data := range f.records[want-f.first:] {
			if want > last {
				return nil
			}
			if err := fn(want, data); err != nil {
				return err
			}
			want++
		}
		if !more && want <= last {
			return fmt.Errorf("%w: the stream ends with record %d, it had %d", journal.ErrCorrupt, want-1, last)
		}
	}
	return nil
}

// follow reads the stream from a message on, ahead of the reader.
func (l *Log) follow(ctx context.Context, message uint64) (jetstream.MessagesContext, error) {
	var consumer jetstream.Consumer
	err := l.call(ctx, func(ctx context.Context) (err error) {
		consumer, err = l.js.OrderedConsumer(ctx, StreamName(l.opts.Cell), jetstream.OrderedConsumerConfig{
			DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: message, InactiveThreshold: time.Minute,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	messages, err := consumer.Messages(jetstream.PullMaxBytes(readAhead))
	if err != nil {
		return nil, fmt.Errorf("jetstreamlog: read from message %d: %w", message, err)
	}
	return messages, nil
}

// next reads the next message, which must be the one asked for, and says whether more come after it.
func (l *Log) next(ctx context.Context, messages jetstream.MessagesContext, want uint64) (f stored, more bool, err error) {
	wait, cancel := context.WithTimeout(ctx, l.opts.Patience)
	defer cancel()
	msg, err := messages.Next(jetstream.NextContext(wait))
	if err != nil {
		return f, false, fmt.Errorf("jetstreamlog: read message %d: %w", want, errors.Join(ctx.Err(), err))
	}
	meta, err := msg.Metadata()
	if err != nil {
		return f, false, fmt.Errorf("%w: message %d: %w", journal.ErrCorrupt, want, err)
	}
	if meta.Sequence.Stream != want {
		return f, false, fmt.Errorf("%w: message %d where message %d belongs", journal.ErrCorrupt, meta.Sequence.Stream, want)
	}
	first, records, err := decodeFrame(msg.Data())
	if err != nil {
		return f, false, fmt.Errorf("message %d: %w", want, err)
	}
	return stored{first, records}, meta.NumPending > 0, nil
}
