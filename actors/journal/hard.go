package journal

import (
	"cmp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// listMax bounds a page, shownMax the failures and evictions of a status, resultsMax the bytes of a page of results:
	// as the actors bound them that answer for the leader.
	listMax    = 1000
	shownMax   = 20
	resultsMax = 512 << 10
)

// Hard answers a read from the hard state alone, as any master can: the request's type says which. What only the leader
// knows (what runs, what is held and used, which nodes live) is left out of the answer. Its errors are *model.Fault.
func Hard(s *model.State, request proto.Message) (proto.Message, error) {
	switch r := request.(type) {
	case *v1.JobRef:
		job, err := jobOf(s, r)
		if err != nil {
			return nil, err
		}
		return jobStatus(job), nil
	case *v1.ListJobsRequest:
		return listJobs(s, r)
	case *v1.ResultsRequest:
		job, err := jobOf(s, r)
		if err != nil {
			return nil, err
		}
		return results(s, job, r)
	case *v1.QueueRef:
		for _, q := range queueStatuses(s) {
			if q.GetSpec().GetName() == r.GetName() {
				return q, nil
			}
		}
		return nil, model.NotFound("there is no queue %q", r.GetName())
	case *v1.ListQueuesRequest:
		return &v1.ListQueuesReply{Queues: queueStatuses(s)}, nil
	case *v1.NodeRef:
		if n := s.Node(model.NodeID(r.GetId())); n != nil {
			return nodeStatus(n), nil
		}
		return nil, model.NotFound("there is no node %q", r.GetId())
	case *v1.ListNodesRequest:
		return listNodes(s, r), nil
	case *v1.CellStatusRequest:
		return &v1.CellStatus{
			Epoch: s.Epoch(), Seq: s.Seq(), Nodes: uint64(len(s.Nodes())), Queues: uint64(len(s.Queues())),
			JobsLive: uint64(s.LiveJobs()), JobsEnded: uint64(s.EndedJobs()),
		}, nil
	}
	return nil, model.Invalid("this has no answer from the hard state alone: ask the leader")
}

func jobOf(s *model.State, r interface {
	GetQueue() string
	GetName() string
}) (*model.JobState, error) {
	id := model.JobID{Queue: cmp.Or(r.GetQueue(), model.DefaultQueue), Name: r.GetName()}
	if job := s.Newest(id); job != nil {
		return job, nil
	}
	return nil, model.NotFound("there is no job %s", id)
}

func jobStatus(job *model.JobState) *v1.JobStatus {
	sum := Summary(job)
	s := &v1.JobStatus{
		Queue: sum.Queue, Name: sum.Name, Uid: sum.Uid, Kind: sum.Kind, Band: sum.Band, Rank: job.Spec.GetRank(),
		Labels: sum.Labels, Phase: sum.Phase, Reason: cmp.Or(job.Reason, job.StopReason), Counts: sum.Counts,
		SubmittedUnixMs: sum.SubmittedUnixMs, EndedUnixMs: sum.EndedUnixMs,
	}
	for i, stage := range job.Spec.GetStages() {
		c := job.Counts(i)
		s.Stages = append(s.Stages, &v1.StageStatus{
			Name: stage.GetName(), Phase: stagePhase(job, i), ResultBytes: c.ResultBytes,
			Counts: &v1.Counts{Wanted: c.Instances, Done: c.Done, Dead: c.Dead, FailedAttempts: c.FailedAttempts, Waiting: c.Open()},
		})
		for _, f := range job.RecentFailures(i, shownMax-len(s.Failures)) {
			f = proto.CloneOf(f) // the state's own has no word of its stage
			f.Stage = stage.GetName()
			s.Failures = append(s.Failures, f)
		}
		n, evictions := job.Evictions(i)
		s.Evicted += n
		s.Evictions = append(s.Evictions, evictions...)
	}
	slices.SortStableFunc(s.Evictions, func(x, y *v1.Eviction) int { return cmp.Compare(y.GetTimeUnixNano(), x.GetTimeUnixNano()) })
	s.Evictions = s.Evictions[:min(len(s.Evictions), shownMax)]
	return s
}

// stagePhase says how far a stage is, as far as that is hard: one that runs and has nothing done yet is pending.
func stagePhase(job *model.JobState, i int) string {
	switch c := job.Counts(i); {
	case job.StageDone(i):
		return "succeeded"
	case c.Dead > 0 && job.Spec.GetKind() != "service":
		return "failed"
	case job.Ended():
		return job.Phase
	case c.Done > 0:
		return "running"
	}
	stages := job.Spec.GetStages()
	for before := range stages {
		if slices.Contains(stages[i].GetAfter(), stages[before].GetName()) && !job.StageDone(before) {
			return "blocked"
		}
	}
	return "pending"
}

