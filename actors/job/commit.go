package job

import (
	"cmp"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/lifecycle"
	"github.com/troupe-sched/troupe/actors/policy/retry"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// commit gathers ends of attempts until the journal is free for this job: one commit is under way at a time, so that
// a busy job makes few large ones and an idle job makes one at once.
type commit struct {
	stages  []stageCommit // those with anything in them, by number
	under   bool
	settles []settle // to be sent when the commit under way is durable
	evicted []evicted
}

// stageCommit is what is to be committed of one stage.
type stageCommit struct {
	number   int
	done     []uint64
	failures []*v1.InstanceFailure
	results  []*v1.InstanceResult
	bytes    int
	settles  []settle
	// evictions of attempts, and their slots, which go back when it is durable.
	evictions []*v1.Eviction
	evicted   []evicted
}

type settle struct {
	node  model.NodeID
	ref   kit.Ref
	fence model.Fence
}

const (
	// commitBytesMax bounds one commit; the rest goes with the next.
	commitBytesMax = 256 << 10
	// doneBytes is the most that an instance takes in a commit, as a range of its own.
	doneBytes = 12
)

func (c *commit) of(number int) *stageCommit {
	for i := range c.stages {
		if s := &c.stages[i]; s.number == number && s.bytes < commitBytesMax {
			return s
		}
	}
	c.stages = append(c.stages, stageCommit{number: number})
	return &c.stages[len(c.stages)-1]
}

// sendCommit commits what has gathered, unless a commit is under way.
func (a *Actor) sendCommit(ctx *kit.Context) {
	if a.commit.under || len(a.commit.stages) == 0 || a.mode == ended || (a.ending != nil && a.ending.sent) {
		return
	}
	var events []*v1.Event
	size := 0
	for len(a.commit.stages) > 0 {
		sc := &a.commit.stages[0]
		if size > 0 && size+sc.bytes > commitBytesMax {
			break
		}
		size += sc.bytes
		events = a.appendEvents(events, sc)
		a.commit.settles = append(a.commit.settles, sc.settles...)
		a.commit.evicted = append(a.commit.evicted, sc.evicted...)
		a.commit.stages = a.commit.stages[1:]
	}
	a.commit.under = true
	ctx.Tell(a.env.Refs.Journal, &msg.Commit{
		Events: events, Then: []msg.Send{{To: ctx.Self(), Message: &msg.Committed{Events: events}}},
	})
}

// appendEvents adds what is to be committed of one stage. Evictions come first: an instance may have ended after its own.
func (a *Actor) appendEvents(events []*v1.Event, sc *stageCommit) []*v1.Event {
	stage := a.plan.Stages[sc.number].Name
	if len(sc.evictions) > 0 {
		events = append(events, &v1.Event{Kind: &v1.Event_InstancesEvicted{InstancesEvicted: &v1.InstancesEvicted{
			Queue: a.id.Queue, Name: a.id.Name, Uid: uint64(a.uid()), Stage: uint32(sc.number), StageName: stage,
			Evictions: sc.evictions,
		}}})
	}
	if len(sc.done)+len(sc.failures) > 0 {
		events = append(events, &v1.Event{Kind: &v1.Event_JobProgressed{JobProgressed: &v1.JobProgressed{
			Queue: a.id.Queue, Name: a.id.Name, Uid: uint64(a.uid()), Stage: uint32(sc.number), StageName: stage,
			Done: ranges(sc.done), Failures: sc.failures, Results: sc.results,
		}}})
	}
	return events
}

// ranges packs indexes.
func ranges(indexes []uint64) []*v1.Range {
	slices.Sort(indexes)
	var list []*v1.Range
	for _, i := range indexes {
		if n := len(list); n > 0 && list[n-1].To == i {
			list[n-1].To++
			continue
		}
		list = append(list, &v1.Range{From: i, To: i + 1})
	}
	return list
}

// committed takes what is durable into the hard state and acts on it.
func (a *Actor) committed(ctx *kit.Context, m *msg.Committed) {
	progress := false
	for _, ev := range m.Events {
		if err := a.hard.Apply(ev); err != nil {
			panic(err) // the journal has accepted what this state does not: build again
		}
		switch k := ev.GetKind().(type) {
		case *v1.Event_JobProgressed:
			progress = true
			a.progressed(ctx, k.JobProgressed)
		case *v1.Event_InstancesEvicted:
			progress = true
		case *v1.Event_JobStopRequested:
			a.move(lifecycle.JobStop)
			a.end(ctx, model.PhaseStopped, a.hard.StopReason)
		case *v1.Event_JobEnded:
			a.enterEnded(ctx)
		}
	}
	if !progress {
		return
	}
	a.commit.under = false
	for _, s := range a.commit.settles {
		a.work.settle(s.node, s.ref, s.fence)
	}
	a.letGo(a.commit.evicted)
	a.commit.settles, a.commit.evicted = nil, nil
	a.review(ctx)
	a.finishStopping(ctx)
	a.note(ctx)
}

// progressed clears what was on its way and puts failed instances in line again.
func (a *Actor) progressed(ctx *kit.Context, e *v1.JobProgressed) {
	st := a.stages[e.GetStage()]
	for _, r := range e.GetDone() {
		st.accepted -= min(st.accepted, r.GetTo()-r.GetFrom())
		for i := r.GetFrom(); i < r.GetTo(); i++ {
			delete(st.settling, i)
			delete(st.outdated, i)
			st.avoid.Forgive(i)
		}
	}
	for _, f := range e.GetFailures() {
		delete(st.settling, f.GetIndex())
		if !f.GetFinal() {
			st.blame(f.GetIndex(), model.NodeID(f.GetNode()), ctx.Now())
			st.wait(f.GetIndex(), ctx.Now().Add(a.backoff(ctx, st, f.GetFailures())))
		}
	}
}

// review looks at the whole after something has become durable: which stages open, whether the job is over.
func (a *Actor) review(ctx *kit.Context) {
	if a.mode > active || a.ending != nil {
		return
	}
	if !a.plan.Service {
		for i := range a.stages {
			if a.hard.Counts(i).Dead > 0 {
				a.end(ctx, model.PhaseFailed, a.deathReason(i))
				return
			}
		}
		if a.hard.AllDone() && len(a.commit.stages) == 0 {
			a.end(ctx, model.PhaseSucceeded, "")
			return
		}
	}
	a.openStages()
	a.assignAll(ctx)
}

// openStages opens the stages whose predecessors are done.
func (a *Actor) openStages() {
	for i, st := range a.stages {
		open := true
		for _, before := range a.plan.Stages[i].After {
			open = open && a.hard.StageDone(before)
		}
		st.open = open
	}
}

func (a *Actor) deathReason(i int) string {
	for _, f := range a.hard.RecentFailures(i, 1) {
		return "stage " + a.plan.Stages[i].Name + ": " + describe(f)
	}
	return "stage " + a.plan.Stages[i].Name + " has a failed instance"
}

// stop makes the request durable and then ends the job.
func (a *Actor) stop(ctx *kit.Context, m *msg.StopJob) {
	if a.missing {
		a.answer(ctx, m)
		return
	}
	if m.UID != 0 && m.UID != a.uid() {
		ctx.Reply(model.NotFound("job %d of the name %s has ended; the newest of that name is job %d", m.UID, a.id, a.uid()))
		return
	}
	if a.mode == ended || a.stopAsked || a.ending != nil {
		phase := a.phase()
		if a.stopAsked && a.mode != ended {
			phase = "stopping" // by a request that will be durable when this answer leaves
		}
		ctx.Tell(a.env.Refs.Journal, &msg.Commit{Then: []msg.Send{{To: ctx.Sender(), Message: &v1.StopReply{Stopping: a.mode != ended, Phase: phase}}}})
		return
	}
	a.stopAsked = true
	events := []*v1.Event{{Kind: &v1.Event_JobStopRequested{JobStopRequested: &v1.JobStopRequested{
		Queue: a.id.Queue, Name: a.id.Name, Uid: uint64(a.uid()), Reason: m.Reason,
	}}}}
	ctx.Tell(a.env.Refs.Journal, &msg.Commit{Events: events, Then: []msg.Send{
		{To: ctx.Self(), Message: &msg.Committed{Events: events}},
		{To: ctx.Sender(), Message: &v1.StopReply{Stopping: true, Phase: "stopping"}},
	}})
}

// end begins the end of the job: nothing is launched any more, slots go back, and when they are free the end is
// committed. A job that has succeeded does not wait for its slots.
func (a *Actor) end(ctx *kit.Context, phase, reason string) {
	if a.mode > active || a.ending != nil {
		return
	}
	a.ending = &ending{phase: phase, reason: reason}
	a.note(ctx)
	if a.mode == active {
		a.beginStopping(ctx)
	}
}

// beginStopping gives everything back; while recovering it must wait until the job knows what it holds.
func (a *Actor) beginStopping(ctx *kit.Context) {
	a.mode = stopping
	a.want(ctx, true)
	for _, id := range sortedSlots(a.slots) {
		a.release(ctx, a.slots[id])
	}
	a.finishStopping(ctx)
}

func sortedSlots(m map[model.SlotID]*slot) []model.SlotID {
	ids := make([]model.SlotID, 0, len(m))
	for id := range m { //order: sorted below
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(x, y model.SlotID) int { return cmp.Compare(x, y) })
	return ids
}

// finishStopping commits the end when nothing stands in its way.
func (a *Actor) finishStopping(ctx *kit.Context) {
	if a.mode != stopping || a.ending.sent || a.commit.under || len(a.commit.stages) > 0 {
		return
	}
	if len(a.slots) > 0 && a.ending.phase != model.PhaseSucceeded {
		return
	}
	a.ending.sent = true
	if a.stopAsked && a.ending.phase == model.PhaseFailed {
		a.ending.phase = model.PhaseStopped // who asked to stop it is not told that it failed
	}
	now := ctx.Now()
	events := []*v1.Event{{Kind: &v1.Event_JobEnded{JobEnded: &v1.JobEnded{
		Queue: a.id.Queue, Name: a.id.Name, Uid: uint64(a.uid()), Phase: a.ending.phase, Reason: a.ending.reason,
		TimeUnixNano: now.UnixNano(),
	}}}}
	sum := a.summary()
	sum.Phase, sum.EndedUnixMs = a.ending.phase, now.UnixMilli()
	// The others hear of the end with the commit: this actor may fail before it does.
	ctx.Tell(a.env.Refs.Journal, &msg.Commit{Events: events, Then: []msg.Send{
		{To: ctx.Self(), Message: &msg.Committed{Events: events}},
		{To: a.env.Refs.Queues, Message: &msg.ToQueue{Name: a.id.Queue, Message: &msg.JobEnded{Summary: sum, Runs: a.runs()}}},
		{To: a.env.Refs.Names, Message: &msg.Register{ID: a.id, UID: a.uid()}},
	}})
}

// enterEnded turns the actor into one that answers questions.
func (a *Actor) enterEnded(ctx *kit.Context) {
	a.mode = ended
	switch a.hard.Phase {
	case model.PhaseSucceeded:
		a.move(lifecycle.JobFinish)
	case model.PhaseFailed:
		a.move(lifecycle.JobFail)
	default:
		a.move(lifecycle.JobHalt)
	}
	for _, timer := range []string{"heal", "due", "limit", "claim", "report"} {
		ctx.Cancel(timer)
	}
	a.fences = map[model.Fence]*attempt{}
	for _, sc := range a.commit.stages {
		for _, s := range sc.settles {
			a.work.settle(s.node, s.ref, s.fence)
		}
	}
	a.commit, a.wishes = commit{}, wishes{}
	for _, st := range a.stages {
		st.running, st.retries, st.idle = map[uint64]*attempt{}, nil, nil
		st.settling, st.waiting = map[uint64]struct{}{}, map[uint64]struct{}{}
	}
	ctx.After("retire", retireAfter, retire{})
}

// runs are the mean times of the stages whose attempts this actor has seen succeed.
func (a *Actor) runs() []msg.StageRun {
	var list []msg.StageRun
	for _, st := range a.stages {
		if mean := st.ran.mean(); mean > 0 {
			list = append(list, msg.StageRun{Stage: uint32(st.number), Mean: mean})
		}
	}
	return list
}

func (a *Actor) backoff(ctx *kit.Context, st *stage, failures uint32) time.Duration {
	return retry.Delay(st.plan.Backoff, st.plan.BackoffMax, failures, ctx.Draw())
}

// move changes the phase by the table of package lifecycle; a move that is not in it is a mistake of ours.
func (a *Actor) move(e lifecycle.JobEvent) {
	next, ok := a.life.Next(e)
	if !ok {
		panic("job " + a.id.String() + ": " + e.String() + " in phase " + a.life.String())
	}
	a.life = next
}
