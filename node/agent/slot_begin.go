package agent

import (
	"fmt"
	"strings"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/node/driver"
)

// fetching is how far the inputs of an attempt are.
type fetching struct {
	fence uint64
	// try is the number of the fetch that is under way, or of the last that failed; 0 before the first.
	try     int
	pending bool
	why     error
}

const (
	// fetchFirst is the wait after a fetch that failed; it doubles.
	fetchFirst = time.Second
	// fetchMax bounds one fetch.
	fetchMax = 5 * time.Minute
)

// begin starts the attempt of the duty, as soon as its inputs are there.
func (s *slotActor) begin(ctx *kit.Context) {
	after := s.template.GetSpec().GetAfter()
	switch {
	case s.template == nil:
		s.failed(ctx, "its template is not in the agent's ledger")
	case len(after) == 0:
		s.start(Given{})
	case s.ports.Inputs == nil:
		s.failed(ctx, "this node cannot fetch the results of stages "+strings.Join(after, ", "))
	case s.fetching.fence != s.fence():
		s.fetching = fetching{fence: s.fence()}
		s.fetch(ctx)
	}
}

// fetch asks for the inputs once more.
func (s *slotActor) fetch(ctx *kit.Context) {
	f := &s.fetching
	f.try++
	f.pending = true
	ctx.After("fetch", fetchMax, &fetchNow{f.fence})
	tell, answer := ctx.Teller(), fetched{fence: f.fence, try: f.try}
	w := Wanted{
		JobUID: s.rec.GetLaunch().GetJobUid(), Queue: s.template.GetQueue(), Job: s.template.GetJob(),
		Stages: s.template.GetSpec().GetAfter(),
	}
	s.ports.Inputs.Fetch(w, func(g Given, err error) {
		answer := answer
		answer.given, answer.err = g, err
		tell(&answer)
	})
}

// fetched takes the answer. A fetch that fails is tried again a few times, then the attempt has failed.
func (s *slotActor) fetched(ctx *kit.Context, m *fetched) {
	f := &s.fetching
	if m.fence != f.fence || m.try != f.try || !f.pending || !s.waits() {
		return
	}
	f.pending, f.why = false, m.err
	switch {
	case m.err == nil:
		ctx.Cancel("fetch")
		s.start(m.given)
	case f.try >= s.cfg.Limits.InputTries:
		s.failed(ctx, fmt.Sprintf("inputs: tried %d times: %v", f.try, f.why))
	default:
		ctx.After("fetch", fetchFirst<<(f.try-1), &fetchNow{f.fence})
	}
}

// fetchLate fires when it is time for the next try, or when one has had no answer for too long.
func (s *slotActor) fetchLate(ctx *kit.Context, m *fetchNow) {
	f := &s.fetching
	if m.fence != f.fence || !s.waits() {
		return
	}
	if f.pending && f.try >= s.cfg.Limits.InputTries {
		s.failed(ctx, fmt.Sprintf("inputs: tried %d times: no answer in %v", f.try, fetchMax))
		return
	}
	s.fetch(ctx)
}

// waits reports whether the attempt whose inputs are being fetched may still be started.
func (s *slotActor) waits() bool {
	return s.rec != nil && !s.rec.GetEnded() && s.end == nil && !s.rec.GetReleasing() &&
		s.fetching.fence == s.fence()
}

// start hands the attempt to its driver.
func (s *slotActor) start(g Given) {
	l := s.rec.GetLaunch()
	s.rig.Start(s.rec.GetDriver(), driver.Task{
		Slot: l.GetSlot(), Fence: l.GetFence(), JobUID: l.GetJobUid(), Stage: l.GetStage(), Index: l.GetIndex(),
		Attempt: l.GetAttempt(), Cell: s.cfg.Cell, Node: s.cfg.Info.GetId(), Template: s.template,
		Inputs: g.Dir, Results: g.Results, Extra: driver.ExtraOf(s.cfg.Info, l.GetExtra()),
	})
}
