package kit

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	// Name is the first part of every path in logs and in the tree.
	Name string
	Log  *slog.Logger
	// Stepper runs the actors one message at a time in virtual time; nil means goroutines and the wall clock.
	Stepper *Stepper
	// Draw gives random numbers; nil means a source seeded by the runtime, or the stepper's.
	Draw func() uint64
}

// System is one process's set of actors.
type System struct {
	name     string
	engine   *actor.ActorSystem
	log      *slog.Logger
	clock    Clock
	stepper  *Stepper
	draw     func() uint64
	top      Ref
	done     chan struct{}
	doneOnce sync.Once
	err      error
	killed   atomic.Bool
	ports    atomic.Uint64

	deadLetters atomic.Uint64
	refused     atomic.Uint64

	mu    sync.Mutex
	units map[string]*unit
}

// ErrEnded is why a system whose top actor was stopped on request is done.
var ErrEnded = errors.New("kit: system has ended")

// New makes a System without actors.
func New(c Config) *System {
	s := &System{
		name: c.Name, log: c.Log, stepper: c.Stepper, draw: c.Draw,
		done: make(chan struct{}), units: map[string]*unit{},
	}
	if s.log == nil {
		s.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s.clock = wallClock{}
	if s.stepper != nil {
		s.clock = s.stepper
		if s.draw == nil {
			s.draw = s.stepper.rng.Uint64
		}
	}
	if s.draw == nil {
		s.draw = rand.Uint64
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	s.engine = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }))
	s.engine.EventStream.Subscribe(func(e any) {
		if letter, ok := e.(*actor.DeadLetterEvent); ok {
			s.deadLetter(letter.PID, letter.Message)
		}
	})
	return s
}

// Start spawns the top actor. Its failures past the limit end the system: Done is closed and Err says why.
func (s *System) Start(spec Spec) (Ref, error) {
	root := &rootBehavior{spec: spec, started: make(chan startResult, 1)}
	u := s.newUnit("", Spec{Name: "root", New: func() Behavior { return root }, Control: 64, Mailbox: 64}, nil)
	ref, err := s.engine.Root.SpawnNamed(s.props(u), rootName(s.name))
	if err != nil {
		return nil, fmt.Errorf("kit: start %s: %w", spec.Name, err)
	}
	u.ref = ref
	for s.stepper != nil && len(root.started) == 0 {
		s.stepper.Step(s.stepper.now)
	}
	r := <-root.started
	s.top = r.ref
	return r.ref, r.err
}

func rootName(name string) string {
	if name == "" {
		return "troupe"
	}
	return name
}

// Tell sends a message from outside the actors.
func (s *System) Tell(to Ref, message any) { s.engine.Root.Send(to, message) }

// TellFrom sends a message whose sender is from, a Ref made by Port or of an actor.
func (s *System) TellFrom(from, to Ref, message any) {
	s.engine.Root.RequestWithCustomSender(to, message, from)
}

// Now is the system's time.
func (s *System) Now() time.Time { return s.clock.Now() }

// Done is closed when the top actor has stopped or failed for good.
func (s *System) Done() <-chan struct{} { return s.done }

// Err says why the system is done: ErrEnded after Stop, or the failure that passed every limit.
func (s *System) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

func (s *System) finish(err error) {
	s.doneOnce.Do(func() {
		s.err = err
		close(s.done)
	})
}

// Stop ends the tree in order, last child first, and waits for it until ctx ends.
// Under a stepper the caller must go on stepping; Stop only asks.
func (s *System) Stop(ctx context.Context) error {
	if s.top == nil || s.killed.Load() {
		s.finish(ErrEnded)
		return nil
	}
	s.Tell(s.top, &Shutdown{})
	if s.stepper != nil {
		return nil
	}
	select {
	case <-s.done:
		s.engine.Shutdown() // once: the engine panics on a second call, and stops no actor by itself
		return nil
	case <-ctx.Done():
		return fmt.Errorf("kit: stop %s: %w", s.name, ctx.Err())
	}
}

// Kill ends everything at once as a crash of the process would: no hook runs, nothing is sent, timers are dropped.
// It is for simulated crashes; use it between steps only.
func (s *System) Kill() {
	s.killed.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.units {
		u.mailbox.kill()
		u.timers.stopAll()
	}
	s.units = map[string]*unit{}
	s.finish(errors.New("kit: killed"))
}

// DeadLetters counts messages that reached nobody.
func (s *System) DeadLetters() uint64 { return s.deadLetters.Load() }

// Refused counts messages that a full mailbox refused.
func (s *System) Refused() uint64 { return s.refused.Load() }

func (s *System) deadLetter(to Ref, message any) {
	s.deadLetters.Add(1)
	s.log.Debug("dead letter", "to", pathOf(to), "message", fmt.Sprintf("%T", message))
}

func pathOf(ref Ref) string {
	if ref == nil {
		return "nobody"
	}
	return ref.Id
}

// Port makes a Ref that calls fn for every message sent to it, in the sender's goroutine: fn must only hand over and
// return. Close it with ClosePort. It is how code outside the actors receives what actors send.
func (s *System) Port(name string, fn func(message any, sender Ref)) Ref {
	id := fmt.Sprintf("%s/port/%s-%d", rootName(s.name), name, s.ports.Add(1))
	ref, _ := s.engine.ProcessRegistry.Add(port{fn}, id)
	return ref
}

// ClosePort forgets a Ref made by Port; later messages to it are dead letters.
func (s *System) ClosePort(ref Ref) { s.engine.ProcessRegistry.Remove(ref) }

type port struct{ fn func(any, Ref) }

func (p port) SendUserMessage(_ *actor.PID, message any) {
	_, m, sender := actor.UnwrapEnvelope(message)
	p.fn(m, sender)
}
func (port) SendSystemMessage(*actor.PID, any) {}
func (port) Stop(*actor.PID)                   {}

// Errors of Ask.
var (
	// ErrBusy: the actor's mailbox is full.
	ErrBusy = errors.New("kit: mailbox is full")
	// ErrGone: the actor has stopped.
	ErrGone = errors.New("kit: no such actor")
)

// Ask sends a message and waits for the first reply. It is for the edges, never for actors; ctx must have a deadline.
func (s *System) Ask(ctx context.Context, to Ref, message any) (any, error) {
	if _, ok := ctx.Deadline(); !ok {
		return nil, errors.New("kit: ask without a deadline")
	}
	answer := make(chan any, 1)
	ref := s.Port("ask", func(m any, _ Ref) {
		select {
		case answer <- m:
		default: // only the first reply counts
		}
	})
	defer s.ClosePort(ref)
	s.TellFrom(ref, to, message)
	select {
	case m := <-answer:
		switch m := m.(type) {
		case *Busy:
			return nil, ErrBusy
		case *actor.DeadLetterResponse:
			return nil, ErrGone
		case error:
			return nil, m
		}
		return m, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("kit: ask %s: %w", pathOf(to), ctx.Err())
	}
}

// Busy is what the sender of a refused message gets: the mailbox was full and Message was not taken.
type Busy struct {
	To      Ref
	Message any
}

// Lane of busy answers: they must get through.
func (*Busy) Lane() Lane { return Control }
