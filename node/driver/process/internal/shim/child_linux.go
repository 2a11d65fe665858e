package shim

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/troupe-sched/troupe/node/driver/process/internal/host"
)

// child is the main process of an attempt, leader of its process group. fd is its pidfd.
type child struct {
	pid, fd int
}

// becomeReaper makes the shim the parent of whatever its attempts leave behind, also of processes that fled into a
// session of their own: nothing of an attempt outlives it.
func becomeReaper() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

func startChild(argv0 string, argv []string, attr *syscall.ProcAttr) (child, error) {
	c := child{fd: -1}
	attr.Sys = &syscall.SysProcAttr{Setpgid: true, PidFD: &c.fd}
	var err error
	if c.pid, err = syscall.ForkExec(argv0, argv, attr); err != nil {
		return child{}, err
	}
	if c.fd < 0 {
		_ = unix.Kill(-c.pid, unix.SIGKILL)
		_, _ = unix.Wait4(c.pid, nil, 0, nil)
		return child{}, errors.New("this kernel has no pidfd: Linux 5.4 or newer is needed")
	}
	return c, nil
}

func (c *child) signal(sig syscall.Signal) { _ = unix.Kill(-c.pid, sig) }

// reap takes the exit status. The group is killed before, while the dead leader still keeps its number from being used
// again.
func (c *child) reap() (syscall.WaitStatus, bool) {
	_ = unix.Kill(-c.pid, unix.SIGKILL)
	var status syscall.WaitStatus
	for {
		pid, err := syscall.Wait4(c.pid, &status, syscall.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return status, err == nil && pid == c.pid
	}
}

// sweep kills and reaps what the attempt left behind and returns how much there was. With no attempt running, every
// child of the shim is such: usually there is none, which costs one call to learn.
func (c *child) sweep() int {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if errors.Is(err, unix.ECHILD) {
			return 0
		}
		if pid == 0 {
			break
		}
	}
	all, err := host.List()
	if err != nil {
		return 1
	}
	left := 0
	for _, p := range all {
		if p.Parent == os.Getpid() {
			left++
			_ = unix.Kill(p.PID, unix.SIGKILL)
		}
	}
	return max(left, 1)
}

func (c *child) close() {
	if c.fd > 0 {
		unix.Close(c.fd)
	}
}
