//go:build linux || darwin

// Package shim is the process that belongs to one slot and is the parent of every attempt in it. It outlives the agent:
// it holds the attempt's output, enforces its time limit, keeps how it ended on disk and tells it to whichever agent is
// connected. It decides nothing: it is told a plan and then runs, stops and quits on command, and it never runs a fence
// twice.
//
// It is one loop on one thread over six descriptors, without locks: wait, then look at what happened. Each attempt has
// its own process group in the shim's session.
package shim

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/troupe-sched/troupe/node/driver/process/internal/host"
	"github.com/troupe-sched/troupe/node/driver/process/internal/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// The descriptors that the loop waits for.
const (
	onAgent = iota
	onListener
	onExit
	onStdout
	onStderr
	onSignal
	watched
)

type shim struct {
	log      *slog.Logger
	idle     time.Duration
	file     *wire.StateFile
	state    *v1.ShimState
	plan     *v1.ShimPlan
	agent    *peer
	listener int
	signals  int
	null     int
	streams  [2]*stream
	poll     [watched]unix.PollFd
	attempt  attempt
	// env and argv0 belong to plan: prepared once, used by each attempt.
	env   []string
	argv0 string
	work  *os.File

	quitting  bool
	done      bool
	idleSince time.Time
}

// Main runs a shim: the arguments are those that the driver gives. The result is the exit status.
func Main(args []string) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	flags := flag.NewFlagSet("shim", flag.ContinueOnError)
	dir := flags.String("dir", "", "directory of the slot")
	fd := flags.Int("fd", -1, "descriptor that leads to the agent")
	idle := flags.Duration("idle", 10*time.Minute, "how long to stay without an attempt and without an agent")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *dir == "" || flags.NArg() != 0 {
		log.Error("a shim is started by the agent, with -dir and -fd", "args", args)
		return 2
	}
	// One thread does all the work; a second one would only be woken for nothing.
	runtime.LockOSThread()
	s, err := open(*dir, *fd, *idle, log)
	if err != nil {
		log.Error("shim cannot start", "dir", *dir, "error", err)
		return 1
	}
	s.loop()
	return 0
}

// open prepares everything that attempts share. The state is on disk and the socket listens before the first word to
// the agent: from then on the shim can be found again.
func open(dir string, fd int, idle time.Duration, log *slog.Logger) (*shim, error) {
	// The socket's path is limited to about 100 bytes, so names are relative from here on.
	if err := os.Chdir(dir); err != nil {
		return nil, err
	}
	s := &shim{log: log, idle: idle, idleSince: time.Now()}
	for i := range s.poll {
		s.poll[i] = unix.PollFd{Fd: -1, Events: unix.POLLIN}
	}
	if err := becomeReaper(); err != nil {
		return nil, err
	}
	var err error
	if s.null, err = unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("%s: %w", os.DevNull, err)
	}
	if s.signals, err = signalPipe(); err != nil {
		return nil, err
	}
	if err := s.openStreams(); err != nil {
		return nil, err
	}
	if err := s.openWork(); err != nil {
		return nil, err
	}
	if err := s.openState(); err != nil {
		return nil, err
	}
	if s.listener, err = listen(wire.SocketName); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if fd >= 0 {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, fmt.Errorf("descriptor %d: %w", fd, err)
		}
		s.agent = &peer{fd: fd}
		s.tell()
	}
	return s, nil
}

func (s *shim) openState() error {
	pid, start, boot, err := host.Self()
	if err != nil {
		return err
	}
	file, last, err := wire.OpenState(wire.StateName)
	if err != nil {
		return err
	}
	if last == nil {
		last = &v1.ShimState{}
	}
	if last.Attempt == nil {
		last.Attempt = &v1.AttemptState{}
	}
	last.Pid, last.Start, last.BootId = int64(pid), start, boot
	s.file, s.state = file, last
	if last.Attempt.Phase == v1.AttemptPhase_ATTEMPT_PHASE_RUNNING {
		// The driver starts no shim before the one that died under an attempt has been accounted for; should it do so
		// nevertheless, the truth is that nobody knows that attempt's end.
		last.Attempt.Phase = v1.AttemptPhase_ATTEMPT_PHASE_LOST
		last.Attempt.Reason = "its shim died"
	}
	_, err = s.file.Save(last)
	return err
}

// signalPipe turns the signals that would end the shim into readable bytes. The handlers are not inherited by attempts,
// as ignored signals would be.
func signalPipe() (int, error) {
	r, w, err := pipe()
	if err != nil {
		return -1, err
	}
	ch := make(chan os.Signal, 4)
	signal.Notify(ch, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)
	go func() {
		for sig := range ch {
			if sig == unix.SIGTERM {
				_, _ = unix.Write(w, []byte{1})
			}
		}
	}()
	return r, nil
}

func (s *shim) loop() {
	s.poll[onListener].Fd = int32(s.listener)
	s.poll[onSignal].Fd = int32(s.signals)
	for i, st := range s.streams {
		s.poll[onStdout+i].Fd = int32(st.r)
	}
	for !s.done {
		s.wait()
		for i, st := range s.streams {
			if s.ready(onStdout + i) {
				st.drain(16)
			}
		}
		if s.ready(onExit) {
			s.exited()
		}
		if s.ready(onSignal) {
			s.quit("the shim was asked to end by a signal")
			s.poll[onSignal].Fd = -1
		}
		if s.ready(onAgent) {
			s.serve()
		}
		if s.ready(onListener) {
			s.accept()
		}
		s.tick(time.Now())
	}
}

func (s *shim) ready(i int) bool { return s.poll[i].Revents != 0 }

// wait sleeps until a descriptor or a deadline is due.
func (s *shim) wait() {
	s.poll[onAgent].Fd = -1
	if s.agent != nil {
		s.poll[onAgent].Fd = int32(s.agent.fd)
		s.poll[onAgent].Events = s.agent.events()
	}
	s.poll[onExit].Fd = int32(s.attempt.exitFd())
	timeout := -1
	if due := s.due(); !due.IsZero() {
		timeout = int(max(0, time.Until(due)+time.Millisecond-1) / time.Millisecond)
	}
	for i := range s.poll {
		s.poll[i].Revents = 0
	}
	if _, err := unix.Poll(s.poll[:], timeout); err != nil && !errors.Is(err, unix.EINTR) {
		// Nothing that the loop does can make poll fail, other than too little memory in the kernel.
		s.log.Error("poll", "error", err)
		time.Sleep(100 * time.Millisecond)
	}
}

// due is the next deadline; zero if there is none.
func (s *shim) due() time.Time {
	if s.attempt.active {
		return s.attempt.due()
	}
	if s.agent == nil {
		return s.idleSince.Add(s.idle)
	}
	return time.Time{}
}

// tick does what is due.
func (s *shim) tick(now time.Time) {
	if s.attempt.active {
		s.attemptTick(now)
		if s.attempt.active {
			return
		}
		// It has just ended: nothing else may wake the loop again.
	}
	if s.quitting {
		s.done = s.agent == nil || s.agent.flushed()
		return
	}
	if s.agent == nil && now.Sub(s.idleSince) >= s.idle {
		s.log.Info("nothing to run and no agent: the shim ends", "after", s.idle)
		s.done = true
	}
}

// quit stops what runs, then ends the shim.
func (s *shim) quit(reason string) {
	s.quitting = true
	s.stop(reason)
}
