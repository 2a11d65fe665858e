package jetstreamlog

import (
	"context"
	"fmt"

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
