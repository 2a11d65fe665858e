package sim

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/node/agent"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// clients send requests and look hard at the answers.
type clients struct {
	w *world
	// busy are clients that wait for an answer.
	busy int
}

var (
	errTimeout = errors.New("no answer in time")
	errDown    = errors.New("no master is there")
)

// ask sends a request to a master that lives, and calls then once with the answer or why there is none.
func (c *clients) ask(call any, timeout time.Duration, then func(reply any, err error)) {
	then = c.reading(call, then)
	if c.w.p.masters > 0 {
		c.askOne(c.w.anyAnswering(), call, timeout, then)
		return
	}
	if n := len(c.w.masters); n > 0 {
		c.askOne(c.w.masters[c.w.rng.IntN(n)], call, timeout, then)
		return
	}
	c.askOne(nil, call, timeout, then)
}

// anyAnswering is one of the masters that listen to clients, or believe that they lead and do; nil if there is none.
func (w *world) anyAnswering() *master {
	var list []*master
	for _, m := range w.masters {
		if m.answers() {
			list = append(list, m)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[w.newest.IntN(len(list))]
}

// answers reports whether a master listens to clients: not before what its predecessor may still answer is over.
func (m *master) answers() bool {
	if m.host == nil {
		return m.alive
	}
	return m.alive && m.env != nil && !m.closed && m.host.open(withClients) && !m.w.st.Now().Before(m.answersFrom)
}

// askOne sends a request to one master; nil if there is none.
func (c *clients) askOne(m *master, call any, timeout time.Duration, then func(reply any, err error)) {
	w := c.w
	over := false
	finish := func(reply any, err error) {
		if over {
			return
		}
		over = true
		then(reply, err)
	}
	if m == nil {
		w.after(100*time.Millisecond, func() { finish(nil, errDown) })
		return
	}
	lossy := w.part == faults && w.p.drop > 0
	w.after(timeout, func() {
		if !over && w.p.focus == Calm && (m.host == nil || m.alive) {
			w.fail(Answered, "no answer to %T in %v", call, timeout)
		}
		finish(nil, errTimeout)
	})
	if lossy && w.chance(w.p.drop/2) {
		return
	}
	w.after(w.p.delay+w.upTo(time.Millisecond), func() {
		if !m.answers() || m.env == nil {
			return
		}
		outdone := w.answered > m.epoch
		port := m.sys.Port("client", func(reply any, _ kit.Ref) {
			if m.closed || m.host != nil && !m.host.open(withClients) {
				return
			}
			c.checkDeposed(m, call, reply, outdone)
			c.observe(m, call, reply)
			if lossy && w.chance(w.p.drop/2) {
				return
			}
			w.after(w.p.delay+w.upTo(time.Millisecond), func() {
				w.did(Answered)
				finish(readReply(reply))
			})
		})
		m.sys.TellFrom(port, m.env.Refs.Gateway, &msg.Request{Call: call})
		w.after(timeout, func() {
			if m.alive {
				m.sys.ClosePort(port)
			}
		})
	})
}

// readReply makes errors of answers that are some.
func readReply(reply any) (any, error) {
	switch r := reply.(type) {
	case *kit.Busy:
		return nil, model.Busy(time.Second, "a mailbox is full")
	case *kit.Lost:
		return nil, model.Unavailable("the actor has just ended")
	case *model.Fault:
		return nil, r
	}
	return reply, nil
}

// observe checks what an answer promises, at the moment in which it leaves the master.
func (c *clients) observe(m *master, call, reply any) {
	w := c.w
	w.checkAmounts(reply)
	w.checkApartness(call, reply)
	switch r := reply.(type) {
	case *v1.SubmitReply:
		w.did(AckedIsDurable)
		j := w.truth.jobs[r.GetUid()]
		if j == nil {
			w.fail(AckedIsDurable, "job %d %s is acknowledged, and no durable record tells of it", r.GetUid(), r.GetName())
			return
		}
		j.acked = true
		w.did(OneKeyOneJob)
		if key := call.(*v1.SubmitRequest).GetKey(); key != "" && j.key != key && r.GetCreated() {
			w.fail(OneKeyOneJob, "key %s is answered by job %d of key %s", key, r.GetUid(), j.key)
		}
	case *v1.StopReply:
		ref := call.(*v1.StopRequest)
		w.did(AckedIsDurable)
		j := w.truth.newest(ref.GetQueue(), ref.GetName())
		if m.zombie && m.host == nil && w.truth.wasStopped(ref.GetQueue(), ref.GetName()) {
			return // what a deposed master knows is old: it means the job that had that name before
		}
		if m.host != nil && !m.zombie {
			w.stopped(m, j)
		}
		if j == nil || !j.stop && j.phase == "" && r.GetPhase() == "stopping" && !w.jobEnding(j) {
			w.fail(AckedIsDurable, "the stop of %s is acknowledged as %q, and no durable record tells of it", ref.GetName(), r.GetPhase())
		}
	case *v1.JobStatus:
		if !m.zombie || m.host != nil { // what a deposed master alone knows is old
			c.status(r)
		}
	case *v1.ResultsReply:
		c.results(call.(*v1.ResultsRequest), r)
	}
}

// checkApartness looks whether an answer about one queue tells of another.
func (w *world) checkApartness(call, reply any) {
	asked, told := "", []string(nil)
	switch r := reply.(type) {
	case *v1.JobStatus:
		if ref, ok := call.(*v1.JobRef); ok {
			asked, told = ref.GetQueue(), append(told, r.GetQueue())
		}
	case *v1.SubmitReply:
		asked, told = call.(*v1.SubmitRequest).GetJob().GetQueue(), append(told, r.GetQueue())
	case *v1.ListJobsReply:
		asked = call.(*v1.ListJobsRequest).GetQueue()
		for _, j := range r.GetJobs() {
			told = append(told, j.GetQueue())
		}
	case *v1.ResultsReply:
		asked = call.(*v1.ResultsRequest).GetQueue()
		for _, one := range r.GetResults() {
			if a := w.truth.attempts[fenceOf(string(one.GetData()))]; a != nil {
				told = append(told, w.truth.jobs[a.uid].queue)
			}
		}
	}
	for _, queue := range told {
		if asked == "" {
			return
		}
		w.did(TenantsApart)
		if queue != asked {
			w.fail(TenantsApart, "a %T about queue %s is answered with something of queue %s", call, asked, queue)
		}
	}
}

// jobEnding reports whether a job that lives is bound to end without a stop request.
func (w *world) jobEnding(j *job) bool {
	for i := range j.stages {
		if len(j.stages[i].dead) > 0 {
			return true
		}
	}
	return j.spec.GetTimeLimit() != ""
}

// wasStopped reports whether the stop of any job of a name is durable.
func (t *truth) wasStopped(queue, name string) bool {
	for _, uid := range t.uids {
		if j := t.jobs[uid]; j.queue == queue && j.name == name && j.stop {
			return true
		}
	}
	return false
}

func (t *truth) newest(queue, name string) *job {
	return t.jobs[t.names[queue+"/"+name]]
}

// status: an end that was seen once is seen for ever.
func (c *clients) status(s *v1.JobStatus) {
	w := c.w
	j := w.truth.jobs[s.GetUid()]
	if j == nil {
		w.fail(AckedIsDurable, "a status tells of job %d, which is not durable", s.GetUid())
		return
	}
	w.did(PhaseIsFinal)
	if j.seen != "" && j.seen != s.GetPhase() {
		w.fail(PhaseIsFinal, "job %d was seen %s and then %s", j.uid, j.seen, s.GetPhase())
	}
	if s.GetEndedUnixMs() != 0 {
		j.seen = s.GetPhase()
		if j.phase != s.GetPhase() {
			w.fail(PhaseIsFinal, "job %d is said to be %s, the records say %q", j.uid, s.GetPhase(), j.phase)
		}
	}
	for i, st := range s.GetStages() {
		if n := uint64(len(j.stages[i].done)); st.GetCounts().GetDone() > n {
			w.fail(PhaseIsFinal, "job %d stage %d: %d instances are said to be done, %d are", j.uid, i, st.GetCounts().GetDone(), n)
		}
	}
}

// results: what is served is what accepted attempts have left. A request without a uid may be answered for a job that
// had the name before.
func (c *clients) results(ask *v1.ResultsRequest, r *v1.ResultsReply) {
	w := c.w
	for _, one := range r.GetResults() {
		w.did(ResultIsTrue)
		a := w.truth.attempts[fenceOf(string(one.GetData()))]
		switch {
		case a == nil || a.result != string(one.GetData()) || a.index != one.GetIndex():
			w.fail(ResultIsTrue, "%s/%s stage %s instance %d: the result %q is served, which no attempt has left", ask.GetQueue(), ask.GetName(), ask.GetStage(), one.GetIndex(), one.GetData())
		case w.truth.jobs[a.uid].name != ask.GetName() || ask.GetUid() != 0 && ask.GetUid() != a.uid:
			w.fail(ResultIsTrue, "%v: the result %q is served for %s/%s of uid %d", a.place, one.GetData(), ask.GetQueue(), ask.GetName(), ask.GetUid())
		case w.truth.jobs[a.uid].stages[a.stage].done[a.index] != a.fence:
			w.fail(ResultIsTrue, "%v: the result of attempt %d is served, but attempt %d was accepted", a.place, a.fence, w.truth.jobs[a.uid].stages[a.stage].done[a.index])
		}
	}
}

// inputs fetches results for an agent, as any client does. It implements agent.Inputs.
type inputs struct{ a *agentLife }

// Keep implements agent.Inputs.
func (*inputs) Keep([]uint64) {}

// Fetch implements agent.Inputs. It asks as often as it takes: an attempt must not fail for want of a master. It asks the
// master that reigns: what a deposed one serves may be old.
func (i *inputs) Fetch(want agent.Wanted, done func(agent.Given, error)) {
	w := i.a.m.w
	got := map[string]map[uint64][]byte{}
	var next func(stage int, from uint64)
	next = func(stage int, begin uint64) {
		if !i.a.alive {
			return
		}
		if stage == len(want.Stages) {
			done(agent.Given{Dir: "inputs", Results: func(s string) (map[uint64][]byte, error) {
				if got[s] == nil {
					return nil, fmt.Errorf("stage %s was not fetched", s)
				}
				return got[s], nil
			}}, nil)
			return
		}
		name := want.Stages[stage]
		if got[name] == nil {
			got[name] = map[uint64][]byte{}
		}
		call := &v1.ResultsRequest{Queue: want.Queue, Name: want.Job, Stage: name, Uid: want.JobUID, From: begin}
		from := w.master
		if w.p.masters > 0 {
			from = w.anyAnswering()
		}
		w.clients.askOne(from, call, 2*time.Second, func(reply any, err error) {
			r, ok := reply.(*v1.ResultsReply)
			if fault := (*model.Fault)(nil); errors.As(err, &fault) && !fault.Temporary() {
				done(agent.Given{}, err) // the job is gone
				return
			}
			if !ok {
				w.after(300*time.Millisecond, func() { next(stage, begin) })
				return
			}
			for _, one := range r.GetResults() {
				got[name][one.GetIndex()] = one.GetData()
			}
			if r.GetNext() != 0 {
				next(stage, r.GetNext())
			} else {
				next(stage+1, 0)
			}
		})
	}
	next(0, 0)
}

// brief is a message in a few words.
func brief(m any) string {
	text := strings.Join(strings.Fields(fmt.Sprintf("%+v", m)), " ")
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return text
}
