package hollow

import (
	"context"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/policy/stream"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	helloFirst = time.Second
	helloMax   = 5 * time.Second
	beatStd    = time.Second
	// silentBeats is for how many reports a master may be silent before the agent looks for another.
	silentBeats = 5
	runEvery    = 20 * time.Millisecond
)

func pace(w *v1.Welcome) time.Duration {
	if w.GetHeartbeatMs() <= 0 {
		return beatStd
	}
	return time.Duration(w.GetHeartbeatMs()) * time.Millisecond
}

// Run lets all agents report, until ctx ends.
func (f *Fleet) Run(ctx context.Context) {
	agents := make([]*agent, 0, len(f.agents))
	for _, a := range f.agents {
		agents = append(agents, a)
	}
	tick := time.NewTicker(runEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, a := range agents {
				a.due(now)
			}
		}
	}
}

// Renew lets all agents begin a new session at once, as after a failure of the network that all of them have seen.
func (f *Fleet) Renew() {
	for _, a := range f.agents {
		a.hello()
	}
}

// Open counts the agents whose session is open.
func (f *Fleet) Open() (n int) {
	for _, a := range f.agents {
		a.mu.Lock()
		if a.open {
			n++
		}
		a.mu.Unlock()
	}
	return n
}

// due says what the agent has to say by now.
func (a *agent) due(now time.Time) {
	a.mu.Lock()
	if a.next.IsZero() || now.Before(a.next) {
		a.mu.Unlock()
		return
	}
	var m *v1.FromAgent
	switch {
	case !a.open:
		m = a.propose()
	case now.Sub(a.heard) > silentBeats*a.beat:
		a.mu.Unlock()
		a.hello()
		return
	default:
		a.next = now.Add(a.beat)
		m = &v1.FromAgent{Node: a.info.GetId(), Epoch: a.epoch, Session: a.session, Opening: a.opening, Ack: a.in.Taken()}
		if a.out.Len() == 0 {
			m.Digest = a.digest()
		}
	}
	a.mu.Unlock()
	a.fleet.opts.Deliver(m)
}

func (a *agent) digest() uint64 {
	held := make([]stream.Held, 0, len(a.slots))
	for id, s := range a.slots {
		held = append(held, stream.Held{Slot: id, Fence: s.GetLastFence(), Ended: s.GetAttempt() == nil})
	}
	slices.SortFunc(held, func(x, y stream.Held) int {
		if x.Slot < y.Slot {
			return -1
		}
		return 1
	})
	return stream.Digest(held)
}
