package host

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// Process states of sys/proc.h.
const stateZombie = 5

// BootID changes with every boot of the machine.
func BootID() (string, error) { return unix.Sysctl("kern.bootsessionuuid") }

// Get reads one process; fs.ErrNotExist if there is none of that id.
func Get(pid int) (Process, error) {
	list, err := unix.SysctlKinfoProcSlice("kern.proc.pid", pid)
	if err != nil {
		return Process{}, err
	}
	if len(list) == 0 {
		return Process{}, fs.ErrNotExist
	}
	return fromKernel(&list[0]), nil
}

// List reads all processes.
func List() ([]Process, error) {
	list, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil, err
	}
	all := make([]Process, len(list))
	for i := range list {
		all[i] = fromKernel(&list[i])
	}
	return all, nil
}

func fromKernel(k *unix.KinfoProc) Process {
	p := Process{PID: int(k.Proc.P_pid), Parent: int(k.Eproc.Ppid), Zombie: k.Proc.P_stat == stateZombie}
	p.Start = uint64(k.Proc.P_starttime.Sec)*1_000_000 + uint64(k.Proc.P_starttime.Usec)
	if session, err := unix.Getsid(p.PID); err == nil {
		p.Session = session
	}
	return p
}

// HasEnv is not known on this system: it hides the environment of other processes.
func HasEnv(int, ...string) bool { return false }

func kill(p Process) {
	if now, err := Get(p.PID); err == nil && now.Start == p.Start {
		_ = unix.Kill(p.PID, unix.SIGKILL)
	}
}
