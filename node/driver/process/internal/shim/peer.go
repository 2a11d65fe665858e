//go:build linux || darwin

package shim

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/troupe-sched/troupe/node/driver/process/internal/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// peer is the connection to the agent.
type peer struct {
	fd      int
	in      wire.Decoder
	pending []byte
}

func (p *peer) events() int16 {
	if p.flushed() {
		return unix.POLLIN
	}
	return unix.POLLIN | unix.POLLOUT
}

func (p *peer) flushed() bool { return len(p.pending) == 0 }

// send writes what the agent takes now and keeps the rest. What is kept is bounded: an agent that does not read starts
// no further attempt, and progress is not told while anything is pending.
func (p *peer) send(frame []byte) {
	p.pending = append(p.pending, frame...)
	p.flush()
}

func (p *peer) flush() {
	for len(p.pending) > 0 {
		n, err := unix.Write(p.fd, p.pending)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			// A full socket is tried again when it drains; a broken one is noticed by the next read.
			if !errors.Is(err, unix.EAGAIN) {
				p.pending = p.pending[:0]
			}
			return
		}
		p.pending = p.pending[:copy(p.pending, p.pending[n:])]
	}
}

func listen(name string) (int, error) {
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return -1, err
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		return -1, err
	}
	return fd, unix.Listen(fd, 4)
}

// accept takes a new agent. The old one is dead, for two cannot hold the directory's lock; what it still said is done
// first, so that the state told to the new one is the outcome of all commands ever sent.
func (s *shim) accept() {
	fd, _, err := unix.Accept(s.listener)
	if err != nil {
		return
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return
	}
	if s.agent != nil {
		s.serve()
		s.hangUp()
	}
	s.agent = &peer{fd: fd}
	s.done = false
	s.tell()
}

// serve reads and does the agent's commands.
func (s *shim) serve() {
	p := s.agent
	p.flush()
	for {
		space := p.in.Space()
		n, err := unix.Read(p.fd, space)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if err != nil || n == 0 {
			s.hangUp()
			return
		}
		p.in.Filled(n)
		if !s.commands(p) {
			s.hangUp()
			return
		}
		if n < len(space) {
			return
		}
	}
}

// commands does what has been read; it is false if the stream is lost.
func (s *shim) commands(p *peer) bool {
	for {
		c := &v1.ShimCommand{}
		ok, err := p.in.Next(c)
		if err != nil {
			s.log.Error("the agent speaks nonsense", "error", err)
			return false
		}
		if !ok {
			return true
		}
		switch k := c.Kind.(type) {
		case *v1.ShimCommand_Plan:
			s.take(k.Plan)
		case *v1.ShimCommand_Run:
			s.start(k.Run)
		case *v1.ShimCommand_Stop:
			if s.attempt.active && s.state.Attempt.Fence == k.Stop.Fence {
				s.stop(k.Stop.Reason)
			}
		case *v1.ShimCommand_Quit:
			s.quit(k.Quit.Reason)
		default:
			s.log.Warn("unknown command of a newer agent")
		}
	}
}

// hangUp lets go of the agent. A shim that never ran anything has no reason to stay.
func (s *shim) hangUp() {
	if s.agent == nil {
		return
	}
	unix.Close(s.agent.fd)
	s.agent = nil
	s.idleSince = time.Now()
	if !s.attempt.active && s.state.Attempt.Fence == 0 {
		s.done = true
	}
}

// tell sends the whole state.
func (s *shim) tell() {
	if s.agent == nil {
		return
	}
	frame, err := wire.AppendFrame(nil, 0, s.state)
	if err != nil {
		s.log.Error("state cannot be told", "error", err)
		return
	}
	s.agent.send(frame)
}
