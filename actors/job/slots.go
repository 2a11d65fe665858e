package job

import (
	"slices"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/kit/plant"
)

// keep notes a slot that the job holds.
func (a *Actor) keep(sl *slot) {
	a.slots[sl.id] = sl
	a.byNode[sl.node] = append(a.byNode[sl.node], sl)
}

// release gives a slot back for which the job has no use; what runs in it is stopped.
func (a *Actor) release(ctx *kit.Context, sl *slot) {
	if a.leave(ctx, sl) {
		a.work.release(sl.node, sl.ref, sl.id)
	}
}

// yield gives a slot back that the job still wants: on another node, or later.
func (a *Actor) yield(ctx *kit.Context, sl *slot) {
	if a.leave(ctx, sl) {
		w := a.work.of(sl.node, sl.ref)
		w.Yield = append(w.Yield, sl.id)
	}
}

// leave marks a slot as being given back; it returns false if it is already.
func (a *Actor) leave(ctx *kit.Context, sl *slot) bool {
	if sl.leaving || sl.gone {
		return false
	}
	sl.leaving, sl.freeBy = true, sl.stage.freeBy(ctx.Now())
	sl.stage.held--
	return true
}

// drop forgets a slot that is gone.
func (a *Actor) drop(ctx *kit.Context, sl *slot) { a.dropOff(ctx, sl, false) }

// dropOff forgets a slot that is gone, or away with its node: then what ran in it is valid again if it is found before
// another attempt of its instance begins.
func (a *Actor) dropOff(ctx *kit.Context, sl *slot, away bool) {
	if !sl.leaving {
		sl.stage.held--
	}
	sl.gone = true
	delete(a.slots, sl.id)
	here := a.byNode[sl.node]
	if i := slices.Index(here, sl); i >= 0 {
		here = slices.Delete(here, i, i+1)
	}
	if a.byNode[sl.node] = here; len(here) == 0 {
		delete(a.byNode, sl.node)
	}
	if at := sl.attempt; at != nil {
		if away && !sl.leaving && !at.stopping {
			sl.stage.outdateBefore(at) // it is valid itself, until the next one begins
		} else {
			sl.stage.outdate(at)
		}
		a.forget(at)
		if !plant.Is(plant.RetryForgotten) {
			sl.stage.wait(at.index, ctx.Now().Add(lostBackoff))
		}
	}
}

// forget removes an attempt from the soft state.
func (a *Actor) forget(at *attempt) {
	delete(a.fences, at.fence)
	if at.slot.stage.running[at.index] == at {
		delete(at.slot.stage.running, at.index)
	}
	at.slot.attempt = nil
}
