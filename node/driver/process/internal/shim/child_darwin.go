package shim

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// child is the main process of an attempt, leader of its process group. fd becomes readable when it has ended.
type child struct {
	pid, fd int
	exit    chan syscall.WaitStatus
}

// becomeReaper does nothing: this system has no way to adopt orphans. Processes that flee into a session of their own
// outlive their attempt here.
func becomeReaper() error { return nil }

func startChild(argv0 string, argv []string, attr *syscall.ProcAttr) (child, error) {
	r, w, err := pipe()
	if err != nil {
		return child{}, err
	}
	attr.Sys = &syscall.SysProcAttr{Setpgid: true}
	pid, err := syscall.ForkExec(argv0, argv, attr)
	if err != nil {
		unix.Close(r)
		unix.Close(w)
		return child{}, err
	}
	c := child{pid: pid, fd: r, exit: make(chan syscall.WaitStatus, 1)}
	go func() {
		var status syscall.WaitStatus
		for {
			if _, err := syscall.Wait4(pid, &status, 0, nil); !errors.Is(err, unix.EINTR) {
				break
			}
		}
		c.exit <- status
		unix.Close(w)
	}()
	return c, nil
}

func (c *child) signal(sig syscall.Signal) { _ = unix.Kill(-c.pid, sig) }

// reap takes the exit status and kills the group: its number stays taken while anybody is in it.
func (c *child) reap() (syscall.WaitStatus, bool) {
	select {
	case status := <-c.exit:
		_ = unix.Kill(-c.pid, unix.SIGKILL)
		return status, true
	default:
		return 0, false
	}
}

// reapStrays has nothing to do: orphans go to the first process of the system.
func (c *child) reapStrays() {}

// sweep kills what is left of the group and returns whether anything is. A group of zombies cannot be signalled.
func (c *child) sweep(bool) int {
	if unix.Kill(-c.pid, unix.SIGKILL) != nil {
		return 0
	}
	return 1
}

func (c *child) close() {
	if c.fd > 0 {
		unix.Close(c.fd)
	}
}
