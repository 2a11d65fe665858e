package actors

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// watchBuffer is how many events a slow watcher may lag behind before its watch ends.
	watchBuffer = 1024
	// waitPoll is how often Wait looks at the status beside the events.
	waitPoll = time.Second
)

// Watch returns the events of one job, of one queue (empty job) or of the cell (both empty), from now on. The channel
// is closed when ctx ends, when the cell or this master's reign does, and when the watcher lags too far behind: look at
// the status and watch again, so that nothing is missed unnoticed.
func (c *Cell) Watch(ctx context.Context, queue, job string) (<-chan *v1.JobEvent, error) {
	if _, err := c.current(); err != nil {
		return nil, err
	}
	return c.hub.watch(ctx, queue, job), nil
}

// Wait returns the status of a job once it has ended.
func (c *Cell) Wait(ctx context.Context, ref *v1.JobRef) (*v1.JobStatus, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := c.hub.watch(ctx, ref.GetQueue(), ref.GetName())
	poll := time.NewTicker(waitPoll)
	defer poll.Stop()
	for {
		status, err := c.JobStatus(ctx, ref)
		if err != nil {
			return nil, err
		}
		if status.GetEndedUnixMs() != 0 {
			return status, nil
		}
		if err := untilEnded(ctx, &events, poll.C); err != nil {
			return nil, err
		}
	}
}

// untilEnded returns when the job may have ended.
func untilEnded(ctx context.Context, events *<-chan *v1.JobEvent, poll <-chan time.Time) error {
	for {
		select {
		case e, open := <-*events:
			if !open {
				*events = nil // the poll goes on
				continue
			}
			if e.GetKind() == "ended" {
				return nil
			}
		case <-poll:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Ref is the address of an actor of the cell, by kind ("queue", "job", "node") and key (the queue's name, "queue/name"
// of the job, the node's id); nil if it does not live. It stays valid over restarts of that actor, not of the master.
func (c *Cell) Ref(ctx context.Context, kind, key string) (kit.Ref, error) {
	r, err := c.current()
	if err != nil {
		return nil, err
	}
	supervisors := map[string]kit.Ref{"queue": r.env.Refs.Queues, "job": r.env.Refs.Jobs, "node": r.env.Refs.Nodes}
	to, known := supervisors[kind]
	if !known {
		return nil, model.Invalid(fmt.Sprintf("there is no kind of actor %q: it must be queue, job or node", kind))
	}
	found, err := askRef[*msg.Found](ctx, r, to, &msg.Find{Key: key})
	if err != nil {
		return nil, err
	}
	return found.Ref, nil
}

// Tell sends one of the messages of package msg to an actor of the cell.
func (c *Cell) Tell(to kit.Ref, message any) error {
	r, err := c.current()
	if err != nil {
		return err
	}
	r.sys.Tell(to, message)
	return nil
}

// Ask sends a message to an actor of the cell and waits for the answer; package msg says what that is.
func (c *Cell) Ask(ctx context.Context, to kit.Ref, message any) (any, error) {
	r, err := c.current()
	if err != nil {
		return nil, err
	}
	return askRef[any](ctx, r, to, message)
}

// Subscribe sends every job event to an actor as *v1.JobEvent once it is durable, for the rest of this master's reign.
func (c *Cell) Subscribe(to kit.Ref) error {
	r, err := c.current()
	if err != nil {
		return err
	}
	r.sys.Tell(r.env.Refs.Journal, &msg.Subscribe{Ref: to})
	return nil
}

// hub hands events to watchers.
type hub struct {
	mu       sync.Mutex
	closed   bool
	watchers map[*watcher]struct{}
}

type watcher struct {
	queue, job string
	events     chan *v1.JobEvent
}

func (h *hub) watch(ctx context.Context, queue, job string) <-chan *v1.JobEvent {
	w := &watcher{queue, job, make(chan *v1.JobEvent, watchBuffer)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(w.events)
		return w.events
	}
	if h.watchers == nil {
		h.watchers = map[*watcher]struct{}{}
	}
	h.watchers[w] = struct{}{}
	context.AfterFunc(ctx, func() { h.end(w) })
	return w.events
}

func (h *hub) end(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, live := h.watchers[w]; live {
		delete(h.watchers, w)
		close(w.events)
	}
}

func (h *hub) publish(e *v1.JobEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		if (w.queue != "" && w.queue != e.GetQueue()) || (w.job != "" && w.job != e.GetJob()) {
			continue
		}
		select {
		case w.events <- e:
		default: // too far behind
			delete(h.watchers, w)
			close(w.events)
		}
	}
}

func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.lose()
}

// lose ends all watches: the reign is over, and what it made durable last may not have been told.
func (h *hub) lose() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		close(w.events)
	}
	h.watchers = nil
}
