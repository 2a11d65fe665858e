package agent

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/troupe-sched/troupe/actors/kit"
)

// attemptsActor keeps one actor a live slot and passes on what concerns it.
type attemptsActor struct {
	*env
	kin *kin

	slots kit.Children
	// ready: the first roster has come. Before that nothing is known to be a stranger.
	ready bool
	// strangers are slots that only a driver knew; they are being released.
	strangers map[uint64]bool
	// waiting are those who asked to be told when no slot is left.
	waiting []kit.Ref
}

func newAttempts(e *env, k *kin) *attemptsActor {
	a := &attemptsActor{env: e, kin: k, strangers: map[uint64]bool{}}
	a.slots = kit.Children{Max: e.cfg.Limits.Slots + slotsLeaving, Spec: func(key string) kit.Spec {
		id, err := strconv.ParseUint(key, 10, 64)
		if err != nil {
			panic(err) // keys are made by keyOf
		}
		return kit.Spec{
			Kind: "slot", Mailbox: slotMailbox, Control: slotMailbox,
			New: func() kit.Behavior { return &slotActor{env: e, kin: k, id: id} },
		}
	}}
	return a
}

const (
	// slotsLeaving may be on their way out while as many new ones as the ledger admits are live.
	slotsLeaving = 256
	slotMailbox  = 256
)

func keyOf(slot uint64) string { return strconv.FormatUint(slot, 10) }

// Receive implements kit.Behavior.
func (a *attemptsActor) Receive(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case kit.Started:
		if m.Incarnation > 1 { // messages may be lost, and the slots are
			ctx.Tell(a.kin.ledger, &recall{})
			ctx.Tell(a.kin.link, &resync{"attempts was restarted"})
		}
	case *roster:
		a.roster(ctx, m)
	case *duty:
		a.pass(ctx, m.rec.GetLaunch().GetSlot(), m, true)
	case *halt:
		a.pass(ctx, m.slot, m, false)
	case *gone:
		a.gone(ctx, m)
	case *notice:
		a.notice(ctx, m)
	case *drainAll:
		a.waiting = append(a.waiting, m.reply)
		a.drained(ctx)
	case *kit.ChildStopped:
		a.slots.Stopped(ctx, m)
		a.drained(ctx)
	case *kit.Busy:
		a.busy(ctx, fmt.Errorf("mailbox of %s is full", kit.NameOf(m.To)))
	case *repeat:
		ctx.Tell(a.kin.ledger, &recall{})
		ctx.Tell(a.kin.link, &resync{"attempts has lost a message"})
	case *kit.Lost: // of a slot that was leaving
	default:
		ctx.Unhandled(m)
	}
}

// roster makes sure that every live slot has its actor and knows its duty. What only a driver knows is a stranger: the
// ledger was lost, or the driver is not what it was.
func (a *attemptsActor) roster(ctx *kit.Context, r *roster) {
	live := make(map[uint64]bool, len(r.duties))
	for _, d := range r.duties {
		slot := d.rec.GetLaunch().GetSlot()
		live[slot] = true
		a.pass(ctx, slot, d, true)
	}
	if a.ports.Inputs != nil {
		a.ports.Inputs.Keep(r.jobs)
	}
	if a.ready {
		return
	}
	a.ready = true
	for _, slot := range a.rig.Slots() {
		if !live[slot] {
			a.stranger(ctx, slot)
		}
	}
}

// stranger releases a slot that the ledger does not know.
func (a *attemptsActor) stranger(ctx *kit.Context, slot uint64) {
	if a.rig.Look(slot).Released {
		a.rig.Forget(slot)
		delete(a.strangers, slot)
		return
	}
	if a.strangers[slot] {
		return
	}
	a.strangers[slot] = true
	a.count(CountStranger)
	ctx.Log().Warn("slot is not in the ledger: it is released", "slot", slot)
	a.rig.Release(slot, "not in the agent's ledger")
}

func (a *attemptsActor) gone(ctx *kit.Context, g *gone) {
	a.slots.Retire(ctx, keyOf(g.slot))
	if g.last && a.ports.Inputs != nil {
		a.ports.Inputs.Keep(g.jobs)
	}
}

// notice passes on that there is news of a slot. Without an actor it is news of a stranger, or of a slot whose duty is
// still on its way and which will look for itself.
func (a *attemptsActor) notice(ctx *kit.Context, n *notice) {
	if _, ok := a.slots.Get(keyOf(n.slot)); ok {
		a.pass(ctx, n.slot, n, false)
		return
	}
	if a.strangers[n.slot] {
		a.stranger(ctx, n.slot)
	}
}

func (a *attemptsActor) pass(ctx *kit.Context, slot uint64, message any, start bool) {
	if _, err := a.slots.Forward(ctx, keyOf(slot), message, start); err != nil {
		a.busy(ctx, err)
	}
}

// busy: a message to a slot is lost. All duties are asked for again, and what the master wants.
func (a *attemptsActor) busy(ctx *kit.Context, err error) {
	a.count(CountMailboxFull)
	ctx.Log().Warn("a slot's actor did not take a message", "err", err)
	ctx.After("repeat", repeatAfter, &repeat{})
}

func (a *attemptsActor) drained(ctx *kit.Context) {
	if a.slots.Len() > 0 {
		return
	}
	for _, reply := range slices.Clone(a.waiting) {
		ctx.Tell(reply, &drained{})
	}
	a.waiting = nil
}
