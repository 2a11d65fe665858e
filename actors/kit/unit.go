package kit

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// unit is what belongs to an actor over all its incarnations: address, mailbox, counters, timers, failures of children.
type unit struct {
	system  *System
	parent  *unit
	spec    Spec
	engine  actor.Context // set, like ref, before the first message
	ref     Ref
	shell   *shell // the newest incarnation; touched by the actor's own turn only
	mailbox mailbox
	timers  timers

	incarnations atomic.Uint32
	// leaving: it was told to Retire or Shutdown. If it fails now it is not restarted: the new incarnation would not know.
	leaving atomic.Bool

	children map[string]*unit // guarded by System.mu
	failures []time.Time      // of children within the limit's period, oldest first; touched by its own turn only
	failed   bool             // it was stopped because it failed; touched by the parent's turn only
}

func (u *unit) limit(l Lane) int {
	if l == Control {
		return u.spec.Control
	}
	return u.spec.Mailbox
}

// restarts of this actor so far.
func (u *unit) restarts() uint64 {
	return uint64(max(u.incarnations.Load(), 1) - 1)
}

// incarnate is the engine's producer: for the first incarnation in the parent's turn, for others in the actor's own.
func (u *unit) incarnate() actor.Actor {
	b := u.spec.New()
	if b == nil {
		panic(fmt.Errorf("kit: New of %s made no Behavior", u.spec.Name))
	}
	sh := &shell{unit: u, behavior: b, incarnation: int(u.incarnations.Add(1))}
	sh.ctx.shell = sh
	u.shell = sh
	return sh
}

func (u *unit) box() actor.Mailbox { return &u.mailbox }

// nameMax bounds the name of an actor; names of tenants are much shorter.
const nameMax = 512

// mailboxMax bounds the limits of a mailbox: more could not be meant.
const mailboxMax = 1 << 24

// check refuses what would fail later, and elsewhere.
func (s *Spec) check() error {
	switch {
	case s.Name == "" || len(s.Name) > nameMax:
		return fmt.Errorf("kit: Spec.Name has %d bytes, want 1 to %d", len(s.Name), nameMax)
	case s.New == nil:
		return fmt.Errorf("kit: Spec.New of %s is nil, want a function that makes a Behavior", s.Name)
	case min(s.Mailbox, s.Control) < 0 || max(s.Mailbox, s.Control) > mailboxMax:
		return fmt.Errorf("kit: Spec.Mailbox and Spec.Control of %s are %d and %d, want 0 (default) to %d",
			s.Name, s.Mailbox, s.Control, mailboxMax)
	case s.Limit.Max < 0 || s.Limit.Per < 0:
		return fmt.Errorf("kit: Spec.Limit of %s is %d in %s, want 0 (default) or more", s.Name, s.Limit.Max, s.Limit.Per)
	case s.Restart > Escalating:
		return fmt.Errorf("kit: Spec.Restart of %s is %d, want Permanent, Temporary or Escalating", s.Name, s.Restart)
	}
	return nil
}

// spawn starts an actor under parent, or the root if that is nil. A name is taken until the parent has heard
// ChildStopped: the engine frees it earlier, and a new child of that name would be lost to its parent.
func (s *System) spawn(parent *unit, in actor.SpawnerContext, spec Spec, gated bool) (*unit, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	if spec.Mailbox == 0 {
		spec.Mailbox = DefaultMailbox
	}
	if spec.Control == 0 {
		spec.Control = DefaultControl
	}
	if spec.Limit == (Limit{}) {
		spec.Limit = DefaultLimit
	}
	u := &unit{system: s, spec: spec, parent: parent}
	u.mailbox.unit, u.mailbox.gated = u, gated
	if err := s.adopt(u); err != nil {
		return nil, fmt.Errorf("kit: spawn %s: %w", spec.Name, err)
	}
	if err := u.start(in); err != nil {
		s.forget(u)
		return nil, fmt.Errorf("kit: spawn %s: %w", spec.Name, err)
	}
	return u, nil
}

// start hands the unit to the engine. A panic of New is an error of Spawn; the engine would let it fail the parent.
func (u *unit) start(in actor.SpawnerContext) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("its New panicked: %w", asError(reason))
		}
	}()
	_, err = in.SpawnNamed(actor.PropsFromProducer(u.incarnate, actor.WithMailbox(u.box)), u.spec.Name)
	return err
}

// ErrNameTaken: a sibling of that name lives, or its parent has not heard yet that it ended.
var ErrNameTaken = errors.New("kit: name is taken")

// adopt makes the unit part of the tree.
func (s *System) adopt(u *unit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.killed.Load() {
		return ErrKilled
	}
	if u.parent == nil {
		s.root = u
		return nil
	}
	if _, taken := u.parent.children[u.spec.Name]; taken {
		return ErrNameTaken
	}
	if u.parent.children == nil {
		u.parent.children = map[string]*unit{}
	}
	u.parent.children[u.spec.Name] = u
	return nil
}

// child is the unit of a child by its address.
func (u *unit) child(ref Ref) *unit {
	name := ref.Id[len(u.ref.Id)+1:]
	u.system.mu.Lock()
	defer u.system.mu.Unlock()
	return u.children[name]
}

// forget takes an ended unit out of the tree, and keeps what it counted.
func (s *System) forget(u *unit) {
	u.mailbox.mu.Lock()
	handled := u.mailbox.handled
	u.mailbox.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended.Handled += handled
	s.ended.Restarts += u.restarts()
	switch {
	case u.parent != nil:
		delete(u.parent.children, u.spec.Name)
	case s.root == u:
		s.root = nil
	}
}
