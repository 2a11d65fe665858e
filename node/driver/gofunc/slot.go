package gofunc

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/troupe-sched/troupe/node/driver"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// slot runs one attempt after another.
type slot struct {
	d      *Driver
	number uint64

	mu      sync.Mutex
	attempt *attempt // the one that runs or ran last
	// releasing: Release was asked for; released: it is done and the slot is no more.
	releasing, released bool
	// events wait to be sunk by whoever is sinking, so that they keep their order without a goroutine of their own.
	events  []driver.Event
	sinking bool
}

// attempt is one call of a function. Its fields belong to the slot's lock, but for the log and what never changes.
type attempt struct {
	slot   *slot
	fence  uint64
	grace  time.Duration
	log    *attemptLog
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when the function has returned
	// busy: not told as ended yet; returned: the function has. An attempt that is neither is leaked.
	busy, returned bool
	// forced is how it ends whatever the function says, for the reason: STOPPED on request, FAILED after its time limit.
	forced  v1.AttemptPhase
	reason  string
	outcome driver.Outcome
	told    uint32 // progress in milli that was told last
	toldAt  time.Time
	ticking bool // ticker will fire
	ticker  *time.Timer
	timers  []*time.Timer
}

// start takes a task; it is false if the slot is no more.
func (s *slot) start(t *driver.Task) bool {
	s.mu.Lock()
	if s.released {
		s.mu.Unlock()
		return false
	}
	a := s.attempt
	switch {
	case a != nil && a.fence == t.Fence && a.busy:
	case a != nil && a.fence == t.Fence:
		s.emit(driver.Event{Slot: s.number, Fence: a.fence, Outcome: a.outcome})
	case a != nil && a.busy:
		s.emit(driver.Refusal(t, fmt.Sprintf("slot %d is busy with the attempt of fence %d", s.number, a.fence)))
	case a != nil && !a.returned:
		s.emit(driver.Refusal(t, fmt.Sprintf("slot %d still holds the function of fence %d, which was told to end and did not return", s.number, a.fence)))
	case s.releasing:
		s.emit(driver.Refusal(t, fmt.Sprintf("slot %d is being released", s.number)))
	case s.d.closing.Load():
	default:
		if err := s.begin(t); err != nil {
			s.emit(driver.Refusal(t, err.Error()))
		}
	}
	s.unlock()
	return true
}

// begin starts the function. Called with mu held.
func (s *slot) begin(t *driver.Task) error {
	if t.Template.GetSpec() == nil {
		return fmt.Errorf("template of job %d stage %d has no spec", t.JobUID, t.Stage)
	}
	f, err := s.d.opt.Registry.lookup(t.Template.Spec.Func)
	if err != nil {
		return err
	}
	a := &attempt{slot: s, fence: t.Fence, busy: true, done: make(chan struct{}),
		grace: time.Duration(t.Template.GraceMs) * time.Millisecond,
		log:   &attemptLog{fence: t.Fence, uid: t.JobUID, index: t.Index, stage: t.Template.Spec.Name, max: s.d.opt.LogMax}}
	a.outcome = driver.Outcome{Phase: running, Started: time.Now()}
	ctx, cancel := context.WithCancelCause(context.Background())
	a.cancel = cancel
	a.ticking = true
	a.ticker = time.AfterFunc(driver.QuietStart, a.tick)
	if limit := time.Duration(t.Template.TimeoutMs) * time.Millisecond; limit > 0 {
		a.timers = append(a.timers, time.AfterFunc(limit, func() { s.force(a, failed, "timeout after "+limit.String()) }))
	}
	s.attempt = a
	go a.run(ctx, f, newCall(t, a))
	return nil
}

// run calls the function and takes how it ended, be it by return, panic or runtime.Goexit.
func (a *attempt) run(ctx context.Context, f Func, c *Call) {
	end := fmt.Errorf("the function ended its goroutine (runtime.Goexit)")
	defer func() {
		if r := recover(); r != nil {
			end = fmt.Errorf("panic: %v", r)
			_, _ = a.log.write(stderr, fmt.Appendf(nil, "panic: %v\n\n%s", r, debug.Stack()))
		}
		if end == nil {
			end = c.failure()
		}
		a.finish(end)
	}()
	end = f(ctx, c)
}

// finish takes the end of the function.
func (a *attempt) finish(err error) {
	a.cancel(nil)
	s := a.slot
	s.mu.Lock()
	a.returned = true
	close(a.done)
	if a.busy {
		phase, reason := succeeded, ""
		if err != nil {
			phase, reason = failed, err.Error()
		}
		if a.forced != 0 {
			phase, reason = a.forced, a.reason
		}
		s.end(a, phase, reason)
	} else {
		s.d.leaked.Add(-1)
	}
	if s.releasing {
		s.vanish()
	}
	s.unlock()
}

