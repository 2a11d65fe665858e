package kit

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"
)

// newEngine makes the engine of one system.
func (s *System) newEngine() *actor.ActorSystem {
	var e *actor.ActorSystem
	if s.stepper != nil {
		e = s.stepper.engines.next()
	} else {
		e = freshEngine()
	}
	// The engine's own listeners answer dead letters without saying whose they are, and start a goroutine for a second
	// at the first one. Nothing listens yet but they.
	e.EventStream = eventstream.NewEventStream()
	e.EventStream.Subscribe(func(event any) {
		letter, ok := event.(*actor.DeadLetterEvent)
		if !ok {
			return
		}
		if _, lifecycle := letter.Message.(actor.SystemMessage); !lifecycle {
			s.lost(letter.PID, letter.Message, letter.Sender)
		}
	})
	return e
}

func freshEngine() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
}

// registryParts is how many buckets of the engine's registry one system of a stepper gets.
const registryParts = 8

// engines makes the engines of a stepper's systems. A fresh engine costs milliseconds and megabytes, nearly all of it
// for the thousand buckets of its registry: in a world of many hosts that crash and come back, that would be most of the
// work. So one fresh engine is cut up, and every system gets a few of its buckets.
type engines struct {
	whole *actor.ActorSystem
	free  int
}

func (p *engines) next() *actor.ActorSystem {
	if p.free < registryParts {
		p.whole = freshEngine()
		p.free = len(p.whole.ProcessRegistry.LocalPIDs.LocalPIDs)
	}
	buckets := p.whole.ProcessRegistry.LocalPIDs.LocalPIDs[p.free-registryParts : p.free]
	p.free -= registryParts
	e := *p.whole
	e.EventStream = eventstream.NewEventStream()
	e.ProcessRegistry = &actor.ProcessRegistryValue{
		ActorSystem: &e, Address: p.whole.ProcessRegistry.Address, LocalPIDs: &actor.SliceMap{LocalPIDs: buckets},
	}
	e.Root = actor.NewRootContext(&e, actor.EmptyMessageHeader)
	e.DeadLetter = actor.NewDeadLetter(&e)
	return &e
}

// send is the one way of a message to an actor or port.
func (s *System) send(to Ref, message any, from Ref) {
	switch {
	case s.killed.Load():
	case to == nil:
		s.lost(nil, message, from)
	case from == nil:
		s.engine.Root.Send(to, message)
	default:
		s.engine.Root.RequestWithCustomSender(to, message, from)
	}
}

// Busy is what the sender of a refused message gets: the mailbox was full and Message was not taken.
type Busy struct {
	To      Ref
	Message any
}

// Lane of busy answers: they must get through.
func (*Busy) Lane() Lane { return Control }

// Lost is what the sender of a message gets that reached no living actor.
type Lost struct {
	To      Ref
	Message any
}

// Lane of lost messages: they must get through.
func (*Lost) Lane() Lane { return Control }

// Undelivered reports whether message says that an earlier tell reached no living actor.
func Undelivered(message any) (to Ref, ok bool) {
	if l, is := message.(*Lost); is {
		return l.To, true
	}
	return nil, false
}

// refuse answers a message that found a full mailbox.
func (s *System) refuse(to Ref, message any, sender Ref) {
	if s.killed.Load() || untold(message) {
		return
	}
	s.refused.Add(1)
	s.note("message refused", to, message)
	if sender != nil {
		s.send(sender, &Busy{To: to, Message: message}, nil)
	}
}

// lost answers a message that reached nobody.
func (s *System) lost(to Ref, message any, sender Ref) {
	if s.killed.Load() || untold(message) {
		return
	}
	s.deadLetters.Add(1)
	s.note("dead letter", to, message)
	if sender != nil && !s.isAsk(to) {
		s.send(sender, &Lost{To: to, Message: message}, nil)
	}
}

// untold are messages that may vanish without a word: answers about other messages, and what has no meaning any more when
// its actor has ended.
func untold(message any) bool {
	switch message.(type) {
	case *Busy, *Lost, *fired, mark, Retire, *Shutdown:
		return true
	}
	return false
}

func (s *System) note(text string, to Ref, message any) {
	if s.log.Enabled(context.Background(), slog.LevelDebug) {
		s.log.Debug(text, "to", pathOf(to), "message", fmt.Sprintf("%T", message))
	}
}

func pathOf(ref Ref) string {
	if ref == nil {
		return "nobody"
	}
	return ref.Id
}
