package journal

import (
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// read answers a read with everything staged so far; the answer leaves when all of that is durable.
func (a *Actor) read(ctx *kit.Context, request any) {
	var reply any
	switch m := request.(type) {
	case *msg.ReadJob:
		r := &msg.JobRead{}
		if job := a.state.Newest(m.ID); job != nil {
			r.State = job.Clone()
		}
		reply = r
	case *msg.ReadQueue:
		reply = a.readQueue(m.Name)
	case *msg.ReadNode:
		r := &msg.NodeRead{}
		if node := a.state.Node(m.ID); node != nil {
			r.State = node.Clone()
		}
		reply = r
	case *msg.ReadCell:
		reply = a.readCell()
	}
	a.after(ctx, msg.Send{To: ctx.Sender(), From: ctx.Self(), Message: reply})
}

// readHard answers when what is staged is durable, and needs no proof that this master leads: the answer says as of when
// it did.
func (a *Actor) readHard(ctx *kit.Context, m *msg.ReadHard) {
	r := &msg.HardRead{Seq: a.state.Seq()}
	if a.cfg.Env.ReadLease > 0 {
		r.Proof = a.proof
	}
	r.Reply, r.Err = Hard(a.state, m.Request)
	answer := msg.Send{To: ctx.Sender(), From: ctx.Self(), Message: r}
	switch {
	case len(a.wait) > 0:
		r.Seq += uint64(len(a.wait))
		last := &a.wait[len(a.wait)-1]
		last.then = append(last.then, answer)
	case len(a.sent) > 0:
		last := &a.sent[len(a.sent)-1]
		last.then = append(last.then, answer)
	default:
		send(ctx, []msg.Send{answer})
	}
}

func (a *Actor) readQueue(name string) *msg.QueueRead {
	r := &msg.QueueRead{}
	queue := a.state.Queue(name)
	if queue == nil {
		return r
	}
	r.State, r.Sums = queue.Clone(), map[model.UID][32]byte{}
	for _, job := range a.state.Jobs() {
		if job.ID.Queue != name {
			continue
		}
		r.Jobs = append(r.Jobs, Summary(job))
		if !job.Ended() {
			r.Sums[job.UID] = model.SpecSum(job.Spec)
		}
	}
	return r
}

func (a *Actor) readCell() *msg.CellRead {
	r := &msg.CellRead{Seq: a.state.Seq(), Epoch: a.cfg.Env.Epoch, SnapshotSeq: a.snapSeq, EndedJobs: a.state.EndedJobs()}
	for _, q := range a.state.Queues() {
		r.Queues = append(r.Queues, q.Spec.GetName())
	}
	for _, job := range a.state.Jobs() {
		if !job.Ended() {
			r.LiveJobs = append(r.LiveJobs, job.ID)
		}
	}
	for _, n := range a.state.Nodes() {
		r.Nodes = append(r.Nodes, n.ID)
		if n.Drained {
			r.Drained = append(r.Drained, n.ID)
		}
	}
	return r
}

// facts fills in what the journal knows of the cell and answers the asker.
func (a *Actor) facts(ctx *kit.Context, m *msg.CellFacts) {
	s := m.Status
	s.Seq, s.Epoch, s.SnapshotSeq = a.state.Seq(), a.cfg.Env.Epoch, a.snapSeq
	s.JournalWaitingBytes, s.JournalWaitingMax = a.bytes, a.cfg.Env.BacklogBytes
	s.Queues = uint64(len(a.state.Queues()))
	s.JobsLive, s.JobsEnded = uint64(a.state.LiveJobs()), uint64(a.state.EndedJobs())
	ctx.Reply(s)
}

// Summary is the line of a job in lists, from its hard state alone.
func Summary(job *model.JobState) *v1.JobSummary {
	s := &v1.JobSummary{
		Queue: job.ID.Queue, Name: job.ID.Name, Uid: uint64(job.UID), Kind: job.Spec.GetKind(), Band: job.Spec.GetBand(),
		Labels: job.Spec.GetLabels(), Phase: job.Phase, Counts: &v1.Counts{}, SubmittedUnixMs: job.SubmittedUnixNano / 1e6, EndedUnixMs: job.EndedUnixNano / 1e6,
	}
	for i := range job.Stages() {
		c := job.Counts(i)
		s.Counts.Wanted += c.Instances
		s.Counts.Done += c.Done
		s.Counts.Dead += c.Dead
		s.Counts.FailedAttempts += c.FailedAttempts
		s.Counts.Waiting += c.Open()
	}
	if s.Phase == "" {
		s.Phase = "pending"
		if s.Counts.Done > 0 {
			s.Phase = "running"
		}
		if job.StopRequested {
			s.Phase = "stopping"
		}
	}
	return s
}

// noJob stands for queue and job in events about nodes.
const noJob = "_"

// jobEvent is what watchers see of an event; nil if it is neither about a job nor about the place of work.
func jobEvent(ev *v1.Event) *v1.JobEvent {
	switch k := ev.GetKind().(type) {
	case *v1.Event_JobSubmitted:
		e := k.JobSubmitted
		return &v1.JobEvent{Queue: e.GetSpec().GetQueue(), Job: e.GetSpec().GetName(), Uid: e.GetUid(), Kind: "submitted"}
	case *v1.Event_JobStopRequested:
		e := k.JobStopRequested
		return &v1.JobEvent{Queue: e.GetQueue(), Job: e.GetName(), Uid: e.GetUid(), Kind: "stopping", Reason: e.GetReason()}
	case *v1.Event_JobProgressed:
		e := k.JobProgressed
		done := uint64(0)
		for _, r := range e.GetDone() {
			done += r.GetTo() - r.GetFrom()
		}
		reason := ""
		if n := len(e.GetFailures()); n > 0 {
			reason = e.GetFailures()[n-1].GetReason()
		}
		return &v1.JobEvent{Queue: e.GetQueue(), Job: e.GetName(), Uid: e.GetUid(), Kind: "progressed", Stage: e.GetStageName(), Done: done, Failed: uint64(len(e.GetFailures())), Reason: reason}
	case *v1.Event_InstancesEvicted:
		e := k.InstancesEvicted
		newest := e.GetEvictions()[len(e.GetEvictions())-1] // one at least, or the state would have refused it
		return &v1.JobEvent{Queue: e.GetQueue(), Job: e.GetName(), Uid: e.GetUid(), Kind: "evicted", Stage: e.GetStageName(),
			Evicted: uint64(len(e.GetEvictions())), Node: newest.GetNode(), Reason: evictionText(newest)}
	case *v1.Event_NodeDrained:
		e := k.NodeDrained
		kind, phase := "undrained", ""
		if e.GetDrained() {
			kind = "drained"
		}
		if e.GetDrained() && e.GetMaintenance() {
			phase = "maintenance"
		}
		return &v1.JobEvent{Queue: noJob, Job: noJob, Kind: kind, Node: e.GetNode(), Phase: phase, Reason: e.GetReason()}
	case *v1.Event_NodeTainted:
		e := k.NodeTainted
		return &v1.JobEvent{Queue: noJob, Job: noJob, Kind: "tainted", Node: e.GetNode(), Reason: model.FormatTaints(e.GetTaints())}
	case *v1.Event_JobEnded:
		e := k.JobEnded
		return &v1.JobEvent{Queue: e.GetQueue(), Job: e.GetName(), Uid: e.GetUid(), Kind: "ended", Phase: e.GetPhase(), Reason: e.GetReason()}
	case *v1.Event_JobForgotten:
		e := k.JobForgotten
		return &v1.JobEvent{Queue: e.GetQueue(), Job: e.GetName(), Uid: e.GetUid(), Kind: "forgotten"}
	}
	return nil
}

// evictionText says for whom and by which rule.
func evictionText(e *v1.Eviction) string {
	text := e.GetRule()
	if e.GetFor() != "" {
		text += " for " + e.GetFor()
	}
	if e.GetReason() != "" {
		text += ": " + e.GetReason()
	}
	return text
}
