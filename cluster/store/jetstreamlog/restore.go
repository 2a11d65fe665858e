package jetstreamlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// unfinished marks a stream that is being restored. No master takes it for a journal before the mark is gone.
const unfinished = "troupe-restore"

// seqGap is by how much the first message of a restored stream is beyond all before it: a master that still runs from
// before expects a number that does not come again, and stays fenced.
const seqGap = 1 << 20

// ErrOccupied is what Restore fails with if there is a journal, or the rest of one.
type ErrOccupied struct {
	Stream string
	// Messages and Bytes are what is in it.
	Messages, Bytes uint64
	// Unfinished says that it is the rest of a restore that did not end.
	Unfinished bool
}

// Error tells what is there.
func (e *ErrOccupied) Error() string {
	what := fmt.Sprintf("stream %s holds a journal of %d messages and %d bytes", e.Stream, e.Messages, e.Bytes)
	if e.Unfinished {
		what = fmt.Sprintf("stream %s holds %d messages of a restore that did not end", e.Stream, e.Messages)
	}
	return what
}

// Restore makes the stream of a journal that is to be filled from a backup, whose first record is the one of that number.
// No master takes it for a journal before finish has returned without error, so that one that was cut short is not
// mistaken for a whole one. A stream that is there is an *ErrOccupied, unless replace says that it is to go.
func Restore(ctx context.Context, nc *nats.Conn, opts Options, first uint64, replace bool) (log *Log, finish func(context.Context) error, err error) {
	opts, err = opts.complete(nc)
	if err != nil {
		return nil, nil, fmt.Errorf("jetstreamlog: %w", err)
	}
	l, err := newLog(nc, opts)
	if err != nil {
		return nil, nil, fmt.Errorf("jetstreamlog: %w", err)
	}
	if err := l.makeRestored(ctx, first, replace); err != nil {
		return nil, nil, fmt.Errorf("jetstreamlog: restore the journal of cell %s: %w", opts.Cell, errors.Join(err, l.Close()))
	}
	return l, l.finishRestored, nil
}

func (l *Log) makeRestored(ctx context.Context, first uint64, replace bool) error {
	config := streamConfig(l.opts)
	config.Metadata = map[string]string{unfinished: "1"}
	config.FirstSeq = uint64(time.Now().UnixMilli())
	var old jetstream.Stream
	err := retry(ctx, l.opts.Patience, func(ctx context.Context) (err error) {
		old, err = l.js.Stream(ctx, config.Name)
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
	case err != nil:
		return err
	case !replace:
		info := old.CachedInfo()
		_, rest := info.Config.Metadata[unfinished]
		return &ErrOccupied{config.Name, info.State.Msgs, info.State.Bytes, rest}
	default:
		config.FirstSeq = max(config.FirstSeq, old.CachedInfo().State.LastSeq+seqGap)
		if err := l.js.DeleteStream(ctx, config.Name); err != nil {
			return err
		}
	}
	if l.stream, err = l.js.CreateStream(ctx, config); err != nil {
		return err
	}
	l.end = &end{message: config.FirstSeq - 1, record: first - 1}
	return nil
}

// finishRestored makes of the stream a journal. The last record must have been acknowledged.
func (l *Log) finishRestored(ctx context.Context) error {
	info, err := l.stream.Info(ctx)
	if err != nil {
		return err
	}
	config := info.Config
	delete(config.Metadata, unfinished)
	if _, err := l.js.UpdateStream(ctx, config); err != nil {
		return fmt.Errorf("jetstreamlog: end the restore of cell %s: %w", l.opts.Cell, err)
	}
	return nil
}
