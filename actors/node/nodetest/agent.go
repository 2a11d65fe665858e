package nodetest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/stream"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Agent is one of a Fleet.
type Agent struct {
	fleet     *Fleet
	info      *v1.NodeInfo
	epoch     uint64
	session   uint64
	phase     phase
	life      int
	hello     *v1.Hello
	out       *stream.Outbox[*v1.Change]
	acked     uint64
	pushed    uint64
	in        stream.Inbox
	templates map[model.StageID]*v1.Template
	slots     map[uint64]*slot
	ends      map[uint64]*v1.AttemptState
	released  map[uint64]bool
	cut       bool
	heard     time.Time
}

type phase uint8

const (
	proposing phase = iota
	open
)

type slot struct {
	launch    *v1.Launch
	template  *v1.Template
	outcome   Outcome
	began     time.Time
	ended     bool
	releasing bool
}

const (
	heartbeat = time.Second
	grace     = 50 * time.Millisecond
)

// Cut ends or mends the connection of the agent. What runs goes on.
func (a *Agent) Cut(cut bool) { a.cut = cut }

// Reboot loses everything that runs: the agent knows of its attempts from its ledger, and reports them as lost.
func (a *Agent) Reboot() {
	a.life++
	for _, id := range slices.Sorted(maps.Keys(a.slots)) {
		if s := a.slots[id]; !s.ended {
			a.end(s, v1.AttemptPhase_ATTEMPT_PHASE_LOST, nil, "the machine was booted")
		}
	}
	a.renew()
}

// Wipe loses the ledger, too: the agent is as new, and numbers its sessions anew.
func (a *Agent) Wipe() {
	a.life++
	a.session, a.epoch = 0, 0
	for _, s := range a.slots { //order: each is on its own
		a.fleet.end(s, v1.AttemptPhase_ATTEMPT_PHASE_LOST)
	}
	clear(a.slots)
	clear(a.ends)
	a.renew()
}

// Slots is how many the agent holds; Ends how many ends it may not forget yet.
func (a *Agent) Slots() int { return len(a.slots) }

// Ends is how many ends the agent may not forget yet.
func (a *Agent) Ends() int { return len(a.ends) }

// Running lists the attempts that run, by slot.
func (a *Agent) Running() (list []*v1.Launch) {
	for _, id := range slices.Sorted(maps.Keys(a.slots)) {
		if s := a.slots[id]; !s.ended {
			list = append(list, s.launch)
		}
	}
	return list
}

// Session is the number of the session, and whether it is open.
func (a *Agent) Session() (number uint64, opened bool) { return a.session, a.phase == open }

// Renew begins a new session.
func (a *Agent) Renew() { a.renew() }

func (a *Agent) renew() {
	a.session++
	a.phase, a.in, a.acked, a.pushed = proposing, stream.Inbox{}, 0, 0
	a.out = stream.NewOutbox[*v1.Change](1 << 16)
	a.templates = map[model.StageID]*v1.Template{}
	a.heard = a.fleet.Stepper.Now()
	a.hello = &v1.Hello{Session: a.session, Info: a.info, BootId: fmt.Sprint(a.life), Ends: uint64(len(a.ends))}
	for _, id := range slices.Sorted(maps.Keys(a.slots)) {
		a.hello.Slots = append(a.hello.Slots, a.state(id))
	}
	for _, fence := range slices.Sorted(maps.Keys(a.ends)) {
		a.push(&v1.Change{Kind: &v1.Change_Attempt{Attempt: a.ends[fence]}})
	}
	a.sayHello()
}

func (a *Agent) state(id uint64) *v1.SlotState {
	s := a.slots[id]
	t := s.template
	state := &v1.SlotState{
		Slot: id, JobUid: s.launch.GetJobUid(), Stage: s.launch.GetStage(), Queue: t.GetQueue(), Job: t.GetJob(),
		CpuMilli: t.GetCpuMilli(), MemoryBytes: t.GetMemoryBytes(), DiskBytes: t.GetDiskBytes(), NetBps: t.GetNetBps(),
		LastFence: s.launch.GetFence(), Extra: s.launch.GetExtra(),
	}
	switch end := a.ends[s.launch.GetFence()]; {
	case !s.ended:
		state.Attempt = a.attempt(s, v1.AttemptPhase_ATTEMPT_PHASE_RUNNING)
	case end != nil:
		state.Attempt = a.attempt(s, end.GetPhase())
	}
	return state
}

