package cmd

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/api"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"google.golang.org/protobuf/proto"
)

// fakeCell is a cell in memory. Jobs move one step with every look at their status.
type fakeCell struct {
	api.Cell // what a test does not need panics

	mu     sync.Mutex
	jobs   map[string]*v1.JobStatus
	next   map[string][]*v1.JobStatus // states to come
	queues map[string]*v1.QueueSpec
	nodes  []*v1.NodeStatus
	loans  []*v1.Loan
	events []*v1.JobEvent
	logs   map[string][]*v1.LogChunk
	backup []byte
	// journal answers for Journal, if it is there.
	journal func(context.Context, *v1.JournalRequest, func(*v1.Chunk) error) error
	result  map[string][]*v1.InstanceResult
	asked   []proto.Message
	fail    []error // refusals of the next submits
	closed  bool
	stuck   bool // jobs that are stopped do not end
	done    chan struct{}
	failed  error
}

func (c *fakeCell) note(m proto.Message) func() {
	c.mu.Lock()
	c.asked = append(c.asked, proto.Clone(m))
	return c.mu.Unlock
}

func (c *fakeCell) Submit(_ context.Context, req *v1.SubmitRequest) (*v1.SubmitReply, error) {
	defer c.note(req)()
	if len(c.fail) > 0 {
		err := c.fail[0]
		c.fail = c.fail[1:]
		return nil, err
	}
	plan, wrong := model.Compile(req.GetJob())
	if wrong != nil {
		return nil, model.Invalid("the job is not valid", wrong...)
	}
	key := plan.ID.String()
	if c.jobs[key] == nil {
		status := &v1.JobStatus{Queue: plan.ID.Queue, Name: plan.ID.Name, Uid: 7, Kind: "batch", Phase: "pending",
			SubmittedUnixMs: moment.UnixMilli(), Counts: &v1.Counts{Wanted: 1, Waiting: 1}, Stages: []*v1.StageStatus{{
				Name: plan.Stages[0].Name, Phase: "pending", Counts: &v1.Counts{Wanted: 1, Waiting: 1}}}}
		c.jobs[key] = status
		return &v1.SubmitReply{Queue: plan.ID.Queue, Name: plan.ID.Name, Uid: 7, Created: true, Seq: 3}, nil
	}
	return &v1.SubmitReply{Queue: plan.ID.Queue, Name: plan.ID.Name, Uid: c.jobs[key].GetUid()}, nil
}

func (c *fakeCell) JobStatus(_ context.Context, ref *v1.JobRef) (*v1.JobStatus, error) {
	defer c.note(ref)()
	key := ref.GetQueue() + "/" + ref.GetName()
	if coming := c.next[key]; len(coming) > 0 && c.jobs[key] != nil {
		c.jobs[key], c.next[key] = coming[0], coming[1:]
	}
	if s := c.jobs[key]; s != nil {
		return s, nil
	}
	return nil, model.NotFound("queue %s has no job %s", ref.GetQueue(), ref.GetName())
}

func (c *fakeCell) ListJobs(_ context.Context, req *v1.ListJobsRequest) (*v1.ListJobsReply, error) {
	defer c.note(req)()
	var names []string
	for key, s := range c.jobs {
		if (req.GetQueue() == "" || s.GetQueue() == req.GetQueue()) && (req.GetEnded() || s.GetEndedUnixMs() == 0) && key > req.GetAfter() {
			names = append(names, key)
		}
	}
	slices.Sort(names)
	reply := &v1.ListJobsReply{}
	for _, key := range names {
		if len(reply.GetJobs()) == int(req.GetLimit()) {
			reply.Next = reply.GetJobs()[len(reply.GetJobs())-1].GetQueue() + "/" + reply.GetJobs()[len(reply.GetJobs())-1].GetName()
			break
		}
		s := c.jobs[key]
		reply.Jobs = append(reply.Jobs, &v1.JobSummary{Queue: s.GetQueue(), Name: s.GetName(), Uid: s.GetUid(), Kind: s.GetKind(),
			Band: s.GetBand(), Phase: s.GetPhase(), Counts: s.GetCounts(), SubmittedUnixMs: s.GetSubmittedUnixMs(), EndedUnixMs: s.GetEndedUnixMs()})
	}
	return reply, nil
}

