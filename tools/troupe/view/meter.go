package view

import "time"

const (
	meterSamples = 32
	meterGap     = 500 * time.Millisecond
)

// Meter tells how fast work is done, over the last 16 seconds or so: a window long enough to be calm and short enough
// to notice a change. Work is counted in thousandths of instances, so that long instances move it too.
type Meter struct {
	samples []sample
}

type sample struct {
	at   time.Time
	done uint64
}

// Add takes a reading. Readings closer together than half a second replace one another.
func (m *Meter) Add(at time.Time, doneMilli uint64) {
	n := len(m.samples)
	if n >= 2 && at.Sub(m.samples[n-2].at) < meterGap {
		m.samples[n-1] = sample{at, doneMilli}
		return
	}
	if n == meterSamples {
		copy(m.samples, m.samples[1:])
		m.samples = m.samples[:n-1]
	}
	m.samples = append(m.samples, sample{at, doneMilli})
}

// PerSecond is the rate in instances; 0 until it is known.
func (m *Meter) PerSecond() float64 {
	if len(m.samples) < 2 {
		return 0
	}
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	elapsed := last.at.Sub(first.at).Seconds()
	if elapsed <= 0 || last.done <= first.done {
		return 0
	}
	return float64(last.done-first.done) / 1000 / elapsed
}

// Left is the time that leftMilli more will take; false if that cannot be told.
func (m *Meter) Left(leftMilli uint64) (time.Duration, bool) {
	rate := m.PerSecond()
	if rate <= 0 {
		return 0, false
	}
	seconds := float64(leftMilli) / 1000 / rate
	if seconds > 365*24*3600 {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}
