package kit

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// throughput is how many messages one activation handles before other goroutines get a turn.
const throughput = 256

// bulkShare is how many normal messages may pass one waiting bulk message.
const bulkShare = 16

// mailbox is bounded and has lanes; a full lane refuses to the sender at once. It replaces the engine's, whose bounded
// kinds spin (protoactor #403) or block the sender, and whose default kind is not bounded at all.
type mailbox struct {
	unit *unit

	mu        sync.Mutex
	system    ring
	lane      [lanes]ring
	invoker   actor.MessageInvoker
	ready     bool // handlers are registered; before that nothing runs, so that a send during a spawn is safe
	gated     bool // siblings are still being spawned; see Supervisor
	active    bool // scheduled or running
	suspended bool // between a failure and the supervisor's answer
	dead      bool
	passed    int // normal messages handled since the last bulk one
}

func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, _ actor.Dispatcher) {
	m.mu.Lock()
	m.invoker = invoker
	m.mu.Unlock()
}

func (m *mailbox) Start() {
	m.mu.Lock()
	m.ready = true
	run := m.wake()
	m.mu.Unlock()
	m.schedule(run)
}

// open lets a gated mailbox run.
func (m *mailbox) open() {
	m.mu.Lock()
	m.gated = false
	run := m.wake()
	m.mu.Unlock()
	m.schedule(run)
}

func (m *mailbox) UserMessageCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lane[Normal].n + m.lane[Control].n + m.lane[Bulk].n
}

func (m *mailbox) PostSystemMessage(message any) {
	m.mu.Lock()
	if m.dead {
		m.mu.Unlock()
		return
	}
	m.system.push(message)
	run := m.wake()
	m.mu.Unlock()
	m.schedule(run)
}

func (m *mailbox) PostUserMessage(message any) {
	_, inner, sender := actor.UnwrapEnvelope(message)
	lane := Normal
	if l, ok := inner.(Laned); ok {
		lane = l.Lane()
	}
	m.mu.Lock()
	if m.dead {
		m.mu.Unlock()
		m.unit.system.lost(m.unit.ref, inner, sender)
		return
	}
	if m.lane[lane].n >= m.unit.limit(lane) {
		m.mu.Unlock()
		m.unit.system.refuse(m.unit, inner, sender)
		return
	}
	m.lane[lane].push(message)
	run := m.wake()
	m.mu.Unlock()
	m.schedule(run)
}

// wake reports whether the mailbox must be scheduled; the caller holds mu.
func (m *mailbox) wake() bool {
	if m.active || !m.ready || m.gated || m.dead {
		return false
	}
	if m.system.n == 0 && (m.suspended || m.lane[Control].n+m.lane[Normal].n+m.lane[Bulk].n == 0) {
		return false
	}
	m.active = true
	return true
}

func (m *mailbox) schedule(run bool) {
	if !run {
		return
	}
	if st := m.unit.system.stepper; st != nil {
		st.runnable(m)
		return
	}
	go m.run()
}

// next takes the message to handle now; the caller holds mu.
func (m *mailbox) next() (message any, system, ok bool) {
	if m.system.n > 0 {
		return m.system.pop(), true, true
	}
	if m.suspended {
		return nil, false, false
	}
	if m.lane[Control].n > 0 {
		return m.lane[Control].pop(), false, true
	}
	if m.lane[Bulk].n > 0 && (m.lane[Normal].n == 0 || m.passed >= bulkShare) {
		m.passed = 0
		return m.lane[Bulk].pop(), false, true
	}
	if m.lane[Normal].n > 0 {
		m.passed++
		return m.lane[Normal].pop(), false, true
	}
	return nil, false, false
}

// run handles messages until there are none, handing the processor over between batches.
func (m *mailbox) run() {
	for {
		for range throughput {
			if !m.step() {
				return
			}
		}
		m.mu.Lock()
		m.active = false
		again := m.wake()
		m.mu.Unlock()
		if !again {
			return
		}
	}
}

// step handles one message. It returns false, and the mailbox is idle, when there was none.
func (m *mailbox) step() bool {
	m.mu.Lock()
	message, system, ok := m.next()
	if !ok {
		m.active = false
	}
	m.mu.Unlock()
	if ok {
		m.handle(message, system)
	}
	return ok
}

func (m *mailbox) handle(message any, system bool) {
	defer func() {
		if reason := recover(); reason != nil {
			m.invoker.EscalateFailure(reason, message)
		}
	}()
	if !system {
		m.unit.handled.Add(1)
		m.invoker.InvokeUserMessage(message)
		return
	}
	switch message.(type) {
	case *actor.SuspendMailbox:
		m.setSuspended(true)
	case *actor.ResumeMailbox:
		m.setSuspended(false)
	default:
		m.invoker.InvokeSystemMessage(message)
	}
}

func (m *mailbox) setSuspended(v bool) {
	m.mu.Lock()
	m.suspended = v
	m.mu.Unlock()
}

// close ends the mailbox: what waits in it becomes dead letters, so that whoever asked is told.
func (m *mailbox) close() {
	m.mu.Lock()
	m.dead = true
	var left []any
	for l := range m.lane {
		for m.lane[l].n > 0 {
			left = append(left, m.lane[l].pop())
		}
	}
	m.mu.Unlock()
	for _, message := range left {
		_, inner, sender := actor.UnwrapEnvelope(message)
		m.unit.system.lost(m.unit.ref, inner, sender)
	}
}

// kill ends the mailbox without a word, as a crash of the process would.
func (m *mailbox) kill() {
	m.mu.Lock()
	m.dead = true
	m.system = ring{}
	m.lane = [lanes]ring{}
	m.mu.Unlock()
}

// refuse answers a message that found a full mailbox.
func (s *System) refuse(u *unit, message any, sender Ref) {
	s.refused.Add(1)
	if _, busy := message.(*Busy); busy || sender == nil {
		s.deadLetter(u.ref, message)
		return
	}
	s.engine.Root.Send(sender, &Busy{To: u.ref, Message: message})
}

// lost answers a message whose actor has stopped.
func (s *System) lost(to Ref, message any, sender Ref) {
	if s.killed.Load() {
		return
	}
	s.deadLetter(to, message)
	if sender != nil {
		s.engine.Root.Send(sender, &actor.DeadLetterResponse{Target: to})
	}
}

// ring is a queue that grows by doubling and keeps its memory small when it empties.
type ring struct {
	buf  []any
	head int
	n    int
}

func (r *ring) push(v any) {
	if r.n == len(r.buf) {
		bigger := make([]any, max(8, 2*len(r.buf)))
		for i := range r.n {
			bigger[i] = r.buf[(r.head+i)%len(r.buf)]
		}
		r.buf, r.head = bigger, 0
	}
	r.buf[(r.head+r.n)%len(r.buf)] = v
	r.n++
}

func (r *ring) pop() any {
	v := r.buf[r.head]
	r.buf[r.head] = nil
	r.head = (r.head + 1) % len(r.buf)
	r.n--
	if r.n == 0 && len(r.buf) > 1024 {
		r.buf, r.head = nil, 0
	}
	return v
}
