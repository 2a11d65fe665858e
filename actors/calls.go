package actors

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// callMax bounds a call whose context has no deadline.
const callMax = 30 * time.Second

// ask sends a request to the gateway and waits for the answer from whichever actor gives it.
func ask[T any](ctx context.Context, c *Cell, call any) (T, error) {
	r, err := c.current()
	if err != nil {
		var none T
		return none, err
	}
	return askRef[T](ctx, r, r.env.Refs.Gateway, &msg.Request{Call: call})
}

func askRef[T any](ctx context.Context, r *reign, to kit.Ref, message any) (T, error) {
	var none T
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callMax)
		defer cancel()
	}
	reply, err := r.sys.Ask(ctx, to, message)
	switch {
	case errors.Is(err, kit.ErrBusy):
		return none, model.Busy(time.Second, "the master is overloaded")
	case errors.Is(err, kit.ErrGone):
		return none, model.Unavailable("the part of the master that would answer has just ended")
	case errors.Is(err, kit.ErrEnded), errors.Is(err, kit.ErrKilled), err != nil && r.sys.Err() != nil:
		f := model.Unavailable("the reign of this master has just ended; what was asked for may have happened")
		f.RetryAfter = retrySoon
		return none, f
	case errors.Is(err, context.DeadlineExceeded):
		return none, model.Deadline("no answer came in time; what was asked for may have happened")
	case err != nil:
		return none, err
	}
	answer, ok := reply.(T)
	if !ok {
		return none, model.Internal("an answer of kind %T came, not %T", reply, none)
	}
	return answer, nil
}

// Submit makes a job durable, once per key; see v1.SubmitRequest.
func (c *Cell) Submit(ctx context.Context, req *v1.SubmitRequest) (*v1.SubmitReply, error) {
	return ask[*v1.SubmitReply](ctx, c, req)
}

// Validate checks a job and fills in its defaults; nothing is stored.
func (c *Cell) Validate(_ context.Context, job *v1.JobSpec) (*v1.ValidateReply, error) {
	plan, problems := model.Compile(job)
	if len(problems) > 0 {
		return nil, model.Invalid("the job is not valid", problems...)
	}
	reply := &v1.ValidateReply{Job: plan.Spec}
	for i := range plan.Stages {
		reply.Instances += plan.Stages[i].Instances
	}
	return reply, nil
}

// JobStatus tells where the newest job of that name stands.
func (c *Cell) JobStatus(ctx context.Context, ref *v1.JobRef) (*v1.JobStatus, error) {
	return ask[*v1.JobStatus](ctx, c, ref)
}

// ListJobs pages through jobs in order of queue and name.
func (c *Cell) ListJobs(ctx context.Context, req *v1.ListJobsRequest) (*v1.ListJobsReply, error) {
	return ask[*v1.ListJobsReply](ctx, c, req)
}

// StopJob asks a job to end; the answer comes when the request is durable.
func (c *Cell) StopJob(ctx context.Context, req *v1.StopRequest) (*v1.StopReply, error) {
	return ask[*v1.StopReply](ctx, c, req)
}

// Explain says why a job waits and what would help.
func (c *Cell) Explain(ctx context.Context, req *v1.ExplainRequest) (*v1.ExplainReply, error) {
	return ask[*v1.ExplainReply](ctx, c, req)
}

// Results pages through the durable results of one stage.
func (c *Cell) Results(ctx context.Context, req *v1.ResultsRequest) (*v1.ResultsReply, error) {
	return ask[*v1.ResultsReply](ctx, c, req)
}

// Lookup answers where the running instances of a name are.
func (c *Cell) Lookup(ctx context.Context, req *v1.LookupRequest) (*v1.LookupReply, error) {
	return ask[*v1.LookupReply](ctx, c, req)
}

// SetQueue makes a queue or changes its limits.
func (c *Cell) SetQueue(ctx context.Context, spec *v1.QueueSpec) (*v1.QueueStatus, error) {
	return ask[*v1.QueueStatus](ctx, c, spec)
}

// QueueStatus tells of one queue.
func (c *Cell) QueueStatus(ctx context.Context, ref *v1.QueueRef) (*v1.QueueStatus, error) {
	return ask[*v1.QueueStatus](ctx, c, ref)
}

// ListQueues tells of all queues, by name.
func (c *Cell) ListQueues(ctx context.Context, req *v1.ListQueuesRequest) (*v1.ListQueuesReply, error) {
	return ask[*v1.ListQueuesReply](ctx, c, req)
}

// RemoveQueue removes a queue without live jobs and answers with its last status.
func (c *Cell) RemoveQueue(ctx context.Context, ref *v1.QueueRef) (*v1.QueueStatus, error) {
	return ask[*v1.QueueStatus](ctx, c, &msg.RemoveQueue{Name: ref.GetName()})
}

