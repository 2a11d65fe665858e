//go:build linux || darwin

package shim

import (
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/driver/process/internal/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// The phases that a shim tells.
const (
	running   = v1.AttemptPhase_ATTEMPT_PHASE_RUNNING
	succeeded = v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED
	failed    = v1.AttemptPhase_ATTEMPT_PHASE_FAILED
	stopped   = v1.AttemptPhase_ATTEMPT_PHASE_STOPPED
)

// How long the shim looks for processes that an attempt left behind, and how often.
const (
	sweepFor   = 5 * time.Second
	sweepEvery = 2 * time.Millisecond
)

// attempt is what runs: from the fork until nothing of it is left.
type attempt struct {
	child
	active bool
	// forced is how the attempt ends whatever its program says: STOPPED on request, FAILED after its time limit.
	forced v1.AttemptPhase
	reason string
	// ended: the main process has been waited for; what remains of the attempt is being killed.
	ended bool
	exit  syscall.WaitStatus
	told  bool // as running, to the agent that is connected
	// Deadlines; zero if there is none.
	tellAt, timeoutAt, killAt, sweepUntil time.Time
	sweepAt                               time.Time
}

// exitFd becomes readable when the main process has ended; -1 if there is nothing to wait for.
func (a *attempt) exitFd() int {
	if !a.active || a.ended {
		return -1
	}
	return a.child.fd
}

// due is the first deadline.
func (a *attempt) due() time.Time {
	if a.ended {
		return a.sweepAt
	}
	due := a.tellAt
	for _, at := range []time.Time{a.timeoutAt, a.killAt} {
		if !at.IsZero() && at.Before(due) {
			due = at
		}
	}
	return due
}

// start runs one attempt. That it is about to run is on disk before the fork: if the shim dies, everything in its
// session belongs to that fence.
func (s *shim) start(run *v1.ShimRun) {
	if s.attempt.active || run.Fence == s.state.Attempt.Fence || s.plan == nil || s.quitting {
		s.log.Warn("refused to run", "fence", run.Fence, "last", s.state.Attempt.Fence,
			"active", s.attempt.active, "planned", s.plan != nil, "quitting", s.quitting)
		return
	}
	now := time.Now()
	a := s.state.Attempt
	*s.state.Attempt = v1.AttemptState{JobUid: s.plan.JobUid, Stage: s.plan.Stage, Fence: run.Fence, Index: run.Index,
		Attempt: run.Attempt, Phase: running, StartedUnixNano: now.UnixNano()}
	s.state.LogBytes = 0
	s.attempt = attempt{active: true, tellAt: now.Add(driver.QuietStart)}
	if s.plan.TimeoutMs > 0 {
		s.attempt.timeoutAt = now.Add(time.Duration(s.plan.TimeoutMs) * time.Millisecond)
	}
	if _, err := s.file.Save(s.state); err != nil {
		s.end(failed, 0, "state cannot be saved, so nothing was started: "+err.Error())
		return
	}
	id := wire.LogID{Fence: run.Fence, UID: a.JobUid, Index: run.Index, Stage: wire.SafeName(s.plan.StageName)}
	dir := filepath.Join("..", "..", wire.LogsDir, id.String())
	for _, st := range s.streams {
		st.begin(dir, s.plan.LogSegmentBytes)
	}
	child, code, reason := s.fork(run)
	if reason != "" {
		s.end(failed, code, reason)
		return
	}
	s.attempt.child = child
}

// stop asks the attempt to end. A second request changes nothing: the first one's grace runs.
func (s *shim) stop(reason string) { s.force(stopped, "stopped: "+reason) }

func (s *shim) force(phase v1.AttemptPhase, reason string) {
	a := &s.attempt
	if !a.active || a.ended || a.forced != 0 {
		return
	}
	a.forced, a.reason = phase, reason
	a.timeoutAt = time.Time{}
	a.killAt = time.Now().Add(time.Duration(s.plan.GraceMs) * time.Millisecond)
	a.signal(syscall.Signal(s.plan.Signal))
	// A stopped process takes no signal but this one.
	a.signal(unix.SIGCONT)
}

// exited takes the status of the main process and kills what it left behind.
func (s *shim) exited() {
	a := &s.attempt
	if !a.active || a.ended {
		return
	}
	status, ok := a.reap()
	if !ok {
		return
	}
	a.ended, a.exit = true, status
	a.sweepUntil = time.Now().Add(sweepFor)
	// The group has just been killed. Only what survives that needs to be searched for.
	s.sweep(false)
}

// sweep kills all that is left of the attempt; the attempt ends when nothing is, or when that took too long.
func (s *shim) sweep(search bool) {
	a := &s.attempt
	left := a.sweep(search)
	now := time.Now()
	if left > 0 && now.Before(a.sweepUntil) {
		a.sweepAt = now.Add(sweepEvery)
		return
	}
	phase, code, reason := a.verdict()
	if left > 0 {
		reason = join(reason, fmt.Sprintf("%d processes that it left behind do not die", left))
	}
	s.end(phase, code, reason)
}

// verdict is how the main process ended.
func (a *attempt) verdict() (phase v1.AttemptPhase, code int32, reason string) {
	phase, code = succeeded, int32(a.exit.ExitStatus())
	switch {
	case a.exit.Signaled():
		phase, code, reason = failed, 128+int32(a.exit.Signal()), "signal: "+a.exit.Signal().String()
		if a.exit.CoreDump() {
			reason += " (core dumped)"
		}
	case code != 0:
		phase, reason = failed, fmt.Sprintf("exit status %d", code)
	}
	if a.forced != 0 {
		phase, reason = a.forced, join(a.reason, reason)
	}
	return phase, code, reason
}

func join(reason, more string) string {
	if reason == "" || more == "" {
		return reason + more
	}
	return reason + "; " + more
}

// end makes the attempt's outcome final: first on disk, then told. Only then are its files removed, so that the agent
// works on meanwhile.
func (s *shim) end(phase v1.AttemptPhase, code int32, reason string) {
	a := s.state.Attempt
	var result []byte
	if phase == succeeded {
		var problem string
		if result, problem = readResult(); problem != "" {
			phase, reason = failed, problem
		}
	}
	progress := readProgress(a.ProgressMilli)
	for _, st := range s.streams {
		s.state.LogBytes += st.end()
	}
	a.Phase, a.ExitCode, a.Reason, a.Result, a.ProgressMilli = phase, code, driver.CleanReason(reason), result, progress
	a.EndedUnixNano = time.Now().UnixNano()
	s.attempt.close()
	s.attempt = attempt{}
	s.idleSince = time.Now()
	frame, err := s.file.Save(s.state)
	if err != nil {
		s.log.Error("end cannot be saved", "fence", a.Fence, "error", err)
	}
	if s.agent != nil {
		if err == nil {
			s.agent.send(frame)
		} else {
			s.tell()
		}
	}
	s.cleanUp()
}

// attemptTick does what is due while an attempt runs.
func (s *shim) attemptTick(now time.Time) {
	a := &s.attempt
	if a.ended {
		if !now.Before(a.sweepAt) {
			s.sweep(true)
		}
		return
	}
	if !a.timeoutAt.IsZero() && !now.Before(a.timeoutAt) {
		s.force(failed, "timeout after "+(time.Duration(s.plan.TimeoutMs)*time.Millisecond).String())
	}
	if !a.killAt.IsZero() && !now.Before(a.killAt) {
		a.killAt = time.Time{}
		a.signal(unix.SIGKILL)
	}
	if !now.Before(a.tellAt) {
		s.tellProgress(now)
	}
}

// tellProgress tells the attempt as running the first time, and later whenever its progress has changed. It is the
// moment, too, to look after orphans.
func (s *shim) tellProgress(now time.Time) {
	a := s.state.Attempt
	s.attempt.reapStrays()
	progress := readProgress(a.ProgressMilli)
	s.attempt.tellAt = now.Add(driver.ProgressEvery)
	if s.attempt.told && progress == a.ProgressMilli {
		return
	}
	if s.agent != nil && s.agent.flushed() {
		a.ProgressMilli = progress
		s.attempt.told = true
		s.tell()
	}
}
