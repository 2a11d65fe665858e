package sim

import (
	"errors"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// callWait is how long a client waits for an answer.
const callWait = 3 * time.Second

// begin lets a client work: it thinks, asks, hears, and thinks again, until the part with faults is over.
func (c *clients) begin() {
	w := c.w
	w.after(w.upTo(2*w.p.think), func() {
		if w.part != faults {
			return
		}
		c.busy++
		c.act(func() {
			c.busy--
			c.begin()
		})
	})
}

// act sends one request of a kind that is drawn, and calls done when that is settled.
func (c *clients) act(done func()) {
	w := c.w
	switch n := w.rng.IntN(100); {
	case n >= 40 && w.opts.Schedule.only():
		done()
	case n < 40 && w.load.next < len(w.load.order):
		k := w.load.order[w.load.next]
		w.load.next++
		k.asked = true
		c.submit(k, done)
	case n < 45:
		if k := c.some(); k != nil && k.key != "" {
			c.submit(k, done) // again, as a client does that has forgotten the answer
			return
		}
		done()
	case n < 52:
		if k := c.some(); k != nil {
			c.stop(k, done)
			return
		}
		done()
	case n < 54, n >= 94 && chanceOf(w.more, w.p.upset):
		c.node(done)
	case n < 57, n >= 90 && chanceOf(w.more, w.p.quotas):
		spec := &v1.QueueSpec{Name: pick(w.rng, queues...), MaxJobs: pick(w.rng, int64(0), 3, 20), MaxSlots: pick(w.rng, int64(0), 2, 10)}
		c.drawQueue(spec)
		w.say("client", "queue %s: at most %d jobs, %d slots %v", spec.Name, spec.MaxJobs, spec.MaxSlots, spec)
		c.ask(spec, callWait, func(any, error) { done() })
	case n < 58:
		c.ask(&msg.RemoveQueue{Name: pick(w.rng, queues...)}, callWait, func(any, error) { done() })
	default:
		c.look(done)
	}
}

// some is a work that was asked for.
func (c *clients) some() *work {
	l := &c.w.load
	if l.next == 0 {
		return nil
	}
	return l.order[c.w.rng.IntN(l.next)]
}

// submit asks for a job until it is acknowledged or refused for good.
func (c *clients) submit(k *work, done func()) {
	w := c.w
	w.load.open++
	var try func()
	try = func() {
		c.ask(&v1.SubmitRequest{Job: k.spec, Key: k.key}, callWait, func(reply any, err error) {
			var fault *model.Fault
			switch {
			case err == nil:
				c.submitted(k, reply.(*v1.SubmitReply))
			case errors.As(err, &fault) && fault.Err == model.ErrNotFound:
				c.ask(&v1.QueueSpec{Name: k.spec.Queue}, callWait, func(any, error) { w.after(w.p.think, try) })
				return
			case errors.As(err, &fault) && !fault.Temporary():
				w.say("client", "submit of %s is refused: %v", k.name, err)
				k.refused = err.Error()
			case k.key == "":
				k.refused = err.Error() // without a key it must not ask twice
			default:
				w.after(w.upTo(time.Second)+300*time.Millisecond, try)
				return
			}
			w.load.open--
			done()
		})
	}
	try()
}

// submitted: who asks twice with one key hears of one job.
func (c *clients) submitted(k *work, r *v1.SubmitReply) {
	w := c.w
	w.did(OneKeyOneJob)
	old, now := w.truth.jobs[k.uid], w.truth.jobs[r.GetUid()]
	if old != nil && !old.forgotten && !now.forgotten && k.key != "" && old != now {
		w.fail(OneKeyOneJob, "key %s was answered by job %d and then by job %d", k.key, k.uid, r.GetUid())
	}
	k.uid, k.refused = r.GetUid(), ""
	w.say("client", "job %d %s is acknowledged (created %v)", r.GetUid(), k.name, r.GetCreated())
}

func (c *clients) stop(k *work, done func()) {
	c.w.say("client", "asks to stop %s/%s", k.spec.Queue, k.spec.Name)
	c.ask(&v1.StopRequest{Queue: k.spec.Queue, Name: k.spec.Name, Reason: "by a client"}, callWait, func(any, error) { done() })
}

func (c *clients) node(done func()) {
	w := c.w
	m := w.machines[w.rng.IntN(len(w.machines))]
	drained := w.rng.IntN(2) == 0
	call := &v1.DrainRequest{Id: m.id, Drained: drained, Reason: "by a client"}
	if chanceOf(w.more, w.p.upset) {
		if w.more.IntN(2) == 0 {
			c.taint(m, done)
			return
		}
		call.Evict, call.Maintenance = w.more.IntN(3) > 0, w.more.IntN(2) == 0
	}
	w.say("client", "asks that drain of %s be %v, evict %v, maintenance %v", m.id, drained, call.Evict, call.Maintenance)
	c.ask(call, callWait, func(any, error) { done() })
}

// look asks for something that changes nothing.
func (c *clients) look(done func()) {
	w := c.w
	then := func(any, error) { done() }
	k := c.some()
	switch n := w.rng.IntN(10); {
	case n == 0:
		list := &v1.ListJobsRequest{Ended: w.rng.IntN(2) == 0, Limit: int32(w.rng.IntN(4))}
		if w.p.masters > 0 && w.newest.IntN(3) == 0 {
			list.Queue = pick(w.newest, queues...)
		}
		c.ask(list, callWait, then)
	case n == 1:
		c.ask(&v1.ListNodesRequest{Limit: int32(w.rng.IntN(4))}, callWait, then)
	case n == 2:
		c.ask(&v1.CellStatusRequest{}, callWait, then)
	case n == 3:
		c.ask(&v1.ListQueuesRequest{}, callWait, then)
	case k == nil:
		done()
	case n == 4:
		c.ask(&v1.ExplainRequest{Queue: k.spec.Queue, Name: k.spec.Name}, callWait, then)
	case n == 5:
		c.ask(&v1.LookupRequest{Name: k.spec.Name + "." + k.spec.Queue}, callWait, then)
	case n < 8:
		c.ask(&v1.JobRef{Queue: k.spec.Queue, Name: k.spec.Name}, callWait, then)
	default:
		st := k.spec.Stages[w.rng.IntN(len(k.spec.Stages))]
		c.ask(&v1.ResultsRequest{Queue: k.spec.Queue, Name: k.spec.Name, Stage: st.Name, From: uint64(w.rng.IntN(4)), Uid: k.uid}, callWait, then)
	}
}
