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
	// reaped: the exit status was taken along with those of strays.
	reaped bool
	status syscall.WaitStatus
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
	if c.reaped {
		return c.status, true
	}
	for {
		pid, err := syscall.Wait4(c.pid, &c.status, syscall.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return c.status, err == nil && pid == c.pid
	}
}

// reapStrays takes the exit of what the running attempt orphaned, so that a program that does so for months leaves no
// heap of zombies.
func (c *child) reapStrays() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || pid == 0:
			return
		case pid == c.pid:
			c.reaped, c.status = true, status
		}
	}
}

// sweep reaps what the attempt left behind, kills it if search is set, and returns how much there was. With no attempt
// running, every child of the shim is such: usually there is none, which costs one call to learn.
func (c *child) sweep(search bool) int {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if errors.Is(err, unix.ECHILD) {
			return 0
		}
		if pid == 0 {
			break
		}
	}
	if !search {
		return 1
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
