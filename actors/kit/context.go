package kit

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Context is what an actor may do while it handles one message. It must not be kept.
type Context struct {
	engine actor.Context
	shell  *shell
	// fate counts the messages after which this actor is made to fail; see Stepper.OnFate.
	fate Fate
	// now is the time while an actor with a tap handles a message.
	now time.Time
}

func (c *Context) system() *System {
	if c.engine == nil && c.shell.alone == nil {
		panic("kit: a Context was used outside Receive")
	}
	return c.shell.unit.system
}

// Self is this actor.
func (c *Context) Self() Ref { return c.shell.unit.ref }

// Parent is the actor that spawned this one.
func (c *Context) Parent() Ref { return c.engine.Parent() }

// Name is this actor's name among its siblings.
func (c *Context) Name() string { return c.shell.unit.spec.Name }

// Sender is who sent the message; nil for timers, lifecycle messages and tells from outside.
func (c *Context) Sender() Ref { return c.shell.sender }

// Now is the system's time.
func (c *Context) Now() time.Time {
	if s := c.system(); c.shell.unit.spec.Tap == nil {
		return s.clock.Now()
	}
	return c.now
}

// Draw is a random number; seeded under a stepper.
func (c *Context) Draw() uint64 { return c.system().draw() }

// Log is the system's logger, with the actor's path.
func (c *Context) Log() *slog.Logger { return c.shell.log() }

// Tell sends a message. If the mailbox of to is full, this actor gets a Busy back; if to has ended, a Lost.
func (c *Context) Tell(to Ref, message any) { c.send(to, message, c.Self()) }

// Forward sends on a message in the name of its sender, so that a reply goes there.
func (c *Context) Forward(to Ref, message any) { c.send(to, message, c.Sender()) }

// TellFrom sends a message in the name of another actor or port.
func (c *Context) TellFrom(from, to Ref, message any) { c.send(to, message, from) }

func (c *Context) send(to Ref, message any, from Ref) {
	s := c.system()
	if tap := c.shell.unit.spec.Tap; tap != nil {
		tap.Said(from, to, message)
	}
	if c.shell.alone == nil {
		s.send(to, message, from)
	}
	if c.fate > 0 {
		if c.fate--; c.fate == 0 {
			panic(Fated)
		}
	}
}

// Reply sends a message to the sender; nothing happens if there is none.
func (c *Context) Reply(message any) {
	if to := c.Sender(); to != nil {
		c.Tell(to, message)
	}
}

// After delivers message to this actor after d. A name holds one timer: setting it again replaces it. Timers end with
// the incarnation.
func (c *Context) After(name string, d time.Duration, message any) {
	c.shell.unit.timers.set(c.shell.unit, name, d, message)
}

// Cancel drops a timer; it is no error if there is none. A cancelled timer's message never arrives.
func (c *Context) Cancel(name string) { c.shell.unit.timers.cancel(name) }

// Teller returns a function that sends messages to this actor from anywhere, at any time: for the callbacks of
// asynchronous ports. After the actor has ended they are dead letters.
func (c *Context) Teller() func(message any) {
	u := c.shell.unit
	return func(message any) { u.mailbox.PostUserMessage(message) }
}

// Spawn starts a child. It fails if a child of that name lives, or has ended but ChildStopped has not come yet; and if
// Spec.New panics.
func (c *Context) Spawn(spec Spec) (Ref, error) {
	u, err := c.spawn(spec, false)
	if err != nil {
		return nil, err
	}
	return u.ref, nil
}

// spawn starts a child whose mailbox, if gated, takes messages but handles none before it is opened.
func (c *Context) spawn(spec Spec, gated bool) (*unit, error) {
	return c.system().spawn(c.shell.unit, c.engine, spec, gated)
}

// Stop ends a child, or any actor, at once: what waits in its mailbox becomes dead letters.
func (c *Context) Stop(ref Ref) {
	if ref != nil {
		c.engine.Stop(ref)
	}
}

// StopSelf ends this actor after this message.
func (c *Context) StopSelf() { c.engine.Stop(c.Self()) }

// Unhandled is what an actor does with a message that it does not know: it is counted and logged. Messages about the
// actor's own life are no news to it.
func (c *Context) Unhandled(message any) {
	switch message.(type) {
	case Started, Stopping, *ChildStopped:
		return
	}
	c.system().ignored.Add(1)
	c.Log().Warn("unknown message", "message", fmt.Sprintf("%T", message), "from", pathOf(c.Sender()))
}

// NameOf is the name of an actor among its siblings, for logs.
func NameOf(ref Ref) string {
	path := pathOf(ref)
	return path[strings.LastIndexByte(path, '/')+1:]
}