func (c *fakeCell) StopJob(_ context.Context, req *v1.StopRequest) (*v1.StopReply, error) {
	defer c.note(req)()
	s := c.jobs[req.GetQueue()+"/"+req.GetName()]
	switch {
	case s == nil:
		return nil, model.NotFound("queue %s has no job %s", req.GetQueue(), req.GetName())
	case terminal(s.GetPhase()):
		return &v1.StopReply{Phase: s.GetPhase()}, nil
	}
	stopping := proto.Clone(s).(*v1.JobStatus)
	stopping.Phase, stopping.Reason = "stopping", req.GetReason()
	stopped := proto.Clone(stopping).(*v1.JobStatus)
	stopped.Phase, stopped.EndedUnixMs = "stopped", moment.UnixMilli()+1500
	key := req.GetQueue() + "/" + req.GetName()
	c.jobs[key], c.next[key] = stopping, []*v1.JobStatus{stopping}
	if !c.stuck {
		c.next[key] = append(c.next[key], stopped)
	}
	return &v1.StopReply{Stopping: true, Phase: "stopping"}, nil
}

func (c *fakeCell) Explain(_ context.Context, req *v1.ExplainRequest) (*v1.ExplainReply, error) {
	defer c.note(req)()
	if c.jobs[req.GetQueue()+"/"+req.GetName()] == nil {
		return nil, model.NotFound("queue %s has no job %s", req.GetQueue(), req.GetName())
	}
	return &v1.ExplainReply{Summary: req.GetName() + " waits for memory", Stages: []*v1.StageExplain{{
		Stage: "count", WantedSlots: 4, Nodes: 1, Refusals: []*v1.Refusal{{Filter: "memory", Nodes: 1, Detail: "needs 8 GiB"}}}}}, nil
}

func (c *fakeCell) Results(_ context.Context, req *v1.ResultsRequest) (*v1.ResultsReply, error) {
	defer c.note(req)()
	reply := &v1.ResultsReply{}
	for _, r := range c.result[req.GetName()+"/"+req.GetStage()] {
		if r.GetIndex() < req.GetFrom() {
			continue
		}
		if len(reply.GetResults()) == 2 { // small pages
			reply.Next = r.GetIndex()
			break
		}
		reply.Results = append(reply.Results, r)
	}
	return reply, nil
}

func (c *fakeCell) Backup(_ context.Context, _ *v1.BackupRequest, fn func(*v1.Chunk) error) error {
	return fn(&v1.Chunk{Data: c.backup})
}

func (c *fakeCell) Journal(ctx context.Context, req *v1.JournalRequest, fn func(*v1.Chunk) error) error {
	if c.journal != nil {
		return c.journal(ctx, req, fn)
	}
	return fn(&v1.Chunk{Data: c.backup})
}

func (c *fakeCell) Logs(_ context.Context, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
	defer c.note(req)()
	chunks, ok := c.logs[target{req.GetName(), req.GetStage(), req.GetIndex(), true}.String()]
	if !ok {
		return model.NotFound("no attempt of %s/%d has run", req.GetStage(), req.GetIndex())
	}
	for _, chunk := range chunks {
		if err := fn(chunk); err != nil {
			return err
		}
	}
	return nil
}

func (c *fakeCell) SetQueue(_ context.Context, spec *v1.QueueSpec) (*v1.QueueStatus, error) {
	defer c.note(spec)()
	c.queues[spec.GetName()] = spec
	return &v1.QueueStatus{Spec: spec}, nil
}

func (c *fakeCell) QueueStatus(_ context.Context, ref *v1.QueueRef) (*v1.QueueStatus, error) {
	defer c.note(ref)()
	if spec := c.queues[ref.GetName()]; spec != nil {
		return &v1.QueueStatus{Spec: spec}, nil
	}
	return nil, model.NotFound("there is no queue %s", ref.GetName())
}

func (c *fakeCell) ListQueues(_ context.Context, req *v1.ListQueuesRequest) (*v1.ListQueuesReply, error) {
	defer c.note(req)()
	reply := &v1.ListQueuesReply{}
	for _, spec := range c.queues {
		reply.Queues = append(reply.Queues, &v1.QueueStatus{Spec: spec})
	}
	slices.SortFunc(reply.Queues, func(a, b *v1.QueueStatus) int { return strings.Compare(a.GetSpec().GetName(), b.GetSpec().GetName()) })
	return reply, nil
}

func (c *fakeCell) RemoveQueue(ctx context.Context, ref *v1.QueueRef) (*v1.QueueStatus, error) {
	status, err := c.QueueStatus(ctx, ref)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.queues, ref.GetName())
	return status, err
}

func (c *fakeCell) ListNodes(_ context.Context, req *v1.ListNodesRequest) (*v1.ListNodesReply, error) {
	defer c.note(req)()
	for i, n := range c.nodes { // pages of one
		if n.GetInfo().GetId() > req.GetAfter() {
			reply := &v1.ListNodesReply{Nodes: []*v1.NodeStatus{n}}
			if i+1 < len(c.nodes) {
				reply.Next = n.GetInfo().GetId()
			}
			return reply, nil
		}
	}
	return &v1.ListNodesReply{}, nil
}

