package node

import (
	"maps"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/lifecycle"
	"github.com/troupe-sched/troupe/actors/policy/stream"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Fabric carries messages to agents. Send never blocks and may lose, delay or double what it is given.
type Fabric interface {
	Send(m *v1.ToAgent)
}

const (
	stashMax = 4096
	// outboxMax bounds the commands that an agent has not acknowledged.
	outboxMax = 65_536
	// batchMax bounds the commands in one message.
	batchMax    = 1024
	tickEvery   = time.Second
	ackAfter    = 20 * time.Millisecond
	resendAfter = time.Second
)

// Actor is one node.
type Actor struct {
	env    *msg.Env
	id     model.NodeID
	fabric Fabric
	stash  kit.Stash
	ready  bool
	again  bool // this incarnation is not the first: all jobs must be told what was found

	hard     *model.NodeState // nil until the node has joined
	joining  *v1.Hello        // waits for its NodeJoined to be durable
	capacity model.Resources
	held     model.Resources
	extras   *model.Holding
	slots    map[model.SlotID]*slot
	ends     map[model.Fence]*v1.AttemptState // reported and not settled
	claims   []*msg.Claim                     // wait for the first session, the newest of each job
	claimant map[model.UID]int                // where in claims a job's is
	through  uint64                           // serial of the last Reserve handled

	session session
	live    lifecycle.Liveness
	heard   time.Time
	asked   time.Time // first, for a Hello
	stood   silence   // as the supervisor was told
	stray   *v1.FromAgent
	beat    time.Duration // how often the agent is to report
	other   other
	problem string
	// drainOrder is that of the newest DrainNode that the hard state tells of.
	drainOrder uint64
	synced     bool // the supervisor knows what this node holds
	usage      *v1.Usage
	changed    bool
	batch      batch
}

// slot is resources held for one stage of one job.
type slot struct {
	id    model.SlotID
	stage model.StageID
	job   model.JobID
	ref   kit.Ref // of the job's actor; nil if only its name is known
	each  model.Resources
	// need is what it was asked for beyond each, and extra what it got; nil for most.
	need  *model.Extra
	extra *v1.SlotExtra
	since time.Time
	// fence of the newest attempt sent to the agent; 0 if there was none, and then the agent does not know the slot.
	fence     model.Fence
	index     uint64           // of the instance that it tries
	attempt   uint32           // its number
	state     *v1.AttemptState // of that attempt, as the agent says; nil if it has not
	over      bool             // its end was reported
	stop      model.Fence      // attempt that was asked to stop
	releasing bool
	useless   bool // given back by a job that has no use for it
	yielded   bool // given back by a job that still wants it, elsewhere or later
}

// session is the numbered exchange with the agent.
type session struct {
	number    uint64
	opening   uint64 // tells openings of one session apart
	open      bool
	out       *stream.Outbox[*v1.Command]
	in        stream.Inbox
	templates map[model.StageID]bool
	progress  bool      // the agent has acknowledged something since the last look
	owed      bool      // items were taken that are not acknowledged yet
	wished    time.Time // when the supervisor was asked for a turn
	spoke     time.Time // when something was sent last
	differs   int       // digests in a row that did not match
	met       bool      // the agent has said something in it, so both sides' numbers have moved on
	pushed    uint64    // number of the last command
	acking    bool      // the timer ack is set
	resending bool      // the timer resend is set
	gap       time.Time // since when changes are missing; zero if none are
	// ends are so many of the first changes that the agent held from before; until they are taken nobody is told what this
	// node holds, or that an attempt is lost whose end may be among them.
	ends      uint64
	told      bool
	lost      []*missing
	strangers map[model.UID]bool
	// The agent that has the session: its process and its boot, when it said something in it last, and how often it was
	// told to.
	process uint64
	boot    string
	heard   time.Time
	beat    time.Duration
}

// New makes the actor of one node.
func New(env *msg.Env, fabric Fabric, id model.NodeID) *Actor {
	return &Actor{
		env: env, id: id, fabric: fabric, stash: kit.Stash{Max: stashMax}, extras: model.NewHolding(nil),
		slots: map[model.SlotID]*slot{}, ends: map[model.Fence]*v1.AttemptState{}, claimant: map[model.UID]int{}, beat: env.Heartbeat,
	}
}

// The timers.
type (
	tick   struct{}
	ack    struct{}
	resend struct{}
	report struct{}
)

// joined says that NodeJoined is durable.
type joined struct{ hello *v1.Hello }

// marked says that what an operator has said of the node is durable.
type marked struct {
	event *v1.Event
	order uint64 // of the DrainNode; 0 if it was none
	asker kit.Ref
}

// Receive implements kit.Behavior.
func (a *Actor) Receive(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case kit.Started:
		a.again = a.again || m.Incarnation > 1
		a.drainOrder = a.env.IDs.Order()
		ctx.Tell(a.env.Refs.Journal, &msg.ReadNode{ID: a.id})
	case *msg.NodeRead:
		a.restore(ctx, m)
	case kit.Retire: // it was forgotten
		ctx.StopSelf()
	case *msg.CommitRefused:
		panic(m.Reason)
	default:
		if a.ready {
			a.handle(ctx, m)
		} else if !a.stash.Add(ctx, m) {
			ctx.Reply(model.Busy(time.Second, "node %s is starting", a.id))
		}
	}
}

