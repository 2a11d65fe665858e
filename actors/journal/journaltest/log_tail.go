package journaltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/troupe-sched/troupe/actors/journal"
)

// tail is a Tail under way.
type tail struct {
	l      *logTest
	cancel context.CancelFunc
	seen   *queue[stored]
	end    chan error
}

type stored struct {
	seq  uint64
	data []byte
}

func (l *logTest) tail(from uint64) *tail {
	ctx, cancel := context.WithCancel(l.ctx)
	t := &tail{l: l, cancel: cancel, seen: newQueue[stored](), end: make(chan error, 1)}
	log := l.log
	go func() {
		t.end <- log.Tail(ctx, from, func(seq uint64, data []byte) error {
			t.seen.put(stored{seq, bytes.Clone(data)})
			return nil
		})
	}()
	return t
}

// want waits for records from to to (inclusive), in order and with nothing else between.
func (t *tail) want(from, to uint64, record func(uint64) []byte) {
	t.l.Helper()
	for seq := from; seq <= to; seq++ {
		got, err := t.seen.take(t.l.ctx)
		if err != nil {
			t.l.Fatalf("the tail does not come to record %d: %v", seq, err)
		}
		if got.seq != seq || !bytes.Equal(got.data, record(seq)) {
			t.l.Fatalf("the tail gives record %d, %.60q, where record %d belongs", got.seq, got.data, seq)
		}
	}
}

// wantEnd waits for the end of the tail.
func (t *tail) wantEnd(want error) {
	t.l.Helper()
	defer t.cancel()
	select {
	case err := <-t.end:
		if !errors.Is(err, want) {
			t.l.Fatalf("the tail ends with %v, want %v", err, want)
		}
	case <-t.l.ctx.Done():
		t.l.Fatalf("the tail does not end; it should with %v", want)
	}
}

func (t *tail) stop() {
	t.l.Helper()
	t.cancel()
	t.wantEnd(context.Canceled)
	if n := t.seen.len(); n != 0 {
		t.l.Fatalf("the tail has %d records more than there are", n)
	}
}

// tailing shows that a tail has what was there and what comes, whether it began before or in the middle.
func (l *logTest) tailing() {
	first := l.tail(1)
	l.mustAppend(1, 1)
	first.want(1, 1, byA)
	l.mustAppend(2, 40)
	first.want(2, 40, byA)
	middle, end := l.tail(17), l.tail(41)
	middle.want(17, 40, byA)
	for seq := uint64(41); seq <= 60; seq++ {
		l.mustAppend(seq, seq)
	}
	l.mustAppend(61, 500)
	for _, t := range []*tail{first, middle, end} {
		t.want(41, 500, byA)
		t.stop()
	}
}

// tailStops shows that a tail ends with the error of its reader, and with the log.
func (l *logTest) tailStops() {
	l.mustAppend(1, 9)
	stop := errors.New("stop")
	err := l.log.Tail(l.ctx, 3, func(seq uint64, _ []byte) error {
		if seq == 7 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		l.Fatalf("the tail ends with %v, want the error of its reader", err)
	}
	t := l.tail(1)
	t.want(1, 9, byA)
	l.close()
	t.wantEnd(journal.ErrClosed)
}

// tailTrimmed shows that a tail never passes over records: what it cannot give is an error.
func (l *logTest) tailTrimmed() {
	l.mustAppend(1, 30)
	for range 3 {
		if err := l.log.Trim(l.ctx, 20); err != nil {
			l.Fatal(err)
		}
	}
	if first, _, err := l.log.Bounds(l.ctx); err != nil {
		l.Fatal(err)
	} else if first > 1 {
		t := l.tail(first - 1)
		t.wantEnd(journal.ErrTrimmed)
	}
	// One that is slow is overtaken: either it has what comes next from before the trim, or it says so.
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	next := uint64(30)
	err := l.log.Tail(ctx, next, func(seq uint64, data []byte) error {
		if seq != next || !bytes.Equal(data, byA(seq)) {
			return fmt.Errorf("record %d where record %d belongs", seq, next)
		}
		next++
		switch seq {
		case 35:
			cancel()
		case 30:
			for from := uint64(31); from <= 330; from += 100 {
				l.mustAppend(from, from+99)
				if err := l.log.Trim(l.ctx, from+99); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if !errors.Is(err, journal.ErrTrimmed) && (!errors.Is(err, context.Canceled) || next <= 35) {
		l.Fatalf("the tail ends before record %d with %v", next, err)
	}
}

// tailForeign shows that a tail sees what other masters write.
func (l *logTest) tailForeign() {
	b := l.second()
	if b == nil {
		return
	}
	defer b.Close()
	t := l.tail(1)
	byB := func(seq uint64) []byte { return data(seq, "b") }
	for _, err := range appendAll(l.ctx, l, b, 1, 200, byB) {
		if err != nil {
			l.Fatal(err)
		}
	}
	t.want(1, 200, byB)
	t.stop()
}
