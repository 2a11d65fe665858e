//go:build linux || darwin

package process

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/driver/process/internal/host"
	"github.com/troupe-sched/troupe/node/driver/process/internal/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// slot is the agent's side of one slot. While there is a shim, one goroutine serves it: it hears what the shim tells
// and sinks the events, so they are in order.
type slot struct {
	d      *Driver
	number uint64
	dir    string

	mu sync.Mutex
	// serving: there is a shim, or one is being started; link leads to it; up: it has said its first word. Before that
	// it is told nothing, because it could not be found again.
	serving, up bool
	link        *link
	// out waits to be written: until the shim is up, or while the socket is full and flushing says so.
	out      []byte
	flushing bool
	// shim is its identity, from its last word or from disk.
	shim     identity
	template *v1.Template
	grace    time.Duration
	// The attempt that runs (busy) or ran last.
	id       wire.LogID
	stage    uint32
	attempt  uint32
	busy     bool
	adopted  bool
	stopping bool
	last     driver.Outcome
	// releasing: Release was asked for; released: it is done and the slot is no more.
	releasing, released bool
	watchdog            *time.Timer
}

// identity of a shim process.
type identity struct {
	pid   int
	start uint64
	boot  string
}

func (s *slot) describe() driver.Slot {
	return driver.Slot{Slot: s.number, Fence: s.id.Fence, JobUID: s.id.UID, Stage: s.stage, Index: s.id.Index,
		Attempt: s.attempt, Busy: s.id.Fence != 0}
}

// start takes a task. It is not ok if the slot is no more; answer is an event to sink at once.
func (s *slot) start(t *driver.Task) (answer *driver.Event, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	refuse := func(format string, args ...any) (*driver.Event, bool) {
		e := driver.Refusal(t, fmt.Sprintf(format, args...))
		return &e, true
	}
	switch {
	case s.d.closing.Load():
		return nil, true
	case s.released:
		return nil, false
	case s.id.Fence == t.Fence && s.busy:
		return nil, true
	case s.id.Fence == t.Fence:
		return &driver.Event{Slot: s.number, Fence: t.Fence, Outcome: s.last, Adopted: s.adopted}, true
	case s.busy:
		return refuse("slot %d is busy with the attempt of fence %d", s.number, s.id.Fence)
	case s.releasing:
		return refuse("slot %d is being released", s.number)
	case t.Inputs != "" && !filepath.IsAbs(t.Inputs):
		return refuse("inputs %q is not an absolute path", t.Inputs)
	case t.Inputs == "" && t.Results != nil:
		return refuse("inputs are in memory only; a process needs them in a directory")
	}
	if s.template != t.Template || s.template == nil {
		plan, err := s.d.plan(t, s.dir)
		if err == nil {
			err = s.queue(&v1.ShimCommand{Kind: &v1.ShimCommand_Plan{Plan: plan}})
		}
		if err != nil {
			return refuse("%v", err)
		}
		s.template, s.grace = t.Template, time.Duration(plan.GraceMs)*time.Millisecond
		s.id.Stage = wire.SafeName(plan.StageName)
	}
	err := s.queue(&v1.ShimCommand{Kind: &v1.ShimCommand_Run{Run: &v1.ShimRun{
		Fence: t.Fence, Index: t.Index, Attempt: t.Attempt, Inputs: t.Inputs}}})
	if err != nil {
		return refuse("%v", err)
	}
	s.id.Fence, s.id.UID, s.id.Index, s.stage, s.attempt = t.Fence, t.JobUID, t.Index, t.Stage, t.Attempt
	s.busy, s.adopted, s.stopping, s.last = true, false, false, driver.Outcome{}
	if !s.serving {
		s.serving = true
		s.d.serving.Add(1)
		go func() {
			defer s.d.serving.Done()
			s.live(nil)
		}()
	}
	s.push()
	return nil, true
}

// stop asks the shim to end the attempt.
func (s *slot) stop(fence uint64, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.busy || s.id.Fence != fence || s.stopping || s.d.closing.Load() {
		return
	}
	s.stopping = true
	if err := s.queue(&v1.ShimCommand{Kind: &v1.ShimCommand_Stop{Stop: &v1.ShimStop{
		Fence: fence, Reason: driver.CleanReason(reason)}}}); err == nil {
		s.push()
	}
	s.watch()
}

// release asks the shim to quit; it is false if the slot is gone already.
func (s *slot) release(reason string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.released {
		return false
	}
	if s.releasing || s.d.closing.Load() {
		return true
	}
	s.releasing = true
	if !s.serving {
		s.d.serving.Add(1)
		go func() {
			defer s.d.serving.Done()
			s.vanish()
		}()
		return true
	}
	if err := s.queue(&v1.ShimCommand{Kind: &v1.ShimCommand_Quit{Quit: &v1.ShimQuit{
		Reason: driver.CleanReason(reason)}}}); err == nil {
		s.push()
	}
	s.watch()
	return true
}

// watch kills the shim if it does not do in time what it was told. Called with mu held.
func (s *slot) watch() {
	if s.watchdog == nil {
		s.watchdog = time.AfterFunc(s.grace+s.d.patience, s.force)
		return
	}
	s.watchdog.Reset(s.grace + s.d.patience)
}

// force kills the shim; the goroutine that serves it then accounts for the attempt.
func (s *slot) force() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.busy && !s.releasing || !s.serving {
		return
	}
	s.d.opt.Log.Error("shim does not answer and is killed", "slot", s.number, "fence", s.id.Fence, "pid", s.shim.pid)
	if s.link != nil && s.link.process != nil {
		_ = s.link.process.Kill()
	} else {
		s.shim.kill()
	}
}

// queue appends a command to what goes out. Called with mu held.
func (s *slot) queue(c proto.Message) (err error) {
	s.out, err = wire.AppendFrame(s.out, 0, c)
	return err
}

// push writes what the socket takes at once; the rest is left to a goroutine. Called with mu held.
func (s *slot) push() {
	if !s.up || s.flushing || len(s.out) == 0 {
		return
	}
	n := s.link.tryWrite(s.out)
	s.out = s.out[:copy(s.out, s.out[n:])]
	if len(s.out) > 0 {
		s.flushing = true
		l := s.link
		s.d.serving.Add(1)
		go func() {
			defer s.d.serving.Done()
			s.flush(l)
		}()
	}
}

// flush writes until nothing is left or the connection breaks.
func (s *slot) flush(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.out) > 0 && s.link == l && s.up {
		rest := s.out
		s.out = nil
		s.mu.Unlock()
		_, err := l.conn.Write(rest)
		s.mu.Lock()
		if err != nil {
			break
		}
	}
	s.flushing = false
	if s.link != l {
		s.push() // to the next shim, which had to wait for this
	}
}

// letGo closes the connection, so that the goroutine that serves it ends.
func (s *slot) letGo() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watchdog != nil {
		s.watchdog.Stop()
	}
	if s.link != nil {
		_ = s.link.conn.Close()
	}
}

// kill ends the very shim, if it still runs, and waits for it if it is a child of this process: an agent that was closed
// and opened again has children that it does not remember.
func (i identity) kill() {
	boot, err := host.BootID()
	if err != nil || boot != i.boot || i.pid <= 0 {
		return
	}
	p, err := host.Get(i.pid)
	if err != nil || p.Start != i.start {
		return
	}
	if process, err := os.FindProcess(i.pid); err == nil {
		_ = process.Kill()
		if p.Parent == os.Getpid() {
			_, _ = process.Wait()
		}
		_ = process.Release()
	}
}
