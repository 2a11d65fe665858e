// Package memlog keeps a journal and its snapshots in memory: for cells that need not outlive their process, and for
// simulated disks. Everything happens inside the call, on the caller's goroutine, so that a seeded world replays.
package memlog

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/cluster/store/group"
)

// BytesMax is the size of a log for which Options names none.
const BytesMax = 1 << 30

// Options of a Log.
type Options struct {
	// BytesMax is the most bytes of all records together; an append beyond it gives ErrFull. BytesMax if zero.
	BytesMax int64
}

// Log is one writer's handle on records in memory. It implements journal.Log.
type Log struct {
	disk *disk
	mu   sync.Mutex
	// failed is what every append answers once one has failed.
	failed error
	again  uint64        // the append that failed first
	gone   chan struct{} // closed by Close
}

var _ journal.Log = (*Log)(nil)

// disk is what the handles share: what a real disk would hold.
type disk struct {
	mu       sync.RWMutex
	bytesMax int64
	bytes    int64
	first    uint64
	records  [][]byte
	grown    chan struct{} // closed, and another one put there, with each append
}

// New makes an empty log.
func New(opts Options) *Log {
	if opts.BytesMax <= 0 {
		opts.BytesMax = BytesMax
	}
	return &Log{disk: &disk{bytesMax: opts.BytesMax, first: 1, grown: make(chan struct{})}, gone: make(chan struct{})}
}

// Reopen returns another handle on the same records, as a restarted process or a second master would have it. Handles
// fence each other by sequence like the writers of any log.
func (l *Log) Reopen() *Log { return &Log{disk: l.disk, gone: make(chan struct{})} }

// Bounds implements journal.Log.
func (l *Log) Bounds(context.Context) (first, last uint64, err error) {
	if err := l.closed(); err != nil {
		return 0, 0, err
	}
	l.disk.mu.RLock()
	defer l.disk.mu.RUnlock()
	return l.disk.first, l.disk.last(), nil
}

func (d *disk) last() uint64 { return d.first + uint64(len(d.records)) - 1 }

// Read implements journal.Log.
func (l *Log) Read(ctx context.Context, from uint64, fn func(seq uint64, data []byte) error) error {
	if err := l.closed(); err != nil {
		return err
	}
	l.disk.mu.RLock()
	first, records := l.disk.first, l.disk.records
	l.disk.mu.RUnlock()
	if from < first {
		return fmt.Errorf("%w: record %d, the first kept is %d", journal.ErrTrimmed, from, first)
	}
	for i := from - first; i < uint64(len(records)); i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(first+i, records[i]); err != nil {
			return err
		}
	}
	return nil
}

// Tail implements journal.Log.
func (l *Log) Tail(ctx context.Context, from uint64, fn func(seq uint64, data []byte) error) error {
	return group.Tail(ctx, l, from, fn, l.gone, func() <-chan struct{} {
		l.disk.mu.RLock()
		defer l.disk.mu.RUnlock()
		return l.disk.grown
	})
}

// Append implements journal.Log; done is called before it returns.
func (l *Log) Append(seq uint64, data []byte, done func(error)) {
	l.mu.Lock()
	if l.failed == nil || errors.Is(l.failed, journal.ErrFull) && seq == l.again {
		l.failed, l.again = l.disk.append(seq, data), seq
	}
	err := l.failed
	l.mu.Unlock()
	done(err)
}

func (d *disk) append(seq uint64, data []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case seq != d.last()+1:
		return fmt.Errorf("%w: append of record %d, but the log ends with record %d", journal.ErrFenced, seq, d.last())
	case len(data) == 0 || len(data) > journal.MaxRecord:
		return fmt.Errorf("append of record %d: it has %d bytes, it must have from 1 to %d", seq, len(data), journal.MaxRecord)
	case d.bytes+int64(len(data)) > d.bytesMax:
		return fmt.Errorf("%w: %d bytes of %d in use, the record has %d", journal.ErrFull, d.bytes, d.bytesMax, len(data))
	}
	d.records = append(d.records, data)
	d.bytes += int64(len(data))
	close(d.grown)
	d.grown = make(chan struct{})
	return nil
}

// Trim implements journal.Log.
func (l *Log) Trim(_ context.Context, seq uint64) error {
	if err := l.closed(); err != nil {
		return err
	}
	d := l.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for d.first+uint64(n) < seq && n < len(d.records)-1 {
		d.bytes -= int64(len(d.records[n]))
		n++
	}
	// A new array, so that the old one does not hold on to what was trimmed.
	d.records = append([][]byte(nil), d.records[n:]...)
	d.first += uint64(n)
	return nil
}

// Close implements journal.Log; the records stay for other handles.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !errors.Is(l.failed, journal.ErrClosed) {
		l.failed = journal.ErrClosed
		close(l.gone)
	}
	return nil
}

// closed reports ErrClosed; a log that failed otherwise can still be read.
func (l *Log) closed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(l.failed, journal.ErrClosed) {
		return l.failed
	}
	return nil
}
