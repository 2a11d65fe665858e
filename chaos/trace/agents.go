package trace

import (
	"container/heap"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// fleet is the agents of all machines. They run nothing: an attempt ends when the workload says so. Messages take no
// time and none is lost, so what is measured is the scheduler alone. It implements the fabric of node actors.
type fleet struct {
	deliver func(*v1.FromAgent)
	now     func() time.Time
	// length is how long an attempt runs; negative for one that runs until it is stopped.
	length func(t *v1.Template, l *v1.Launch) time.Duration
	// began and ended hear of every attempt.
	began func(a *agent, s *slot)
	ended func(a *agent, s *slot, phase v1.AttemptPhase, reason string)

	agents map[string]*agent
	list   []*agent // in the order in which they joined
	ends   ends
	// slow keeps agents from giving slots back until hurry.
	slow  bool
	late  []*agent // those that have slots to give back
	wrong error    // the first thing that must never happen
}

// agent is one machine and its ledger.
type agent struct {
	number    int
	info      *v1.NodeInfo
	capacity  model.Resources
	held      model.Resources
	devices   []int32 // milli held of each
	epoch     uint64
	session   uint64
	pushed    uint64 // changes sent in the session
	taken     uint64 // commands taken in the session
	slots     map[uint64]*slot
	templates map[model.StageID]*v1.Template
	gone      bool // the machine is no part of the cell any more
	ailment
	changes []*v1.Change
	freed   []*v1.Change // slots that are given back later
}

// slot is what one slot holds: at most one attempt that runs.
type slot struct {
	launch   *v1.Launch
	template *v1.Template
	each     model.Resources
	running  bool
	since    time.Time
}

// end is when an attempt ends.
type end struct {
	at time.Time
	// limit says that its user has stated just this time: nobody is surprised by it. Such ends come first.
	limit bool
	// since is when it began; of those that began at one moment the slot that was granted first comes first.
	since  time.Time
	number uint64
	agent  *agent
	slot   *slot
	fence  uint64
}

type ends []end

func (e ends) Len() int { return len(e) }
func (e ends) Less(i, j int) bool {
	if !e[i].at.Equal(e[j].at) {
		return e[i].at.Before(e[j].at)
	}
	if e[i].limit != e[j].limit {
		return e[i].limit
	}
	if !e[i].since.Equal(e[j].since) {
		return e[i].since.Before(e[j].since)
	}
	return e[i].number < e[j].number
}
func (e ends) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *ends) Push(v any)   { *e = append(*e, v.(end)) }
func (e *ends) Pop() any {
	old := *e
	v := old[len(old)-1]
	*e = old[:len(old)-1]
	return v
}

// join switches a machine on and lets its agent say Hello.
func (f *fleet) join(info *v1.NodeInfo) {
	a := &agent{
		number: len(f.list), info: info, capacity: model.CapacityOf(info), devices: make([]int32, len(info.GetDevices())),
		slots: map[uint64]*slot{}, templates: map[model.StageID]*v1.Template{},
	}
	f.agents[info.GetId()] = a
	f.list = append(f.list, a)
	f.hello(a)
}

// leave takes a machine out: all that ran there is lost, and its agent refuses what jobs want to launch in the slots that
// they hold there. The cell must have been told before to put nothing new there.
func (f *fleet) leave(id string) {
	a := f.agents[id]
	a.gone = true
	for _, slot := range slices.Sorted(maps.Keys(a.slots)) {
		f.stop(a, a.slots[slot], v1.AttemptPhase_ATTEMPT_PHASE_LOST, "the machine is gone")
	}
	a.changes, a.slots, a.templates = nil, map[uint64]*slot{}, map[model.StageID]*v1.Template{}
	a.held = model.Resources{}
	clear(a.devices)
	f.hello(a)
}

