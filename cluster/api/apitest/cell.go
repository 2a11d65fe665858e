// Package apitest has a cell for tests of what stands in front of one.
package apitest

import (
	"context"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/cluster/api"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Cell remembers what it was asked and answers something. The function fields replace its answers; they are set before
// it is asked.
type Cell struct {
	mu    sync.Mutex
	asked []proto.Message

	OnSubmit    func(context.Context, *v1.SubmitRequest) (*v1.SubmitReply, error)
	OnJobStatus func(context.Context, *v1.JobRef) (*v1.JobStatus, error)
	OnStopJob   func(context.Context, *v1.StopRequest) (*v1.StopReply, error)
	OnLogs      func(context.Context, *v1.LogsRequest, func(*v1.LogChunk) error) error
}

var _ api.Cell = (*Cell)(nil)

func (f *Cell) note(m proto.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, m)
}

// Last is what was asked last, nil if nothing was.
func (f *Cell) Last() proto.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.asked) == 0 {
		return nil
	}
	return f.asked[len(f.asked)-1]
}

// Submit implements api.Cell.
func (f *Cell) Submit(ctx context.Context, m *v1.SubmitRequest) (*v1.SubmitReply, error) {
	f.note(m)
	if f.OnSubmit != nil {
		return f.OnSubmit(ctx, m)
	}
	return &v1.SubmitReply{Queue: m.GetJob().GetQueue(), Name: m.GetJob().GetName(), Uid: 7, Created: true, Seq: 9}, nil
}

// Validate implements api.Cell.
func (f *Cell) Validate(_ context.Context, m *v1.JobSpec) (*v1.ValidateReply, error) {
	f.note(m)
	return &v1.ValidateReply{Job: m, Instances: 1}, nil
}

// JobStatus implements api.Cell.
func (f *Cell) JobStatus(ctx context.Context, m *v1.JobRef) (*v1.JobStatus, error) {
	f.note(m)
	if f.OnJobStatus != nil {
		return f.OnJobStatus(ctx, m)
	}
	return &v1.JobStatus{Queue: m.GetQueue(), Name: m.GetName(), Phase: "running"}, nil
}

// ListJobs implements api.Cell.
func (f *Cell) ListJobs(_ context.Context, m *v1.ListJobsRequest) (*v1.ListJobsReply, error) {
	f.note(m)
	return &v1.ListJobsReply{Next: m.GetQueue()}, nil
}

// StopJob implements api.Cell.
func (f *Cell) StopJob(ctx context.Context, m *v1.StopRequest) (*v1.StopReply, error) {
	f.note(m)
	if f.OnStopJob != nil {
		return f.OnStopJob(ctx, m)
	}
	return &v1.StopReply{Stopping: true}, nil
}

// Explain implements api.Cell.
func (f *Cell) Explain(_ context.Context, m *v1.ExplainRequest) (*v1.ExplainReply, error) {
	f.note(m)
	return &v1.ExplainReply{Summary: "it runs"}, nil
}

// Results implements api.Cell.
func (f *Cell) Results(_ context.Context, m *v1.ResultsRequest) (*v1.ResultsReply, error) {
	f.note(m)
	return &v1.ResultsReply{Results: []*v1.InstanceResult{{Index: 3, Data: []byte("结果")}}}, nil
}

// Logs implements api.Cell.
func (f *Cell) Logs(ctx context.Context, m *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
	f.note(m)
	if f.OnLogs != nil {
		return f.OnLogs(ctx, m, fn)
	}
	return fn(&v1.LogChunk{Stream: "stdout", Data: []byte("hello")})
}

// Backup implements api.Cell.
func (f *Cell) Backup(_ context.Context, m *v1.BackupRequest, fn func(*v1.Chunk) error) error {
	f.note(m)
	return fn(&v1.Chunk{Data: []byte("backup")})
}

// Journal implements api.Cell.
func (f *Cell) Journal(_ context.Context, m *v1.JournalRequest, fn func(*v1.Chunk) error) error {
	f.note(m)
	return fn(&v1.Chunk{Data: []byte("records")})
}

