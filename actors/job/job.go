package job

import (
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/lifecycle"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	stashMax = 4096
	// retryAfter is what a refused caller is told to wait.
	retryAfter = time.Second
	// lostBackoff is the wait before an instance is tried again whose attempt was lost or refused by a node.
	lostBackoff = time.Second
	// reportEvery bounds how often queue and names hear of changes.
	reportEvery = 250 * time.Millisecond
	// healBeats is how many heartbeats lie between two times that a job which waits says its Want, in case one was lost.
	healBeats = 10
	// retireAfter is how long the actor of an ended job stays for questions.
	retireAfter = time.Second
	// ResultsMax bounds the results of one job together, in bytes.
	ResultsMax = 64 << 20
)

// Actor is one job.
type Actor struct {
	env   *msg.Env
	id    model.JobID
	stash kit.Stash

	// hard is the durable truth: it changes only when the journal says so. nil before it is read.
	hard    *model.JobState
	missing bool // there is no such job
	plan    *model.Plan
	mode    mode
	again   bool // the job had another actor before, in this master
	late    bool // it was started when the nodes had said already what they hold
	// freshUID is the job that was admitted just now, of which nothing can run anywhere.
	freshUID model.UID

	stages  []*stage
	slots   map[model.SlotID]*slot
	byNode  map[model.NodeID][]*slot
	fences  map[model.Fence]*attempt
	work    works
	commit  commit
	heard   map[model.NodeID]bool   // nodes that sent an Inventory while recovering
	removed map[model.NodeID]uint64 // order of the newest news from a node that slots have gone
	expect  int                     // nodes that will; -1 before Claimed
	claimed model.Fence             // mark of the Claim that was sent; 0 before
	ending  *ending
	places  places
	// wishes are the evictions that it was asked for, began a number before that of any since it knows of them.
	wishes  wishes
	began   model.SlotID
	changed bool
	life    lifecycle.JobPhase
	// doubtful are nodes that did not take a message: what they hold is asked again. There are no more than nodes.
	doubtful map[string]kit.Ref
	// stopAsked: a stop is durable or on its way.
	stopAsked bool
	// resultBytes are the results of all stages, durable or accepted.
	resultBytes uint64
}

// mode is what the actor is about.
type mode uint8

const (
	reading    mode = iota // waits for its hard state
	recovering             // waits for what the nodes hold
	active                 // launches
	stopping               // waits for its slots to be free, then ends
	ended                  // answers questions
)

// ending is how the job will end once its slots are free.
type ending struct {
	phase, reason string
	sent          bool
}

// New makes the actor of the job of that name.
func New(env *msg.Env, id model.JobID) *Actor {
	return &Actor{env: env, id: id, stash: kit.Stash{Max: stashMax}}
}

// Receive implements kit.Behavior.
func (a *Actor) Receive(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case kit.Started:
		a.again = a.again || m.Incarnation > 1
		a.read(ctx)
	case *msg.JobRead:
		a.restore(ctx, m)
	case kit.Retire:
		if a.mode != ended { // the name was used again just when it had asked to go
			ctx.Tell(a.env.Refs.Jobs, &msg.StartJob{ID: a.id, UID: a.uid()})
		}
		ctx.StopSelf()
	case *msg.CommitRefused:
		panic(m.Reason) // what it was built on was not true: build again
	default:
		if _, late := m.(*msg.Committed); late && a.mode == reading {
			return // of an earlier incarnation; what is read includes it
		}
		if a.mode != reading {
			a.handle(ctx, m)
		} else if !a.stash.Add(ctx, m) {
			ctx.Reply(model.Busy(retryAfter, "job %s is starting", a.id))
		}
	}
}