// QueueLedger tells which queue lent what to which, newest first: of one queue as lender or borrower, or of all.
func (c *Cell) QueueLedger(ctx context.Context, req *v1.LedgerRequest) (*v1.LedgerReply, error) {
	return ask[*v1.LedgerReply](ctx, c, req)
}

// ListNodes pages through the nodes by id.
func (c *Cell) ListNodes(ctx context.Context, req *v1.ListNodesRequest) (*v1.ListNodesReply, error) {
	return ask[*v1.ListNodesReply](ctx, c, req)
}

// NodeStatus tells of one node.
func (c *Cell) NodeStatus(ctx context.Context, ref *v1.NodeRef) (*v1.NodeStatus, error) {
	return ask[*v1.NodeStatus](ctx, c, ref)
}

// DrainNode keeps new work off a node, or lets it come again; see v1.DrainRequest for maintenance and for moving away
// what runs.
func (c *Cell) DrainNode(ctx context.Context, req *v1.DrainRequest) (*v1.NodeStatus, error) {
	return ask[*v1.NodeStatus](ctx, c, req)
}

// LoseNode says that a silent node is gone for good, or all that are silent now; see v1.LostRequest.
func (c *Cell) LoseNode(ctx context.Context, req *v1.LostRequest) (*v1.LostReply, error) {
	return ask[*v1.LostReply](ctx, c, req)
}

// TaintNode replaces the taints that operators have put on a node; none removes them.
func (c *Cell) TaintNode(ctx context.Context, req *v1.TaintRequest) (*v1.NodeStatus, error) {
	return ask[*v1.NodeStatus](ctx, c, req)
}

// CellStatus tells of the cell as a whole.
func (c *Cell) CellStatus(ctx context.Context, req *v1.CellStatusRequest) (*v1.CellStatus, error) {
	s, err := ask[*v1.CellStatus](ctx, c, req)
	if err != nil {
		return nil, err
	}
	if r, err := c.current(); err == nil {
		s.DeadLetters, s.Master = r.sys.DeadLetters(), c.opts.ID
	}
	return s, nil
}

// CellTree is the live supervision tree with restarts and mailboxes.
func (c *Cell) CellTree(context.Context, *v1.CellTreeRequest) (*v1.CellTree, error) {
	r, err := c.current()
	if err != nil {
		return nil, err
	}
	t := &v1.CellTree{Root: TreeNode(r.sys.Tree()), DeadLetters: r.sys.DeadLetters()}
	if l := c.local.Load(); l != nil {
		t.Root.Children = append(t.Root.Children, TreeNode(l.tree()))
	}
	return t, nil
}

// TreeNode is a live tree of actors as clients see it.
func TreeNode(n kit.Node) *v1.TreeNode {
	t := &v1.TreeNode{
		Name: n.Name, Kind: n.Kind, Restarts: n.Restarts, Handled: n.Handled, Refused: n.Refused,
		Mailbox: uint64(n.Mailbox), MailboxControl: uint64(n.Control), MailboxBulk: uint64(n.Bulk), MailboxMax: uint64(n.MailboxMax),
	}
	for _, child := range n.Children {
		t.Children = append(t.Children, TreeNode(child))
	}
	return t
}

// Logs calls fn with the captured output of one instance until its end, or, following, until the attempt ends.
// A master that has begun after the attempt does not know where it ran and asks the nodes one after the other.
func (c *Cell) Logs(ctx context.Context, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
	place, err := ask[*v1.LogPlace](ctx, c, req)
	if err != nil {
		return err
	}
	if req.GetFence() != 0 {
		place.Fence, place.Slot = req.GetFence(), 0
	}
	if place.GetNode() != "" {
		return c.logsFrom(ctx, place, req, fn)
	}
	nodes, err := c.ListNodes(ctx, &v1.ListNodesRequest{})
	if err != nil {
		return err
	}
	for _, n := range nodes.GetNodes() {
		if n.GetLiveness() != "fresh" {
			continue
		}
		place.Node = n.GetInfo().GetId()
		if err := c.logsFrom(ctx, place, req, fn); !errors.Is(err, model.NotFound("")) {
			return err
		}
	}
	return model.NotFound("no node has output of instance %d of stage %q of job %s; it has not run, or its output was rotated away", req.GetIndex(), req.GetStage(), req.GetName())
}

func (c *Cell) logsFrom(ctx context.Context, place *v1.LogPlace, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
	if l := c.local.Load(); l != nil && place.GetNode() == l.id {
		return l.logs(ctx, place, req, fn)
	}
	if c.opts.Fabric == nil {
		return model.Unavailable("node %s is not reachable from here", place.GetNode())
	}
	return c.opts.Fabric.Logs(ctx, place, req, fn)
}