func (a *Actor) restore(ctx *kit.Context, m *msg.NodeRead) {
	if a.ready {
		return
	}
	a.ready = true
	a.hard = m.State
	if a.hard != nil {
		a.size(a.hard.Info)
	}
	ctx.After("tick", max(tickEvery, a.env.Heartbeat), tick{})
	a.stash.Drain(ctx, a.handle)
	if !a.session.open && a.joining == nil {
		a.wantSession(ctx, nil) // not if it has come: asked again, the agent would leave the session that it has just proposed
	}
	if a.again {
		ctx.Tell(a.env.Refs.Nodes, &standing{a.id, talking}) // whatever the actor before it has said
	}
	a.note(ctx)
}

func (a *Actor) handle(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case *msg.FromAgent:
		a.fromAgent(ctx, m.Message)
	case *msg.Reserve:
		a.reserve(ctx, m)
	case *msg.Work:
		a.work(ctx, m)
	case *msg.Claim:
		a.claim(ctx, m)
	case *msg.JobsReset:
		a.tellEnds()
		a.tellLeftovers(ctx)
	case *msg.ViewRequest:
		a.through = max(a.through, m.Through)
		ctx.Tell(a.env.Refs.Placer, a.view(ctx))
	case *joined:
		if a.joining == m.hello {
			a.joining = nil
			if a.hard == nil {
				a.hard = &model.NodeState{ID: a.id}
			}
			a.hard.Info = m.hello.GetInfo()
			a.openSession(ctx, m.hello)
		}
	case *msg.DrainNode:
		a.drain(ctx, m)
	case *msg.TaintNode:
		a.taint(ctx, m)
	case *marked:
		a.marked(ctx, m)
	case *msg.GetNode:
		ctx.Reply(a.status(ctx.Now()))
	case *msg.DrillNode:
		a.drill(ctx, m)
	case *turn:
		a.askHello(ctx)
	case *knock:
		a.heard = ctx.Now()
	case *pace:
		a.beat = m.beat
	case *verdict:
		a.judged(ctx, m)
	case *recount:
		a.recount(ctx)
	case *kit.Busy:
		a.refused(ctx, m)
	case *kit.Lost:
		a.undelivered(ctx, m)
	case tick, ack, resend, report:
		a.timer(ctx, m)
	}
	a.batch.flush(ctx, a)
	a.pump(ctx)
}

// refused makes up for a message that a peer did not take. What is said again anyway needs nothing; for the rest the next
// session tells everyone everything again.
func (a *Actor) refused(ctx *kit.Context, m *kit.Busy) {
	switch m.Message.(type) {
	case *wish, *answered, *standing:
		return
	case *msg.NodeSynced:
		a.synced = false
	}
	a.again = true
	a.renew(ctx, kit.NameOf(m.To)+" has a full mailbox")
}

