package node

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/lifecycle"
	"github.com/troupe-sched/troupe/actors/policy/stream"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// fromAgent takes in one message of the session, or the Hello that begins one.
func (a *Actor) fromAgent(ctx *kit.Context, m *v1.FromAgent) {
	if m.GetEpoch() > a.env.Epoch {
		// The agent has seen a later master: this one is deposed and must not steer it.
		ctx.Log().Warn("agent follows a later master", "epoch", m.GetEpoch(), "mine", a.env.Epoch)
		return
	}
	if h := m.GetHello(); h != nil {
		a.hello(ctx, h)
		return
	}
	a.heard = ctx.Now()
	s := &a.session
	if !s.open || m.GetSession() != s.number || m.GetOpening() != 0 && m.GetOpening() != s.opening {
		a.wantSession(ctx, m)
		return
	}
	s.met, s.heard = true, a.heard
	a.alive(ctx)
	if m.GetAck() > s.pushed {
		a.renew(ctx, "the agent has taken commands that were never sent")
		return
	}
	if s.out.Ack(m.GetAck()) {
		s.progress = true
	}
	if u := m.GetUsage(); u != nil {
		a.usage = u
		a.note(ctx)
	}
	if n := len(m.GetChanges()); n > 0 {
		skip, ok := s.in.Take(m.GetFirst(), n)
		s.owed = true // also for what came twice: its acknowledgement may be lost
		switch {
		case !ok && s.gap.IsZero():
			s.gap = ctx.Now()
		case !ok && ctx.Now().Sub(s.gap) > a.env.Lost:
			a.renew(ctx, "changes are missing for too long")
			return
		case ok:
			s.gap = time.Time{}
			for i, c := range m.GetChanges()[skip:] {
				a.change(ctx, c)
				if m.GetFirst()+uint64(skip+i) == s.ends {
					a.begun(ctx)
				}
			}
		}
	}
	a.compare(ctx, m)
}

// hello begins a session, after the node's info is durable. What nothing comes of is answered to the supervisor at once.
func (a *Actor) hello(ctx *kit.Context, h *v1.Hello) {
	s := &a.session
	if !plant.Is(plant.NewerKept) {
		h = model.Known(h)
	}
	if h.GetInfo().GetId() == string(a.id) && h.GetSession() != 0 && (a.rival(ctx, h) || a.foreign(ctx, h)) {
		a.answered(ctx)
		return
	}
	a.heard = ctx.Now()
	defer func() {
		if a.joining == nil && (!s.open || s.told) {
			a.answered(ctx)
		}
	}()
	switch {
	case h.GetInfo().GetId() != string(a.id):
		ctx.Log().Warn("hello of another node", "id", h.GetInfo().GetId())
	case h.GetSession() < s.number || h.GetSession() == 0, h.GetSession() == s.number && !s.open && s.met:
		// An older one that was under way for long.
	case h.GetSession() == s.number && s.open:
		a.welcome(ctx) // the first Welcome was lost
	case a.joining != nil && a.joining.GetSession() >= h.GetSession():
		// Its NodeJoined is on its way.
	case a.joining == nil && a.hard != nil && proto.Equal(a.hard.Info, h.GetInfo()):
		a.openSession(ctx, h)
	default:
		if problems := model.CheckNodeInfo(h.GetInfo()); len(problems) > 0 {
			ctx.Log().Error("node refused", "field", problems[0].GetField(), "problem", problems[0].GetProblem())
			return
		}
		a.joining = h
		ctx.Tell(a.env.Refs.Journal, &msg.Commit{
			Events: []*v1.Event{{Kind: &v1.Event_NodeJoined{NodeJoined: &v1.NodeJoined{Info: h.GetInfo()}}}},
			Then:   []msg.Send{{To: ctx.Self(), Message: &joined{h}}},
		})
	}
}

