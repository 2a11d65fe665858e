package job

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/lifecycle"
)

// read asks the journal for the hard state; everything else waits for it.
func (a *Actor) read(ctx *kit.Context) {
	a.mode = reading
	ctx.Tell(a.env.Refs.Journal, &msg.ReadJob{ID: a.id})
}

// failuresRead bounds the failures whose nodes are known again after a restart.
const failuresRead = 1000

// restore builds the soft state on the hard one.
func (a *Actor) restore(ctx *kit.Context, m *msg.JobRead) {
	if a.mode != reading {
		return
	}
	for _, timer := range []string{"heal", "due", "limit", "claim", "report", "retire"} {
		ctx.Cancel(timer)
	}
	a.hard, a.missing, a.changed, a.stopAsked = m.State, m.State == nil, false, false
	a.stages, a.commit, a.ending = nil, commit{}, nil
	a.slots, a.fences = map[model.SlotID]*slot{}, map[model.Fence]*attempt{}
	a.byNode = map[model.NodeID][]*slot{}
	a.heard, a.removed = map[model.NodeID]bool{}, map[model.NodeID]uint64{}
	a.expect, a.claimed = -1, 0
	a.wishes, a.began = wishes{}, a.env.IDs.Slot()
	if a.missing {
		a.mode = ended
		ctx.After("retire", 0, retire{}) // whoever asks about jobs that are not there must leave nothing behind
		a.stash.Drain(ctx, a.handle)
		return
	}
	plan, problems := model.Compile(a.hard.Spec)
	if len(problems) > 0 {
		// It was compiled before it was admitted. A version that does not understand it must not guess.
		panic("job " + a.id.String() + ": spec in the journal does not compile: " + problems[0].GetField() + ": " + problems[0].GetProblem())
	}
	a.plan = plan
	for i := range plan.Stages {
		st := newStage(i, &plan.Stages[i], template(a.hard, plan, i))
		for _, f := range a.hard.RecentFailures(i, failuresRead) {
			st.avoid.Fail(f.GetIndex(), model.NodeID(f.GetNode()), time.Unix(0, f.GetTimeUnixNano()))
		}
		a.stages = append(a.stages, st)
	}
	a.openStages()
	a.stopAsked = a.hard.StopRequested
	a.life = life(a.hard)
	a.resultBytes = 0
	for i := range a.stages {
		a.resultBytes += a.hard.Counts(i).ResultBytes
	}
	if a.hard.Ended() {
		a.mode = ended
		ctx.After("retire", retireAfter, retire{})
	} else {
		a.mode = recovering
		ctx.After("heal", healBeats*a.env.Heartbeat, heal{})
		if a.plan.TimeLimit > 0 {
			ctx.After("limit", a.timeLeft(ctx), timeLimit{})
		}
	}
	if a.freshUID == a.uid() && !a.again && a.mode == recovering {
		a.expect = 0
		a.recovered(ctx)
	}
	a.stash.Drain(ctx, a.handle)
	// An actor that failed when the job had just ended may not have settled and released everything.
	if a.mode == recovering || a.mode == ended && a.again {
		a.claimed = a.env.IDs.Fence()
		a.claim(ctx)
	}
	a.flush(ctx)
}

// claim asks the nodes what they hold of this job, and again after a while: the supervisor of nodes may have failed over it.
func (a *Actor) claim(ctx *kit.Context) {
	ctx.Tell(a.env.Refs.Nodes, &msg.Claim{ID: a.id, UID: a.uid(), Job: ctx.Self(), Again: a.again || a.late, Mark: a.claimed})
	if a.mode == recovering {
		ctx.After("claim", a.env.Settle+a.env.Lost, claimAgain{})
	}
}

// recovered goes over to work once all nodes have answered or are lost. There is no time after which it does so without: what
// a silent node runs would run twice, and when that is better than to wait is decided for all jobs by the nodes' supervisor.
func (a *Actor) recovered(ctx *kit.Context) {
	if a.mode != recovering || !plant.Is(plant.RecoveryNotAwaited) && (a.expect < 0 || len(a.heard) < a.expect) {
		return
	}
	ctx.Cancel("claim")
	a.mode = active
	switch {
	case a.ending != nil:
		a.beginStopping(ctx)
	case a.hard.StopRequested && !plant.Is(plant.StopForgotten):
		a.end(ctx, model.PhaseStopped, a.hard.StopReason)
	case a.plan.TimeLimit > 0 && a.timeLeft(ctx) <= 0:
		a.limitOver(ctx)
	default:
		a.review(ctx)
		a.want(ctx, true)
	}
}

// timeLeft is how much of the time limit is left.
func (a *Actor) timeLeft(ctx *kit.Context) time.Duration {
	return time.Unix(0, a.hard.SubmittedUnixNano).Add(a.plan.TimeLimit).Sub(ctx.Now())
}

// limitOver ends the job if it has not ended in time.
func (a *Actor) limitOver(ctx *kit.Context) {
	if a.mode < stopping && a.ending == nil {
		a.end(ctx, model.PhaseFailed, fmt.Sprintf("time limit of %s is over", model.FormatDuration(a.plan.TimeLimit)))
	}
}

// busy makes up for a message that a full mailbox refused: a Want is said again, and a node that did not take its work is
// asked for what it holds, which shows what is missing.
func (a *Actor) busy(ctx *kit.Context, m *kit.Busy) {
	switch m.Message.(type) {
	case *msg.Work, *msg.Claim:
		if a.doubtful == nil {
			a.doubtful = map[string]kit.Ref{}
		}
		a.doubtful[m.To.Id] = m.To
		ctx.After("doubt", retryAfter, doubt{})
	default:
		ctx.After("heal", retryAfter, heal{})
	}
}

func (a *Actor) askDoubtful(ctx *kit.Context) {
	for _, name := range slices.Sorted(maps.Keys(a.doubtful)) {
		ctx.Tell(a.doubtful[name], &msg.Claim{ID: a.id, UID: a.uid(), Job: ctx.Self(), Again: true, Mark: a.env.IDs.Fence()})
	}
	clear(a.doubtful)
}

// life is the phase that the hard state alone shows.
func life(hard *model.JobState) lifecycle.JobPhase {
	switch {
	case hard.Phase == model.PhaseSucceeded:
		return lifecycle.JobSucceeded
	case hard.Phase == model.PhaseFailed:
		return lifecycle.JobFailed
	case hard.Phase == model.PhaseStopped:
		return lifecycle.JobStopped
	case hard.StopRequested:
		return lifecycle.JobStopping
	}
	for i := range hard.Stages() {
		if hard.Counts(i).Done > 0 {
			return lifecycle.JobRunning
		}
	}
	return lifecycle.JobPending
}