// handle is the table of contents; whatever a message changes, flush sends.
func (a *Actor) handle(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case *routed:
		a.routed(ctx, m)
		return
	case *msg.StartJob:
		a.start(ctx, m)
		return
	case *msg.Granted:
		a.granted(ctx, m)
	case *msg.Reported:
		a.reported(ctx, m)
	case *msg.Inventory:
		a.inventory(ctx, m)
	case *msg.Leftovers:
		if a.mode == ended {
			a.handBack(m)
		}
	case *msg.SlotsLost:
		a.slotsLost(ctx, m)
	case *msg.Evict:
		a.evict(ctx, m)
	case *msg.NodeReset:
		if !m.Told[a.uid()] && a.mode != ended {
			a.inventory(ctx, &msg.Inventory{Node: m.Node, Order: m.Order})
		}
	case *msg.Claimed:
		if m.Mark == a.claimed { // else it answers the actor that was here before
			a.expect = m.Nodes
			a.recovered(ctx)
		}
	case *msg.Committed:
		a.committed(ctx, m)
	case *msg.StopJob:
		a.stop(ctx, m)
	case *msg.WantRequest:
		if m.Queue == a.id.Queue && a.mode != ended {
			a.want(ctx, true)
		}
	case *msg.EndpointsRequest:
		a.register(ctx)
	case *kit.Busy:
		a.busy(ctx, m)
	case heal, due, report, retire, claimAgain, timeLimit, doubt:
		a.timer(ctx, m)
	default:
		a.answer(ctx, m)
		return
	}
	a.flush(ctx)
}

// The timers.
type (
	heal       struct{}
	due        struct{}
	report     struct{}
	retire     struct{}
	claimAgain struct{}
	timeLimit  struct{}
	doubt      struct{}
)

func (a *Actor) timer(ctx *kit.Context, m any) {
	switch m.(type) {
	case heal:
		a.patience(ctx)
		a.wishes.prune(ctx.Now())
		a.want(ctx, true)
		ctx.After("heal", healBeats*a.env.Heartbeat, heal{})
	case due:
		a.assignAll(ctx)
	case report:
		a.changed = false
		ctx.Tell(a.env.Refs.Queues, &msg.ToQueue{Name: a.id.Queue, Message: &msg.JobChanged{Summary: a.summary()}})
		a.register(ctx)
		a.want(ctx, false)
	case retire:
		if a.mode == ended {
			ctx.Tell(a.env.Refs.Jobs, &retireJob{a.id})
		}
	case claimAgain:
		if a.mode == recovering {
			a.claim(ctx)
		}
	case doubt:
		a.askDoubtful(ctx)
	case timeLimit:
		a.limitOver(ctx)
	}
}

func (a *Actor) uid() model.UID {
	if a.hard == nil {
		return 0
	}
	return a.hard.UID
}

// note makes sure that the queue hears of a change soon.
func (a *Actor) note(ctx *kit.Context) {
	if !a.changed && a.mode != ended {
		a.changed = true
		ctx.After("report", reportEvery, report{})
	}
}

// start notes that the job is fresh, and begins anew if the name is used again.
func (a *Actor) start(ctx *kit.Context, m *msg.StartJob) {
	if m.Fresh {
		a.freshUID = m.UID
	}
	switch {
	case m.UID > a.uid():
		a.read(ctx)
	case m.UID == a.uid() && m.Fresh && !a.again && a.mode == recovering:
		a.expect = 0
		a.recovered(ctx)
		a.flush(ctx)
	}
}

// routed is a message that came by the job's name; see msg.ToJob.
type routed struct {
	uid     model.UID
	message any
}

// routed unpacks; what is about an older job of this name is answered with giving everything back.
func (a *Actor) routed(ctx *kit.Context, m *routed) {
	if m.uid == 0 || m.uid == a.uid() {
		a.handle(ctx, m.message)
		return
	}
	switch m := m.message.(type) {
	case *msg.Inventory:
		for _, h := range m.Slots {
			a.work.release(m.Node, m.NodeRef, h.Slot)
		}
	case *msg.Leftovers:
		a.handBack(m)
	case *msg.Granted:
		a.decline(ctx, m)
	case *msg.Reported:
		for _, s := range m.Attempts {
			a.work.settle(m.Node, m.NodeRef, model.Fence(s.GetFence()))
		}
	}
	a.work.flush(ctx, msg.Work{ID: a.id, UID: m.uid, Reason: "the job has ended"})
}

