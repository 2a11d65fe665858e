package sim

import (
	"time"
	"unsafe"

	"github.com/troupe-sched/troupe/actors/kit"
)

// clock is the time of one process where clocks are wrong: it may run fast or slow, and its date may jump. As everywhere
// in Go, differences are taken by a reading that does not jump. It implements kit.Clock.
type clock struct {
	w *world
	// fast is by how many thousandths it runs fast, wrong by how much its date is ahead.
	fast  int64
	wrong time.Duration
}

var _ kit.Clock = (*clock)(nil)

// newClock draws the clock of a process; the processes of a world with one master alone have none of their own.
func (w *world) newClock() *clock {
	if w.p.masters == 0 {
		return nil
	}
	c := &clock{w: w}
	if d := int(w.p.drift); d > 0 {
		c.fast = int64(w.newest.IntN(2*d+1) - d)
	}
	return c
}

// port is the clock as actors have it; nil for the world's own.
func (c *clock) port() kit.Clock {
	if c == nil {
		return nil
	}
	return c
}

// Now implements kit.Clock.
func (c *clock) Now() time.Time {
	steady := c.w.st.Now().Sub(c.w.began)
	steady += steady * time.Duration(c.fast) / 1000
	return reading(birth.Add(steady+c.wrong), steady)
}

// AfterFunc implements kit.Clock.
func (c *clock) AfterFunc(d time.Duration, f func()) func() { return c.w.st.AfterFunc(c.lasts(d), f) }

// lasts is how long it takes by the world's clock until this one shows that d has passed. It is a little more than
// that, as with every timer.
func (c *clock) lasts(d time.Duration) time.Duration {
	if c == nil || c.fast == 0 {
		return d
	}
	return d*1000/time.Duration(1000+c.fast) + 1
}

// jump sets the date.
func (c *clock) jump(by time.Duration) { c.wrong = by }

// reading is what time.Now gives when the date is wall and the steady clock of the process shows that long. Nothing in the
// library makes one, so this knows how package time lays it out; TestTheClocksOfProcesses holds it against that.
func reading(wall time.Time, steady time.Duration) time.Time {
	const (
		hasSteady = 1 << 63
		since1885 = 2682288000 // seconds from 1885 to 1970
	)
	inside := struct {
		wall uint64
		ext  int64
		loc  *time.Location
	}{hasSteady | uint64(wall.Unix()+since1885)<<30 | uint64(wall.Nanosecond()), int64(steady) + 1, time.UTC}
	return *(*time.Time)(unsafe.Pointer(&inside))
}