// openSession compares what the agent has with what this node believes, tells everyone concerned, and begins.
func (a *Actor) openSession(ctx *kit.Context, h *v1.Hello) {
	if h.GetSession() <= a.session.number && a.session.open {
		return
	}
	before := a.session
	a.session = session{
		number: h.GetSession(), opening: a.env.IDs.Order(), open: true, out: stream.NewOutbox[*v1.Command](outboxMax), templates: map[model.StageID]bool{},
		ends: h.GetEnds(), lost: before.lost, strangers: before.strangers, // of a session that ended before they were told
		process: h.GetProcess(), boot: h.GetBootId(), heard: ctx.Now(),
	}
	a.size(h.GetInfo())
	a.heard, a.problem = ctx.Now(), ""
	a.ends = map[model.Fence]*v1.AttemptState{}
	a.welcome(ctx)
	a.reconcile(ctx, h)
	a.move(lifecycle.NodeHeard)
	a.stand(ctx)
	a.batch.flush(ctx, a) // first: the view counts no slot that was freed
	ctx.Tell(a.env.Refs.Placer, a.view(ctx))
	if a.session.ends == 0 {
		a.begun(ctx)
	}
	a.note(ctx)
}

// begun tells what this node holds, once the ends that the agent held from before are here: who heard of a slot without
// the end of its attempt would run that again.
func (a *Actor) begun(ctx *kit.Context) {
	s := &a.session
	s.told = true
	for _, m := range s.lost {
		if a.ends[model.Fence(m.state.GetFence())] == nil {
			a.batch.attempt(m.job, m.ref, m.state)
		}
	}
	a.batch.flush(ctx, a) // first: ends go before the inventories that do not name them
	a.tellInventories(ctx, s.strangers)
	a.answerClaims(ctx)
	a.sync(ctx)
	s.lost, s.strangers = nil, nil
	a.answered(ctx)
}

// missing is an attempt that the agent does not have.
type missing struct {
	job   model.JobID
	ref   kit.Ref
	state *v1.AttemptState
}

// reconcile goes through both sides' slots, and notes the jobs with slots that this node did not know.
func (a *Actor) reconcile(ctx *kit.Context, h *v1.Hello) {
	if a.session.strangers == nil {
		a.session.strangers = map[model.UID]bool{}
	}
	there := map[model.SlotID]bool{}
	for _, s := range h.GetSlots() {
		id := model.SlotID(s.GetSlot())
		there[id] = true
		sl := a.slots[id]
		if sl == nil && plant.Is(plant.StrangerIgnored) {
			continue
		}
		if sl == nil {
			sl = &slot{
				id: id, stage: model.StageID{Job: model.UID(s.GetJobUid()), Stage: s.GetStage()},
				job:   model.JobID{Queue: s.GetQueue(), Name: s.GetJob()},
				each:  model.Resources{s.GetCpuMilli(), s.GetMemoryBytes(), s.GetDiskBytes(), s.GetNetBps()},
				fence: model.Fence(s.GetLastFence()),
				extra: s.GetExtra(), need: a.extras.NeedOf(s.GetExtra()), since: ctx.Now(),
			}
			if n := s.GetAttempt().GetStartedUnixNano(); n != 0 {
				sl.since = time.Unix(0, n)
			}
			a.add(sl)
			a.session.strangers[sl.stage.Job] = true
		}
		a.reconcileSlot(ctx, sl, s)
	}
	for _, id := range a.sorted() {
		sl := a.slots[id]
		if there[id] {
			continue
		}
		a.loseAttempt(sl) // the agent has never got it, or has lost all it knew
		sl.fence, sl.state, sl.stop, sl.over = 0, nil, 0, false
		if sl.releasing {
			a.remove(ctx, sl)
		}
	}
}

// reconcileSlot compares one slot that both sides have.
func (a *Actor) reconcileSlot(ctx *kit.Context, sl *slot, s *v1.SlotState) {
	if sl.fence > model.Fence(s.GetLastFence()) {
		a.loseAttempt(sl) // its launch has not reached the agent, and never will: its session is over
	}
	sl.fence = model.Fence(s.GetLastFence())
	sl.state, sl.over = nil, true // an end that is not settled follows as a change
	if at := s.GetAttempt(); at != nil && at.GetPhase() < v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED {
		sl.state, sl.over = at, false
		sl.index, sl.attempt = at.GetIndex(), at.GetAttempt()
	}
	switch {
	case sl.releasing:
		a.push(ctx, releaseCommand(sl.id, "released"))
	case sl.stop != 0 && sl.stop == sl.fence:
		a.push(ctx, stopCommand(sl, "stopped"))
	}
}

