//go:build linux || darwin

package process

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/driver/process/internal/host"
	"github.com/troupe-sched/troupe/node/driver/process/internal/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// live serves shims of the slot, one after the other, until there is none and none is needed: first the one that l leads
// to, or a new one if l is nil.
func (s *slot) live(l *link) {
	for again := true; again; l = nil {
		var err error
		if l == nil {
			l, err = s.d.spawn(s.dir)
		}
		if err != nil {
			again = s.over(ended(failed, "shim cannot be started: "+err.Error()))
			continue
		}
		again = s.serve(l)
	}
}

// serve hears what the shim tells until it is gone, or the driver is closed. It says whether a new one is needed.
func (s *slot) serve(l *link) bool {
	for s.attach(l) {
		st, err := l.next()
		if err != nil {
			s.d.opt.Log.Debug("shim hung up", "slot", s.number, "cause", err)
			break
		}
		s.heard(l, st)
	}
	_ = l.conn.Close()
	if s.d.closing.Load() {
		s.leave(l)
		return false
	}
	return s.bury(l)
}

// leave lets the shim live on, if it has ever been told anything.
func (s *slot) leave(l *link) {
	s.mu.Lock()
	up := s.up
	s.mu.Unlock()
	switch {
	case l.process == nil:
	case up:
		_ = l.process.Release()
	default:
		_ = l.process.Kill()
		_, _ = l.process.Wait()
	}
}

// attach makes l the way to the shim; it is false if the driver was closed meanwhile.
func (s *slot) attach(l *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link = l
	return !s.d.closing.Load()
}

// heard takes one word of the shim: at the first, what waits is sent; about the attempt, an event is made of it.
func (s *slot) heard(l *link, st *v1.ShimState) {
	s.mu.Lock()
	s.shim = identityOf(st)
	var events []driver.Event
	if !s.up {
		s.up = true
		_ = l.conn.SetReadDeadline(time.Time{})
		if fence := st.GetAttempt().GetFence(); s.adopted && fence != 0 && fence != s.id.Fence {
			events = s.superseded(st)
		}
		s.push()
	}
	if e, ok := s.learn(st); ok {
		events = append(events, e)
	}
	id := s.id
	s.mu.Unlock()
	s.tell(id, st.LogBytes, events)
}

// superseded is for a shim that was adopted by its file, because it was slow to answer, and then says that it had begun
// with the next attempt: the end of the one before had been told to the agent of that time.
func (s *slot) superseded(st *v1.ShimState) []driver.Event {
	var events []driver.Event
	if s.busy {
		outcome := ended(lost, "its end was told to an earlier agent")
		events = append(events, driver.Event{Slot: s.number, Fence: s.id.Fence, Outcome: outcome, Adopted: true})
	}
	first := s.inherit(st)
	if !s.busy {
		events = append(events, *first)
	}
	return events
}

// learn takes what st says of the attempt that runs; it is not ok if that is nothing. Called with mu held.
func (s *slot) learn(st *v1.ShimState) (driver.Event, bool) {
	a := st.GetAttempt()
	if !s.busy || a.GetFence() != s.id.Fence {
		return driver.Event{}, false
	}
	return s.event(outcomeOf(a)), true
}

// event makes an outcome of the attempt that runs an event; if it is final, the attempt does so no more. Called with mu
// held.
func (s *slot) event(outcome driver.Outcome) driver.Event {
	if outcome.IsFinal() {
		s.busy, s.last = false, outcome
		if s.watchdog != nil && !s.releasing {
			s.watchdog.Stop()
		}
	}
	return driver.Event{Slot: s.number, Fence: s.id.Fence, Outcome: outcome, Adopted: s.adopted}
}

// tell sinks events. The output of an attempt that ended is counted first.
func (s *slot) tell(id wire.LogID, logBytes int64, events []driver.Event) {
	for _, e := range events {
		if e.Outcome.IsFinal() && e.Fence == id.Fence {
			s.d.logs.ended(id, logBytes)
		}
		sink(s.d, e)
	}
}

// bury accounts for a shim that is gone: it is reaped, what runs in its session is killed, and the attempt that it left
// unfinished ends as its last words on disk say, or else as LOST. It says whether a new shim is needed.
func (s *slot) bury(l *link) bool {
	s.mu.Lock()
	shim, up := s.shim, s.up
	s.mu.Unlock()
	status := ""
	if l.process != nil {
		_ = l.process.Kill()
		if state, err := l.process.Wait(); err == nil {
			status = " (" + state.String() + ")"
		}
	} else {
		shim.kill()
	}
	if !up && l.process != nil {
		return s.over(ended(failed, "shim did not start"+status+": "+shimLogTail(s.dir)))
	}
	return s.over(ended(lost, "its shim died"+status))
}