func (a *Actor) timer(ctx *kit.Context, m any) {
	switch m.(type) {
	case tick:
		a.watch(ctx)
		ctx.After("tick", max(tickEvery, a.env.Heartbeat), tick{})
	case ack:
		if a.session.acking = false; a.session.owed {
			a.sendAck(ctx)
		}
	case resend:
		a.resend(ctx)
	case report:
		a.report(ctx)
	}
}

// undelivered finds another way for what a job's actor did not get, because it has retired or its supervisor has failed.
func (a *Actor) undelivered(ctx *kit.Context, m *kit.Lost) {
	for _, sl := range a.slots { //order: each for itself
		if sl.ref != nil && sl.ref.Id == m.To.Id {
			sl.ref = nil
		}
	}
	switch lost := m.Message.(type) {
	case *msg.Reported:
		ctx.Tell(a.env.Refs.Jobs, &msg.ToJob{ID: lost.ID, UID: lost.UID, Message: lost})
	case *msg.SlotsLost:
		ctx.Tell(a.env.Refs.Jobs, &msg.ToJob{ID: lost.ID, UID: lost.UID, Message: lost})
	case *msg.Granted: // freed, they would be granted to the same address again at once
		for _, id := range lost.Slots {
			if sl := a.slots[id]; sl != nil {
				ctx.Tell(a.env.Refs.Jobs, &msg.ToJob{ID: sl.job, UID: sl.stage.Job, Message: lost})
				break
			}
		}
	}
}

// note makes sure that the supervisor hears of a change soon.
func (a *Actor) note(ctx *kit.Context) {
	if !a.changed {
		a.changed = true
		ctx.After("report", tickEvery, report{})
	}
}

// open reports whether the node takes new slots.
func (a *Actor) open() bool {
	return a.session.open && a.live == lifecycle.NodeFresh && !a.hard.Drained
}

// reserve holds slots for a stage, as many as fit.
func (a *Actor) reserve(ctx *kit.Context, m *msg.Reserve) {
	a.through = m.Serial
	granted := &msg.Granted{Node: a.id, NodeRef: ctx.Self(), Stage: m.Stage, Order: a.env.IDs.Order()}
	for i, id := range m.Slots {
		if !a.open() || len(a.slots) >= model.MaxSlots || !m.Each.Fits(a.capacity.Sub(a.held)) {
			break
		}
		sl := &slot{id: id, stage: m.Stage, job: m.ID, ref: m.Job, each: m.Each, since: ctx.Now()}
		if m.Extra != nil && !a.choose(ctx, sl, m, i) {
			continue // another slot of the same stage may be on another device
		}
		a.add(sl)
		granted.Slots = append(granted.Slots, id)
	}
	ctx.Tell(a.env.Refs.Placer, &msg.Reserved{Node: a.id, Serial: m.Serial, Refused: len(m.Slots) - len(granted.Slots)})
	if len(granted.Slots) > 0 {
		ctx.Tell(m.Job, granted)
	}
	a.note(ctx)
}

// choose gives a slot what it needs beyond plain resources, if that is free.
func (a *Actor) choose(ctx *kit.Context, sl *slot, m *msg.Reserve, i int) bool {
	var devices []model.DeviceShare
	if i < len(m.Devices) {
		devices = m.Devices[i]
	}
	extra, why := a.extras.Choose(m.Extra, devices)
	if why != "" {
		ctx.Log().Debug("slot refused", "job", m.ID, "reason", why)
		return false
	}
	sl.need, sl.extra = m.Extra, extra
	return true
}

func (a *Actor) add(sl *slot) {
	a.slots[sl.id] = sl
	a.held = a.held.Add(sl.each)
	if !plant.Is(plant.ExtrasUnbooked) {
		a.extras.Take(sl.extra)
	}
}