// loseAttempt makes the newest attempt of a slot be reported as lost, unless its end is known.
func (a *Actor) loseAttempt(sl *slot) {
	if sl.fence == 0 || sl.over || plant.Is(plant.LossUntold) {
		return
	}
	a.env.Tally.Lost.Add(1)
	state := sl.attemptState(v1.AttemptPhase_ATTEMPT_PHASE_LOST, "node "+string(a.id)+" does not have the attempt")
	a.session.lost = append(a.session.lost, &missing{sl.job, sl.ref, state})
}

// tellInventories tells jobs what this node holds of them: those with slots it did not know, and after a restart of
// this actor all of them.
func (a *Actor) tellInventories(ctx *kit.Context, strangers map[model.UID]bool) {
	told := map[model.UID]bool{}
	for _, j := range a.sortedJobs() {
		told[j.uid] = true
		if a.again || strangers[j.uid] {
			ctx.Tell(a.env.Refs.Jobs, &msg.ToJob{ID: j.id, UID: j.uid, Message: a.inventory(ctx, j.uid)})
		}
	}
	if a.again {
		a.again = false
		ctx.Tell(a.env.Refs.Jobs, &msg.ToAllJobs{Message: &msg.NodeReset{Node: a.id, Told: told, Order: a.env.IDs.Order()}})
	}
}

// change takes in one observed change.
func (a *Actor) change(ctx *kit.Context, c *v1.Change) {
	switch k := c.GetKind().(type) {
	case *v1.Change_Attempt:
		a.attempt(ctx, k.Attempt)
	case *v1.Change_Released:
		if sl := a.slots[model.SlotID(k.Released.GetSlot())]; sl != nil {
			a.remove(ctx, sl)
		}
	case *v1.Change_Refused:
		if sl := a.slots[model.SlotID(k.Refused.GetSlot())]; sl != nil && uint64(sl.fence) == k.Refused.GetFence() {
			a.batch.refused(sl, k.Refused)
			a.release(ctx, sl, "launch refused") // an earlier attempt may have brought it to life there
		}
	}
}

func (a *Actor) attempt(ctx *kit.Context, s *v1.AttemptState) {
	fence := model.Fence(s.GetFence())
	over := s.GetPhase() >= v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED
	sl := a.slots[model.SlotID(s.GetSlot())]
	if over {
		a.ends[fence] = s
	}
	if sl == nil {
		// The slot is gone, the end of its attempt is not settled.
		a.batch.attempt(model.JobID{Queue: s.GetQueue(), Name: s.GetJob()}, nil, s)
		return
	}
	if fence == sl.fence {
		sl.state, sl.over = s, over
	}
	a.batch.attempt(sl.job, sl.ref, s)
}

// wantSession asks the supervisor for a turn to begin a session, at most once a second. stray is what an agent has said in
// a session that this node does not know; nil if it is the node itself that needs one.
func (a *Actor) wantSession(ctx *kit.Context, stray *v1.FromAgent) {
	if !a.session.wished.IsZero() && ctx.Now().Sub(a.session.wished) < resendAfter {
		return
	}
	a.session.wished, a.stray = ctx.Now(), stray
	ctx.Tell(a.env.Refs.Nodes, &wish{a.id})
}

// askHello asks the agent to begin a session: it is this node's turn. Where one is open the request names the other, which
// is unknown here, or the agent that is welcome would leave its own.
func (a *Actor) askHello(ctx *kit.Context) {
	m := &v1.ToAgent{Node: string(a.id), Epoch: a.env.Epoch, Control: &v1.ToAgent_HelloRequest{HelloRequest: true}}
	switch {
	case a.joining != nil || a.session.open && (a.stray == nil || !a.session.told):
		a.answered(ctx) // it has come meanwhile
		return
	case a.session.open:
		m.Session, m.Opening = a.stray.GetSession(), a.stray.GetOpening()
	}
	a.stray = nil
	if a.asked.IsZero() {
		a.asked = ctx.Now()
	}
	a.fabric.Send(m)
}