// over ends the service of a shim. If the attempt is still busy, it ended as is found on disk, or as otherwise says. A
// new shim is needed if the next attempt came as an answer to that.
func (s *slot) over(otherwise driver.Outcome) (again bool) {
	s.mu.Lock()
	s.up, s.link, s.template = false, nil, nil
	shim, id, busy := s.shim, s.id, s.busy
	s.mu.Unlock()
	if busy {
		// Without the lock, for it may take a while: whoever calls meanwhile finds the slot busy.
		st, left := account(s.dir, shim, id.Fence)
		if left != "" {
			otherwise.Reason += "; " + left
		}
		s.lose(st, otherwise)
	}
	s.mu.Lock()
	again = s.busy
	s.serving = again
	releasing := s.releasing && !again
	s.mu.Unlock()
	if releasing {
		s.vanish()
	}
	return again
}

// lose ends the attempt of a shim that is gone.
func (s *slot) lose(st *v1.ShimState, otherwise driver.Outcome) {
	s.mu.Lock()
	s.out = nil
	e, ok := s.learn(st)
	if !ok || !e.Outcome.IsFinal() {
		otherwise.Started = e.Outcome.Started
		e = s.event(otherwise)
	}
	id := s.id
	s.mu.Unlock()
	s.d.opt.Log.Warn("shim is gone", "slot", s.number, "fence", id.Fence, "phase", e.Outcome.Phase, "reason", e.Outcome.Reason)
	s.tell(id, diskBytes(filepath.Join(s.d.opt.Dir, wire.LogsDir, id.String())), []driver.Event{e})
}

// vanish removes the slot and reports it released.
func (s *slot) vanish() {
	if err := host.RemoveAll(s.dir); err != nil {
		s.d.opt.Log.Error("slot leaves files behind", "slot", s.number, "dir", s.dir, "error", err)
	}
	s.mu.Lock()
	if s.watchdog != nil {
		s.watchdog.Stop()
	}
	s.d.mu.Lock()
	if s.d.slots[s.number] == s {
		delete(s.d.slots, s.number)
	}
	s.d.mu.Unlock()
	s.released = true
	s.mu.Unlock()
	sink(s.d, driver.Event{Slot: s.number, Released: true})
}

// account reads what a dead shim left on disk, after everything of the attempt that may still run has been killed. left
// says what could not be done.
func account(dir string, shim identity, fence uint64) (st *v1.ShimState, left string) {
	if n, err := killLeft(dir, shim, fence); err != nil {
		left = err.Error()
	} else if n > 0 {
		left = fmt.Sprintf("%d of its processes do not die", n)
	}
	st, err := wire.ReadState(filepath.Join(dir, wire.StateName))
	if err != nil {
		st, left = nil, err.Error()
	}
	return st, left
}

// killLeft kills the processes in the session of a dead shim, and those that fled from it but carry the marks of the
// attempt in their environment. The session's number names nobody else as long as anybody is in it; if a later process
// has that number, nobody is.
func killLeft(dir string, shim identity, fence uint64) (int, error) {
	boot, err := host.BootID()
	if err != nil || (shim.boot != "" && shim.boot != boot) {
		return 0, err
	}
	ours := shim.pid > 0
	if p, err := host.Get(shim.pid); err == nil && p.Start != shim.start {
		ours = false
	}
	marks := []string{"TROUPE_RESULT=" + filepath.Join(dir, wire.ResultName)}
	if fence != 0 {
		marks = append(marks, fmt.Sprintf("TROUPE_FENCE=%d", fence))
	}
	self := os.Getpid()
	return host.KillAll(func(p host.Process) bool {
		return p.PID != self && (ours && p.Session == shim.pid || host.HasEnv(p.PID, marks...))
	}, 5*time.Second)
}

func ended(phase v1.AttemptPhase, reason string) driver.Outcome {
	return driver.Outcome{Phase: phase, ExitCode: -1, Reason: driver.CleanReason(reason), Ended: time.Now()}
}

func outcomeOf(a *v1.AttemptState) driver.Outcome {
	return driver.Outcome{Phase: a.Phase, ExitCode: a.ExitCode, Reason: a.Reason, Result: a.Result,
		ProgressMilli: a.ProgressMilli, Started: unixTime(a.StartedUnixNano), Ended: unixTime(a.EndedUnixNano)}
}

func unixTime(nano int64) time.Time {
	if nano == 0 {
		return time.Time{}
	}
	return time.Unix(0, nano)
}

// The phases that the driver itself gives.
const (
	failed  = v1.AttemptPhase_ATTEMPT_PHASE_FAILED
	lost    = v1.AttemptPhase_ATTEMPT_PHASE_LOST
	running = v1.AttemptPhase_ATTEMPT_PHASE_RUNNING
)
