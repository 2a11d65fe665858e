// Package hollow is agents that run nothing: they speak the agent protocol, admit launches against the size of their
// machine and report every attempt as succeeded at once. While Fleet.Run runs they also report at the pace that the master
// names, and look for another when it is silent; else they speak when spoken to. Benchmarks and tests of scale use thousands of them in one
// process; everything above the agent is the real thing.
package hollow

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/stream"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Options of a fleet of hollow agents.
type Options struct {
	// Nodes is how many there are.
	Nodes int
	// Info of each, but for its id.
	Info *v1.NodeInfo
	// Deliver takes what agents send to the master; it must not block.
	Deliver func(*v1.FromAgent)
	// Outcome says how an attempt ends; nil means that all succeed without a result. With hold it does not end until
	// it is stopped.
	Outcome func(l *v1.Launch) (phase v1.AttemptPhase, result []byte, hold bool)
}

// Fleet is the port to all of them; it implements the fabric of a master.
type Fleet struct {
	opts   Options
	agents map[string]*agent
	ran    atomic.Uint64
}

// agent is one hollow agent. Its lock is hardly ever contended: one node actor talks to it.
type agent struct {
	mu      sync.Mutex
	fleet   *Fleet
	info    *v1.NodeInfo
	session uint64
	epoch   uint64
	opening uint64
	open    bool
	// Of Run: when it reports next, at which pace, how often it has said Hello, and when it has heard the master last.
	next     time.Time
	beat     time.Duration
	hellos   int
	heard    time.Time
	out      *stream.Outbox[*v1.Change]
	in       stream.Inbox
	slots    map[uint64]*v1.SlotState
	held     model.Resources
	extras   *model.Holding
	shapes   map[model.StageID]*v1.Template
	proposed *v1.Hello
}

// New makes a fleet; Start lets it say Hello.
func New(opts Options) *Fleet {
	f := &Fleet{opts: opts, agents: map[string]*agent{}}
	for i := range opts.Nodes {
		id := fmt.Sprintf("node-%05d", i)
		info := &v1.NodeInfo{}
		proto.Merge(info, opts.Info)
		info.Id = id
		f.agents[id] = &agent{fleet: f, info: info, extras: model.NewHolding(info), slots: map[uint64]*v1.SlotState{}, shapes: map[model.StageID]*v1.Template{}}
	}
	return f
}

// Start lets every agent say Hello.
func (f *Fleet) Start() {
	ids := make([]string, 0, len(f.agents))
	for id := range f.agents {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		f.agents[id].hello()
	}
}

// Ran counts the attempts that were launched.
func (f *Fleet) Ran() uint64 { return f.ran.Load() }

// Send implements the master's fabric.
func (f *Fleet) Send(m *v1.ToAgent) {
	if a := f.agents[m.GetNode()]; a != nil {
		a.receive(m)
	}
}

// Logs implements the master's fabric: nothing has written anything.
func (f *Fleet) Logs(context.Context, *v1.LogPlace, *v1.LogsRequest, func(*v1.LogChunk) error) error {
	return model.NotFound("hollow agents keep no output")
}

// hello begins a session.
func (a *agent) hello() {
	a.mu.Lock()
	a.session++
	a.open, a.opening, a.hellos = false, 0, 0
	a.out, a.in = stream.NewOutbox[*v1.Change](1<<20), stream.Inbox{}
	h := &v1.Hello{Session: a.session, Info: a.info, BootId: "hollow"}
	for _, s := range a.slots {
		h.Slots = append(h.Slots, proto.CloneOf(s))
	}
	slices.SortFunc(h.Slots, func(x, y *v1.SlotState) int { return cmp.Compare(x.GetSlot(), y.GetSlot()) })
	a.proposed = h
	m := a.propose()
	a.mu.Unlock()
	a.fleet.opts.Deliver(m)
}

// propose says the Hello of the session, once more if need be.
func (a *agent) propose() *v1.FromAgent {
	a.hellos++
	wait := min(time.Duration(a.hellos)*helloFirst, helloMax)
	a.next = time.Now().Add(wait + rand.N(wait/8))
	return &v1.FromAgent{Node: a.info.GetId(), Epoch: a.epoch, Session: a.session, Hello: a.proposed}
}

func (a *agent) receive(m *v1.ToAgent) {
	a.mu.Lock()
	a.heard = time.Now()
	switch {
	case m.GetEpoch() < a.epoch:
		a.mu.Unlock()
		return
	case m.GetHelloRequest() && m.GetEpoch() == a.epoch && !a.open && a.proposed != nil: // it is as good as a new one
		again := a.propose()
		a.mu.Unlock()
		a.fleet.opts.Deliver(again)
		return
	case m.GetHelloRequest() || (m.GetEpoch() > a.epoch && m.GetWelcome() == nil):
		a.epoch = m.GetEpoch()
		a.mu.Unlock()
		a.hello()
		return
	case m.GetSession() != a.session || a.open && m.GetOpening() != a.opening:
		a.mu.Unlock()
		return
	}
	a.epoch = m.GetEpoch()
	if w := m.GetWelcome(); w != nil {
		if !a.open {
			a.open, a.opening, a.proposed = true, m.GetOpening(), nil
			a.next = time.Now().Add(rand.N(max(pace(w), 1)))
		}
		a.beat = pace(w)
	}
	a.out.Ack(m.GetAck())
	skip, ok := a.in.Take(m.GetFirst(), len(m.GetCommands()))
	if m.GetPing() || skip > 0 {
		a.out.Rewind() // it has no clock: a ping, or what comes again, tells that the master may not have heard it
	}
	if ok {
		for _, c := range m.GetCommands()[skip:] {
			a.command(c)
		}
	}
	reply := a.reply(len(m.GetCommands()) > 0 || m.GetPing())
	a.mu.Unlock()
	if reply != nil {
		a.fleet.opts.Deliver(reply)
	}
}

