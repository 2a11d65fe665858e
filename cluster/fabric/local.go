package fabric

import (
	"context"
	"sync"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/subject"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// localMax bounds what waits for one receiver within a process.
const localMax = 16_384

// Local is the link within one process, for cells that need no network: messages are handed over as they are, frozen.
// It is the master's end; agents join it.
type Local struct {
	counts
	up *queue[*v1.FromAgent]

	mu     sync.RWMutex
	agents map[string]*LocalAgent
}

// NewLocal makes a link whose master gets messages by deliver, which must not block.
func NewLocal(deliver func(*v1.FromAgent)) *Local {
	l := &Local{agents: map[string]*LocalAgent{}}
	l.up = newQueue(localMax, localMax, func(m *v1.FromAgent) {
		l.received.Add(1)
		deliver(m)
	})
	return l
}

// LocalAgent is the end of one agent.
type LocalAgent struct {
	local *Local
	node  string
	down  *queue[*v1.ToAgent]
	logs  LogsFunc
}

// Join adds an agent. Its messages come by deliver, which must not block.
func (l *Local) Join(node string, deliver func(*v1.ToAgent), logs LogsFunc) (*LocalAgent, error) {
	if wrong := subject.CheckName("node", node); wrong != nil {
		return nil, model.Invalid("wrong node name", wrong)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.agents[node] != nil {
		return nil, model.Conflict("node %s has joined already", node)
	}
	a := &LocalAgent{local: l, node: node, down: newQueue(localMax, localMax, deliver), logs: logs}
	l.agents[node] = a
	return a, nil
}

func (l *Local) agent(node string) *LocalAgent {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.agents[node]
}

// Send hands a message to its agent and returns at once; it is dropped if there is no such agent or too much waits.
func (l *Local) Send(m *v1.ToAgent) {
	switch a := l.agent(m.GetNode()); {
	case a == nil:
		l.misaddressed.Add(1)
	case a.down.push(m, 1):
		l.sent.Add(1)
	default:
		l.full.Add(1)
	}
}

// Logs streams the output of one attempt; see Master.Logs.
func (l *Local) Logs(ctx context.Context, place *v1.LogPlace, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
	a := l.agent(place.GetNode())
	if a == nil {
		return model.Unavailable("node %s does not answer: its agent is not connected", place.GetNode())
	}
	var own error
	err := a.logs(ctx, placed(place, req), func(c *v1.LogChunk) error {
		own = fn(c)
		return own
	})
	if err == nil || own != nil || ctx.Err() != nil {
		return err
	}
	return absent(err)
}

// Stats counts what became of messages of the master.
func (l *Local) Stats() Stats {
	return Stats{
		Sent: l.sent.Load(), Received: l.received.Load(), Full: l.full.Load(), Misaddressed: l.misaddressed.Load(), Foreign: l.foreign.Load(),
	}
}

// Close ends the link for all; what waits is dropped.
func (l *Local) Close() {
	l.mu.Lock()
	agents := l.agents
	l.agents = map[string]*LocalAgent{}
	l.mu.Unlock()
	for _, a := range agents {
		a.down.close()
	}
	l.up.close()
}

// Send hands a message to the master and returns at once.
func (a *LocalAgent) Send(m *v1.FromAgent) {
	switch {
	case m.GetNode() != a.node:
		a.local.foreign.Add(1)
	case !a.local.up.push(m, 1):
		a.local.full.Add(1)
	}
}

// Close takes the agent out; messages to it are dropped from now on.
func (a *LocalAgent) Close() {
	a.local.mu.Lock()
	if a.local.agents[a.node] == a {
		delete(a.local.agents, a.node)
	}
	a.local.mu.Unlock()
	a.down.close()
}