// welcome opens the agent's side, or tells it how often to report from now on.
func (a *Actor) welcome(ctx *kit.Context) {
	a.session.beat = a.beat
	a.send(ctx, &v1.ToAgent{
		Session: a.session.number, Ack: a.session.in.Taken(),
		Control: &v1.ToAgent_Welcome{Welcome: &v1.Welcome{HeartbeatMs: a.beat.Milliseconds(), Process: a.session.process}},
	})
}

// pump sends what was not sent yet; acknowledgements ride along or follow soon.
func (a *Actor) pump(ctx *kit.Context) {
	s := &a.session
	if !s.open {
		return
	}
	for {
		first, commands := s.out.Next(batchMax)
		if commands == nil {
			break
		}
		a.send(ctx, &v1.ToAgent{Session: s.number, Ack: s.in.Taken(), First: first, Commands: commands})
		s.owed = false
		a.resendSoon(ctx)
	}
	// Timers that are set stay as they are: under steady traffic they would never fire.
	if s.owed && !s.acking {
		s.acking = true
		ctx.After("ack", ackAfter, ack{})
	}
}

func (a *Actor) sendAck(ctx *kit.Context) {
	if s := &a.session; s.open {
		s.owed = false
		a.send(ctx, &v1.ToAgent{Session: s.number, Ack: s.in.Taken()})
	}
}

// send completes a message and hands it to the fabric.
func (a *Actor) send(ctx *kit.Context, m *v1.ToAgent) {
	m.Node, m.Epoch, m.Opening = string(a.id), a.env.Epoch, a.session.opening
	a.session.spoke = ctx.Now()
	a.fabric.Send(m)
}

// resend begins again with the oldest command when the agent has acknowledged none for a while.
func (a *Actor) resend(ctx *kit.Context) {
	s := &a.session
	s.resending = false
	if !s.open || s.out.Len() == 0 {
		return
	}
	if !s.progress && !plant.Is(plant.NeverResent) {
		s.out.Rewind()
	}
	s.progress = false
	a.resendSoon(ctx)
}

func (a *Actor) resendSoon(ctx *kit.Context) {
	if s := &a.session; !s.resending {
		s.resending = true
		ctx.After("resend", resendAfter, resend{})
	}
}

// renew ends the session and asks for another one, in which both sides compare what there is.
func (a *Actor) renew(ctx *kit.Context, why string) {
	ctx.Log().Warn("a new session begins", "session", a.session.number, "why", why)
	a.session.open = false
	a.wantSession(ctx, nil)
}

// compare holds the agent's digest against this side's view when nothing is under way either way; two differences in
// a row begin a new session (S4: real-time changes and periodic full sync).
func (a *Actor) compare(ctx *kit.Context, m *v1.FromAgent) {
	s := &a.session
	if m.GetDigest() == 0 || s.out.Len() > 0 || len(m.GetChanges()) > 0 {
		return
	}
	if m.GetAck() != s.pushed || m.GetFirst() != 0 && m.GetFirst() != s.in.Taken()+1 {
		return // of a moment that is past
	}
	if m.GetDigest() == stream.Digest(a.holdings()) {
		a.session.differs = 0
		return
	}
	if a.session.differs++; a.session.differs >= 2 {
		a.renew(ctx, "views differ")
	}
}

// holdings is what the agent should hold: for each slot that it knows, its newest attempt and whether that is over.
func (a *Actor) holdings() []stream.Held {
	var list []stream.Held
	for _, id := range a.sorted() {
		sl := a.slots[id]
		if sl.fence != 0 {
			list = append(list, stream.Held{Slot: uint64(id), Fence: uint64(sl.fence), Ended: sl.over})
		}
	}
	return list
}
