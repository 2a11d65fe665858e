// Package jetstreamlog keeps the journal of a cell of several masters in one JetStream stream. Every write names the
// message that it must follow, so that of two masters at most one can write: the stream is the fence. A write that was
// not acknowledged is looked up until it is known whether it was stored.
package jetstreamlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/store/group"
)

const (
	// Patience is how long the store is asked again when it does not answer, unless Options says otherwise: longer than
	// the election of a new stream leader, shorter than the window in which the stream knows a record that comes twice.
	Patience = 30 * time.Second
	// duplicates is that window.
	duplicates = 2 * time.Minute
	// missingMax is how often in a row a message that must be there may be said not to be, over about a second.
	missingMax = 8
	// tryTimeout bounds the first try of a request; each that was too short doubles it up to tryMax, for a machine may be
	// so busy that a large message takes longer.
	tryTimeout, tryMax = 2 * time.Second, 16 * time.Second
	// headerRoom is what the headers of a message may add to a record.
	headerRoom = 1024
	// readAhead is how many bytes a reader has on the way.
	readAhead = 8 << 20
)

// Options of a Log. Cell is required.
type Options struct {
	// Cell names the cell; its journal has a stream of its own.
	Cell string
	// Replicas of the stream, 1, 3 or 5; 1 if zero. With fewer than 3 the loss of one server's disk loses the journal.
	Replicas int
	// BytesMax bounds a stream that is made; 0 means the limits of the server.
	BytesMax int64
	// Patience overrides the constant of that name.
	Patience time.Duration
	// Room is asked before every write whether the servers have room for it; its error is journal.ErrFull for whoever appends.
	// nil if only the servers know.
	Room func() error
	// Log gets a line for every append that had to be looked up; nil drops them.
	Log *slog.Logger
}

// Log is one master's handle on the journal of its cell. It implements journal.Log. Records that are appended while a
// write is under way go together into the next, as one message of the stream.
type Log struct {
	js     jetstream.JetStream
	stream jetstream.Stream
	opts   Options
	// ctx ends when the log is closed.
	ctx    context.Context
	cancel context.CancelFunc
	writer *group.Writer
	// writerID tells what this handle has written from what any other has.
	writerID string
	// end is where the log ends, nil before the first append; only the writer uses it. From then on it moves by our own
	// writes alone: whoever took it from the stream could write after being deposed.
	end *end
	// readers counts the readers there have been.
	readers atomic.Int64
}

var _ journal.Log = (*Log)(nil)

// StreamName is the name of the stream that holds the journal of a cell, Subject the subject of its records.
func StreamName(cell string) string { return "TROUPE_JOURNAL_" + cell }

// Subject is the subject of the records of a cell's journal.
func Subject(cell string) string { return "troupe.journal." + cell }

// Open opens the journal of a cell over nc, and makes its stream if there is none. A stream that is there must have the
// settings that make it a journal. nc stays the caller's to close, after the Log; it must not buffer while it is
// disconnected, and best carries nothing else.
func Open(ctx context.Context, nc *nats.Conn, opts Options) (*Log, error) {
	opts, err := opts.complete(nc)
	if err != nil {
		return nil, fmt.Errorf("jetstreamlog: %w", err)
	}
	l, err := newLog(nc, opts)
	if err != nil {
		return nil, fmt.Errorf("jetstreamlog: %w", err)
	}
	if err := retry(ctx, opts.Patience, l.openStream); err != nil {
		l.cancel()
		l.writer.Close()
		return nil, fmt.Errorf("jetstreamlog: open the journal of cell %s: %w", opts.Cell, err)
	}
	return l, nil
}

// complete fills in the defaults and checks the rest.
func (o Options) complete(nc *nats.Conn) (Options, error) {
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.Patience <= 0 {
		o.Patience = Patience
	}
	return o, check(nc, &o)
}

// newLog is a Log whose stream is not open yet.
func newLog(nc *nats.Conn, opts Options) (*Log, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncTimeout(tryTimeout))
	if err != nil {
		return nil, err
	}
	l := &Log{js: js, opts: opts, writerID: nuid.Next()}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.writer = group.NewAnywhere(frameMax, l.store)
	return l, nil
}

