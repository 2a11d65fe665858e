package natsd

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sys/unix"
)

const (
	// Reserve is what the disk of the store must have free for more to be written: on a disk without room the server only
	// lets its clients wait, or gives up its store, and stays so when there is room again.
	Reserve = 64 << 20
	// watchEvery is how often the disk is looked at.
	watchEvery = time.Second
)

// ErrFull: the disk of the store has less room than Reserve.
var ErrFull = errors.New("natsd: disk is full")

// Room fails with ErrFull when the disk of the store has less free than Reserve. Who asks before it writes, and does not
// write then, never brings the server into the state that only a restart of it ends.
func (s *Server) Room() error {
	free, err := free(s.opts.Dir)
	if err == nil && free < s.reserve {
		err = fmt.Errorf("%w: %s has %d MiB free, %d MiB must stay free: make room, and writing goes on", ErrFull, s.opts.Dir, free>>20, s.reserve>>20)
	}
	return err
}

// free is how many bytes the disk of a directory has free for this user.
func free(dir string) (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("free room of %s: %w", dir, err)
	}
	return int64(fs.Bavail) * int64(fs.Bsize), nil
}

// watch restarts the server once there is room again after a write has failed for want of it. It does not get over that
// by itself: publishers wait for an answer for ever, or the store is switched off.
func (s *Server) watch() {
	defer close(s.watched)
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	told := ""
	for {
		select {
		case <-s.closing:
			return
		case <-tick.C:
		}
		stuck := s.stuck()
		room := s.Room()
		switch {
		case stuck == "":
			told = ""
		case room != nil && told != stuck:
			told = stuck
			s.log.Error("the NATS server cannot write its store; it is started again when there is room", "server", stuck, "reason", room)
		case room == nil:
			s.restart(stuck)
		}
	}
}

// stuck says why the server must be started again before it writes; "" if it need not.
func (s *Server) stuck() string {
	if line := s.out.full(); line != "" {
		return line
	}
	if srv := s.current(); srv.Running() && !srv.JetStreamEnabled() {
		return "JetStream is switched off"
	}
	return ""
}

// restart puts a new server over the same store at the same addresses in the place of this one. Connections, within the
// process too, find it by connecting again.
func (s *Server) restart(why string) {
	s.log.Warn("starting the NATS server again", "reason", why)
	stopServer(s.current())
	s.out = &lines{log: s.log}
	srv, err := begin(s.so, s.out)
	if err != nil {
		s.log.Error("the NATS server does not start again; trying on", "reason", err)
		s.out.note(errStuck.Error())
		return
	}
	s.srv.Store(srv)
	s.log.Info("the NATS server has started again")
}

// errStuck stands for what is wrong with a server that could not be started again.
var errStuck = errors.New("it could not be started again")

// InProcessConn implements nats.InProcessConnProvider: it connects to the server of this moment.
func (s *Server) InProcessConn() (net.Conn, error) { return s.current().InProcessConn() }

func (s *Server) current() *server.Server { return s.srv.Load() }

// outOfSpace is what the system says of a full disk, in the server's own lines.
var outOfSpace = strings.ToLower(unix.ENOSPC.Error())

// note remembers a line that tells that the store is stuck.
func (l *lines) note(line string) {
	if strings.Contains(strings.ToLower(line), outOfSpace) || line == errStuck.Error() {
		l.mu.Lock()
		l.noSpace = line
		l.mu.Unlock()
	}
}

// full is the last line that told of a full disk.
func (l *lines) full() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.noSpace
}
