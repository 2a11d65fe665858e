package sim

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/chaos/history"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// shown is what clients have been told of the newest job of a name. Jobs and what is done in them only ever go forward,
// so a read is linearizable exactly if it shows no less than what anybody had been told before it was asked for, and
// nothing that is not durable when it is answered (client.go).
type shown struct {
	uid        uint64
	phase      string // how it has ended
	stop       bool
	done, dead []uint64 // by stage
}

// reading compares the answer to a read with what was known when it was asked for, and keeps what it adds. Where one
// master leads without an election nothing is promised of what a deposed one answers.
func (c *clients) reading(call any, then func(any, error)) func(any, error) {
	w := c.w
	if w.p.masters == 0 {
		return then
	}
	then = w.record(call, then)
	switch ask := call.(type) {
	case *v1.SubmitRequest:
		return func(reply any, err error) {
			if r, ok := reply.(*v1.SubmitReply); ok {
				w.learn(r.GetQueue(), r.GetName(), shown{uid: r.GetUid()})
			}
			then(reply, err)
		}
	case *v1.StopRequest:
		known := w.shown[ask.GetQueue()+"/"+ask.GetName()]
		return func(reply any, err error) {
			if r, ok := reply.(*v1.StopReply); ok && r.GetPhase() == "stopping" && known.uid != 0 {
				w.learn(ask.GetQueue(), ask.GetName(), shown{uid: known.uid, stop: true})
			}
			then(reply, err)
		}
	case *v1.JobRef:
		known := w.shown[ask.GetQueue()+"/"+ask.GetName()]
		return func(reply any, err error) {
			c.checkRead(ask, known, reply, err)
			then(reply, err)
		}
	case *v1.ListJobsRequest:
		before := w.shownAll()
		return func(reply any, err error) {
			if r, ok := reply.(*v1.ListJobsReply); ok {
				c.checkList(ask, before, r)
			}
			then(reply, err)
		}
	}
	return then
}

// record writes a question about one job, and its answer, into the history.
func (w *world) record(call any, then func(any, error)) func(any, error) {
	op := history.Op{Client: len(w.history) % history.ClientsMax, Outcome: history.Unknown, Return: 1 << 62}
	switch ask := call.(type) {
	case *v1.SubmitRequest:
		op.Kind, op.Job = history.Submit, cmp.Or(ask.GetJob().GetQueue(), model.DefaultQueue)+"/"+ask.GetJob().GetName()
		op.Key, op.Spec = ask.GetKey(), ask.GetJob().GetLabels()["work"]
		if op.Key == "" {
			op.Key = fmt.Sprintf("none-%d", len(w.history)) // it is asked for once
		}
	case *v1.StopRequest:
		op.Kind, op.Job = history.Stop, ask.GetQueue()+"/"+ask.GetName()
	case *v1.JobRef:
		op.Kind, op.Job = history.Status, ask.GetQueue()+"/"+ask.GetName()
	default:
		return then
	}
	w.events++
	op.Call = w.events
	at := len(w.history)
	w.history = append(w.history, op)
	return func(reply any, err error) {
		op := &w.history[at]
		w.events++
		op.Return = w.events
		switch r := reply.(type) {
		case *v1.SubmitReply:
			op.UID, op.Created, op.Outcome = r.GetUid(), r.GetCreated(), history.Done
		case *v1.StopReply:
			op.Phase, op.Outcome = r.GetPhase(), history.Done
		case *v1.JobStatus:
			op.UID, op.Phase, op.Outcome = r.GetUid(), r.GetPhase(), history.Done
		default:
			if err != nil {
				op.Outcome, op.Error = history.OutcomeOf(op.Kind, err), err.Error()
			}
		}
		then(reply, err)
	}
}

// historyTime bounds the search for an order that explains a history; one that is too hard is left open.
const historyTime = 300 * time.Millisecond

// checkHistories looks whether there is an order of the requests about each job that explains all answers. It leaves out
// names of which a job was forgotten: what is true of them is not what any client asked for.
func (w *world) checkHistories() {
	if w.broken != nil || len(w.history) == 0 {
		return
	}
	forgotten := map[string]bool{}
	for _, uid := range w.truth.uids {
		if j := w.truth.jobs[uid]; j.forgotten {
			forgotten[j.queue+"/"+j.name] = true
		}
	}
	var ops []history.Op
	for _, op := range w.history {
		if !forgotten[op.Job] && op.Check() == nil {
			ops = append(ops, op)
		}
	}
	if len(ops) == 0 {
		return
	}
	w.did(HistoriesHold)
	if r := history.Check(ops, historyTime); r.Verdict == history.Broken {
		f := r.Findings[0]
		w.fail(HistoriesHold, "%s: %s: %s", f.Job, f.Problem, strings.Join(f.Ops, "; "))
	}
}

// shownAll is what is known of all jobs now. What is known of one is never changed, but replaced.
func (w *world) shownAll() map[string]shown {
	all := make(map[string]shown, len(w.shown))
	for name, s := range w.shown { //order: fills a map
		all[name] = s
	}
	return all
}

