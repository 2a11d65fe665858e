package compose

import (
	"os"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/troupe-sched/troupe/actors/kit"
)

// clockVariable names the file with the offset of this process's clock, such as "1h" or "-30s". It is for those who test what
// jumps of a clock do to a cell; without it the clock is that of the machine.
const clockVariable = "TROUPE_CLOCK_FILE"

// clockReadEvery is how often the file is read.
const clockReadEvery = 100 * time.Millisecond

// jumpingClock is the machine's clock off by what a file says. As with a real jump, only the time of day is off: what has
// elapsed between two times of this process stays right, and so do timers.
type jumpingClock struct {
	file string
	// offset in seconds; next is when the file is read again, in nanoseconds of the machine's own clock.
	offset, next atomic.Int64
}

// clock is that of this process's actors; nil is the machine's.
func (e *Env) clock() kit.Clock {
	file := os.Getenv(clockVariable)
	if file == "" {
		return nil
	}
	e.Log.Warn("the clock of this process jumps as a file says: for tests alone", "file", file)
	return &jumpingClock{file: file}
}

// Now implements kit.Clock.
func (c *jumpingClock) Now() time.Time {
	t := time.Now()
	if next := c.next.Load(); t.UnixNano() >= next && c.next.CompareAndSwap(next, t.Add(clockReadEvery).UnixNano()) {
		c.read()
	}
	return jump(t, c.offset.Load())
}

// AfterFunc implements kit.Clock.
func (c *jumpingClock) AfterFunc(d time.Duration, f func()) func() {
	timer := time.AfterFunc(d, f)
	return func() { timer.Stop() }
}

// read takes the offset from the file; one that is not there or not written yet changes nothing.
func (c *jumpingClock) read() {
	text, err := os.ReadFile(c.file)
	if err != nil {
		return
	}
	if offset, err := time.ParseDuration(strings.TrimSpace(string(text))); err == nil {
		c.offset.Store(int64(offset / time.Second))
	}
}

// jump moves the time of day of a time by seconds, and not its reading of the monotonic clock. Package time has no way to do
// that, because only a clock that jumps makes such times: the seconds stand in the first word, above 30 bits of nanoseconds
// and below the bit that says that there is a monotonic reading. A test holds this against the real thing.
func jump(t time.Time, seconds int64) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) += uint64(seconds) << 30
	return t
}
