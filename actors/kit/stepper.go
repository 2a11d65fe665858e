package kit

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Stepper runs the actors of one or more Systems one message at a time in virtual time. Which mailbox goes next is
// drawn from the seed, so one seed is one run. It is not safe for use from several goroutines, and neither are the Systems
// that run on it.
type Stepper struct {
	rng     *rand.Rand
	now     time.Time
	ready   []*mailbox
	timers  alarmHeap
	serial  uint64
	steps   uint64
	onTrace func(Trace)
	onFate  func(actor string, message any) Fate
	frozen  map[*System][]*mailbox // those that could run
	engines *engines
}

// Trace is one message handled, for timelines and for comparing runs.
type Trace struct {
	Step    uint64
	At      time.Time
	Actor   string
	From    string
	Message any
}

// NewStepper starts a virtual clock at start.
func NewStepper(seed uint64, start time.Time) *Stepper {
	return (&Stepper{engines: &engines{}}).Next(seed, start)
}

// Next makes a Stepper for another run. It is like NewStepper, but many runs in a row share what is costly to make.
func (s *Stepper) Next(seed uint64, start time.Time) *Stepper {
	return &Stepper{rng: rand.New(rand.NewPCG(seed, 0x7472_6f75_7065)), now: start, engines: s.engines}
}

// OnTrace calls fn for every message handled.
func (s *Stepper) OnTrace(fn func(Trace)) { s.onTrace = fn }

// Fate is what a world makes of a message that an actor is about to handle: how an actor is made to fail at any point.
// A positive Fate n lets it fail when it has sent n messages because of this one, or has handled it if it sends fewer.
type Fate int

const (
	// Lives lets the actor handle the message.
	Lives Fate = 0
	// DiesBefore lets the actor fail before anything comes of the message.
	DiesBefore Fate = -1
)

// Fated is what an actor panics with that is made to fail.
const Fated = "kit: fated to fail"

// OnFate asks fn about every message before it is handled, but the last one of an actor that ends in order.
func (s *Stepper) OnFate(fn func(actor string, message any) Fate) { s.onFate = fn }

// fate of a message; it panics if the actor dies before it.
func (s *Stepper) fate(u *unit, message any) Fate {
	if s.onFate == nil || u.parent == nil {
		return Lives
	}
	if _, last := message.(Stopping); last {
		return Lives
	}
	f := s.onFate(u.ref.Id, message)
	if f < 0 {
		panic(Fated)
	}
	return f
}

// Freeze lets no actor of a system handle anything until Thaw, as if its process was stopped. Timers and messages of
// others find their way into its mailboxes meanwhile.
func (s *Stepper) Freeze(sys *System) {
	if _, already := s.frozen[sys]; already {
		return
	}
	if s.frozen == nil {
		s.frozen = map[*System][]*mailbox{}
	}
	s.frozen[sys] = nil
	for _, m := range s.ready {
		if m.unit.system == sys {
			s.frozen[sys] = append(s.frozen[sys], m)
		}
	}
	s.drop(sys)
}

// Thaw ends a Freeze.
func (s *Stepper) Thaw(sys *System) {
	s.ready = append(s.ready, s.frozen[sys]...)
	delete(s.frozen, sys)
}

// Rand is the world's source of chance.
func (s *Stepper) Rand() *rand.Rand { return s.rng }

// Now is the virtual time.
func (s *Stepper) Now() time.Time { return s.now }

// Steps counts messages handled and alarms fired.
func (s *Stepper) Steps() uint64 { return s.steps }

// AfterFunc implements Clock; it also serves the world's own events.
func (s *Stepper) AfterFunc(d time.Duration, f func()) func() {
	s.serial++
	a := &alarm{at: s.now.Add(max(d, 0)), serial: s.serial, fn: f}
	heap.Push(&s.timers, a)
	return func() {
		if a.index >= 0 {
			heap.Remove(&s.timers, a.index)
		}
	}
}

// Idle reports whether no mailbox has anything to do at this instant.
func (s *Stepper) Idle() bool { return len(s.ready) == 0 }

// Step handles one message, or if there is none fires the next alarm, moving time on. It returns false when nothing
// is left to happen at all, or the next alarm is later than until.
func (s *Stepper) Step(until time.Time) bool {
	if n := len(s.ready); n > 0 {
		i := s.rng.IntN(n)
		m := s.ready[i]
		s.ready[i] = s.ready[n-1]
		s.ready[n-1] = nil
		s.ready = s.ready[:n-1]
		s.steps++
		m.stepOne()
		return true
	}
	if len(s.timers) == 0 || s.timers[0].at.After(until) {
		return false
	}
	a := heap.Pop(&s.timers).(*alarm)
	s.now = a.at
	s.steps++
	a.fn()
	return true
}

func (s *Stepper) runnable(m *mailbox) {
	if parked, frozen := s.frozen[m.unit.system]; frozen {
		s.frozen[m.unit.system] = append(parked, m)
		return
	}
	s.ready = append(s.ready, m)
}

func (s *Stepper) trace(path string, from Ref, message any) {
	if s.onTrace != nil {
		s.onTrace(Trace{Step: s.steps, At: s.now, Actor: path, From: pathOf(from), Message: message})
	}
}

// forget drops the mailboxes of a killed system.
func (s *Stepper) forget(sys *System) {
	delete(s.frozen, sys)
	s.drop(sys)
}

func (s *Stepper) drop(sys *System) {
	s.ready = slices.DeleteFunc(s.ready, func(m *mailbox) bool { return m.unit.system == sys })
}

// stepOne handles one message and puts the mailbox back in line if more wait.
func (m *mailbox) stepOne() {
	m.step()
	m.mu.Lock()
	m.active = false
	again := m.wake()
	m.mu.Unlock()
	m.schedule(again)
}

// String is one line of a timeline.
func (t Trace) String() string {
	return fmt.Sprintf("%6d %s %-28s %T", t.Step, t.At.Format("15:04:05.000"), t.Actor, t.Message)
}

type alarm struct {
	at     time.Time
	serial uint64
	index  int // in the heap, or -1
	fn     func()
}

type alarmHeap []*alarm

func (h alarmHeap) Len() int { return len(h) }
func (h alarmHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].serial < h[j].serial
}
func (h alarmHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *alarmHeap) Push(v any) {
	a := v.(*alarm)
	a.index = len(*h)
	*h = append(*h, a)
}
func (h *alarmHeap) Pop() any {
	old := *h
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	a.index = -1
	return a
}