// reply is what is to be sent now; nil if there is nothing.
func (a *agent) reply(ack bool) *v1.FromAgent {
	if !a.open {
		return nil
	}
	first, changes := a.out.Next(4096)
	if changes == nil && !ack {
		return nil
	}
	return &v1.FromAgent{Node: a.info.GetId(), Epoch: a.epoch, Session: a.session, Opening: a.opening, Ack: a.in.Taken(), First: first, Changes: changes}
}

func (a *agent) command(c *v1.Command) {
	switch k := c.GetKind().(type) {
	case *v1.Command_Template:
		a.shapes[model.StageID{Job: model.UID(k.Template.GetJobUid()), Stage: k.Template.GetStage()}] = k.Template
	case *v1.Command_Launch:
		a.launch(k.Launch)
	case *v1.Command_Stop:
		if s := a.slots[k.Stop.GetSlot()]; s != nil && s.GetAttempt().GetFence() == k.Stop.GetFence() {
			a.end(s, v1.AttemptPhase_ATTEMPT_PHASE_STOPPED, nil)
		}
	case *v1.Command_Release:
		if s := a.slots[k.Release.GetSlot()]; s != nil && s.GetAttempt() != nil {
			a.end(s, v1.AttemptPhase_ATTEMPT_PHASE_STOPPED, nil)
		}
		a.book(a.slots[k.Release.GetSlot()], -1)
		delete(a.slots, k.Release.GetSlot())
		a.out.Push(&v1.Change{Kind: &v1.Change_Released{Released: &v1.SlotReleased{Slot: k.Release.GetSlot()}}})
	}
}

func (a *agent) launch(l *v1.Launch) {
	t := a.shapes[model.StageID{Job: model.UID(l.GetJobUid()), Stage: l.GetStage()}]
	s := a.slots[l.GetSlot()]
	if s == nil {
		s = &v1.SlotState{
			Slot: l.GetSlot(), JobUid: l.GetJobUid(), Stage: l.GetStage(), Queue: t.GetQueue(), Job: t.GetJob(),
			CpuMilli: t.GetCpuMilli(), MemoryBytes: t.GetMemoryBytes(), DiskBytes: t.GetDiskBytes(), NetBps: t.GetNetBps(),
			Extra: l.GetExtra(),
		}
		if t == nil || !a.fits(s) {
			a.out.Push(&v1.Change{Kind: &v1.Change_Refused{Refused: &v1.LaunchRefused{Slot: l.GetSlot(), Fence: l.GetFence(), Reason: "does not fit"}}})
			return
		}
		a.slots[l.GetSlot()] = s
		a.book(s, +1)
	}
	a.fleet.ran.Add(1)
	s.LastFence = l.GetFence()
	s.Attempt = &v1.AttemptState{
		Slot: l.GetSlot(), Fence: l.GetFence(), JobUid: l.GetJobUid(), Stage: l.GetStage(), Index: l.GetIndex(), Attempt: l.GetAttempt(),
		Phase: v1.AttemptPhase_ATTEMPT_PHASE_RUNNING, Queue: s.GetQueue(), Job: s.GetJob(),
	}
	phase, result, hold := v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED, []byte(nil), false
	if a.fleet.opts.Outcome != nil {
		phase, result, hold = a.fleet.opts.Outcome(l)
	}
	if hold {
		a.out.Push(&v1.Change{Kind: &v1.Change_Attempt{Attempt: s.Attempt}})
		return
	}
	a.end(s, phase, result)
}

// end reports the end of the attempt in s. A hollow agent remembers no ends: it does not lose its connection.
func (a *agent) end(s *v1.SlotState, phase v1.AttemptPhase, result []byte) {
	at := s.Attempt
	s.Attempt = nil
	at = &v1.AttemptState{
		Slot: at.GetSlot(), Fence: at.GetFence(), JobUid: at.GetJobUid(), Stage: at.GetStage(), Index: at.GetIndex(),
		Attempt: at.GetAttempt(), Phase: phase, Result: result, Queue: at.GetQueue(), Job: at.GetJob(),
	}
	a.out.Push(&v1.Change{Kind: &v1.Change_Attempt{Attempt: at}})
}

// fits holds a new slot against the size of the machine.
func (a *agent) fits(s *v1.SlotState) bool {
	return resources(s).Fits(model.CapacityOf(a.info).Sub(a.held)) && a.extras.Lacks(s.GetExtra()) == ""
}

// book adds a slot to what is held, or takes it off; nil is none.
func (a *agent) book(s *v1.SlotState, sign int64) {
	for i, n := range resources(s) {
		a.held[i] += sign * n
	}
	if sign > 0 {
		a.extras.Take(s.GetExtra())
	} else {
		a.extras.Give(s.GetExtra())
	}
}

func resources(s *v1.SlotState) model.Resources {
	return model.Resources{s.GetCpuMilli(), s.GetMemoryBytes(), s.GetDiskBytes(), s.GetNetBps()}
}