func (c *fakeCell) NodeStatus(_ context.Context, ref *v1.NodeRef) (*v1.NodeStatus, error) {
	defer c.note(ref)()
	for _, n := range c.nodes {
		if n.GetInfo().GetId() == ref.GetId() {
			return n, nil
		}
	}
	return nil, model.NotFound("there is no node %s", ref.GetId())
}

func (c *fakeCell) DrainNode(ctx context.Context, req *v1.DrainRequest) (*v1.NodeStatus, error) {
	n, err := c.NodeStatus(ctx, &v1.NodeRef{Id: req.GetId()})
	if err == nil {
		n.Drained, n.DrainReason, n.Maintenance, n.Evict = req.GetDrained(), req.GetReason(), req.GetMaintenance(), req.GetEvict()
	}
	defer c.note(req)()
	return n, err
}

func (c *fakeCell) TaintNode(ctx context.Context, req *v1.TaintRequest) (*v1.NodeStatus, error) {
	n, err := c.NodeStatus(ctx, &v1.NodeRef{Id: req.GetId()})
	if err == nil {
		n.Taints = slices.Concat(n.GetInfo().GetTaints(), req.GetTaints())
	}
	return n, err
}

func (c *fakeCell) LoseNode(ctx context.Context, req *v1.LostRequest) (*v1.LostReply, error) {
	if req.GetAllSilent() {
		return &v1.LostReply{}, nil
	}
	n, err := c.NodeStatus(ctx, &v1.NodeRef{Id: req.GetId()})
	if err != nil {
		return nil, err
	}
	defer c.note(req)()
	return &v1.LostReply{Nodes: []string{n.GetInfo().GetId()}}, nil
}

func (c *fakeCell) QueueLedger(_ context.Context, req *v1.LedgerRequest) (*v1.LedgerReply, error) {
	defer c.note(req)()
	reply := &v1.LedgerReply{}
	for _, l := range c.loans {
		if req.GetQueue() == "" || req.GetQueue() == l.GetLender() || req.GetQueue() == l.GetBorrower() {
			reply.Loans = append(reply.Loans, l)
		}
	}
	return reply, nil
}

func (c *fakeCell) CellStatus(context.Context, *v1.CellStatusRequest) (*v1.CellStatus, error) {
	return &v1.CellStatus{Cell: "local", Version: "v1", Epoch: 2, Nodes: 2, NodesFresh: 2, CpuMilli: 4000, MemoryBytes: 8 << 30, Admission: "open"}, nil
}

func (c *fakeCell) CellTree(context.Context, *v1.CellTreeRequest) (*v1.CellTree, error) {
	return &v1.CellTree{Root: &v1.TreeNode{Name: "cell", Kind: "supervisor", Children: []*v1.TreeNode{{Name: "journal", Kind: "journal", Handled: 12}}}}, nil
}

func (c *fakeCell) ListMasters(context.Context, *v1.ListMastersRequest) (*v1.ListMastersReply, error) {
	return &v1.ListMastersReply{Masters: []*v1.MasterInfo{
		{Id: "a", Host: "host-a", Role: "leader", Epoch: 2, Seq: 90, Version: "v1"},
		{Id: "b", Host: "host-b", Role: "follower", Epoch: 2, Seq: 88, Version: "v1", HeardMs: 300, Lag: 2},
	}}, nil
}

func (c *fakeCell) Resign(_ context.Context, req *v1.ResignRequest) (*v1.ResignReply, error) {
	defer c.note(req)()
	return &v1.ResignReply{From: "a", To: cmp.Or(req.GetTo(), "b"), Epoch: req.GetEpoch()}, nil
}

func (c *fakeCell) Drill(_ context.Context, req *v1.DrillRequest) (*v1.DrillReply, error) {
	defer c.note(req)()
	return &v1.DrillReply{Id: "d1", Target: cmp.Or(req.GetNode(), "a"), UntilUnixMs: 1_700_000_000_000}, nil
}

func (c *fakeCell) Watch(ctx context.Context, queue, job string) (<-chan *v1.JobEvent, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	events := make(chan *v1.JobEvent, len(c.events))
	for _, e := range c.events {
		if (queue == "" || e.GetQueue() == queue) && (job == "" || e.GetJob() == job) {
			events <- e
		}
	}
	context.AfterFunc(ctx, func() { close(events) })
	return events, nil
}

func (c *fakeCell) Done() <-chan struct{} { return c.done }
func (c *fakeCell) Err() error            { return c.failed }

func (c *fakeCell) Close(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}