// remove forgets a slot and tells placer and job that it is free.
func (a *Actor) remove(ctx *kit.Context, sl *slot) {
	delete(a.slots, sl.id)
	a.held = a.held.Sub(sl.each)
	a.extras.Give(sl.extra)
	a.batch.freed(sl)
	a.note(ctx)
}

// claim answers what this node holds of a job; before the first session nobody knows.
func (a *Actor) claim(ctx *kit.Context, m *msg.Claim) {
	if a.session.open && a.session.told || a.live == lifecycle.NodeLost {
		a.answerClaim(ctx, m)
		return
	}
	if i, again := a.claimant[m.UID]; again {
		a.claims[i] = m
		return
	}
	a.claimant[m.UID] = len(a.claims)
	a.claims = append(a.claims, m)
}

func (a *Actor) answerClaims(ctx *kit.Context) {
	for _, m := range a.claims {
		a.answerClaim(ctx, m)
	}
	a.claims = nil
	clear(a.claimant)
}

// answerClaim tells ends again before the inventory: the one who was told them may have died before he acted on them.
func (a *Actor) answerClaim(ctx *kit.Context, m *msg.Claim) {
	r := &msg.Reported{ID: m.ID, UID: m.UID, Node: a.id, NodeRef: ctx.Self()}
	for _, fence := range slices.Sorted(maps.Keys(a.ends)) {
		if s := a.ends[fence]; s.GetJobUid() == uint64(m.UID) {
			r.Attempts = append(r.Attempts, s)
		}
	}
	if len(r.Attempts) > 0 {
		ctx.Tell(m.Job, r)
	}
	inv := a.inventory(ctx, m.UID)
	inv.Mark = m.Mark
	ctx.Tell(m.Job, inv)
}

// tellEnds tells all ends again that are not settled.
func (a *Actor) tellEnds() {
	for _, fence := range slices.Sorted(maps.Keys(a.ends)) {
		s := a.ends[fence]
		a.batch.attempt(model.JobID{Queue: s.GetQueue(), Name: s.GetJob()}, nil, s)
	}
}

// tellLeftovers tells all jobs what this node holds of them.
func (a *Actor) tellLeftovers(ctx *kit.Context) {
	for _, j := range a.sortedJobs() {
		left := &msg.Leftovers{Node: a.id, NodeRef: ctx.Self(), Slots: j.slots}
		ctx.Tell(a.env.Refs.Jobs, &msg.ToJob{ID: j.id, UID: j.uid, Message: left})
	}
}

// inventory is all that the node holds of one job.
func (a *Actor) inventory(ctx *kit.Context, uid model.UID) *msg.Inventory {
	inv := &msg.Inventory{Node: a.id, NodeRef: ctx.Self(), Order: a.env.IDs.Order()}
	for _, id := range a.sorted() {
		if sl := a.slots[id]; sl.stage.Job == uid {
			inv.Slots = append(inv.Slots, msg.HeldSlot{
				Slot: id, Stage: sl.stage.Stage, Attempt: sl.newest(), Fence: sl.fence, Releasing: sl.releasing,
			})
		}
	}
	return inv
}

// newest is the attempt in a slot; nil if there is none. One that the agent has said nothing of is on its way to it.
func (sl *slot) newest() *v1.AttemptState {
	if sl.state != nil || sl.fence == 0 || sl.over {
		return sl.state
	}
	return sl.attemptState(v1.AttemptPhase_ATTEMPT_PHASE_STARTING, "")
}

// attemptState is the newest attempt of a slot as it is known without the agent.
func (sl *slot) attemptState(phase v1.AttemptPhase, reason string) *v1.AttemptState {
	return &v1.AttemptState{
		Slot: uint64(sl.id), Fence: uint64(sl.fence), JobUid: uint64(sl.stage.Job), Stage: sl.stage.Stage,
		Index: sl.index, Attempt: sl.attempt, Phase: phase, Reason: reason, Queue: sl.job.Queue, Job: sl.job.Name,
	}
}
