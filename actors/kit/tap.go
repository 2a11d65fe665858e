package kit

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Tap hears what one actor hears and says, in the actor's own turn: it returns at once. What passes is frozen, unless its
// type says otherwise. While an actor has a tap, Context.Now is the same time as long as one message is handled, without
// a monotonic part: with the messages and their times in order, a Behavior that draws nothing decides the same again.
type Tap interface {
	// Heard: the actor is about to handle a message. From is nil for timers, lifecycle messages and tells from outside.
	Heard(now time.Time, from Ref, message any)
	// Said: because of the message heard last, it sends one.
	Said(from, to Ref, message any)
	// Noted: because of the message heard last, it has decided something that it tells nobody; see Context.Note.
	Noted(note any)
}

// Note tells the actor's tap, if it has one, of something that it says to nobody. It is frozen like a message.
func (c *Context) Note(note any) {
	if tap := c.shell.unit.spec.Tap; tap != nil {
		tap.Noted(note)
	}
}

// hear tells the tap of a message and stops the time for it.
func (sh *shell) hear(tap Tap, message any, from Ref) {
	sh.ctx.now = sh.unit.system.clock.Now().Round(0)
	tap.Heard(sh.ctx.now, from, message)
}

// Said is a message that an actor has sent.
type Said struct {
	From, To Ref
	Message  any
}

// Rehearsal runs one Behavior alone: it hears what the caller hands it, at the times that the caller names, and what it
// says goes to the caller and to nobody else. Its timers never fire; hand it their messages. It cannot spawn or stop.
type Rehearsal struct {
	shell *shell
	now   time.Time
	said  []Said
	notes []any
}

// NewRehearsal makes one of an actor of that address; see NewRef.
func NewRehearsal(self Ref, b Behavior) *Rehearsal {
	r := &Rehearsal{}
	u := &unit{system: New(Config{Clock: (*stage)(r)}), ref: self}
	u.spec.Tap = (*stage)(r)
	r.shell = &shell{unit: u, behavior: b, incarnation: 1, alone: r}
	r.shell.ctx.shell = r.shell
	return r
}

// Hear lets the actor handle a message and returns what it said and noted. If it panics that is the error, and the
// rehearsal is over.
func (r *Rehearsal) Hear(now time.Time, from Ref, message any) (said []Said, notes []any, err error) {
	if r.shell.failed {
		return nil, nil, fmt.Errorf("kit: the actor has failed before")
	}
	defer func() {
		said, notes, r.said, r.notes = r.said, r.notes, nil, nil
		if reason := recover(); reason != nil {
			r.shell.failed = true
			err = fmt.Errorf("kit: the actor failed: %w", asError(reason))
		}
	}()
	r.now = now
	r.shell.deliver(message, from)
	return nil, nil, nil
}

// stage is what a Rehearsal is to its actor: clock and tap.
type stage Rehearsal

func (s *stage) Now() time.Time                              { return s.now }
func (*stage) AfterFunc(time.Duration, func()) (stop func()) { return func() {} }
func (*stage) Heard(time.Time, Ref, any)                     {}
func (s *stage) Said(from, to Ref, message any)              { s.said = append(s.said, Said{from, to, message}) }
func (s *stage) Noted(note any)                              { s.notes = append(s.notes, note) }

// NewRef is an address that leads nowhere: for rehearsals, where nothing is sent.
func NewRef(path string) Ref { return actor.NewPID("nonhost", path) }