// learn keeps what a client was told.
func (w *world) learn(queue, name string, s shown) {
	old := w.shown[queue+"/"+name]
	if old.uid > s.uid {
		return
	}
	if old.uid == s.uid {
		if s.phase == "" {
			s.phase = old.phase
		}
		s.stop = s.stop || old.stop
		s.done, s.dead = furthest(s.done, old.done), furthest(s.dead, old.dead)
	}
	w.shown[queue+"/"+name] = s
}

// furthest is the greater number of each stage.
func furthest(a, b []uint64) []uint64 {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	for i := range b {
		out[i] = max(out[i], b[i])
	}
	return out
}

// checkRead holds the status of a job against what was known before it was asked for.
func (c *clients) checkRead(ask *v1.JobRef, known shown, reply any, err error) {
	w := c.w
	fault := (*model.Fault)(nil)
	if errors.As(err, &fault) && fault.Err == model.ErrNotFound && known.uid != 0 {
		w.did(ReadsAgree)
		if j := w.truth.jobs[known.uid]; !j.forgotten {
			w.fail(ReadsAgree, "%s/%s is said not to exist, but a client was told of job %d", ask.GetQueue(), ask.GetName(), known.uid)
		}
		return
	}
	s, ok := reply.(*v1.JobStatus)
	if !ok {
		return
	}
	w.did(ReadsAgree)
	now := shown{uid: s.GetUid()}
	if s.GetEndedUnixMs() != 0 {
		now.phase = s.GetPhase()
	}
	for _, st := range s.GetStages() {
		now.done, now.dead = append(now.done, st.GetCounts().GetDone()), append(now.dead, st.GetCounts().GetDead())
	}
	text := now.behind(known)
	if text == "" && known.uid == now.uid && known.stop && now.phase == "" && s.GetPhase() != "stopping" {
		text = "it was to stop"
	}
	if text != "" {
		w.fail(ReadsAgree, "%s/%s: the status is %s with uid %d, done %v, dead %v; before it was asked for a client was told: %s",
			ask.GetQueue(), ask.GetName(), s.GetPhase(), now.uid, now.done, now.dead, text)
		return
	}
	w.learn(ask.GetQueue(), ask.GetName(), now)
}

// behind says in what a read shows less than what was known; "" if in nothing.
func (s shown) behind(known shown) string {
	switch {
	case known.uid > s.uid:
		return "a newer job had the name"
	case known.uid < s.uid:
		return ""
	case known.phase != "" && known.phase != s.phase:
		return "it had ended, " + known.phase
	}
	for i := range min(len(known.done), len(s.done)) {
		if known.done[i] > s.done[i] || known.dead[i] > s.dead[i] {
			return "more was done"
		}
	}
	return ""
}

// checkList holds a list of jobs against what was known before it was asked for.
func (c *clients) checkList(ask *v1.ListJobsRequest, before map[string]shown, r *v1.ListJobsReply) {
	w := c.w
	listed := map[string]bool{}
	for _, s := range r.GetJobs() {
		name := s.GetQueue() + "/" + s.GetName()
		known := before[name]
		listed[name] = true
		w.did(ReadsAgree)
		ended := s.GetEndedUnixMs() != 0
		if known.uid > s.GetUid() || known.uid == s.GetUid() && known.phase != "" && (!ended || known.phase != s.GetPhase()) {
			w.fail(ReadsAgree, "job %d %s is listed as %s, but a client had been told of job %d %s", s.GetUid(), name, s.GetPhase(), known.uid, known.phase)
		}
	}
	if ask.GetLimit() != 0 || ask.GetAfter() != "" || ask.GetQueue() != "" || !ask.GetEnded() || r.GetNext() != "" {
		return
	}
	for _, name := range sortedKeys(before) {
		if known := before[name]; !listed[name] && !w.truth.jobs[known.uid].forgotten {
			w.fail(ReadsAgree, "%s is not listed, but a client had been told of job %d", name, known.uid)
		}
	}
}

// checkDeposed: who comes to a master when its successor has answered somebody gets no answer from it.
func (c *clients) checkDeposed(m *master, call, reply any, outdone bool) {
	w := c.w
	if m.host == nil {
		return
	}
	switch reply.(type) {
	case *model.Fault, *kit.Busy, *kit.Lost:
		return
	case *v1.CellStatus: // that is answered also when nothing else is
		return
	}
	w.did(DeposedSilent)
	if outdone {
		w.fail(DeposedSilent, "the master of epoch %d answers a %T with a %T, but one of epoch %d has answered before that was asked", m.epoch, call, reply, w.answered)
	}
	w.answered = max(w.answered, m.epoch)
}

// checkCalm: where nothing fails nobody takes over from a leader that lives.
func (w *world) checkCalm(h *host) {
	old := w.master
	if w.p.focus != Calm && w.p.focus != Agents || old == nil {
		return
	}
	w.did(LeaderStays)
	if lived := w.st.Now().Sub(old.began); lived > 10*w.p.patience && !old.closed && old.sys.Err() == nil {
		w.fail(LeaderStays, "master %s takes over from %s, which has led for %v", h.id, old.host.id, lived)
	}
}