func check(nc *nats.Conn, opts *Options) error {
	switch {
	case !model.ValidName(opts.Cell):
		return fmt.Errorf("cell %q is not a name: it must be of a-z, 0-9, _ and -, the first a letter or a digit, at most %d of them", opts.Cell, model.MaxNameLen)
	case opts.Replicas != 1 && opts.Replicas != 3 && opts.Replicas != 5:
		return fmt.Errorf("%d replicas: it must be 1, 3 or 5", opts.Replicas)
	case nc.Opts.ReconnectBufSize != -1:
		return errors.New("the connection buffers while it is disconnected, and would write out of time: open it with nats.ReconnectBufSize(-1)")
	case nc.MaxPayload() < journal.MaxRecord+headerRoom:
		return fmt.Errorf("the server takes messages of at most %d bytes, a record may have %d: set its max_payload to 2MB", nc.MaxPayload(), journal.MaxRecord)
	}
	return nil
}

// openStream finds the stream or makes it.
func (l *Log) openStream(ctx context.Context) (err error) {
	l.stream, err = l.js.Stream(ctx, StreamName(l.opts.Cell))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		l.stream, err = l.js.CreateStream(ctx, streamConfig(l.opts))
	}
	if err != nil {
		return err
	}
	return checkStream(l.stream.CachedInfo().Config, l.opts)
}

// Close implements journal.Log. What is being written is not looked up any more.
func (l *Log) Close() error {
	l.cancel()
	l.writer.Close()
	l.js.CleanupPublisher()
	return nil
}

// call makes a request, again and again while the store does not answer.
func (l *Log) call(ctx context.Context, do func(context.Context) error) error {
	if l.writer.Closed() {
		return journal.ErrClosed
	}
	missing := 0
	err := retry(ctx, l.opts.Patience, func(ctx context.Context) error {
		err := do(ctx)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			// A trim may have come between, or the one who was asked is behind the one who knew of the message.
			if missing++; missing == missingMax {
				return fmt.Errorf("%w: the stream has a hole: %w", journal.ErrCorrupt, err)
			}
		}
		return err
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("jetstreamlog: journal of cell %s: %w", l.opts.Cell, PortError(err))
}

// PortError names what JetStream says by the words of the port.
func PortError(err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("%w: the stream is gone: %w", journal.ErrCorrupt, err)
	case errors.As(err, &api) && slices.Contains(codesFull, api.ErrorCode):
		return fmt.Errorf("%w: %w", journal.ErrFull, err)
	case errors.Is(err, nats.ErrConnectionClosed):
		return fmt.Errorf("%w: %w", journal.ErrClosed, err)
	}
	return err
}

// What the server says when there is no room: in the account, on the server or in the cluster, on the server's disk, in the
// stream. The client library has no names for them.
var codesFull = []jetstream.ErrorCode{10002, 10023, 10047, 10077}

// codeStreams is what it says when the account may have no more streams.
const codeStreams jetstream.ErrorCode = 10027

// lasting reports whether trying again is of no use.
func lasting(err error) bool {
	var wrong *settingsError
	var api *jetstream.APIError
	return errors.As(err, &wrong) || errors.As(err, &api) && api.ErrorCode == codeStreams || errors.Is(err, journal.ErrCorrupt) || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrMaxPayload) ||
		errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) ||
		errors.Is(PortError(err), journal.ErrFull)
}

// retry calls do until it succeeds, fails for good, or patience or ctx ends.
func retry(ctx context.Context, patience time.Duration, do func(context.Context) error) error {
	deadline := time.Now().Add(patience)
	timeout := tryTimeout
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		try, cancel := context.WithTimeout(ctx, timeout)
		err := do(try)
		if try.Err() != nil {
			timeout = min(2*timeout, tryMax)
		}
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return errors.Join(ctx.Err(), err)
		case lasting(err):
			return err
		case time.Now().After(deadline):
			return fmt.Errorf("given up after %v: %w", patience, err)
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
