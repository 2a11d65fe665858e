// Package meter measures the machine that an agent runs on: what it has (Host) and what of it is in use (Meter). What a
// system does not tell without cgo is zero.
package meter

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// every is how old a sample may be before a new one is taken.
const every = time.Second

// MemoryLimit is how many bytes of memory the control groups of this process allow it; 0 if they do not limit it below what
// the machine has.
func MemoryLimit() int64 {
	if _, limit := groupLimits(); limit > 0 && limit < memoryTotal() {
		return limit
	}
	return 0
}

// Host is what the machine has, within the limits of the control group that this process is in, with the file system of
// dir as its disk. The id is left to the caller. Attributes: os, arch, hostname, kernel, cpus.
func Host(dir string) *v1.NodeInfo {
	cpus := int64(runtime.NumCPU())
	info := &v1.NodeInfo{CpuMilli: cpus * 1000, MemoryBytes: memoryTotal(), NetBps: linkSpeed()}
	cpu, memory := groupLimits()
	if cpu > 0 {
		info.CpuMilli = max(min(info.CpuMilli, cpu), 1)
	}
	if memory > 0 && (memory < info.MemoryBytes || info.MemoryBytes == 0) {
		info.MemoryBytes = memory
	}
	info.DiskBytes, _ = disk(dir)
	for _, amount := range []*int64{&info.CpuMilli, &info.MemoryBytes, &info.DiskBytes, &info.NetBps} {
		*amount = min(*amount, model.MaxAmount)
	}
	info.Attributes = map[string]string{"os": runtime.GOOS, "arch": runtime.GOARCH, "cpus": strconv.FormatInt(cpus, 10)}
	if name, err := os.Hostname(); err == nil && name != "" {
		info.Attributes["hostname"] = name
	}
	if kernel := release(); kernel != "" {
		info.Attributes["kernel"] = kernel
	}
	return info
}

func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	text, _, _ := strings.Cut(string(u.Release[:]), "\x00")
	return text
}

// disk is the size of the file system of dir, and how much of it is taken.
func disk(dir string) (total, used int64) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, 0
	}
	size := int64(fs.Bsize)
	total = int64(fs.Blocks) * size
	return total, max(total-int64(fs.Bavail)*size, 0)
}

// Meter samples usage. It starts nothing that must be stopped: a sample is taken when one is asked for and the last is
// too old.
type Meter struct {
	dir string

	mu      sync.Mutex
	last    *v1.Usage
	counted counters
	at      time.Time
	busy    bool
}

// counters are sums since the machine started; usage is their growth.
type counters struct {
	busy, all uint64 // processor time, in ticks
	net       uint64 // bytes in and out
}

// New makes a Meter with dir's file system as the disk, and takes the first sample.
func New(dir string) *Meter {
	m := &Meter{dir: dir}
	m.sample(time.Now())
	return m
}

// Usage is the newest sample, at most a little older than a second if it is asked for regularly. It returns at once; a
// new sample is taken beside it, because a file system may hang. It must not be changed.
func (m *Meter) Usage() *v1.Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := time.Now(); !m.busy && now.Sub(m.at) >= every {
		m.busy = true
		go m.sample(now)
	}
	return m.last
}

func (m *Meter) sample(now time.Time) {
	u, counted := measure()
	_, u.DiskBytes = disk(m.dir)
	m.mu.Lock()
	defer m.mu.Unlock()
	if since := now.Sub(m.at); !m.at.IsZero() && since > 0 {
		u.CpuMilli, u.NetBps = growth(m.counted, counted, since, int64(runtime.NumCPU())*1000)
	}
	m.last, m.counted, m.at, m.busy = u, counted, now, false
}

// growth is the rate between two counts. Counters that went back, as after a device left, count as nothing.
func growth(was, is counters, since time.Duration, cpuMilli int64) (milli, bps int64) {
	if is.all > was.all && is.busy >= was.busy {
		milli = min(int64(float64(cpuMilli)*float64(is.busy-was.busy)/float64(is.all-was.all)), cpuMilli)
	}
	if is.net > was.net {
		bps = int64(float64(is.net-was.net) * 8 / since.Seconds())
	}
	return milli, bps
}
