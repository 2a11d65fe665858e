package kit

import (
	"log/slog"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Context is what an actor may do while it handles one message. It must not be kept.
type Context struct {
	engine actor.Context
	shell  *shell
}

func (c *Context) system() *System { return c.shell.unit.system }

// Self is this actor.
func (c *Context) Self() Ref { return c.shell.unit.ref }

// Parent is the actor that spawned this one.
func (c *Context) Parent() Ref { return c.engine.Parent() }

// Name is this actor's name among its siblings.
func (c *Context) Name() string { return c.shell.unit.spec.Name }

// Sender is who sent the message; nil for timers, lifecycle messages and tells from outside.
func (c *Context) Sender() Ref { return c.engine.Sender() }

// Now is the system's time.
func (c *Context) Now() time.Time { return c.system().clock.Now() }

// Draw is a random number; seeded under a stepper.
func (c *Context) Draw() uint64 { return c.system().draw() }

// Log is the system's logger, with the actor's path.
func (c *Context) Log() *slog.Logger { return c.shell.log() }

// Tell sends a message. If the mailbox of to is full, this actor gets a Busy back.
func (c *Context) Tell(to Ref, message any) {
	if to == nil {
		c.system().deadLetter(nil, message)
		return
	}
	c.engine.RequestWithCustomSender(to, message, c.Self())
}

// Forward sends on a message in the name of its sender, so that a reply goes there.
func (c *Context) Forward(to Ref, message any) {
	c.engine.RequestWithCustomSender(to, message, c.Sender())
}

// TellFrom sends a message in the name of another actor or port.
func (c *Context) TellFrom(from, to Ref, message any) {
	c.engine.RequestWithCustomSender(to, message, from)
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
	u := c.shell.unit
	u.timers.set(c.system().clock, name, d, message, func(f *fired) { u.mailbox.PostUserMessage(f) })
}

// Cancel drops a timer; it is no error if there is none.
func (c *Context) Cancel(name string) { c.shell.unit.timers.cancel(name) }

// Teller returns a function that sends messages to this actor from anywhere, at any time: for the callbacks of
// asynchronous ports. After the actor has ended they are dead letters.
func (c *Context) Teller() func(message any) {
	u := c.shell.unit
	return func(message any) { u.mailbox.PostUserMessage(message) }
}

// Spawn starts a child. It fails if a child of that name lives.
func (c *Context) Spawn(spec Spec) (Ref, error) {
	u, err := c.spawn(spec, false)
	return u.ref, err
}

// spawn starts a child whose mailbox, if gated, takes messages but handles none before it is opened.
func (c *Context) spawn(spec Spec, gated bool) (*unit, error) {
	u := c.system().newUnit(c.shell.unit.path, spec, c.shell.unit)
	u.mailbox.gated = gated
	_, err := c.engine.SpawnNamed(c.system().props(u), spec.Name)
	return u, err
}

// Stop ends a child, or any actor, at once: what waits in its mailbox becomes dead letters.
func (c *Context) Stop(ref Ref) { c.engine.Stop(ref) }

// StopSelf ends this actor after this message.
func (c *Context) StopSelf() { c.engine.Stop(c.Self()) }

// Undelivered reports whether message says that an earlier tell reached no living actor.
func Undelivered(message any) (to Ref, ok bool) {
	if d, is := message.(*actor.DeadLetterResponse); is {
		return d.Target, true
	}
	return nil, false
}

// NameOf is the name of an actor among its siblings, for logs.
func NameOf(ref Ref) string {
	path := pathOf(ref)
	return path[strings.LastIndexByte(path, '/')+1:]
}
