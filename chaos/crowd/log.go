package crowd

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
)

// errPlayed is what appends fail with that fail on purpose.
var errPlayed = errors.New("crowd: the disk has failed, on purpose")

// weather is how bad a log is. Each fault is for all handles on it.
type weather struct {
	mu     sync.Mutex
	random *rand.Rand
	// slow is how long appends take at most; failures is how many may still come.
	slow     time.Duration
	failures int
	// bad says that faults come.
	bad    bool
	failed atomic.Int32
}

// fate of one append.
type fate int

const (
	stored fate = iota
	// unstored fails without effect, unheard is stored and fails all the same.
	unstored
	unheard
)

func (w *weather) draw() (wait time.Duration, f fate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.bad {
		return 0, stored
	}
	if w.slow > 0 && w.random.IntN(3) == 0 {
		wait = time.Duration(w.random.Int64N(int64(w.slow)))
	}
	if w.failures > 0 && w.random.IntN(60) == 0 {
		w.failures--
		w.failed.Add(1)
		f = unstored + fate(w.random.IntN(2))
	}
	return wait, f
}

// begin lets faults come, calmDown ends them.
func (w *weather) begin()    { w.set(true) }
func (w *weather) calmDown() { w.set(false) }

func (w *weather) set(bad bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad = bad
}

// log is a handle on a log in bad weather: slow, and failing now and then, before an append has its effect or after it.
type log struct {
	journal.Log
	w    *weather
	work chan func()
	done chan struct{}

	mu     sync.Mutex
	failed error
	closed bool
}

var _ journal.Log = (*log)(nil)

func newLog(inner journal.Log, w *weather) *log {
	l := &log{Log: inner, w: w, work: make(chan func(), journal.MaxInFlight), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for do := range l.work {
			do()
		}
	}()
	return l
}

// Append implements journal.Log. Appends wait in line, so that their answers keep their order.
func (l *log) Append(seq uint64, data []byte, done func(error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		go done(journal.ErrClosed)
		return
	}
	l.work <- func() { done(l.append(seq, data)) }
}

func (l *log) append(seq uint64, data []byte) error {
	if l.failed != nil {
		return l.failed
	}
	wait, f := l.w.draw()
	time.Sleep(wait)
	var err error
	if f != unstored {
		answer := make(chan error, 1)
		l.Log.Append(seq, data, func(err error) { answer <- err })
		err = <-answer
	}
	if err == nil && f != stored {
		err = errPlayed
	}
	l.failed = err
	return err
}

// Close implements journal.Log.
func (l *log) Close() error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.work)
	}
	l.mu.Unlock()
	err := l.Log.Close()
	<-l.done
	return err
}