// handBack gives back what is held of a job that has ended.
func (a *Actor) handBack(m *msg.Leftovers) {
	for _, slot := range m.Slots {
		a.work.release(m.Node, m.NodeRef, slot)
	}
}

// granted takes slots in; those that the job has no use for go back at once.
func (a *Actor) granted(ctx *kit.Context, m *msg.Granted) {
	if m.Stage.Job != a.uid() || a.mode > active || a.ending != nil || a.hard.StopRequested || int(m.Stage.Stage) >= len(a.stages) {
		a.decline(ctx, m)
		return
	}
	st := a.stages[m.Stage.Stage]
	a.move(lifecycle.JobSchedule)
	for _, id := range m.Slots {
		if a.slots[id] != nil {
			continue
		}
		a.keep(&slot{id: id, stage: st, node: m.Node, ref: m.NodeRef, granted: m.Order})
		st.held++
		st.idle = append(st.idle, a.slots[id])
	}
	a.owed(ctx, m.Node)
	a.assign(ctx, st)
	a.want(ctx, false)
	a.setDue(ctx)
	a.note(ctx)
}

// decline gives granted slots back. Who declines once never wants again, so the placer is told at once that the demand is
// void: it would grant the very same slots again, and again.
func (a *Actor) decline(ctx *kit.Context, m *msg.Granted) {
	for _, id := range m.Slots {
		a.work.release(m.Node, m.NodeRef, id)
	}
	ctx.Tell(a.env.Refs.Placer, &msg.Demand{Stage: m.Stage})
}

// assignAll gives every idle slot something to do.
func (a *Actor) assignAll(ctx *kit.Context) {
	for _, st := range a.stages {
		a.assign(ctx, st)
	}
	a.want(ctx, false)
	a.setDue(ctx)
}

// assign launches instances in a stage's idle slots and gives back the slots that have no use. Nothing is launched while a
// stop is on its way to the disk: who asked for it may hear that it is durable before this actor does.
func (a *Actor) assign(ctx *kit.Context, st *stage) {
	if a.mode != active || a.ending != nil || a.stopAsked || !st.open {
		return
	}
	if st.plan.Gang && a.hold(ctx, st) {
		return
	}
	var unused []*slot
	for len(unused) < lookMax && st.ready(a.hard, ctx.Now()) {
		sl := st.takeIdle()
		if sl == nil {
			break
		}
		if st.avoid.Bad(sl.node, sl.granted, ctx.Now()) {
			unused = append(unused, sl)
			continue
		}
		index, ok := st.next(a.hard, ctx.Now(), sl)
		if ok {
			a.launch(st, sl, index)
			continue
		}
		unused = append(unused, sl)
		if !st.avoid.Failed() {
			break // else what avoids one node may run on another
		}
	}
	a.moveOn(ctx, st, unused)
}

