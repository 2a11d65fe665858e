package client

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/subject"
	"github.com/troupe-sched/troupe/cluster/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// watchMax is how many events wait for a slow watcher; what comes beyond is missed.
const watchMax = 4096

// Watch sends the events of a job from now on; an empty queue or job stands for all. The channel closes when ctx ends or
// the connection is closed for good.
//
// Events are news and not the truth: an event of kind api.EventMissed says that some were lost, because the watcher is
// slow or the connection was down, and that the status is to be read again. A watcher that reads the status once after
// Watch has returned, and again after each such event, misses nothing. An event may come that the status already holds.
func (c *Client) Watch(ctx context.Context, queue, job string) (<-chan *v1.JobEvent, error) {
	pattern, err := subject.Event{Cell: c.Cell, Queue: queue, Job: job}.Pattern()
	if err != nil {
		return nil, err
	}
	losses, err := subject.Event{Cell: c.Cell, Queue: subject.NoQueue, Kind: api.EventMissed, Job: subject.NoQueue}.Build()
	if err != nil {
		return nil, err
	}
	w := &watch{
		nc: c.Conn, in: make(chan *nats.Msg, watchMax), out: make(chan *v1.JobEvent, 64),
		missed: &v1.JobEvent{Queue: queue, Job: job, Kind: api.EventMissed},
	}
	w.status = c.Conn.StatusChanged(nats.CONNECTED, nats.CLOSED)
	subjects := []string{pattern}
	if queue != "" || job != "" { // else the pattern holds them
		subjects = append(subjects, losses)
	}
	for _, s := range subjects {
		sub, err := c.Conn.ChanSubscribe(s, w.in)
		if err != nil {
			w.end()
			return nil, c.unwatched(err)
		}
		w.subs = append(w.subs, sub)
	}
	flush, cancel := context.WithTimeout(ctx, c.Try)
	defer cancel()
	if err := c.Conn.FlushWithContext(flush); err != nil {
		w.end()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, c.unwatched(err)
	}
	go w.run(ctx)
	return w.out, nil
}

func (c *Client) unwatched(err error) error {
	return model.Unavailable("cannot watch cell %q at %s: %v", c.Cell, c.where(), err)
}

// watch carries events from NATS to one watcher.
type watch struct {
	nc     *nats.Conn
	subs   []*nats.Subscription
	in     chan *nats.Msg
	out    chan *v1.JobEvent
	status chan nats.Status
	missed *v1.JobEvent
	// dropped is how many messages are known to be lost.
	dropped int
}

func (w *watch) run(ctx context.Context) {
	defer close(w.out)
	defer w.end()
	for {
		var e *v1.JobEvent
		select {
		case <-ctx.Done():
			return
		case status := <-w.status:
			if status == nats.CLOSED {
				return
			}
			e = w.missed // nobody knows what happened while the connection was down
		case m, open := <-w.in:
			if !open {
				return
			}
			if e = decode(m); e == nil || e.GetKind() == api.EventMissed {
				e = w.missed
			}
		}
		if w.lost() && e != w.missed && !w.tell(ctx, w.missed) {
			return
		}
		if !w.tell(ctx, e) {
			return
		}
	}
}

// lost reports whether messages were dropped since it was last asked.
func (w *watch) lost() bool {
	sum := 0
	for _, sub := range w.subs {
		if n, err := sub.Dropped(); err == nil {
			sum += n
		}
	}
	lost := sum > w.dropped
	w.dropped = sum
	return lost
}

func (w *watch) tell(ctx context.Context, e *v1.JobEvent) bool {
	select {
	case w.out <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *watch) end() {
	w.nc.RemoveStatusListener(w.status)
	for _, sub := range w.subs {
		_ = sub.Unsubscribe() // it fails only if the connection is closed, which ends it too
	}
}

func decode(m *nats.Msg) *v1.JobEvent {
	e := &v1.JobEvent{}
	form, err := wire.FormOf(m.Header)
	if err != nil || len(m.Data) == 0 || form.Read(m.Data, e) != nil {
		return nil
	}
	return e
}
