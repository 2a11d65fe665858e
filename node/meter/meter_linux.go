package meter

import (
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// read is the content of a file that is made as it is read, or nothing.
func read(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(data)
}

func measure() (*v1.Usage, counters) {
	var c counters
	c.busy, c.all = parseStat(read("/proc/stat"))
	c.net = parseNetDev(read("/proc/net/dev"))
	total, available := parseMeminfo(read("/proc/meminfo"))
	return &v1.Usage{MemoryBytes: max(total-available, 0), LoadMilli: parseLoad(read("/proc/loadavg"))}, c
}

func memoryTotal() int64 {
	total, _ := parseMeminfo(read("/proc/meminfo"))
	return total
}

// linkSpeed is that of the fastest network device that is up and knows its speed, in bits per second.
func linkSpeed() int64 {
	speeds, err := filepath.Glob("/sys/class/net/*/speed")
	if err != nil {
		return 0
	}
	most := int64(0)
	for _, path := range speeds {
		if strings.TrimSpace(read(filepath.Join(filepath.Dir(path), "operstate"))) == "up" {
			most = max(most, parseCount(read(path))*1_000_000)
		}
	}
	return most
}

// groupLimits are the limits of this process's control group and of all above it: processor in thousandths and memory
// in bytes; 0 means none.
func groupLimits() (cpu, memory int64) {
	own := parseGroups(read("/proc/self/cgroup"))
	for _, g := range []struct{ root, path, cpu, period, memory string }{
		{"/sys/fs/cgroup", own[""], "cpu.max", "", "memory.max"},
		{"/sys/fs/cgroup/cpu", own["cpu"], "cpu.cfs_quota_us", "cpu.cfs_period_us", ""},
		{"/sys/fs/cgroup/memory", own["memory"], "", "", "memory.limit_in_bytes"},
	} {
		for _, dir := range upwards(g.root, g.path) {
			if g.cpu != "" {
				quota := read(filepath.Join(dir, g.cpu))
				if g.period != "" {
					quota += " " + read(filepath.Join(dir, g.period))
				}
				cpu = tighter(cpu, parseQuota(quota))
			}
			if g.memory != "" {
				memory = tighter(memory, parseCount(read(filepath.Join(dir, g.memory))))
			}
		}
	}
	return cpu, memory
}

// upwards are the folders from root/path up to root. In a container path may not be there; root then is its own.
func upwards(root, path string) []string {
	dirs := []string{root}
	for p := filepath.Clean("/" + path); p != "/"; p = filepath.Dir(p) {
		dirs = append(dirs, filepath.Join(root, p))
	}
	return dirs
}

func tighter(limit, other int64) int64 {
	if other > 0 && (limit == 0 || other < limit) {
		return other
	}
	return limit
}