// setDue wakes the job when the next retry of any of its stages is due, or a gang has waited for long enough. A retry that
// is due already waits for a slot and needs no timer, unless it avoids those that are idle.
func (a *Actor) setDue(ctx *kit.Context) {
	if a.mode != active || a.ending != nil {
		return
	}
	var next time.Time
	earlier := func(t time.Time) {
		if t.After(ctx.Now()) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, st := range a.stages {
		if len(st.retries) > 0 {
			earlier(st.retries[0].due)
		}
		if st.avoid.Any() && len(st.idle) > 0 {
			for _, t := range st.avoid.Wakes() {
				earlier(t)
			}
		}
		earlier(st.gang.wakes(st))
	}
	if !next.IsZero() {
		ctx.After("due", next.Sub(ctx.Now()), due{})
	}
}

func (a *Actor) launch(st *stage, sl *slot, index uint64) {
	at := &attempt{index: index, fence: a.env.IDs.Fence(), number: a.hard.Failures(st.number, index) + 1, slot: sl}
	sl.attempt = at
	st.running[index] = at
	if _, lost := st.outdated[index]; lost {
		st.outdateBefore(at)
	}
	a.fences[at.fence] = at
	a.work.launch(sl, st.template, msg.Launch{
		Slot: sl.id, Fence: at.fence, Stage: uint32(st.number), Index: index, Attempt: at.number,
	})
}

// useful is how many slots the stage can fill: what is neither done nor dead nor about to be.
func (a *Actor) useful(st *stage) uint64 {
	if a.mode > active || a.ending != nil || !st.open || !st.gang.rest.IsZero() {
		return 0
	}
	return min(st.plan.Parallel, a.hard.Counts(st.number).Open()-st.accepted)
}

// says reports whether the queue must hear of a target: when it is more, when slots are to be given back, and when it is
// less by much. Less by little is no news as long as the stage has use for all that it holds: else a job of many
// instances would say so with each that ends.
func (s *stage) says(target uint64) bool {
	return target > s.target || target < min(s.held, s.target) || target < s.target-s.target/8
}

// want tells the queue how many slots the job wants if that has changed, or in any case if force is set, and gives
// idle slots beyond that back, after it has said that it does not want them any more.
func (a *Actor) want(ctx *kit.Context, force bool) {
	if a.mode == reading || a.mode == recovering {
		return
	}
	change, avoided := false, false
	for _, st := range a.stages {
		change = st.says(a.useful(st)) || change
		avoided = st.avoid.Refresh(ctx.Now()) || avoided
		if _, stale := st.avoid.Said(); stale {
			a.note(ctx) // then it is said
		}
	}
	if change || avoided || force {
		for _, st := range a.stages {
			st.target = a.useful(st)
		}
	}
	if (change || avoided || force) && a.mode != ended {
		w := &msg.Want{
			ID: a.id, UID: a.uid(), Priority: a.plan.Priority, Job: ctx.Self(), Plan: a.plan, Again: avoided || !change,
		}
		for _, st := range a.stages {
			if st.target > 0 {
				avoid, _ := st.avoid.Said()
				w.Stages = append(w.Stages, msg.StageWant{Stage: uint32(st.number), Target: st.target, Plan: st.plan, Avoid: avoid})
			}
		}
		ctx.Tell(a.env.Refs.Queues, &msg.ToQueue{Name: a.id.Queue, Message: w})
	}
	for _, st := range a.stages {
		for st.held > st.target {
			sl := st.takeWorst()
			if sl == nil {
				break
			}
			a.release(ctx, sl)
		}
	}
}

// slotsLost forgets slots; what ran in them runs again elsewhere, under a greater fence.
func (a *Actor) slotsLost(ctx *kit.Context, m *msg.SlotsLost) {
	for _, id := range m.Slots {
		if sl := a.slots[id]; sl != nil && sl.node == m.Node {
			a.dropOff(ctx, sl, m.Away)
		}
	}
	a.assignAll(ctx)
	a.finishStopping(ctx)
	a.note(ctx)
}

// flush sends what the message has led to: work to nodes, and the next commit.
func (a *Actor) flush(ctx *kit.Context) {
	if a.hard != nil {
		a.sendCommit(ctx)
	}
	reason := ""
	if a.ending != nil {
		reason = a.ending.reason
	}
	a.work.flush(ctx, msg.Work{ID: a.id, UID: a.uid(), Reason: reason})
}

// template is what the attempts of a stage share.
func template(hard *model.JobState, plan *model.Plan, i int) *v1.Template {
	st := &plan.Stages[i]
	return &v1.Template{
		JobUid: uint64(hard.UID), Stage: uint32(i), Queue: hard.ID.Queue, Job: hard.ID.Name, Spec: hard.Spec.GetStages()[i],
		CpuMilli: st.Resources[model.CPU], MemoryBytes: st.Resources[model.Memory],
		DiskBytes: st.Resources[model.Disk], NetBps: st.Resources[model.Net],
		TimeoutMs: st.Timeout.Milliseconds(), GraceMs: st.Grace.Milliseconds(),
		Band: plan.Priority.Band.String(), Rank: plan.Priority.Rank,
	}
}
