package kit

import (
	"errors"
	"runtime"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// throughput is how many messages one actor handles before other goroutines get a turn.
const throughput = 256

// bulkShare is how many normal messages may pass a waiting bulk message.
const bulkShare = 16

// mailbox is bounded and has lanes; a full lane refuses to the sender at once. It replaces the engine's, whose bounded
// kinds spin (protoactor #403) or block the sender, and whose default kind is not bounded at all. Lifecycle messages go
// to the engine; messages of users go straight to the shell, for which the engine would only unwrap them once more.
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
	shutdown  bool   // a Shutdown waits; a second one changes nothing
	retire    bool   // marks of a Retire wait in the lanes
	marks     uint8  // of them passed so far
	passed    uint8  // normal messages handled while a bulk one waits
	handled   uint64 // messages given to the behavior
	refused   uint64
}

// mark stands in every lane for a Retire, so that all that came before it in any lane is handled first.
type mark struct{}

// RegisterHandlers implements actor.Mailbox.
func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, _ actor.Dispatcher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.invoker = invoker
	m.unit.engine = invoker.(actor.Context)
	m.unit.ref = m.unit.engine.Self()
}

// Start implements actor.Mailbox.
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

// UserMessageCount implements actor.Mailbox.
func (m *mailbox) UserMessageCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.waiting()
}

func (m *mailbox) waiting() int {
	return int(m.lane[Normal].n) + int(m.lane[Control].n) + int(m.lane[Bulk].n)
}

// PostSystemMessage implements actor.Mailbox. The engine bounds these: a handful for each child and each failure.
func (m *mailbox) PostSystemMessage(message any) {
	m.mu.Lock()
	if m.dead {
		m.mu.Unlock()
		return
	}
	if _, stop := message.(*actor.Stop); stop && m.gated {
		// Its supervisor failed before it was done: the actor ends as if it had never been. It would wait for ever.
		m.gated, m.system = false, ring{}
	}
	m.system.push(message)
	run := m.wake()
	m.mu.Unlock()
	m.schedule(run)
}

// PostUserMessage implements actor.Mailbox.
func (m *mailbox) PostUserMessage(message any) {
	_, inner, sender := actor.UnwrapEnvelope(message)
	lane, always := Normal, false
	switch v := inner.(type) {
	case *fired:
		lane, always = Control, true
	case Retire, *Shutdown:
		always = true
	case Laned:
		if lane = v.Lane(); lane >= lanes {
			lane = Normal
		}
	}
	m.mu.Lock()
	to := m.unit.ref // here, because during a spawn it is only just being set
	if m.dead {
		m.mu.Unlock()
		m.unit.system.lost(to, inner, sender)
		return
	}
	if !always && int(m.lane[lane].n) >= m.unit.limit(lane) {
		m.refused++
		m.mu.Unlock()
		m.unit.system.refuse(to, inner, sender)
		return
	}
	m.push(lane, message, inner)
	run := m.wake()
	m.mu.Unlock()
	m.schedule(run)
}

// push puts a message in line; the caller holds mu.
func (m *mailbox) push(lane Lane, message, inner any) {
	switch inner.(type) {
	case Retire:
		if m.retire {
			return
		}
		m.retire, m.marks = true, 0
		for l := range m.lane {
			m.lane[l].push(mark{})
		}
		return
	case *Shutdown:
		if m.shutdown {
			return
		}
		m.shutdown = true
	}
	if lane == Bulk && m.lane[Bulk].n == 0 {
		m.passed = 0
	}
	m.lane[lane].push(message)
}

// wake reports whether the mailbox must be scheduled; the caller holds mu.
func (m *mailbox) wake() bool {
	if m.active || !m.ready || m.gated || m.dead {
		return false
	}
	if m.system.n == 0 && (m.suspended || m.waiting() == 0) {
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
	if m.dead {
		return nil, false, false
	}
	if m.system.n > 0 {
		return m.system.pop(), true, true
	}
	for !m.suspended {
		l, some := m.turn()
		if !some {
			break
		}
		message = m.lane[l].pop()
		if _, is := message.(mark); is {
			if m.marks++; m.marks < uint8(lanes) {
				continue
			}
			m.retire = false
			message = Retire{}
		}
		m.handled++
		return message, false, true
	}
	return nil, false, false
}

// turn is the lane whose turn it is, if any has a message; the caller holds mu.
func (m *mailbox) turn() (Lane, bool) {
	switch {
	case m.lane[Control].n > 0:
		return Control, true
	case m.lane[Bulk].n == 0:
		return Normal, m.lane[Normal].n > 0
	case m.lane[Normal].n == 0 || m.passed >= bulkShare:
		m.passed = 0
		return Bulk, true
	}
	m.passed++
	return Normal, true
}

// run handles messages until there are none.
func (m *mailbox) run() {
	for n := 1; m.step(); n++ {
		if n%throughput == 0 {
			runtime.Gosched()
		}
	}
}

// step handles one message. It returns false, and the mailbox is idle, when there was none: both are decided under one
// lock, so that a message that comes next wakes it again.
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

// errExited is the failure of an actor that ended its goroutine, as t.FailNow of a test does.
var errExited = errors.New("kit: the handler called runtime.Goexit")

func (m *mailbox) handle(message any, system bool) {
	returned := false
	defer func() {
		if returned {
			return
		}
		reason := recover()
		exited := reason == nil
		if exited {
			reason = errExited
		}
		m.unit.shell.crashed(reason, message)
		m.invoker.EscalateFailure(reason, message)
		if exited && m.unit.system.stepper == nil {
			go m.run() // this goroutine ends here
		}
	}()
	if system {
		m.lifecycle(message)
	} else {
		m.unit.shell.take(message)
	}
	returned = true
}

func (m *mailbox) lifecycle(message any) {
	switch message.(type) {
	case *actor.SuspendMailbox:
		m.setSuspended(true)
	case *actor.ResumeMailbox:
		m.setSuspended(false)
	case *actor.Restart:
		// The engine would turn a stop that waits for children, or is done, into a restart, and whoever asked for the
		// stop would wait for ever.
		if m.unit.shell.ending {
			return
		}
		m.invoker.InvokeSystemMessage(message)
	default:
		m.invoker.InvokeSystemMessage(message)
	}
}

func (m *mailbox) setSuspended(v bool) {
	m.mu.Lock()
	m.suspended = v
	m.mu.Unlock()
}

// unhandled takes back the count of a message that was not given to the behavior after all.
func (m *mailbox) unhandled() {
	m.mu.Lock()
	m.handled--
	m.mu.Unlock()
}

// close ends the mailbox: what waits in it is lost, so that whoever asked is told.
func (m *mailbox) close() {
	m.mu.Lock()
	m.dead = true
	left := m.lane
	m.system, m.lane = ring{}, [lanes]ring{}
	m.mu.Unlock()
	for _, l := range []Lane{Control, Normal, Bulk} {
		for left[l].n > 0 {
			_, inner, sender := actor.UnwrapEnvelope(left[l].pop())
			m.unit.system.lost(m.unit.ref, inner, sender)
		}
	}
}

// kill ends the mailbox without a word, as a crash of the process would.
func (m *mailbox) kill() {
	m.mu.Lock()
	m.dead = true
	m.system, m.lane = ring{}, [lanes]ring{}
	m.mu.Unlock()
}
