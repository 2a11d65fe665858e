package decisions

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/msg"
)

const (
	// SizeMin is the least size of a ring.
	SizeMin = 1 << 20
	// queueMax bounds what waits to be written; beyond it entries are lost, and the segment ends.
	queueMax = 1 << 16
	// batch is how much waits before it is written at once; else it is after flushEvery.
	batch      = 2048
	flushEvery = 250 * time.Millisecond
	// renewEvery is the least time between two requests to begin anew: each costs the placer a moment.
	renewEvery = time.Minute
	// renewAfterFailure is that time when files could not be written.
	renewAfterFailure = time.Hour
)

// Options of a Recorder. Dir is required.
type Options struct {
	// Dir keeps the ring, and nothing else.
	Dir string
	// Size is the most bytes of all files together, at least SizeMin.
	Size int64
	// Version of the program.
	Version string
	// Log gets a line when something is not recorded; nil drops them.
	Log *slog.Logger
}

// Recorder writes what placers hear and say into a ring of files. What passes is written by a goroutine of its own: the
// placer is never kept waiting, and what cannot be written in time is lost and marked.
type Recorder struct {
	opts Options
	wake chan struct{}
	done chan struct{}

	mu     sync.Mutex
	queue  []event
	lost   uint64
	closed bool

	// The rest belongs to the goroutine.
	segment *segment
	spare   []event
	asked   time.Time // to begin anew
	failed  bool      // told of once
}

// event is what passed, as it is kept until it is written.
type event struct {
	tap      *tap
	kind     Kind
	at       int64
	from, to kit.Ref
	message  any
}

// Open begins to record into opts.Dir, which is made if it is not there. What is in it stays as long as there is room.
func Open(opts Options) (*Recorder, error) {
	if opts.Size < SizeMin {
		return nil, fmt.Errorf("decisions: a size of %d bytes; right would be %d or more", opts.Size, SizeMin)
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("decisions: %w", err)
	}
	r := &Recorder{opts: opts, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go r.run()
	return r, nil
}

// Close writes what waits and ends the recording.
func (r *Recorder) Close() error {
	r.mu.Lock()
	again := r.closed
	r.closed = true
	r.mu.Unlock()
	if !again {
		r.nudge()
	}
	<-r.done
	return nil
}

// Tap is what hears the placer of one reign. env is what its actors share; tell sends the placer a message.
func (r *Recorder) Tap(env *msg.Env, tell func(message any)) kit.Tap {
	return &tap{recorder: r, env: env, tell: tell}
}

// tap hears one placer, in its turn.
type tap struct {
	recorder *Recorder
	env      *msg.Env
	tell     func(any)
	now      int64
}

// Heard implements kit.Tap.
func (t *tap) Heard(now time.Time, from kit.Ref, message any) {
	t.now = now.UnixNano()
	t.recorder.put(event{t, Heard, t.now, from, nil, frozen(message)})
}

// Said implements kit.Tap.
func (t *tap) Said(from, to kit.Ref, message any) {
	t.recorder.put(event{t, Said, t.now, from, to, frozen(message)})
}

// Noted implements kit.Tap.
func (t *tap) Noted(note any) { t.recorder.put(event{t, Noted, t.now, nil, nil, note}) }

// frozen is a message as it may be kept: an answer that others go on to fill in is known by its type alone.
func frozen(message any) any {
	switch m := message.(type) {
	case *msg.ExplainStages:
		return (*msg.ExplainStages)(nil)
	case *msg.CellFacts:
		return (*msg.CellFacts)(nil)
	case *kit.Busy:
		return &kit.Busy{Message: frozen(m.Message)}
	case *kit.Lost:
		return &kit.Lost{Message: frozen(m.Message)}
	}
	return message
}

func (r *Recorder) put(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
	case len(r.queue) >= queueMax:
		r.lost++
	default:
		if r.queue = append(r.queue, e); len(r.queue) == batch {
			r.nudge()
		}
	}
}

func (r *Recorder) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run writes what waits, until the recorder is closed.
func (r *Recorder) run() {
	defer close(r.done)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		idle := false
		select {
		case <-r.wake:
		case <-tick.C:
			idle = true
		}
		r.mu.Lock()
		queue, lost, closed := r.queue, r.lost, r.closed
		r.queue, r.lost = r.spare[:0], 0
		r.mu.Unlock()
		r.write(queue, lost, idle || closed)
		clear(queue) // what was written is somebody else's to keep
		r.spare = queue
		if closed {
			r.end(nil)
			return
		}
	}
}

// write brings events to disk; those that are lost came behind them.
func (r *Recorder) write(queue []event, lost uint64, flush bool) {
	var last *tap
	for i := range queue {
		e := &queue[i]
		last = e.tap
		if e.begins() {
			r.begin(e)
		}
		if r.segment == nil || r.segment.tap != e.tap {
			continue // not from its beginning: of no use
		}
		if err := r.segment.add(e); err != nil {
			r.end(err)
		}
	}
	if r.segment == nil {
		r.renew(last)
		return
	}
	if lost > 0 {
		r.opts.Log.Warn("decisions are not recorded: too many at once", "lost", lost)
		_ = r.segment.add(&event{tap: r.segment.tap, kind: Gap, at: r.segment.last(), message: lost})
		r.end(nil)
		return
	}
	if flush {
		if err := r.segment.flush(); err != nil {
			r.end(err)
			return
		}
	}
	switch size := r.segment.size; {
	case size > r.opts.Size/2:
		r.end(nil) // it was not renewed in time: what comes until then is not recorded
	case size > r.opts.Size/4:
		r.renew(r.segment.tap)
	}
}

// begins reports whether an actor begins with an event, so that all that it knows comes after it.
func (e *event) begins() bool {
	if e.kind != Heard {
		return false
	}
	switch e.message.(type) {
	case kit.Started, *msg.Rebuild:
		return true
	}
	return false
}

// begin makes the next segment, and room for it.
func (r *Recorder) begin(e *event) {
	r.end(nil)
	err := prune(r.opts.Dir, r.opts.Size/2)
	if err == nil {
		r.segment, err = create(r.opts.Dir, e, r.opts.Version)
	}
	if err != nil {
		r.tellOnce(err)
	}
}

// end closes the segment.
func (r *Recorder) end(why error) {
	if r.segment == nil {
		return
	}
	if err := errors.Join(why, r.segment.close()); err != nil {
		r.tellOnce(err)
	}
	r.segment = nil
}

func (r *Recorder) tellOnce(err error) {
	if !r.failed {
		r.failed = true
		r.opts.Log.Warn("decisions are not recorded", "reason", err)
	}
}

// renew asks the placer to begin anew, and with it the next segment; not too often.
func (r *Recorder) renew(t *tap) {
	every := renewEvery
	if r.failed {
		every = renewAfterFailure
	}
	if now := time.Now(); t != nil && now.Sub(r.asked) >= every {
		r.asked = now
		t.tell(&msg.Rebuild{})
	}
}
