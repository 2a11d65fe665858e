package kit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Ref is the address of an actor. It stays valid over restarts; a message to a stopped actor is a dead letter.
type Ref = *actor.PID

// Behavior is the code and state of one actor. Receive handles one message at a time. The system makes a new Behavior
// for every restart, so fields hold soft state only.
type Behavior interface {
	Receive(ctx *Context, message any)
}

// Config of a System. The zero value is a real system: goroutines, wall clock, random draws, no log.
type Config struct {
	// Name is the first part of every path in logs and in the tree; "troupe" if empty.
	Name string
	Log  *slog.Logger
	// Stepper runs the actors one message at a time in virtual time; nil means goroutines and the wall clock.
	Stepper *Stepper
	// Clock is the time; nil means the wall clock, or the stepper's.
	Clock Clock
	// Draw gives random numbers; nil means a source seeded by the runtime, or the stepper's.
	Draw func() uint64
}

// System is one process's set of actors. It is started once, and ends once.
type System struct {
	name string
	// askPrefix begins the address of every Ask.
	askPrefix string

	engine  *actor.ActorSystem
	log     *slog.Logger
	clock   Clock
	stepper *Stepper
	draw    func() uint64
	killed  atomic.Bool
	done    chan struct{}

	mu      sync.Mutex
	started bool
	top     Ref
	root    *unit
	err     error // set once, before done is closed
	ended   Stats // what ended actors counted

	serial      atomic.Uint64
	deadLetters atomic.Uint64
	refused     atomic.Uint64
	ignored     atomic.Uint64
	failures    atomic.Uint64
}

var (
	// ErrEnded is why a system whose top actor was stopped on request is done.
	ErrEnded = errors.New("kit: system has ended")
	// ErrKilled is why a system is done after Kill.
	ErrKilled = errors.New("kit: system was killed")
	// ErrStarted: a system is started once.
	ErrStarted = errors.New("kit: system was started before")
)

// New makes a System without actors.
func New(c Config) *System {
	s := &System{name: c.Name, log: c.Log, stepper: c.Stepper, draw: c.Draw, done: make(chan struct{})}
	if s.name == "" {
		s.name = "troupe"
	}
	s.askPrefix = s.name + "/ask/"
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.clock = wallClock{}
	if s.stepper != nil {
		s.clock = s.stepper
		if s.draw == nil {
			s.draw = s.stepper.rng.Uint64
		}
	}
	if c.Clock != nil {
		s.clock = c.Clock
	}
	if s.draw == nil {
		s.draw = rand.Uint64
	}
	s.engine = s.newEngine()
	return s
}

// Start spawns the top actor. It is never restarted: when it fails, of itself or as a supervisor past its limit, the
// tree is stopped, Done is closed and Err says why. A Start that fails leaves nothing behind, and the system is done.
func (s *System) Start(spec Spec) (Ref, error) {
	s.mu.Lock()
	before := s.started
	s.started = true
	s.mu.Unlock()
	if err := s.Err(); err != nil {
		return nil, err
	}
	if before {
		return nil, ErrStarted
	}
	root := &rootBehavior{spec: spec, started: make(chan startResult, 1)}
	rootSpec := Spec{Name: s.name, New: func() Behavior { return root }, Control: 1, Mailbox: 1}
	if _, err := s.spawn(nil, s.engine.Root, rootSpec, false); err != nil {
		s.finish(err)
		return nil, err
	}
	for s.stepper != nil && len(root.started) == 0 && s.stepper.Step(s.stepper.now) {
	}
	select {
	case r := <-root.started:
		return s.begun(r)
	case <-s.done:
	}
	select {
	case r := <-root.started: // it was started, and has ended at once
		return s.begun(r)
	default:
		return nil, s.Err()
	}
}

func (s *System) begun(r startResult) (Ref, error) {
	if r.err != nil {
		s.await()
		return nil, r.err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.top = r.ref
	return r.ref, nil
}

// await waits for the end of the tree.
func (s *System) await() {
	for s.stepper != nil && s.Err() == nil && s.stepper.Step(s.stepper.now) {
	}
	<-s.done
}

// Tell sends a message from outside the actors.
func (s *System) Tell(to Ref, message any) { s.send(to, message, nil) }

// TellFrom sends a message whose sender is from, a Ref made by Port or of an actor.
func (s *System) TellFrom(from, to Ref, message any) { s.send(to, message, from) }

// Now is the system's time.
func (s *System) Now() time.Time { return s.clock.Now() }

// Done is closed when the tree has ended, on request or because it failed.
func (s *System) Done() <-chan struct{} { return s.done }

// Err says why the system is done: ErrEnded after Stop, or the failure that passed every limit, which wraps what the
// actor panicked with if that was an error. It is nil until Done is closed.
func (s *System) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

func (s *System) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		close(s.done)
	}
}

// Stop ends the tree in order, last child first, and waits for it until ctx ends. It may be called again.
// Under a stepper the caller must go on stepping; Stop only asks.
func (s *System) Stop(ctx context.Context) error {
	if s.Err() != nil {
		return nil
	}
	s.mu.Lock()
	started, top := s.started, s.top
	s.started = true
	s.mu.Unlock()
	switch {
	case !started:
		s.finish(ErrEnded)
		return nil
	case top == nil:
		return errors.New("kit: stop: the system is just being started")
	}
	s.Tell(top, &Shutdown{})
	if s.stepper != nil {
		return nil
	}
	// The engine's own Shutdown is not called: it stops no actor, holds nothing, and panics on a second call.
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("kit: stop %s: %w", s.name, ctx.Err())
	}
}

// Kill ends everything at once as a crash of the process would: no hook runs, nothing is sent, timers are dropped.
// Under a stepper it takes effect between two messages; otherwise a handler that is running comes to its end, but what
// it sends, spawns or sets is dropped.
func (s *System) Kill() {
	s.mu.Lock()
	s.killed.Store(true)
	root := s.root
	s.root = nil
	if root != nil {
		root.kill()
	}
	s.mu.Unlock()
	if s.stepper != nil {
		s.stepper.forget(s)
	}
	s.finish(ErrKilled)
}

// kill ends a unit and all below it; the caller holds System.mu.
func (u *unit) kill() {
	u.mailbox.kill()
	u.timers.drop(true)
	for _, c := range u.children {
		c.kill()
	}
}
