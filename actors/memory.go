package actors

import (
	"math"
	"runtime/debug"
	"runtime/metrics"

	"github.com/troupe-sched/troupe/actors/gateway"
)

// processMemory is how many bytes of the Go runtime of this process no collection of garbage would give back: what the
// last one found alive, and what is no heap, such as stacks. Garbage is left out on purpose. The runtime lets it grow up
// to GOMEMLIMIT before it looks, so that memory in use would be near the limit in a process that is well.
func processMemory() int64 {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
	}
	metrics.Read(samples)
	value := func(i int) int64 { return int64(samples[i].Value.Uint64()) }
	heap := value(2) + value(3) + value(4) + value(5)
	return value(0) + max(value(1)-heap, 0)
}

// processLimit is GOMEMLIMIT, or what the program has set in its place; 0 if there is none.
func processLimit() int64 {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return limit
	}
	return 0
}

// memoryPorts are how the gateway learns of the memory of this process, and has it relieved.
func (c *Cell) memoryPorts() gateway.Ports {
	return gateway.Ports{Memory: c.opts.Memory, Relieve: func(used, limit int64) {
		if !c.relieving.CompareAndSwap(false, true) {
			return
		}
		go func() {
			defer c.relieving.Store(false)
			c.postMortem("memory", "%d bytes are in use of at most %d", used, limit)
			debug.FreeOSMemory()
		}()
	}}
}