// end makes the outcome of an attempt final. Called with mu held.
func (s *slot) end(a *attempt, phase v1.AttemptPhase, reason string) {
	a.busy = false
	a.ticker.Stop()
	for _, t := range a.timers {
		t.Stop()
	}
	a.outcome.Phase, a.outcome.Reason, a.outcome.Ended = phase, driver.CleanReason(reason), time.Now()
	if phase != succeeded {
		a.outcome.Result = nil
		a.outcome.ExitCode = 1
	}
	s.d.logs.ended(a.log)
	s.emit(driver.Event{Slot: s.number, Fence: a.fence, Outcome: a.outcome})
}

// stop asks the function to end.
func (s *slot) stop(fence uint64, reason string) {
	s.mu.Lock()
	a := s.attempt
	s.mu.Unlock()
	if a != nil && a.fence == fence {
		s.force(a, stopped, "stopped: "+reason)
	}
}

// force ends the context of a function; the first reason stands.
func (s *slot) force(a *attempt, phase v1.AttemptPhase, reason string) {
	s.mu.Lock()
	if a.busy && a.forced == 0 {
		a.forced, a.reason = phase, driver.CleanReason(reason)
		a.cancel(fmt.Errorf("%s", a.reason))
		a.timers = append(a.timers, time.AfterFunc(a.grace, func() { s.giveUp(a) }))
	}
	s.unlock()
}

// giveUp reports an attempt as ended whose function does not return.
func (s *slot) giveUp(a *attempt) {
	s.mu.Lock()
	if a.busy {
		s.d.leaked.Add(1)
		s.d.opt.Log.Error("function does not return and is leaked", "slot", s.number, "fence", a.fence, "reason", a.reason)
		s.end(a, a.forced, fmt.Sprintf("%s; the function did not return within %s", a.reason, a.grace))
	}
	s.unlock()
}

// release ends what runs; it is false if the slot is gone already.
func (s *slot) release(reason string) bool {
	s.mu.Lock()
	if s.released {
		s.mu.Unlock()
		return false
	}
	s.releasing = true
	a := s.attempt
	idle := a == nil || a.returned
	if idle {
		s.vanish()
	}
	s.unlock()
	if !idle {
		s.force(a, stopped, "stopped: "+reason)
	}
	return true
}

// vanish makes the driver forget the slot and reports it released. Called with mu held.
func (s *slot) vanish() {
	s.released = true
	s.d.mu.Lock()
	delete(s.d.slots, s.number)
	s.d.mu.Unlock()
	s.emit(driver.Event{Slot: s.number, Released: true})
}

// close ends the function without a report; done is nil if none runs.
func (s *slot) close() (done <-chan struct{}, grace time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.attempt
	if a == nil || a.returned {
		return nil, 0
	}
	a.ticker.Stop()
	a.cancel(fmt.Errorf("the driver is closed"))
	return a.done, a.grace
}

// tick tells the attempt as running, with its progress.
func (a *attempt) tick() {
	s := a.slot
	s.mu.Lock()
	a.ticking = false
	if a.busy {
		a.told, a.toldAt = a.outcome.ProgressMilli, time.Now()
		s.emit(driver.Event{Slot: s.number, Fence: a.fence, Outcome: driver.Outcome{
			Phase: running, ProgressMilli: a.told, Started: a.outcome.Started}})
	}
	s.unlock()
}

// progress takes what the function says and sees to it that it is told in time.
func (a *attempt) progress(milli uint32) {
	a.slot.mu.Lock()
	defer a.slot.mu.Unlock()
	if !a.busy {
		return
	}
	a.outcome.ProgressMilli = milli
	if !a.ticking && milli != a.told {
		a.ticking = true
		a.ticker.Reset(max(0, time.Until(a.toldAt.Add(driver.ProgressEvery))))
	}
}

// setResult is false if the attempt has ended.
func (a *attempt) setResult(data []byte) bool {
	a.slot.mu.Lock()
	defer a.slot.mu.Unlock()
	if a.busy {
		a.outcome.Result = data
	}
	return a.busy
}

// emit appends an event to those that unlock will sink. Called with mu held.
func (s *slot) emit(e driver.Event) { s.events = append(s.events, e) }

// unlock gives the slot's lock back and sinks its events, without the lock and in order: if somebody is sinking already,
// it is left to them.
func (s *slot) unlock() {
	defer s.mu.Unlock()
	if s.sinking {
		return
	}
	s.sinking = true
	for len(s.events) > 0 {
		batch := s.events
		s.events = nil
		s.mu.Unlock()
		for _, e := range batch {
			if !s.d.closing.Load() {
				s.d.sink(e)
			}
		}
		s.mu.Lock()
	}
	s.sinking = false
}
