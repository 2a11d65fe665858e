package agent

import (
	"bytes"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/stream"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// master is the other side of the protocol, with the work of one job: it keeps up to width slots busy with instances
// until all of them have succeeded, and gives the slots back.
type master struct {
	w     *world
	epoch uint64
	n     uint64 // ids given out

	job       uint64
	instances uint64
	width     int
	template  *v1.Template
	stops     int // chance in a thousand that an attempt is stopped, each tick
	releases  int // and that its slot is released under it

	session  uint64
	open     bool
	out      *stream.Outbox[*v1.Command]
	in       stream.Inbox
	pushed   uint64 // items of this session
	progress bool
	knows    bool // the agent has the template in this session

	slots    map[uint64]*masterSlot
	waiting  []uint64                    // instances
	accepted map[uint64]*v1.AttemptState // ends by fence
	valid    map[uint64]uint64           // newest fence by instance
	done     map[uint64]bool             // instances
	lost     int
	refused  []string
	digests  int
	paused   bool
}

type masterSlot struct {
	id, fence, index uint64
	over             bool
	releasing        bool
	stop             uint64
}

func newMaster(w *world) *master {
	m := &master{
		w: w, epoch: 1, job: 7, width: 4, slots: map[uint64]*masterSlot{}, accepted: map[uint64]*v1.AttemptState{},
		valid: map[uint64]uint64{}, done: map[uint64]bool{},
	}
	m.template = &v1.Template{
		JobUid: m.job, Queue: "q", Job: "j", Spec: &v1.StageSpec{Name: "s", Driver: "process"}, CpuMilli: 200, MemoryBytes: 1 << 20,
	}
	m.tick()
	return m
}

// wants adds instances to be run.
func (m *master) wants(n uint64) {
	for range n {
		m.waiting = append(m.waiting, m.instances)
		m.instances++
	}
}

func (m *master) id() uint64 {
	m.n++
	return model.NewID(m.epoch, m.n)
}

// deposedBy makes this a new master that knows nothing but what is settled.
func (m *master) reigns(epoch uint64) {
	m.epoch, m.n = epoch, 0
	m.session, m.open = 0, false
	for _, id := range sortedKeys(m.slots) {
		m.drop(m.slots[id])
	}
}

func (m *master) finished() bool {
	return len(m.done) == int(m.instances) && len(m.slots) == 0
}

func (m *master) tick() {
	m.w.st.AfterFunc(100*time.Millisecond, m.tick)
	if m.paused {
		return
	}
	if !m.open {
		m.send(&v1.ToAgent{Control: &v1.ToAgent_HelloRequest{HelloRequest: true}})
		return
	}
	if !m.progress && m.w.chance(100) {
		m.out.Rewind()
	}
	m.progress = false
	m.plan()
	m.pump()
}

// plan launches, stops and releases.
func (m *master) plan() {
	for len(m.slots) < m.width && len(m.waiting) > len(m.slots) {
		s := &masterSlot{id: m.id(), over: true}
		m.slots[s.id] = s
	}
	for _, id := range sortedKeys(m.slots) {
		s := m.slots[id]
		switch {
		case s.releasing:
		case !s.over && m.w.chance(m.releases):
			s.releasing = true
			m.release(s.id)
		case !s.over:
			if m.w.chance(m.stops) && s.stop != s.fence {
				s.stop = s.fence
				m.push(&v1.Command{Kind: &v1.Command_Stop{Stop: &v1.StopAttempt{Slot: s.id, Fence: s.fence, Reason: "for fun"}}})
			}
		case len(m.waiting) > 0:
			s.index, m.waiting = m.waiting[0], m.waiting[1:]
			s.fence, s.over = m.id(), false
			m.valid[s.index] = s.fence
			if !m.knows {
				m.knows = true
				m.push(&v1.Command{Kind: &v1.Command_Template{Template: m.template}})
			}
			m.push(&v1.Command{Kind: &v1.Command_Launch{Launch: &v1.Launch{
				Slot: s.id, Fence: s.fence, JobUid: m.job, Index: s.index, Attempt: 1,
			}}})
		case len(m.done) == int(m.instances):
			if s.fence == 0 {
				delete(m.slots, s.id)
				continue
			}
			s.releasing = true
			m.release(s.id)
		}
	}
}

func (m *master) release(slot uint64) {
	m.push(&v1.Command{Kind: &v1.Command_Release{Release: &v1.ReleaseSlot{Slot: slot, Reason: "no longer needed"}}})
}

func (m *master) push(c *v1.Command) {
	if !m.out.Push(c) {
		m.w.fatalf("master: outbox is full")
	}
	m.pushed++
}

func (m *master) send(t *v1.ToAgent) {
	t.Node, t.Epoch, t.Session, t.Ack = "n1", m.epoch, m.session, m.in.Taken()
	m.w.toAgent(t)
}

func (m *master) pump() {
	for {
		first, commands := m.out.Next(1 + m.w.rng.IntN(8))
		if len(commands) == 0 {
			return
		}
		m.send(&v1.ToAgent{First: first, Commands: commands})
	}
}

func (m *master) receive(f *v1.FromAgent) {
	if m.paused || f.GetEpoch() > m.epoch {
		return
	}
	if h := f.GetHello(); h != nil {
		m.hello(h)
		return
	}
	if !m.open || f.GetSession() != m.session {
		return
	}
	if m.out.Ack(f.GetAck()) {
		m.progress = true
	}
	if skip, ok := m.in.Take(f.GetFirst(), len(f.GetChanges())); ok {
		for _, c := range f.GetChanges()[skip:] {
			m.change(c)
		}
	}
	m.compare(f)
	m.send(&v1.ToAgent{}) // every message is answered, so that the agent hears of its master
}

func (m *master) hello(h *v1.Hello) {
	switch {
	case h.GetSession() < m.session:
		return
	case h.GetSession() == m.session && m.open:
	default:
		m.session, m.open, m.knows, m.pushed = h.GetSession(), true, false, 0
		m.out, m.in = stream.NewOutbox[*v1.Command](4096), stream.Inbox{}
		m.reconcile(h)
	}
	m.send(&v1.ToAgent{Control: &v1.ToAgent_Welcome{Welcome: &v1.Welcome{HeartbeatMs: 1000}}})
}

func (m *master) reconcile(h *v1.Hello) {
	there := map[uint64]bool{}
	for _, s := range h.GetSlots() {
		there[s.GetSlot()] = true
		if s.GetQueue() != "q" || s.GetJob() != "j" || s.GetCpuMilli() != m.template.CpuMilli {
			m.w.fatalf("hello: slot %v", s)
		}
		mine := m.slots[s.GetSlot()]
		if mine == nil { // a stranger: adopt what runs, give back the rest
			mine = &masterSlot{id: s.GetSlot(), fence: s.GetLastFence()}
			m.slots[mine.id] = mine
		}
		if mine.fence > s.GetLastFence() {
			m.retry(mine)
		}
		mine.fence = s.GetLastFence()
		at := s.GetAttempt()
		mine.over = at == nil || final(at.GetPhase())
		if !mine.over {
			mine.index = at.GetIndex()
			if m.valid[mine.index] < mine.fence {
				m.valid[mine.index] = mine.fence
				m.unwait(mine.index)
			}
		}
		if mine.releasing {
			m.release(mine.id)
		} else if mine.stop == mine.fence && !mine.over {
			m.push(&v1.Command{Kind: &v1.Command_Stop{Stop: &v1.StopAttempt{Slot: mine.id, Fence: mine.fence, Reason: "again"}}})
		}
	}
	for _, id := range sortedKeys(m.slots) {
		if s := m.slots[id]; !there[id] {
			m.drop(s)
		}
	}
}

// drop forgets a slot; its attempt is tried again elsewhere.
func (m *master) drop(s *masterSlot) {
	m.retry(s)
	delete(m.slots, s.id)
}

func (m *master) retry(s *masterSlot) {
	if s.fence != 0 && !s.over && m.valid[s.index] == s.fence && !m.done[s.index] {
		m.lost++
		m.valid[s.index] = 0
		m.waiting = append(m.waiting, s.index)
	}
	s.over = true
}

func (m *master) unwait(index uint64) {
	for i, w := range m.waiting {
		if w == index {
			m.waiting = append(m.waiting[:i:i], m.waiting[i+1:]...)
			return
		}
	}
}

func (m *master) change(c *v1.Change) {
	switch k := c.GetKind().(type) {
	case *v1.Change_Attempt:
		m.attempt(k.Attempt)
	case *v1.Change_Released:
		if s := m.slots[k.Released.GetSlot()]; s != nil {
			m.drop(s)
		}
	case *v1.Change_Refused:
		m.refused = append(m.refused, k.Refused.GetReason())
		if s := m.slots[k.Refused.GetSlot()]; s != nil && s.fence == k.Refused.GetFence() {
			m.release(s.id)
			m.drop(s)
		}
	}
}

func (m *master) attempt(a *v1.AttemptState) {
	if a.GetQueue() != "q" || a.GetJob() != "j" {
		m.w.fatalf("attempt without its job: %v", a)
	}
	s := m.slots[a.GetSlot()]
	if s != nil && s.fence == a.GetFence() {
		s.over = final(a.GetPhase())
	}
	if !final(a.GetPhase()) {
		return
	}
	if was := m.accepted[a.GetFence()]; was != nil && (was.GetPhase() != a.GetPhase() || !bytes.Equal(was.GetResult(), a.GetResult())) {
		m.w.fatalf("attempt %d ended as %v and as %v", a.GetFence(), was, a)
	}
	m.accepted[a.GetFence()] = a
	if a.GetPhase() == v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED {
		if !bytes.Equal(a.GetResult(), resultOf(a.GetFence())) {
			m.w.fatalf("attempt %d: result %q", a.GetFence(), a.GetResult())
		}
		if m.w.driver.runs[a.GetFence()] != 1 {
			m.w.fatalf("attempt %d succeeded and was begun %d times", a.GetFence(), m.w.driver.runs[a.GetFence()])
		}
	}
	m.settle(a)
}

// settle takes the end in, which is durable at once here, and says so.
func (m *master) settle(a *v1.AttemptState) {
	index := a.GetIndex()
	if m.valid[index] == a.GetFence() && !m.done[index] {
		if a.GetPhase() == v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED {
			m.done[index] = true
		} else {
			m.valid[index] = 0
			m.waiting = append(m.waiting, index)
		}
	}
	m.push(&v1.Command{Kind: &v1.Command_Settled{Settled: &v1.Settled{Fences: []uint64{a.GetFence()}}}})
}

// compare holds the agent's digest against this side's view when nothing is under way.
func (m *master) compare(f *v1.FromAgent) {
	if f.GetDigest() == 0 || f.GetAck() != m.pushed || f.GetFirst() != m.in.Taken()+1 {
		return
	}
	var held []stream.Held
	for _, id := range sortedKeys(m.slots) {
		if s := m.slots[id]; s.fence != 0 {
			held = append(held, stream.Held{Slot: id, Fence: s.fence, Ended: s.over})
		}
	}
	m.digests++
	if f.GetDigest() != stream.Digest(held) {
		m.w.fatalf("views differ: master has %v, agent %s", held, m.w.holds())
	}
}