func (a *Agent) attempt(s *slot, phase v1.AttemptPhase) *v1.AttemptState {
	l := s.launch
	return &v1.AttemptState{
		Slot: l.GetSlot(), Fence: l.GetFence(), JobUid: l.GetJobUid(), Stage: l.GetStage(), Index: l.GetIndex(),
		Attempt: l.GetAttempt(), Phase: phase, Queue: s.template.GetQueue(), Job: s.template.GetJob(),
		StartedUnixNano: s.began.UnixNano(),
	}
}

func (a *Agent) sayHello() { a.send(&v1.FromAgent{Hello: a.hello}) }

// beat is the sign of life; it repeats itself.
func (a *Agent) beat() {
	a.fleet.Stepper.AfterFunc(heartbeat, a.beat)
	now := a.fleet.Stepper.Now()
	switch {
	case a.phase == proposing:
		a.sayHello()
	case now.Sub(a.heard) > 5*heartbeat:
		a.renew()
	default:
		m := &v1.FromAgent{}
		if a.out.Len() == 0 {
			m.Digest, m.First = a.digest(), a.pushed+1
		} else {
			a.out.Rewind()
			a.flush()
		}
		a.send(m)
	}
}

func (a *Agent) digest() uint64 {
	var held []stream.Held
	for _, id := range slices.Sorted(maps.Keys(a.slots)) {
		held = append(held, stream.Held{Slot: id, Fence: a.slots[id].launch.GetFence(), Ended: a.slots[id].ended})
	}
	return stream.Digest(held)
}

func (a *Agent) send(m *v1.FromAgent) {
	if a.cut {
		return
	}
	m.Node, m.Epoch, m.Session, m.Ack = a.info.GetId(), a.epoch, a.session, a.in.Taken()
	a.fleet.carry(func() {
		if !a.cut {
			a.fleet.Deliver(m)
		}
	})
}

func (a *Agent) push(c *v1.Change) {
	a.out.Push(c)
	a.pushed++
	a.flush()
}

func (a *Agent) flush() {
	for a.phase == open {
		first, changes := a.out.Next(64)
		if changes == nil {
			return
		}
		a.send(&v1.FromAgent{First: first, Changes: changes})
	}
}

func (a *Agent) receive(m *v1.ToAgent) {
	switch higher := m.GetEpoch() > a.epoch; {
	case m.GetEpoch() < a.epoch:
		return
	case higher && (m.GetWelcome() == nil || m.GetSession() != a.session):
		a.epoch = m.GetEpoch()
		a.renew()
		return
	}
	a.epoch = m.GetEpoch()
	switch {
	case m.GetHelloRequest() && a.phase == proposing:
		a.sayHello()
		return
	case m.GetHelloRequest():
		a.renew()
		return
	case m.GetSession() != a.session:
		return
	case m.GetWelcome() != nil && a.phase == proposing:
		a.phase = open
		a.flush()
	}
	if a.phase == open {
		a.items(m)
	}
}

func (a *Agent) items(m *v1.ToAgent) {
	a.heard = a.fleet.Stepper.Now()
	a.out.Ack(m.GetAck())
	n := len(m.GetCommands())
	if skip, ok := a.in.Take(m.GetFirst(), n); ok {
		for _, c := range m.GetCommands()[skip:] {
			a.command(c)
		}
	}
	if n > 0 || m.GetPing() {
		a.send(&v1.FromAgent{})
	}
}

func (a *Agent) command(c *v1.Command) {
	switch k := c.GetKind().(type) {
	case *v1.Command_Template:
		a.templates[model.StageID{Job: model.UID(k.Template.GetJobUid()), Stage: k.Template.GetStage()}] = k.Template
	case *v1.Command_Launch:
		a.launch(k.Launch)
	case *v1.Command_Stop:
		if s := a.slots[k.Stop.GetSlot()]; s != nil && !s.ended && s.launch.GetFence() == k.Stop.GetFence() {
			a.after(grace, s, func() { a.end(s, v1.AttemptPhase_ATTEMPT_PHASE_STOPPED, nil, k.Stop.GetReason()) })
		}
	case *v1.Command_Release:
		a.release(k.Release.GetSlot(), k.Release.GetReason())
	case *v1.Command_Settled:
		for _, fence := range k.Settled.GetFences() {
			delete(a.ends, fence)
		}
	}
}

