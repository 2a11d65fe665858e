package node_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/policy/stream"
	"github.com/troupe-sched/troupe/node"
	"github.com/troupe-sched/troupe/node/agent"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// master is the least that an agent needs to hear: it welcomes, numbers commands and acknowledges.
type master struct {
	mu      sync.Mutex
	changed sync.Cond
	node    *node.Node
	epoch   uint64
	session uint64
	open    bool
	hello   *v1.Hello
	out     *stream.Outbox[*v1.Command]
	in      stream.Inbox
	later   []*v1.Command // wanted before there is a session
	told    []*v1.Change
	usage   *v1.Usage
}

func newMaster(epoch uint64) *master {
	m := &master{epoch: epoch}
	m.changed.L = &m.mu
	return m
}

// connect is for node.Options.Connect.
func (m *master) connect(n *node.Node) (agent.Uplink, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.node = n
	return m, nil
}

// Send implements agent.Uplink.
func (m *master) Send(f *v1.FromAgent) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u := f.GetUsage(); u != nil {
		m.usage = u
	}
	if h := f.GetHello(); h != nil {
		if h.GetSession() > m.session {
			m.session, m.open, m.hello = h.GetSession(), true, h
			m.out, m.in = stream.NewOutbox[*v1.Command](1000), stream.Inbox{}
			for _, c := range m.later {
				m.out.Push(c)
			}
			m.later = nil
		}
		m.send(&v1.ToAgent{Control: &v1.ToAgent_Welcome{Welcome: &v1.Welcome{HeartbeatMs: 100}}})
	} else if !m.open || f.GetSession() != m.session {
		return
	}
	if !m.out.Ack(f.GetAck()) && f.GetUsage() != nil {
		m.out.Rewind()
	}
	if n := len(f.GetChanges()); n > 0 {
		if skip, ok := m.in.Take(f.GetFirst(), n); ok {
			m.told = append(m.told, f.GetChanges()[skip:]...)
		}
	}
	m.pump()
	m.changed.Broadcast()
}

func (m *master) send(t *v1.ToAgent) {
	t.Node, t.Epoch, t.Session, t.Ack = "n1", m.epoch, m.session, m.in.Taken()
	m.node.Deliver(t)
}

func (m *master) pump() {
	first, commands := m.out.Next(1000)
	m.send(&v1.ToAgent{First: first, Commands: commands})
}

// want sends commands, now or when there is a session.
func (m *master) want(commands ...*v1.Command) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.open {
		m.later = append(m.later, commands...)
		return
	}
	for _, c := range commands {
		m.out.Push(c)
	}
	m.pump()
}

// until waits until something holds; fn is called with the master locked.
func (m *master) until(t *testing.T, what string, fn func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.changed.Broadcast()
	})()
	m.mu.Lock()
	defer m.mu.Unlock()
	for !fn() {
		if ctx.Err() != nil {
			t.Fatalf("never: %s; told %v", what, m.told)
		}
		m.changed.Wait()
	}
}

// state is the last that was told of an attempt; call it in until.
func (m *master) state(fence uint64) *v1.AttemptState {
	for _, c := range slices.Backward(m.told) {
		if a := c.GetAttempt(); a.GetFence() == fence {
			return a
		}
	}
	return nil
}

func ended(a *v1.AttemptState) bool { return a.GetPhase() >= v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED }

// ends waits for the end of an attempt.
func (m *master) ends(t *testing.T, fence uint64) (end *v1.AttemptState) {
	t.Helper()
	m.until(t, "an attempt ends", func() bool {
		end = m.state(fence)
		return ended(end)
	})
	return end
}

func template(job uint64, spec *v1.StageSpec) *v1.Command {
	return &v1.Command{Kind: &v1.Command_Template{Template: &v1.Template{
		JobUid: job, Queue: "q", Job: "j", Spec: spec, CpuMilli: 1, MemoryBytes: 1, GraceMs: 5000,
	}}}
}

func launch(slot, fence, job, index uint64) *v1.Command {
	return &v1.Command{Kind: &v1.Command_Launch{Launch: &v1.Launch{Slot: slot, Fence: fence, JobUid: job, Index: index, Attempt: 1}}}
}

func release(slot uint64) *v1.Command {
	return &v1.Command{Kind: &v1.Command_Release{Release: &v1.ReleaseSlot{Slot: slot, Reason: "done"}}}
}

func settled(fences ...uint64) *v1.Command {
	return &v1.Command{Kind: &v1.Command_Settled{Settled: &v1.Settled{Fences: fences}}}
}
