package agent

import (
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/rig"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// slotActor owns one live slot. Its duty says what should be, the rig what is; every message ends with a look at both.
type slotActor struct {
	*env
	kin *kin
	id  uint64

	// broken: this actor has crashed too often over what it was told to do.
	broken   bool
	rec      *v1.LedgerSlot // nil until the duty is known
	template *v1.Template
	fetching fetching
	// end is how the attempt of the duty ended, from when that is known until the ledger has it.
	end *v1.AttemptState
	// told is the newest that the ledger was told, and when; nil when it must be told again.
	told   *v1.AttemptState
	toldAt time.Time
	// releasing: the driver was asked to let go; left: it has, and the ledger was told.
	releasing, left bool
}

const (
	// crashesMax is how often a slot's actor may be restarted before its attempt is given up.
	crashesMax = 3
	// lookAgain bounds how long a lost notice can keep a slot waiting.
	lookAgain = 10 * time.Second
)

// Timers of a slot.
type (
	lookNow  struct{}
	tellNow  struct{}
	fetchNow struct{ fence uint64 }
)

// Receive implements kit.Behavior.
func (s *slotActor) Receive(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case kit.Started:
		s.broken = m.Incarnation > crashesMax
		if m.Incarnation > 1 {
			ctx.Tell(s.kin.ledger, &recall{s.id})
			ctx.Tell(s.kin.link, &resync{"a slot was restarted"})
		}
	case *duty:
		s.take(m)
	case *halt:
		s.halt(ctx, m)
	case *fetched:
		s.fetched(ctx, m)
	case *fetchNow:
		s.fetchLate(ctx, m)
	case *notice, *lookNow:
	case *tellNow:
		if s.rec == nil {
			ctx.Tell(s.kin.ledger, &recall{s.id})
		}
	case *kit.Busy: // the ledger did not take something: tell it again
		s.told, s.left = nil, false
		ctx.After("tell", repeatAfter, &tellNow{})
		return
	case kit.Retire:
		ctx.StopSelf()
		return
	default:
		ctx.Unhandled(m)
		return
	}
	s.look(ctx)
}

// take replaces the duty. Duties of one slot only grow: launch follows launch, and a release is the last.
func (s *slotActor) take(d *duty) {
	fence, was := d.rec.GetLaunch().GetFence(), s.rec.GetLaunch().GetFence()
	if fence < was {
		return
	}
	if fence > was {
		s.end = nil
	}
	s.rec, s.template = d.rec, d.template
	s.told, s.left = nil, false // who sends a duty again may have forgotten what it was told
}

func (s *slotActor) fence() uint64 { return s.rec.GetLaunch().GetFence() }

// look compares the duty with what the rig knows and does the next thing.
func (s *slotActor) look(ctx *kit.Context) {
	if s.rec == nil || s.left {
		return
	}
	if !s.rec.GetEnded() && s.end == nil {
		s.watch(ctx, s.rig.Look(s.id))
	}
	switch {
	case !s.rec.GetEnded() && s.end != nil && !s.releasing:
		s.tell(ctx, s.end) // also before a release: an end that was learned is saved before its traces go
		if s.broken && !s.rec.GetReleasing() {
			ctx.Tell(s.kin.ledger, &spoiled{s.id}) // the next attempt in it would not fare better
		}
	case s.rec.GetReleasing():
		s.release(ctx)
	}
}

// watch learns where the attempt of the duty stands, and moves it on.
func (s *slotActor) watch(ctx *kit.Context, st rig.State) {
	mine := st.Known && st.Fence == s.fence()
	switch {
	case mine && st.Outcome != nil && st.Outcome.IsFinal():
		s.end = s.report(ctx, st.Outcome)
	case s.broken:
		s.lost(ctx, fmt.Sprintf("the agent failed more than %d times over it", crashesMax))
	case mine && st.Silent:
		s.lost(ctx, "the driver no longer knows how it ended")
	case mine && st.Released && !s.releasing:
		s.lost(ctx, "the driver let go of its slot")
	case mine && st.Outcome != nil:
		s.progress(ctx, s.report(ctx, st.Outcome))
	case mine:
		ctx.After("look", lookAgain, &lookNow{})
	case s.rec.GetReleasing(): // release says how it ended
	case st.Fence > s.fence():
		s.lost(ctx, fmt.Sprintf("the driver has attempt %d, which is not in the agent's ledger", st.Fence))
	case !s.fresh():
		s.lost(ctx, "the agent was restarted and nothing is known of it")
	default:
		s.begin(ctx)
	}
}

