package kit

import (
	"fmt"
	"sync"
	"time"
)

// Clock is time as a port.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f once after d, from any goroutine, unless stopped before.
	AfterFunc(d time.Duration, f func()) (stop func())
}

type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

func (wallClock) AfterFunc(d time.Duration, f func()) func() {
	t := time.AfterFunc(d, f)
	return func() { t.Stop() }
}

// timersMax bounds the timers of one actor: who waits for more things than this keeps them in a queue of its own.
const timersMax = 1 << 16

// timers of one actor, by name. A timer that fires after its name was set again, or after its incarnation ended, is
// recognised by its number and dropped: the engine's own timers fire into the next incarnation. The lock is for Kill.
type timers struct {
	mu     sync.Mutex
	closed bool
	next   uint64
	live   map[string]timer
}

type timer struct {
	number  uint64
	message any
	stop    func()
}

// fired is what a timer posts to its actor's mailbox.
type fired struct {
	unit   *unit
	name   string
	number uint64
}

func (f *fired) post() { f.unit.mailbox.PostUserMessage(f) }

func (t *timers) set(u *unit, name string, d time.Duration, message any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	if old, ok := t.live[name]; ok {
		old.stop()
	} else if len(t.live) >= timersMax {
		panic(fmt.Errorf("kit: %s has set %d timers, which is the most an actor may", pathOf(u.ref), timersMax))
	}
	if t.live == nil {
		t.live = map[string]timer{}
	}
	t.next++
	f := &fired{u, name, t.next}
	t.live[name] = timer{t.next, message, u.system.clock.AfterFunc(d, f.post)}
}

func (t *timers) cancel(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old, ok := t.live[name]; ok {
		old.stop()
		delete(t.live, name)
	}
}

// take returns the message of a timer that is still valid.
func (t *timers) take(f *fired) (any, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	live, ok := t.live[f.name]
	if !ok || live.number != f.number {
		return nil, false
	}
	delete(t.live, f.name)
	return live.message, true
}

// drop ends the timers of an incarnation; after the last one no more can be set.
func (t *timers) drop(last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, live := range t.live {
		live.stop()
	}
	t.live = nil
	t.closed = t.closed || last
}