// hello begins a session. The master never loses one here, so agents hold nothing when they say it but at a new epoch.
func (f *fleet) hello(a *agent) {
	a.session++
	a.pushed, a.taken = 0, 0
	f.deliver(&v1.FromAgent{Node: a.info.GetId(), Epoch: a.epoch, Session: a.session, Hello: &v1.Hello{
		Session: a.session, Info: a.info, BootId: "trace",
	}})
}

// Send implements the fabric: the agent acts on the message and answers at once.
func (f *fleet) Send(m *v1.ToAgent) {
	a := f.agents[m.GetNode()]
	if a == nil || a.down {
		return
	}
	a.epoch = m.GetEpoch()
	switch {
	case m.GetHelloRequest():
		if len(a.slots) > 0 {
			f.fail("node %s is asked to begin again, though nothing was lost", a.info.GetId())
		}
		f.hello(a)
		return
	case m.GetSession() != a.session:
		return
	}
	if n := len(m.GetCommands()); n > 0 {
		if m.GetFirst() != a.taken+1 {
			f.fail("node %s is sent command %d after command %d", a.info.GetId(), m.GetFirst(), a.taken)
		}
		a.taken += uint64(n)
		for _, c := range m.GetCommands() {
			f.command(a, c)
		}
	}
	f.flush(a, len(m.GetCommands()) > 0 || m.GetPing())
}

// flush sends what has changed, or the mere sign that commands were taken.
func (f *fleet) flush(a *agent, always bool) {
	if len(a.changes) == 0 && !always {
		return
	}
	m := &v1.FromAgent{Node: a.info.GetId(), Epoch: a.epoch, Session: a.session, Ack: a.taken, Changes: a.changes}
	if len(a.changes) > 0 {
		m.First = a.pushed + 1
		a.pushed += uint64(len(a.changes))
		a.changes = nil
	}
	f.deliver(m)
}

func (f *fleet) command(a *agent, c *v1.Command) {
	switch k := c.GetKind().(type) {
	case *v1.Command_Template:
		a.templates[model.StageID{Job: model.UID(k.Template.GetJobUid()), Stage: k.Template.GetStage()}] = k.Template
	case *v1.Command_Launch:
		f.launch(a, k.Launch)
	case *v1.Command_Stop:
		if s := a.slots[k.Stop.GetSlot()]; s != nil && s.launch.GetFence() == k.Stop.GetFence() {
			f.stop(a, s, v1.AttemptPhase_ATTEMPT_PHASE_STOPPED, k.Stop.GetReason())
		}
	case *v1.Command_Release:
		f.release(a, k.Release)
	}
}

func (f *fleet) launch(a *agent, l *v1.Launch) {
	stage := model.StageID{Job: model.UID(l.GetJobUid()), Stage: l.GetStage()}
	t := a.templates[stage]
	s := a.slots[l.GetSlot()]
	switch {
	case a.gone:
		a.changes = append(a.changes, &v1.Change{Kind: &v1.Change_Refused{Refused: &v1.LaunchRefused{
			Slot: l.GetSlot(), Fence: l.GetFence(), Reason: "the machine is gone",
		}}})
		return
	case t == nil:
		f.fail("node %s is to launch what it knows nothing of", a.info.GetId())
		return
	case s == nil:
		s = &slot{each: model.Resources{t.GetCpuMilli(), t.GetMemoryBytes(), t.GetDiskBytes(), t.GetNetBps()}}
		a.slots[l.GetSlot()] = s
		s.launch, s.template = l, t
		f.hold(a, s)
	case s.running:
		f.fail("node %s is to launch into a slot in which an attempt runs", a.info.GetId())
		return
	}
	s.launch, s.template, s.running, s.since = l, t, true, f.now()
	f.say(a, s, v1.AttemptPhase_ATTEMPT_PHASE_RUNNING, "")
	f.began(a, s)
	if d := a.takes(f.length(t, l)); d >= 0 {
		stated, err := time.ParseDuration(t.GetSpec().GetDuration())
		heap.Push(&f.ends, end{
			at: s.since.Add(d), limit: err == nil && d >= stated, since: s.since, number: l.GetSlot(), agent: a, slot: s, fence: l.GetFence(),
		})
	}
}

