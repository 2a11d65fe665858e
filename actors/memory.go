package actors

import "runtime/metrics"

// processMemory is how many bytes the Go runtime of this process holds and has not given back: what GOMEMLIMIT counts.
func processMemory() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}
