package meter

import (
	"math"
	"strconv"
	"strings"
)

// parseStat reads /proc/stat: processor time in use and in all, in ticks. Idle and waiting for a disk is not in use;
// guests are counted within user and nice.
func parseStat(text string) (busy, all uint64) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[0] != "cpu" {
		return 0, 0
	}
	for i, f := range fields[1:min(len(fields), 9)] {
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return 0, 0
		}
		all += n
		if i != 3 && i != 4 {
			busy += n
		}
	}
	return busy, all
}

// parseMeminfo reads /proc/meminfo: all memory, and what can still be given out, in bytes.
func parseMeminfo(text string) (total, available int64) {
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, ":")
		kib := parseCount(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
		switch name {
		case "MemTotal":
			total = kib << 10
		case "MemAvailable":
			available = kib << 10
		}
	}
	return total, available
}

// parseNetDev reads /proc/net/dev: bytes in and out over all devices but the loopback.
func parseNetDev(text string) (bytes uint64) {
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if !ok || strings.TrimSpace(name) == "lo" || len(fields) < 9 {
			continue
		}
		for _, f := range []string{fields[0], fields[8]} {
			if n, err := strconv.ParseUint(f, 10, 64); err == nil {
				bytes += n
			}
		}
	}
	return bytes
}

// parseLoad reads /proc/loadavg: the average of the last minute, in thousandths.
func parseLoad(text string) int64 {
	first, _, _ := strings.Cut(text, " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil || load < 0 || load > math.MaxInt32 || math.IsNaN(load) {
		return 0
	}
	return int64(load * 1000)
}

// parseGroups reads /proc/self/cgroup: the path in each hierarchy, "" for the unified one.
func parseGroups(text string) map[string]string {
	groups := map[string]string{}
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for name := range strings.SplitSeq(parts[1], ",") {
			groups[name] = parts[2]
		}
	}
	return groups
}

// parseQuota reads "quota period" in microseconds: thousandths of a processor, 0 for "max", -1 and nonsense.
func parseQuota(text string) int64 {
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return 0
	}
	quota, period := parseCount(fields[0]), parseCount(fields[1])
	if quota <= 0 || period <= 0 || quota > math.MaxInt64/1000 {
		return 0
	}
	return max(quota*1000/period, 1)
}

// parseCount reads a count; 0 if it is none.
func parseCount(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
