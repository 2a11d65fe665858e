package api

import (
	"context"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Cell is everything a client can ask of a cell. Package actors implements it on the actor tree, package client over
// NATS, and the service of this package carries one to the other, so that a program does not see the difference.
//
// Every refusal is a *model.Fault (possibly wrapped). Messages are frozen once handed over, both ways. ctx carries the
// deadline of the call; an implementation answers before it or with the fault "deadline".
type Cell interface {
	// Submit makes a job durable, once per key.
	Submit(ctx context.Context, req *v1.SubmitRequest) (*v1.SubmitReply, error)
	// Validate checks a job and fills in its defaults; nothing is stored.
	Validate(ctx context.Context, job *v1.JobSpec) (*v1.ValidateReply, error)
	// JobStatus tells where the newest job of that name stands.
	JobStatus(ctx context.Context, ref *v1.JobRef) (*v1.JobStatus, error)
	// ListJobs pages through jobs in order of queue and name; an empty queue means all queues.
	ListJobs(ctx context.Context, req *v1.ListJobsRequest) (*v1.ListJobsReply, error)
	// StopJob asks a job to end. Stopping a job that has ended answers with its phase.
	StopJob(ctx context.Context, req *v1.StopRequest) (*v1.StopReply, error)
	// Explain says why a job waits and what would help.
	Explain(ctx context.Context, req *v1.ExplainRequest) (*v1.ExplainReply, error)
	// Results pages through the results of one stage.
	Results(ctx context.Context, req *v1.ResultsRequest) (*v1.ResultsReply, error)
	// Logs calls fn with the captured output of one instance until its end (or, following, until the attempt or ctx
	// ends). fn's error ends it and is returned.
	Logs(ctx context.Context, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error
	// Lookup answers where the running instances of a name are.
	Lookup(ctx context.Context, req *v1.LookupRequest) (*v1.LookupReply, error)

	// SetQueue makes a queue or changes its limits; setting the same again changes nothing.
	SetQueue(ctx context.Context, spec *v1.QueueSpec) (*v1.QueueStatus, error)
	// QueueStatus tells of one queue.
	QueueStatus(ctx context.Context, ref *v1.QueueRef) (*v1.QueueStatus, error)
	// ListQueues tells of all queues, by name.
	ListQueues(ctx context.Context, req *v1.ListQueuesRequest) (*v1.ListQueuesReply, error)
	// RemoveQueue removes a queue without live jobs and answers with its last status.
	RemoveQueue(ctx context.Context, ref *v1.QueueRef) (*v1.QueueStatus, error)
	// QueueLedger tells which queue lent what to which, newest first; an empty queue means all queues.
	QueueLedger(ctx context.Context, req *v1.LedgerRequest) (*v1.LedgerReply, error)

	// ListNodes pages through the nodes by id.
	ListNodes(ctx context.Context, req *v1.ListNodesRequest) (*v1.ListNodesReply, error)
	// NodeStatus tells of one node.
	NodeStatus(ctx context.Context, ref *v1.NodeRef) (*v1.NodeStatus, error)
	// DrainNode keeps new work off a node, or lets it come again, as req.Drained says.
	DrainNode(ctx context.Context, req *v1.DrainRequest) (*v1.NodeStatus, error)
	// TaintNode replaces the taints that operators have put on a node; none removes them.
	TaintNode(ctx context.Context, req *v1.TaintRequest) (*v1.NodeStatus, error)
	// LoseNode says that a silent node is gone for good, or all that are silent now.
	LoseNode(ctx context.Context, req *v1.LostRequest) (*v1.LostReply, error)

	// CellStatus tells of the cell as a whole.
	CellStatus(ctx context.Context, req *v1.CellStatusRequest) (*v1.CellStatus, error)
	// CellTree prints the live supervision tree.
	CellTree(ctx context.Context, req *v1.CellTreeRequest) (*v1.CellTree, error)
	// Backup calls fn with the hard state of the cell, in pieces of the file that package backup reads.
	Backup(ctx context.Context, req *v1.BackupRequest, fn func(*v1.Chunk) error) error
	// Journal calls fn with records as frames of package backup, without head and tail, until the last one asked for or,
	// following, until ctx ends.
	Journal(ctx context.Context, req *v1.JournalRequest, fn func(*v1.Chunk) error) error

	// ListMasters tells of the masters that the answering one has heard of lately, itself among them.
	ListMasters(ctx context.Context, req *v1.ListMastersRequest) (*v1.ListMastersReply, error)
	// Resign asks the leader to hand over; the answer comes before it does.
	Resign(ctx context.Context, req *v1.ResignRequest) (*v1.ResignReply, error)
	// Drill makes a part of the cell fail for a while; the answer comes before it does.
	Drill(ctx context.Context, req *v1.DrillRequest) (*v1.DrillReply, error)
}
