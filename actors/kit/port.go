package kit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// port is an address outside the actors.
type port struct {
	system *System
	fn     func(any, Ref)
	closed atomic.Bool
}

// SendUserMessage implements actor.Process. Addresses keep the process they found once, so a closed port still hears.
func (p *port) SendUserMessage(to *actor.PID, message any) {
	_, m, sender := actor.UnwrapEnvelope(message)
	if p.closed.Load() {
		p.system.lost(to, m, sender)
		return
	}
	p.fn(m, sender)
}

// SendSystemMessage implements actor.Process.
func (*port) SendSystemMessage(*actor.PID, any) {}

// Stop implements actor.Process.
func (*port) Stop(*actor.PID) {}

// Port makes a Ref that calls fn for every message sent to it, in the sender's goroutine: fn must only hand over and
// return. Close it with ClosePort. It is how code outside the actors receives what actors send.
func (s *System) Port(name string, fn func(message any, sender Ref)) Ref {
	id := s.name + "/port/" + name + "-" + strconv.FormatUint(s.serial.Add(1), 10)
	ref, _ := s.engine.ProcessRegistry.Add(&port{system: s, fn: fn}, id)
	return ref
}

// ClosePort forgets a Ref made by Port; later messages to it are dead letters.
func (s *System) ClosePort(ref Ref) {
	if found, _ := s.engine.ProcessRegistry.Get(ref); found != nil {
		if p, ok := found.(*port); ok {
			p.closed.Store(true)
			s.engine.ProcessRegistry.Remove(ref)
		}
	}
}

// Errors of Ask.
var (
	// ErrBusy: the actor's mailbox is full.
	ErrBusy = errors.New("kit: mailbox is full")
	// ErrGone: the actor has stopped.
	ErrGone = errors.New("kit: no such actor")
)

// asker is where one Ask waits: it takes the first answer, and drops others.
type asker chan any

// SendUserMessage implements actor.Process.
func (a asker) SendUserMessage(_ *actor.PID, message any) {
	_, m, _ := actor.UnwrapEnvelope(message)
	select {
	case a <- m:
	default:
	}
}

// SendSystemMessage implements actor.Process.
func (asker) SendSystemMessage(*actor.PID, any) {}

// Stop implements actor.Process.
func (asker) Stop(*actor.PID) {}

// isAsk reports whether ref is where an Ask waited: an answer that comes too late is nobody's fault.
func (s *System) isAsk(ref Ref) bool { return ref != nil && strings.HasPrefix(ref.Id, s.askPrefix) }

// Ask sends a message and waits for the first reply; a reply that is an error is Ask's error. It is for the edges, never
// for actors; ctx must have a deadline. Under a stepper nothing would move while it waits: use TellFrom and a Port there.
func (s *System) Ask(ctx context.Context, to Ref, message any) (any, error) {
	if s.stepper != nil {
		return nil, errors.New("kit: ask under a stepper: use TellFrom with a Port")
	}
	if _, ok := ctx.Deadline(); !ok {
		return nil, errors.New("kit: ask without a deadline")
	}
	answer := make(asker, 1)
	ref, _ := s.engine.ProcessRegistry.Add(answer, s.askPrefix+strconv.FormatUint(s.serial.Add(1), 10))
	defer s.engine.ProcessRegistry.Remove(ref)
	s.send(to, message, ref)
	select {
	case m := <-answer:
		return answered(m)
	case <-s.done:
		select {
		case m := <-answer:
			return answered(m)
		default:
			return nil, ErrGone
		}
	case <-ctx.Done():
		return nil, fmt.Errorf("kit: ask %s: %w", pathOf(to), ctx.Err())
	}
}

func answered(m any) (any, error) {
	switch m := m.(type) {
	case *Busy:
		return nil, ErrBusy
	case *Lost:
		return nil, ErrGone
	case error:
		return nil, m
	}
	return m, nil
}