// after does something with the attempt that is in a slot now, if it still runs then.
func (a *Agent) after(d time.Duration, s *slot, do func()) {
	fence, life := s.launch.GetFence(), a.life
	a.fleet.Stepper.AfterFunc(d, func() {
		if a.life == life && a.slots[s.launch.GetSlot()] == s && s.launch.GetFence() == fence && !s.ended {
			do()
		}
	})
}

func (a *Agent) launch(l *v1.Launch) {
	s := a.slots[l.GetSlot()]
	if a.ends[l.GetFence()] != nil || (s != nil && s.launch.GetFence() == l.GetFence()) {
		return
	}
	t := a.templates[model.StageID{Job: model.UID(l.GetJobUid()), Stage: l.GetStage()}]
	if why := a.objection(l, s, t); why != "" {
		a.push(&v1.Change{Kind: &v1.Change_Refused{Refused: &v1.LaunchRefused{Slot: l.GetSlot(), Fence: l.GetFence(), Reason: why}}})
		return
	}
	if s == nil {
		s = &slot{}
		a.slots[l.GetSlot()] = s
	}
	o := a.fleet.Script(l)
	s.launch, s.template, s.outcome, s.ended, s.began = l, t, o, false, a.fleet.Stepper.Now()
	a.fleet.begin(l)
	a.push(&v1.Change{Kind: &v1.Change_Attempt{Attempt: a.attempt(s, v1.AttemptPhase_ATTEMPT_PHASE_RUNNING)}})
	if !o.Hold {
		phase := cmp.Or(o.Phase, v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED)
		a.after(o.After, s, func() { a.end(s, phase, o.Result, o.Reason) })
	}
}

func (a *Agent) objection(l *v1.Launch, s *slot, t *v1.Template) string {
	switch {
	case t == nil:
		return "template unknown"
	case a.released[l.GetSlot()]:
		return "slot was released"
	case s != nil && s.releasing:
		return "slot is being released"
	case s != nil && l.GetFence() < s.launch.GetFence():
		return "fence is not greater than the last"
	case s != nil && !s.ended:
		return "slot runs an attempt"
	case s != nil:
		return ""
	}
	need, extras := resources(t), model.NewHolding(a.info)
	for _, other := range a.slots { //order: sums
		need = need.Add(resources(other.template))
		extras.Take(other.launch.GetExtra())
	}
	if !need.Fits(model.CapacityOf(a.info)) {
		return "machine is full"
	}
	return extras.Lacks(l.GetExtra())
}

func resources(t *v1.Template) model.Resources {
	return model.Resources{t.GetCpuMilli(), t.GetMemoryBytes(), t.GetDiskBytes(), t.GetNetBps()}
}

func (a *Agent) end(s *slot, phase v1.AttemptPhase, result []byte, reason string) {
	state := a.attempt(s, phase)
	state.Result, state.Reason, state.EndedUnixNano = result, reason, a.fleet.Stepper.Now().UnixNano()
	s.ended = true
	a.fleet.end(s, phase)
	a.ends[s.launch.GetFence()] = state
	a.push(&v1.Change{Kind: &v1.Change_Attempt{Attempt: state}})
	if s.releasing {
		a.gone(s.launch.GetSlot())
	}
}

func (a *Agent) release(id uint64, reason string) {
	s := a.slots[id]
	switch {
	case s == nil || s.ended:
		a.gone(id)
	case !s.releasing:
		s.releasing = true
		a.after(grace, s, func() { a.end(s, v1.AttemptPhase_ATTEMPT_PHASE_STOPPED, nil, reason) })
	}
}

// gone takes a slot out and says so.
func (a *Agent) gone(id uint64) {
	delete(a.slots, id)
	a.released[id] = true
	a.push(&v1.Change{Kind: &v1.Change_Released{Released: &v1.SlotReleased{Slot: id}}})
}
