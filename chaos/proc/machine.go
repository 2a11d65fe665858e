package proc

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Attempt is what runs of one attempt of the cell at this moment.
type Attempt struct {
	Node, Job, Stage  string
	UID, Index, Fence uint64
	// PIDs are its processes.
	PIDs []int
}

// seen is a process found in /proc, told from a later one of the same number by the time of its start.
type seen struct {
	pid   int
	start string
	env   map[string]string
}

// Attempts are all attempts of a cell that were alive together when it returns, by fence; those that end or begin
// meanwhile are left out. They are known by the environment that the agent gives them, so a cell of a name of its own is
// needed. Where there is no /proc it finds none.
func Attempts(cell string) []Attempt {
	mark := []byte("\x00TROUPE_CELL=" + cell + "\x00")
	var found []seen
	each(func(pid int) {
		environ, err := os.ReadFile(filepath.Join(procDir, strconv.Itoa(pid), "environ"))
		if err != nil || !bytes.Contains(append([]byte{0}, environ...), mark) {
			return
		}
		if start, alive := started(pid); alive {
			found = append(found, seen{pid, start, variables(environ)})
		}
	})
	byFence := map[uint64]*Attempt{}
	for _, s := range found {
		if start, alive := started(s.pid); !alive || start != s.start {
			continue // it was there when it was read, but not together with those that were read last
		}
		number := func(name string) uint64 { n, _ := strconv.ParseUint(s.env[name], 10, 64); return n }
		fence := number("TROUPE_FENCE")
		if fence == 0 {
			continue
		}
		if byFence[fence] == nil {
			byFence[fence] = &Attempt{
				Node: s.env["TROUPE_NODE"], Job: s.env["TROUPE_JOB"], Stage: s.env["TROUPE_STAGE"],
				UID: number("TROUPE_JOB_UID"), Index: number("TROUPE_INDEX"), Fence: fence,
			}
		}
		byFence[fence].PIDs = append(byFence[fence].PIDs, s.pid)
	}
	all := make([]Attempt, 0, len(byFence))
	for _, a := range byFence { //order: sorted below
		all = append(all, *a)
	}
	slices.SortFunc(all, func(a, b Attempt) int { return cmp.Compare(a.Fence, b.Fence) })
	return all
}

// Below lists the processes, but for this one, that were started with a path below dir in their arguments or in their
// environment.
func Below(dir string) []int {
	mark := []byte(strings.TrimSuffix(dir, "/") + "/")
	var pids []int
	each(func(pid int) {
		if pid == os.Getpid() {
			return
		}
		for _, file := range []string{"cmdline", "environ"} {
			data, err := os.ReadFile(filepath.Join(procDir, strconv.Itoa(pid), file))
			if err == nil && bytes.Contains(data, mark) {
				if _, alive := started(pid); alive {
					pids = append(pids, pid)
				}
				return
			}
		}
	})
	return pids
}

// KillBelow kills those of the processes that are still there; Below names them.
func KillBelow(dir string) {
	for _, pid := range Below(dir) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it fails only if it is gone
	}
}

// Shims are the processes that stand behind the slots of a node whose folder is dir: their last argument but the options
// names a slot below it.
func Shims(dir string) []int {
	mark := []byte("\x00shim\x00-dir\x00" + filepath.Clean(dir) + "/")
	var pids []int
	each(func(pid int) {
		data, err := os.ReadFile(filepath.Join(procDir, strconv.Itoa(pid), "cmdline"))
		if _, alive := started(pid); err == nil && alive && bytes.Contains(data, mark) {
			pids = append(pids, pid)
		}
	})
	return pids
}

// Usage is what a process holds of the machine.
type Usage struct {
	RSS     int64 // bytes
	FDs     int
	Threads int
}

// UsageOf reads what a process holds; false if that is not known.
func UsageOf(pid int) (u Usage, ok bool) {
	dir := filepath.Join(procDir, strconv.Itoa(pid))
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return u, false
	}
	for line := range strings.Lines(string(status)) {
		name, rest, _ := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		n, err := strconv.ParseInt(fields[0], 10, 64)
		switch {
		case err != nil:
		case name == "VmRSS":
			u.RSS = n << 10
		case name == "Threads":
			u.Threads = int(n)
		}
	}
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	u.FDs = len(fds)
	return u, err == nil && u.RSS > 0
}

const procDir = "/proc"

// each calls fn with every process of the machine.
func each(fn func(pid int)) {
	entries, _ := os.ReadDir(procDir) // no entries where there is none
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			fn(pid)
		}
	}
}

// started tells when a process began, in ticks since the boot, and whether it is alive: neither dead nor a zombie.
func started(pid int) (start string, alive bool) {
	data, err := os.ReadFile(filepath.Join(procDir, strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", false
	}
	// The name in parentheses may hold anything, so fields are counted from the last ")".
	_, rest, _ := strings.Cut(string(data[bytes.LastIndexByte(data, ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return "", false
	}
	return fields[19], true
}

func variables(environ []byte) map[string]string {
	m := map[string]string{}
	for entry := range strings.SplitSeq(string(environ), "\x00") {
		if name, value, ok := strings.Cut(entry, "="); ok {
			m[name] = value
		}
	}
	return m
}