// hold takes a slot into the machine's own ledger, which must have room for it.
func (f *fleet) hold(a *agent, s *slot) {
	a.held = a.held.Add(s.each)
	if !a.held.Fits(a.capacity) {
		f.fail("node %s holds %v of %v", a.info.GetId(), a.held, a.capacity)
	}
	for _, d := range s.launch.GetExtra().GetDevices() {
		if i := int(d.GetIndex()); i < 0 || i >= len(a.devices) {
			f.fail("node %s has no device %d", a.info.GetId(), i)
		} else if a.devices[i] += d.GetMilli(); a.devices[i] > model.WholeDevice {
			f.fail("device %d of node %s holds %d milli", i, a.info.GetId(), a.devices[i])
		}
	}
}

func (f *fleet) release(a *agent, r *v1.ReleaseSlot) {
	if s := a.slots[r.GetSlot()]; s != nil {
		f.stop(a, s, v1.AttemptPhase_ATTEMPT_PHASE_STOPPED, r.GetReason())
		delete(a.slots, r.GetSlot())
		a.held = a.held.Sub(s.each)
		for _, d := range s.launch.GetExtra().GetDevices() {
			if i := int(d.GetIndex()); i >= 0 && i < len(a.devices) {
				a.devices[i] -= d.GetMilli()
			}
		}
	}
	change := &v1.Change{Kind: &v1.Change_Released{Released: &v1.SlotReleased{Slot: r.GetSlot()}}}
	if !f.slow {
		a.changes = append(a.changes, change)
		return
	}
	if a.freed == nil {
		f.late = append(f.late, a)
	}
	a.freed = append(a.freed, change)
}

// stop ends an attempt; a program that is asked to stop is taken to do so at once.
func (f *fleet) stop(a *agent, s *slot, phase v1.AttemptPhase, reason string) {
	if !s.running {
		return
	}
	s.running = false
	f.ended(a, s, phase, reason)
	f.say(a, s, phase, reason)
}

// say notes where an attempt stands, for the master.
func (f *fleet) say(a *agent, s *slot, phase v1.AttemptPhase, reason string) {
	l := s.launch
	state := &v1.AttemptState{
		Slot: l.GetSlot(), Fence: l.GetFence(), JobUid: l.GetJobUid(), Stage: l.GetStage(), Index: l.GetIndex(), Attempt: l.GetAttempt(),
		Phase: phase, Reason: reason, Queue: s.template.GetQueue(), Job: s.template.GetJob(), StartedUnixNano: s.since.UnixNano(),
	}
	if phase >= v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED {
		state.EndedUnixNano = max(f.now().UnixNano(), state.StartedUnixNano+1) // what ran at all took some time
	}
	a.changes = append(a.changes, &v1.Change{Kind: &v1.Change_Attempt{Attempt: state}})
}

// hurry lets agents give back the slots that they have not given back yet: each all of them at once.
func (f *fleet) hurry() {
	f.slow = false
	for _, a := range f.late {
		a.changes = append(a.changes, a.freed...)
		a.freed = nil
		f.flush(a, false)
	}
	f.late = f.late[:0]
}

// next is when the next attempt ends; false if none will.
func (f *fleet) next() (time.Time, bool) {
	for len(f.ends) > 0 {
		e := f.ends[0]
		if !e.agent.down && e.slot.running && e.slot.launch.GetFence() == e.fence {
			return e.at, true
		}
		heap.Pop(&f.ends) // stopped before its time
	}
	return time.Time{}, false
}

// endNext lets the attempt end that next has found.
func (f *fleet) endNext() {
	e := heap.Pop(&f.ends).(end)
	phase, reason := e.agent.outcome()
	f.stop(e.agent, e.slot, phase, reason)
	f.flush(e.agent, false)
}

func (f *fleet) fail(format string, args ...any) {
	if f.wrong == nil {
		f.wrong = fmt.Errorf("trace: the schedule is not valid: "+format, args...)
	}
}
