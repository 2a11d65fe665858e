//go:build !unix

package bench

// peakRSS is not known here.
func peakRSS() int64 { return 0 }

// cpuSeconds is not known here.
func cpuSeconds() float64 { return 0 }
