//go:build linux || darwin

package process

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/troupe-sched/troupe/node/driver/process/internal/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// helloWithin is how long a new shim may take for its first word.
const helloWithin = 30 * time.Second

// link is the connection to one shim.
type link struct {
	conn *net.UnixConn
	raw  syscall.RawConn
	in   wire.Decoder
	// process is set if this agent started the shim and so has to wait for it.
	process *os.Process
}

func newLink(conn net.Conn) (*link, error) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%T is no unix socket", conn), conn.Close())
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, u.Close())
	}
	return &link{conn: u, raw: raw}, nil
}

// next waits for the next state that the shim tells.
func (l *link) next() (*v1.ShimState, error) {
	for {
		st := &v1.ShimState{}
		if ok, err := l.in.Next(st); ok || err != nil {
			return st, err
		}
		n, err := l.conn.Read(l.in.Space())
		l.in.Filled(n)
		if err != nil && n == 0 {
			return nil, err
		}
	}
}

// tryWrite writes what the socket takes at once.
func (l *link) tryWrite(p []byte) (n int) {
	_ = l.raw.Write(func(fd uintptr) bool {
		for {
			var err error
			if n, err = unix.Write(int(fd), p); !errors.Is(err, unix.EINTR) {
				n = max(n, 0)
				return true
			}
		}
	})
	return n
}

// spawn starts a shim in dir, connected by a socket that is there before it is.
func (d *Driver) spawn(dir string) (*link, error) {
	d.spawning <- struct{}{}
	defer func() { <-d.spawning }()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	l, err := newLink(conn)
	if err != nil {
		return nil, err
	}
	if l.process, err = d.startShim(dir, theirs); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return l, conn.SetReadDeadline(time.Now().Add(helloWithin))
}

func (d *Driver) startShim(dir string, socket *os.File) (*os.Process, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	log, err := os.OpenFile(filepath.Join(dir, wire.ShimLogName), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	path := d.opt.Shim[0]
	argv := append(append([]string{}, d.opt.Shim...), "-dir", dir, "-fd", "3", "-idle", d.opt.ShimIdle.String())
	return os.StartProcess(path, argv, &os.ProcAttr{
		// One thread at work is all that a shim needs. Attempts get their environment with the plan.
		Env:   []string{"GOMAXPROCS=1"},
		Files: []*os.File{null, log, log, socket},
		// A session of its own: no terminal's signals reach it, and all its attempts can be told by it.
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
}

func socketPair() (a, b *os.File, err error) {
	// Not every system can open sockets that are closed on exec; the lock keeps others from forking meanwhile.
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("socket pair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "agent"), os.NewFile(uintptr(fds[1]), "shim"), nil
}

// dialer reaches the sockets of shims, whose paths may be longer than the system allows for a socket: then it goes
// through a link with a short name that lives as long as the dialer.
type dialer struct {
	slots, temp string
}

// socketPathMax is below the limit of every system (104 on macOS, 108 on Linux).
const socketPathMax = 100

func newDialer(slots string) (*dialer, error) {
	if len(filepath.Join(slots, wire.SlotName(0), wire.SocketName)) <= socketPathMax {
		return &dialer{slots: slots}, nil
	}
	temp, err := os.MkdirTemp("/tmp", "troupe-")
	if err != nil {
		return nil, err
	}
	short := filepath.Join(temp, "s")
	if err := os.Symlink(slots, short); err != nil {
		return nil, errors.Join(err, os.Remove(temp))
	}
	return &dialer{slots: short, temp: temp}, nil
}

func (d *dialer) dial(slot uint64, deadline time.Time) (*link, error) {
	path := filepath.Join(d.slots, wire.SlotName(slot), wire.SocketName)
	conn, err := (&net.Dialer{Deadline: deadline}).Dial("unix", path)
	if err != nil {
		return nil, err
	}
	l, err := newLink(conn)
	if err != nil {
		return nil, err
	}
	return l, conn.SetReadDeadline(deadline)
}

func (d *dialer) close() {
	if d.temp != "" {
		_ = os.RemoveAll(d.temp)
	}
}

// shimLogTail is the end of what a shim said, for a reason.
func shimLogTail(dir string) string {
	f, err := os.Open(filepath.Join(dir, wire.ShimLogName))
	if err != nil {
		return ""
	}
	defer f.Close()
	const most = 1 << 10
	if info, err := f.Stat(); err == nil {
		_, _ = f.Seek(max(0, info.Size()-most), io.SeekStart)
	}
	b, _ := io.ReadAll(io.LimitReader(f, most))
	return strings.TrimSpace(string(b))
}
