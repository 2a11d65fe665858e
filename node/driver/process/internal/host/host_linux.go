package host

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// BootID changes with every boot of the machine.
func BootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id)), err
}

// Get reads one process; fs.ErrNotExist if there is none of that id.
func Get(pid int) (Process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Process{}, err
	}
	// The name, in parentheses, may hold anything; the fields after it are plain. They are numbered as in proc(5).
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const first, state, parent, session, start = 3, 3, 4, 6, 22
	if len(f) <= start-first {
		return Process{}, fmt.Errorf("/proc/%d/stat has %d fields, want %d or more", pid, len(f), start-first+1)
	}
	field := func(n int) string { return string(f[n-first]) }
	p := Process{PID: pid, Zombie: field(state) == "Z" || field(state) == "X"}
	if p.Parent, err = strconv.Atoi(field(parent)); err != nil {
		return Process{}, err
	}
	if p.Session, err = strconv.Atoi(field(session)); err != nil {
		return Process{}, err
	}
	p.Start, err = strconv.ParseUint(field(start), 10, 64)
	return p, err
}

// List reads all processes. Those that end meanwhile are left out.
func List() ([]Process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []Process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, err := Get(pid); err == nil {
			all = append(all, p)
		}
	}
	return all, nil
}

// HasEnv says whether the process was started with all these "KEY=value" entries, as far as we may see them.
func HasEnv(pid int, entries ...string) bool {
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false
	}
	environ = append([]byte{0}, environ...)
	for _, e := range entries {
		if !bytes.Contains(environ, []byte("\x00"+e+"\x00")) {
			return false
		}
	}
	return true
}

// kill ends the very process: the descriptor holds on to it while its start time is looked at.
func kill(p Process) {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if now, err := Get(p.PID); err == nil && now.Start == p.Start {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	}
}
