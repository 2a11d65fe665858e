package kit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// shell stands between the engine and one incarnation of a Behavior. It is the guard that the engine lacks: a panic
// while the actor ends does not restart it (protoactor #214), an incarnation that failed hears nothing more, messages
// that come after Stopping are told to be lost, timers end with their incarnation.
type shell struct {
	unit        *unit
	behavior    Behavior
	incarnation int
	started     bool
	ending      bool // Stopping has come
	failed      bool // it panicked, or gave up as a supervisor
	sender      Ref  // of the message being handled
	current     any  // the message being handled, for the log of a failure
	keeps       []keeper
	alone       *Rehearsal // nil in a System
	logger      *slog.Logger
	ctx         Context
}

// Receive implements actor.Actor: it hears of the actor's life. Messages of users come through take.
func (sh *shell) Receive(engine actor.Context) {
	switch m := engine.Message().(type) {
	case *actor.Started:
		sh.started = true
		sh.deliver(Started{Incarnation: sh.incarnation}, nil)
	case *actor.Restarting:
		sh.failed = true
		sh.unit.failures = nil
		sh.unit.timers.drop(false)
		sh.abandon()
	case *actor.Stopping:
		sh.ending = true
		sh.unit.timers.drop(true)
		if sh.started {
			sh.last(Stopping{})
		}
		sh.abandon()
	case *actor.Stopped:
		sh.unit.mailbox.close()
		if sh.unit.parent == nil {
			sh.unit.system.forget(sh.unit)
		}
	case *actor.Terminated:
		sh.childStopped(m.Who)
	}
}

// take handles one message from the mailbox.
func (sh *shell) take(message any) {
	_, inner, sender := actor.UnwrapEnvelope(message)
	if sh.ending || sh.failed {
		sh.unit.mailbox.unhandled()
		sh.unit.system.lost(sh.unit.ref, inner, sender)
		return
	}
	switch m := inner.(type) {
	case *fired:
		message, ok := sh.unit.timers.take(m)
		if !ok {
			sh.unit.mailbox.unhandled()
			return
		}
		inner = message
	case Retire:
		sh.unit.leaving.Store(true)
	case *Shutdown:
		sh.unit.leaving.Store(true)
		if _, orders := sh.behavior.(orderly); !orders {
			sh.unit.engine.Stop(sh.unit.ref)
			return
		}
	}
	sh.deliver(inner, sender)
}

// deliver runs the behavior.
func (sh *shell) deliver(m any, sender Ref) {
	if sh.failed {
		return
	}
	if st := sh.unit.system.stepper; st != nil {
		st.trace(sh.unit.ref.Id, sender, m)
		sh.ctx.fate = st.fate(sh.unit, m)
	}
	if tap := sh.unit.spec.Tap; tap != nil {
		sh.hear(tap, m, sender)
	}
	sh.ctx.engine, sh.sender, sh.current = sh.unit.engine, sender, m
	sh.behavior.Receive(&sh.ctx, m)
	if sh.ctx.fate > 0 {
		panic(Fated)
	}
	sh.ctx.engine, sh.sender, sh.current = nil, nil, nil
}

// last runs the behavior for the message of its end, unless it failed; a panic is logged and swallowed.
func (sh *shell) last(m any) {
	defer func() {
		if reason := recover(); reason != nil {
			sh.report("actor failed while stopping", reason, m)
		}
	}()
	sh.deliver(m, nil)
}

// crashed ends an incarnation that panicked.
func (sh *shell) crashed(reason, message any) {
	if _, message, _ = actor.UnwrapEnvelope(message); sh.current != nil {
		message = sh.current
	}
	sh.failed = true
	sh.ctx.engine, sh.sender, sh.current = nil, nil, nil
	s := sh.unit.system
	if s.killed.Load() {
		return
	}
	s.failures.Add(1)
	sh.report("actor failed", reason, message)
	if st := s.stepper; st != nil {
		st.trace(sh.unit.ref.Id, nil, Crash{Reason: fmt.Sprint(reason), Message: fmt.Sprintf("%T", message)})
	}
}

// report logs a panic with its stack, which the engine would lose.
func (sh *shell) report(text string, reason, message any) {
	if log := sh.log(); log.Enabled(context.Background(), slog.LevelError) {
		log.Error(text, "message", fmt.Sprintf("%T", message), "reason", fmt.Sprint(reason),
			"incarnation", sh.incarnation, "stack", string(debug.Stack()))
	}
}

// keeper is a part of a Behavior that keeps messages for later.
type keeper interface{ abandon(u *unit) }

// abandon answers the messages that the incarnation kept.
func (sh *shell) abandon() {
	for _, k := range sh.keeps {
		k.abandon(sh.unit)
	}
	sh.keeps = nil
}

func (sh *shell) childStopped(who Ref) {
	c := sh.unit.child(who)
	if c == nil {
		return // heard before
	}
	sh.unit.system.forget(c)
	if !sh.ending {
		sh.deliver(&ChildStopped{Ref: c.ref, Name: c.spec.Name, Failed: c.failed}, nil)
	}
}

// HandleFailure implements actor.SupervisorStrategy: the one strategy of the house. Restarts of children are counted per
// supervisor; past the limit the supervisor itself fails, and so on up to the root, which ends the system.
func (sh *shell) HandleFailure(_ *actor.ActorSystem, engine actor.Supervisor, who *actor.PID, _ *actor.RestartStatistics, reason, message any) {
	if sh.ending || sh.failed {
		return // the child ends with this incarnation
	}
	u := sh.unit
	c := u.child(who)
	if c == nil {
		return
	}
	if root, ok := sh.behavior.(*rootBehavior); ok {
		root.fail(u, fmt.Errorf("kit: %s failed: %w", pathOf(who), asError(reason)))
		engine.StopChildren(who)
		return
	}
	switch {
	case c.spec.Restart == Escalating:
		sh.giveUp(engine, fmt.Errorf("%s: %w", c.spec.Name, asError(reason)), message)
	case c.spec.Restart == Temporary || c.leaving.Load():
		c.failed = true
		engine.StopChildren(who)
	case u.pastLimit(u.system.clock.Now()):
		sh.giveUp(engine, fmt.Errorf("more than %d failures in %s, the last of %s: %w",
			u.spec.Limit.Max, u.spec.Limit.Per, c.spec.Name, asError(reason)), message)
	default:
		engine.RestartChildren(who)
	}
}

func (sh *shell) giveUp(engine actor.Supervisor, reason error, message any) {
	sh.failed = true
	sh.unit.system.failures.Add(1)
	sh.log().Error("supervisor gives up", "reason", reason)
	engine.EscalateFailure(reason, message)
}

// pastLimit counts one more failure.
func (u *unit) pastLimit(now time.Time) bool {
	u.failures = append(u.failures, now)
	old := 0
	for now.Sub(u.failures[old]) > u.spec.Limit.Per {
		old++
	}
	u.failures = append(u.failures[:0], u.failures[old:]...)
	return len(u.failures) > u.spec.Limit.Max
}

func (sh *shell) log() *slog.Logger {
	if sh.logger == nil {
		sh.logger = sh.unit.system.log.With("actor", pathOf(sh.unit.ref))
	}
	return sh.logger
}

// asError keeps a panic's error for errors.Is at the top of the tree.
func asError(reason any) error {
	if err, ok := reason.(error); ok {
		return err
	}
	return errors.New(fmt.Sprint(reason))
}
