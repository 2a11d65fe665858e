// Package group is the group commit that the durable stores of the journal share: all appends that wait while one write
// is under way go together into the next. The more load, the more records a write; and as there is never more than one
// write under way, a store need only fence that one.
package group

import (
	"cmp"
	"errors"
	"fmt"
	"sync"

	"github.com/troupe-sched/troupe/actors/journal"
)

// Writer carries appends to a store and answers them in order, as journal.Log demands. After journal.ErrFull it goes on:
// nothing was stored, so all appends that wait are answered with it, and the next one taken is the first of them, once its
// owner comes with it again. Those behind it, which the owner may have sent before it heard, are refused as full, too, and
// not as those of another master.
type Writer struct {
	store   func(first uint64, records [][]byte) error
	sizeMax int

	mu      sync.Mutex
	wake    *sync.Cond
	last    uint64 // the last sequence taken
	began   bool   // whether last is known
	waiting []entry
	refused error // what every append is refused with, once one was
	full    error // why nothing behind record last is taken, until the one behind it comes again; nil if there was room
	closed  bool
	gone    bool          // everything is answered, and the goroutine has ended
	ended   chan struct{} // closed when it has
}

// entry is an append whose done has not been called.
type entry struct {
	seq  uint64
	data []byte
	done func(error)
	// err is set on an append that was refused; it waits in line all the same, so that done is called in order.
	err error
}

// New starts a Writer whose first append must be record last+1. store brings records, numbered from first on, to where they are durable.
// It is called from one goroutine, with records of at most sizeMax bytes together (a single record may be larger), and never again once
// it has failed, unless with journal.ErrFull, which says that nothing of them was stored.
func New(last uint64, sizeMax int, store func(first uint64, records [][]byte) error) *Writer {
	return start(&Writer{store: store, sizeMax: sizeMax, last: last, began: true})
}

// NewAnywhere is New for a store that finds out itself whether the first append follows its last record.
func NewAnywhere(sizeMax int, store func(first uint64, records [][]byte) error) *Writer {
	return start(&Writer{store: store, sizeMax: sizeMax})
}

func start(w *Writer) *Writer {
	w.wake = sync.NewCond(&w.mu)
	w.ended = make(chan struct{})
	go w.run()
	return w
}

// Append is Append of journal.Log.
func (w *Writer) Append(seq uint64, data []byte, done func(error)) {
	w.mu.Lock()
	if w.gone {
		w.mu.Unlock()
		done(journal.ErrClosed)
		return
	}
	defer w.mu.Unlock()
	switch {
	case w.refused != nil:
	case w.closed:
		w.refused = journal.ErrClosed
	case len(w.waiting) >= journal.MaxInFlight:
		w.refused = fmt.Errorf("append of record %d: %d appends are waiting, which is the most", seq, len(w.waiting))
	case w.full != nil && seq > w.last+1:
		w.waiting = append(w.waiting, entry{seq: seq, done: done, err: w.full})
		w.wake.Signal()
		return
	case seq == 0 || w.began && seq != w.last+1:
		w.refused = fmt.Errorf("%w: append of record %d after record %d", journal.ErrFenced, seq, w.last)
	case len(data) == 0 || len(data) > journal.MaxRecord:
		w.refused = fmt.Errorf("append of record %d: it has %d bytes, it must have from 1 to %d", seq, len(data), journal.MaxRecord)
	default:
		w.last, w.began, w.full = seq, true, nil
	}
	w.waiting = append(w.waiting, entry{seq: seq, data: data, done: done, err: w.refused})
	w.wake.Signal()
}

// Closed reports whether Close was called.
func (w *Writer) Closed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

// Close takes nothing more, and returns when what was taken is stored and answered. It may be called again.
func (w *Writer) Close() {
	w.mu.Lock()
	w.closed = true
	w.wake.Signal()
	w.mu.Unlock()
	<-w.ended
}

// Gone is closed when everything is answered after Close.
func (w *Writer) Gone() <-chan struct{} { return w.ended }

func (w *Writer) run() {
	defer close(w.ended)
	var broken error
	for group := w.next(); len(group) > 0; group = w.next() {
		err := cmp.Or(broken, group[0].err)
		if err == nil {
			if err = w.store(group[0].seq, records(group)); errors.Is(err, journal.ErrFull) {
				group = append(group, w.rewind(group[0].seq-1, err)...)
			} else {
				broken = err
			}
		}
		for _, e := range group {
			e.done(cmp.Or(broken, e.err, err))
		}
	}
}

// rewind makes last the last record taken, and returns the appends that wait behind it.
func (w *Writer) rewind(last uint64, full error) []entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	waiting := w.waiting
	w.waiting, w.last, w.full = nil, last, full
	return waiting
}

func records(group []entry) [][]byte {
	all := make([][]byte, len(group))
	for i, e := range group {
		all[i] = e.data
	}
	return all
}

// next takes the entries of one write, or one that was refused, waiting for the first of them. It returns none when the
// writer is closed and everything is answered.
func (w *Writer) next() []entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.waiting) == 0 {
		if w.closed {
			w.gone = true
			return nil
		}
		w.wake.Wait()
	}
	n, size := 1, len(w.waiting[0].data)
	for w.waiting[0].err == nil && n < len(w.waiting) && w.waiting[n].err == nil && size+len(w.waiting[n].data) <= w.sizeMax {
		size += len(w.waiting[n].data)
		n++
	}
	group := w.waiting[:n:n]
	w.waiting = w.waiting[n:]
	return group
}