// Lookup implements api.Cell.
func (f *Cell) Lookup(_ context.Context, m *v1.LookupRequest) (*v1.LookupReply, error) {
	f.note(m)
	return &v1.LookupReply{}, nil
}

// SetQueue implements api.Cell.
func (f *Cell) SetQueue(_ context.Context, m *v1.QueueSpec) (*v1.QueueStatus, error) {
	f.note(m)
	return &v1.QueueStatus{Spec: m}, nil
}

// QueueStatus implements api.Cell.
func (f *Cell) QueueStatus(_ context.Context, m *v1.QueueRef) (*v1.QueueStatus, error) {
	f.note(m)
	return &v1.QueueStatus{}, nil
}

// ListQueues implements api.Cell.
func (f *Cell) ListQueues(_ context.Context, m *v1.ListQueuesRequest) (*v1.ListQueuesReply, error) {
	f.note(m)
	return &v1.ListQueuesReply{}, nil
}

// RemoveQueue implements api.Cell.
func (f *Cell) RemoveQueue(_ context.Context, m *v1.QueueRef) (*v1.QueueStatus, error) {
	f.note(m)
	return &v1.QueueStatus{}, nil
}

// ListNodes implements api.Cell.
func (f *Cell) ListNodes(_ context.Context, m *v1.ListNodesRequest) (*v1.ListNodesReply, error) {
	f.note(m)
	return &v1.ListNodesReply{}, nil
}

// NodeStatus implements api.Cell.
func (f *Cell) NodeStatus(_ context.Context, m *v1.NodeRef) (*v1.NodeStatus, error) {
	f.note(m)
	return &v1.NodeStatus{}, nil
}

// DrainNode implements api.Cell.
func (f *Cell) DrainNode(_ context.Context, m *v1.DrainRequest) (*v1.NodeStatus, error) {
	f.note(m)
	return &v1.NodeStatus{Drained: m.GetDrained()}, nil
}

// TaintNode implements api.Cell.
func (f *Cell) TaintNode(_ context.Context, m *v1.TaintRequest) (*v1.NodeStatus, error) {
	f.note(m)
	return &v1.NodeStatus{Taints: m.GetTaints()}, nil
}

// LoseNode implements api.Cell.
func (f *Cell) LoseNode(_ context.Context, m *v1.LostRequest) (*v1.LostReply, error) {
	f.note(m)
	return &v1.LostReply{Nodes: []string{m.GetId()}}, nil
}

// QueueLedger implements api.Cell.
func (f *Cell) QueueLedger(_ context.Context, m *v1.LedgerRequest) (*v1.LedgerReply, error) {
	f.note(m)
	return &v1.LedgerReply{Loans: []*v1.Loan{{Lender: m.GetQueue()}}}, nil
}

// CellStatus implements api.Cell.
func (f *Cell) CellStatus(_ context.Context, m *v1.CellStatusRequest) (*v1.CellStatus, error) {
	f.note(m)
	return &v1.CellStatus{Cell: "dev"}, nil
}

// CellTree implements api.Cell.
func (f *Cell) CellTree(_ context.Context, m *v1.CellTreeRequest) (*v1.CellTree, error) {
	f.note(m)
	return &v1.CellTree{Root: &v1.TreeNode{Name: "cell"}}, nil
}

// ListMasters implements api.Cell.
func (f *Cell) ListMasters(_ context.Context, m *v1.ListMastersRequest) (*v1.ListMastersReply, error) {
	f.note(m)
	return &v1.ListMastersReply{Masters: []*v1.MasterInfo{{Id: "a", Role: "leader"}}}, nil
}

// Resign implements api.Cell.
func (f *Cell) Resign(_ context.Context, m *v1.ResignRequest) (*v1.ResignReply, error) {
	f.note(m)
	return &v1.ResignReply{From: "a", To: m.GetTo(), Epoch: m.GetEpoch()}, nil
}

// Drill implements api.Cell.
func (f *Cell) Drill(_ context.Context, m *v1.DrillRequest) (*v1.DrillReply, error) {
	f.note(m)
	return &v1.DrillReply{Id: "d", Target: m.GetNode()}, nil
}
