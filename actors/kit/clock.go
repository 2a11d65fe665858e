package kit

import "time"

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

// timers of one incarnation, by name. A timer that fires after its name was set again, or after its incarnation
// ended, is recognised by its number and dropped: the engine's own timers fire into the next incarnation.
type timers struct {
	next uint64
	live map[string]timer
}

type timer struct {
	number  uint64
	message any
	stop    func()
}

// fired is what a timer posts to its actor's mailbox.
type fired struct {
	name   string
	number uint64
}

func (*fired) Lane() Lane { return Control }

func (t *timers) set(clock Clock, name string, d time.Duration, message any, post func(*fired)) {
	t.cancel(name)
	if t.live == nil {
		t.live = map[string]timer{}
	}
	t.next++
	f := &fired{name, t.next}
	t.live[name] = timer{t.next, message, clock.AfterFunc(d, func() { post(f) })}
}

func (t *timers) cancel(name string) {
	if old, ok := t.live[name]; ok {
		old.stop()
		delete(t.live, name)
	}
}

// take returns the message of a timer that is still valid.
func (t *timers) take(f *fired) (any, bool) {
	live, ok := t.live[f.name]
	if !ok || live.number != f.number {
		return nil, false
	}
	delete(t.live, f.name)
	return live.message, true
}

func (t *timers) stopAll() {
	for _, live := range t.live {
		live.stop()
	}
	t.live = nil
}