// fresh reports whether an attempt that no driver knows was certainly never begun.
func (s *slotActor) fresh() bool {
	if s.rec.GetIncarnation() == s.life {
		return true
	}
	d, ok := s.ports.Drivers[s.rec.GetDriver()].(Survivor)
	return ok && d.Survives() && s.rec.GetBootId() == s.cfg.BootID
}

// report is what the master hears of an outcome.
func (s *slotActor) report(ctx *kit.Context, o *driver.Outcome) *v1.AttemptState {
	state := stateOf(s.rec, s.template, o.Phase)
	state.ExitCode, state.Reason, state.ProgressMilli = o.ExitCode, driver.CleanReason(o.Reason), min(o.ProgressMilli, 1000)
	state.StartedUnixNano, state.EndedUnixNano = nanos(o.Started), nanos(o.Ended)
	if !o.IsFinal() {
		return state
	}
	if state.EndedUnixNano == 0 {
		state.EndedUnixNano = ctx.Now().UnixNano()
	}
	if len(o.Result) > driver.ResultMax {
		state.Phase = v1.AttemptPhase_ATTEMPT_PHASE_FAILED
		state.Reason = fmt.Sprintf("result of %d bytes, limit %d", len(o.Result), driver.ResultMax)
		return state
	}
	state.Result = o.Result
	return state
}

// progress tells a start at once, and what comes after it at most so often.
func (s *slotActor) progress(ctx *kit.Context, state *v1.AttemptState) {
	ctx.After("look", lookAgain, &lookNow{})
	if was := s.told; was.GetFence() == state.Fence {
		if was.GetPhase() == state.Phase && was.GetProgressMilli() == state.ProgressMilli {
			return
		}
		if wait := s.toldAt.Add(driver.ProgressEvery).Sub(ctx.Now()); wait > 0 {
			ctx.After("progress", wait, &lookNow{})
			return
		}
	}
	s.tell(ctx, state)
}

// tell tells the ledger where the attempt stands, unless that is what it was told last.
func (s *slotActor) tell(ctx *kit.Context, state *v1.AttemptState) {
	if s.told == state {
		return
	}
	s.told, s.toldAt = state, ctx.Now()
	ctx.Tell(s.kin.ledger, &observed{state})
}

// lost, failed and stopped decide how the attempt ended where no driver says so.
func (s *slotActor) lost(ctx *kit.Context, reason string) {
	s.decide(ctx.Now(), v1.AttemptPhase_ATTEMPT_PHASE_LOST, reason)
}

func (s *slotActor) failed(ctx *kit.Context, reason string) {
	s.decide(ctx.Now(), v1.AttemptPhase_ATTEMPT_PHASE_FAILED, reason)
}

func (s *slotActor) stopped(ctx *kit.Context, reason string) {
	s.decide(ctx.Now(), v1.AttemptPhase_ATTEMPT_PHASE_STOPPED, "stopped: "+reason)
}

func (s *slotActor) decide(now time.Time, phase v1.AttemptPhase, reason string) {
	s.end = stateOf(s.rec, s.template, phase)
	s.end.Reason, s.end.EndedUnixNano = driver.CleanReason(reason), now.UnixNano()
}

// halt ends the attempt: by the driver if it has it, else here and now.
func (s *slotActor) halt(ctx *kit.Context, h *halt) {
	if s.rec == nil || s.rec.GetEnded() || s.end != nil || s.fence() != h.fence {
		return
	}
	if st := s.rig.Look(s.id); st.Known && st.Fence == h.fence {
		s.rig.Stop(s.id, h.fence, h.reason)
	} else if !s.releasing {
		s.stopped(ctx, h.reason)
	}
}

// release lets go of the slot: first the driver, then the ledger.
func (s *slotActor) release(ctx *kit.Context) {
	if !s.releasing {
		s.releasing = true
		s.rig.Release(s.id, s.rec.GetReleaseReason()) // the answer is found by looking
	}
	st := s.rig.Look(s.id)
	if st.Known && !st.Released {
		ctx.After("look", lookAgain, &lookNow{})
		return
	}
	if s.end == nil {
		s.stopped(ctx, s.rec.GetReleaseReason())
	}
	s.left = true
	s.rig.Forget(s.id)
	ctx.Tell(s.kin.ledger, &vacated{s.id, s.end})
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
