package journal

import (
	"context"
	"errors"
	"fmt"
)

// Errors of a Log. Stores wrap them; callers test with errors.Is.
var (
	// ErrFenced: another writer has appended since; the caller is deposed and must step down for good.
	ErrFenced = errors.New("journal: fenced: another master has written")
	// ErrCorrupt: a record is missing, repeated, out of order or damaged.
	ErrCorrupt = errors.New("journal: corrupt")
	// ErrTrimmed: the record asked for is forgotten; a snapshot holds what it said. It is an ErrCorrupt to whoever has none.
	ErrTrimmed = fmt.Errorf("%w: the record was trimmed", ErrCorrupt)
	// ErrFull: the store has no room; nothing was written, reads still work, and the same append may be tried again.
	ErrFull = errors.New("journal: store is full")
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("journal: closed")
)

// Log is the append-only store of encoded records, numbered 1, 2, 3 … without a gap.
// One goroutine at a time may call Append; Read, Tail and Trim may run beside it.
// Implementations: cluster/store/badgerlog (one process), cluster/store/jetstreamlog (a cell of several masters) and
// cluster/store/memlog (nothing survives the process). journaltest.RunLog is the conformance suite of all of them.
type Log interface {
	// Bounds returns the first sequence still kept and the last one; last is 0 when the log is empty, and first is
	// last+1 when everything was trimmed.
	Bounds(ctx context.Context) (first, last uint64, err error)
	// Read calls fn with every record from sequence from (at least the first kept) to the last there is at the time
	// of the call, in order. It fails with ErrTrimmed before the first kept, with ErrCorrupt on a gap. fn's error ends it
	// and is returned.
	Read(ctx context.Context, from uint64, fn func(seq uint64, data []byte) error) error
	// Tail is Read that goes on with what comes, whoever appends it, until ctx ends, and then returns its error. While
	// the store does not answer it waits. It fails as Read does, also when a trim overtakes it, and with ErrClosed.
	Tail(ctx context.Context, from uint64, fn func(seq uint64, data []byte) error) error
	// Append stores data as record seq and returns at once. done is called once, from any goroutine, in the order
	// of the appends: with nil when the record is durable, or with the reason. Appends may be pipelined; when one
	// fails all later ones fail too, until, after ErrFull alone, the one that failed first is appended again.
	// It fails with ErrFenced if the log's last sequence is not seq-1.
	// A store whose acknowledgement was lost finds out itself whether the record was stored.
	Append(seq uint64, data []byte, done func(error))
	// Trim forgets records before seq; never the last one. It may do so later or in part.
	Trim(ctx context.Context, seq uint64) error
	Close() error
}

// Snapshots keeps whole states as checked generations. journaltest.RunSnapshots is its conformance suite.
type Snapshots interface {
	// Save writes one generation: entries in order. It is there whole or not at all; older generations but one go.
	Save(ctx context.Context, seq uint64, entries [][]byte) error
	// Kept lists the sequences of the generations that there are, newest first, without looking into them.
	Kept(ctx context.Context) ([]uint64, error)
	// Load returns the newest generation whose count and checksum hold, falling back to the one before it;
	// seq 0 and no entries if there is none.
	Load(ctx context.Context) (seq uint64, entries [][]byte, err error)
	Close() error
}