func listJobs(s *model.State, r *v1.ListJobsRequest) (*v1.ListJobsReply, error) {
	if r.GetQueue() != "" && s.Queue(r.GetQueue()) == nil {
		return nil, model.NotFound("there is no queue %q", r.GetQueue())
	}
	queue, name, _ := strings.Cut(r.GetAfter(), "/")
	after := model.JobID{Queue: queue, Name: name}
	var jobs []*model.JobState
	for _, job := range s.Jobs() {
		if (r.GetQueue() == "" || job.ID.Queue == r.GetQueue()) && (r.GetEnded() || !job.Ended()) && s.Newest(job.ID) == job &&
			compare(job.ID, after) > 0 && labelled(job.Spec.GetLabels(), r.GetLabels()) {
			jobs = append(jobs, job)
		}
	}
	slices.SortFunc(jobs, func(a, b *model.JobState) int { return compare(a.ID, b.ID) })
	reply := &v1.ListJobsReply{}
	limit := page(r.GetLimit())
	for _, job := range jobs[:min(limit, len(jobs))] {
		reply.Jobs = append(reply.Jobs, Summary(job))
	}
	if len(jobs) > limit {
		reply.Next = jobs[limit-1].ID.String()
	}
	return reply, nil
}

func compare(a, b model.JobID) int {
	return cmp.Or(cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Name, b.Name))
}

func labelled(labels, want map[string]string) bool {
	for k, v := range want { //order: all must hold
		if got, has := labels[k]; !has || got != v {
			return false
		}
	}
	return true
}

func page(limit int32) int {
	if limit <= 0 || limit > listMax {
		return listMax
	}
	return int(limit)
}

// results pages through the results of a stage; of the last one if none is named.
func results(s *model.State, job *model.JobState, r *v1.ResultsRequest) (*v1.ResultsReply, error) {
	stages := job.Spec.GetStages()
	number := len(stages) - 1
	if r.GetStage() != "" {
		number = slices.IndexFunc(stages, func(x *v1.StageSpec) bool { return x.GetName() == r.GetStage() })
	}
	switch {
	case number < 0:
		return nil, model.NotFound("job %s has no stage %q", job.ID, r.GetStage())
	case r.GetUid() != 0 && r.GetUid() != uint64(job.UID):
		return nil, model.NotFound("job %s of uid %d is gone; the newest of that name has uid %d", job.ID, r.GetUid(), job.UID)
	}
	reply := &v1.ResultsReply{Epoch: s.Epoch()}
	size := 0
	for _, x := range job.Results(number) {
		if x.Index < r.GetFrom() {
			continue
		}
		if size > 0 && size+len(x.Data) > resultsMax {
			reply.Next = x.Index
			break
		}
		size += len(x.Data) + 16
		reply.Results = append(reply.Results, &v1.InstanceResult{Index: x.Index, Data: x.Data})
	}
	return reply, nil
}

// queueStatuses are those of all queues, by name, in one pass over the jobs.
func queueStatuses(s *model.State) []*v1.QueueStatus {
	var list []*v1.QueueStatus
	at := map[string]*v1.QueueStatus{}
	for _, q := range s.Queues() {
		st := &v1.QueueStatus{Spec: q.Spec, Counts: &v1.Counts{}}
		list = append(list, st)
		at[q.Spec.GetName()] = st
	}
	for _, job := range s.Jobs() {
		st := at[job.ID.Queue]
		if st == nil || s.Newest(job.ID) != job {
			continue
		}
		if job.Ended() {
			st.EndedJobs++
			continue
		}
		st.LiveJobs++
		c := Summary(job).Counts
		st.Counts.Wanted += c.Wanted
		st.Counts.Waiting += c.Waiting
		st.Counts.Done += c.Done
		st.Counts.Dead += c.Dead
		st.Counts.FailedAttempts += c.FailedAttempts
	}
	return list
}

// nodeStatus tells of a node what an operator and its agent have said of it; whether it lives is not in the journal.
func nodeStatus(n *model.NodeState) *v1.NodeStatus {
	return &v1.NodeStatus{
		Info: n.Info, Liveness: "unknown", Drained: n.Drained, DrainReason: n.DrainReason, Maintenance: n.Maintenance, Evict: n.Evict,
		Taints: slices.Concat(n.Info.GetTaints(), n.Taints),
	}
}

func listNodes(s *model.State, r *v1.ListNodesRequest) *v1.ListNodesReply {
	reply := &v1.ListNodesReply{}
	for _, n := range s.Nodes() {
		switch {
		case string(n.ID) <= r.GetAfter():
		case len(reply.Nodes) == page(r.GetLimit()):
			reply.Next = reply.Nodes[len(reply.Nodes)-1].GetInfo().GetId()
			return reply
		default:
			reply.Nodes = append(reply.Nodes, nodeStatus(n))
		}
	}
	return reply
}
