package api

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/cluster/subject"
	"github.com/troupe-sched/troupe/cluster/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// EventMissed is the kind of an event that says: events were lost, read the status again. It is published on queue "_"
// and job "_", and concerns all watchers.
const EventMissed = "missed"

const (
	// eventsMax is how many events wait at most; older ones are dropped.
	eventsMax = 8192
	// retellAfter is how long a loss stays untold when it could not be told and no event comes.
	retellAfter = time.Second
)

// Publisher tells watchers what became durable. It never holds up the journal: at its limit it drops the oldest events
// and tells watchers that it did, because whoever missed some reads the status again and has lost nothing.
type Publisher struct {
	nc   *nats.Conn
	cell string
	log  *slog.Logger

	mu      sync.Mutex
	waiting []*v1.JobEvent // a ring
	first   int
	count   int
	// missed says that watchers have not yet been told of a loss, burst that the log has been.
	missed, burst bool
	closed        bool

	wake    chan struct{}
	done    chan struct{}
	dropped atomic.Uint64
	sent    atomic.Uint64
}

// NewPublisher begins to publish the events of a cell over nc.
func NewPublisher(nc *nats.Conn, cell string, log *slog.Logger) (*Publisher, error) {
	return newPublisher(nc, cell, log, eventsMax)
}

func newPublisher(nc *nats.Conn, cell string, log *slog.Logger, most int) (*Publisher, error) {
	if _, err := subject.CellPattern(cell, false); err != nil {
		return nil, err
	}
	p := &Publisher{
		nc: nc, cell: cell, log: log.With("cell", cell), waiting: make([]*v1.JobEvent, most),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go p.run()
	return p, nil
}

// Publish hands an event over, after it became durable. It returns at once; the event is frozen.
func (p *Publisher) Publish(e *v1.JobEvent) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	if p.count == len(p.waiting) {
		p.waiting[p.first] = nil
		p.first = (p.first + 1) % len(p.waiting)
		p.count--
		p.loss()
	}
	p.waiting[(p.first+p.count)%len(p.waiting)] = e
	p.count++
	p.mu.Unlock()
	p.signal()
}

func (p *Publisher) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// loss notes that an event will not arrive. The lock is held.
func (p *Publisher) loss() {
	p.dropped.Add(1)
	p.missed = true
	if !p.burst {
		p.burst = true
		p.log.Warn("events are dropped, watchers will read the status again", "dropped_before", p.dropped.Load()-1)
	}
}

// Miss tells watchers that events may have been lost: a new leader does not know what the one before it has told.
func (p *Publisher) Miss() {
	p.mu.Lock()
	p.missed = true
	p.mu.Unlock()
	p.signal()
}

// Close publishes what still waits, as far as ctx allows, and ends.
func (p *Publisher) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.signal()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Dropped is how many events were lost, Sent how many were handed to NATS.
func (p *Publisher) Dropped() uint64 { return p.dropped.Load() }

// Sent is how many events were handed to NATS.
func (p *Publisher) Sent() uint64 { return p.sent.Load() }

func (p *Publisher) run() {
	defer close(p.done)
	told := true
	for {
		e, missed, more := p.next(told)
		if !more {
			return
		}
		if missed {
			told = p.send(&v1.JobEvent{
				Queue: subject.NoQueue, Job: subject.NoQueue, Kind: EventMissed, TimeUnixMs: time.Now().UnixMilli(),
			})
			p.mu.Lock()
			p.missed = p.missed || !told
			p.mu.Unlock()
		}
		if e != nil && !p.send(e) {
			p.mu.Lock()
			p.loss()
			p.mu.Unlock()
		}
	}
}

// next waits for an event, or for a loss to tell of; more is false when the publisher has closed and nothing waits.
// told says whether the last attempt to tell succeeded: if not, the next one comes with the next event, or later.
func (p *Publisher) next(told bool) (e *v1.JobEvent, missed, more bool) {
	for {
		p.mu.Lock()
		if p.count > 0 {
			e = p.waiting[p.first]
			p.waiting[p.first] = nil
			p.first = (p.first + 1) % len(p.waiting)
			p.count--
		}
		missed = p.missed && (told || e != nil)
		untold, closed := p.missed && !missed, p.closed
		p.missed = p.missed && !missed
		p.burst = p.burst && (e != nil || untold)
		p.mu.Unlock()
		switch {
		case e != nil || missed:
			return e, missed, true
		case closed:
			return nil, false, false
		case untold:
			select {
			case <-p.wake:
			case <-time.After(retellAfter):
				told = true
			}
		default:
			<-p.wake
		}
	}
}

// send hands one event to NATS; false if the connection does not take it.
func (p *Publisher) send(e *v1.JobEvent) bool {
	to, err := subject.Event{Cell: p.cell, Queue: e.GetQueue(), Kind: e.GetKind(), Job: e.GetJob()}.Build()
	if err != nil {
		p.log.Error("event with an impossible subject", "error", err)
		return false
	}
	body, err := wire.JSON.Marshal(e)
	if err != nil {
		p.log.Error("event that cannot be encoded", "subject", to, "error", err)
		return false
	}
	if err := p.nc.PublishMsg(wire.JSON.Message(to, body)); err != nil {
		p.log.Debug("event not sent", "subject", to, "error", err)
		return false
	}
	p.sent.Add(1)
	return true
}
