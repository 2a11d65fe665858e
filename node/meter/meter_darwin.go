package meter

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// measure tells the load; processor, memory and network in use are told by Mach alone, which needs cgo.
func measure() (*v1.Usage, counters) { return &v1.Usage{LoadMilli: load()}, counters{} }

// load is the average of the last minute: struct loadavg is three fixed-point numbers and their scale.
func load() int64 {
	raw, err := unix.SysctlRaw("vm.loadavg")
	if err != nil || len(raw) < 24 {
		return 0
	}
	scale := int64(binary.LittleEndian.Uint64(raw[16:]))
	if scale <= 0 {
		return 0
	}
	return int64(binary.LittleEndian.Uint32(raw)) * 1000 / scale
}

func memoryTotal() int64 {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return int64(n)
}

func linkSpeed() int64 { return 0 }

func groupLimits() (cpu, memory int64) { return 0, 0 }
