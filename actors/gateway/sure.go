package gateway

import (
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// ensure sends a read through the journal first, where there are other masters: it comes back when it is sure that none of
// them has taken over before it was asked. It reports whether the request must wait for that, or was refused.
func (a *Actor) ensure(ctx *kit.Context, m *msg.Request) bool {
	if a.env.ReadLease <= 0 || m.Sure || !reads(m.Call) || plant.Is(plant.ReadsUnsure) {
		return false
	}
	if a.short.full != "" {
		f := model.Unavailable("the journal has no room, so it cannot be shown that nobody else leads; stale answers are to be had: %s", a.short.full)
		f.RetryAfter = retryAfter
		ctx.Reply(f)
		return true
	}
	// In the asker's name, both ways, so that it hears at once of a mailbox that is full.
	ctx.Forward(a.env.Refs.Journal, &msg.Commit{Then: []msg.Send{{To: ctx.Self(), Message: &msg.Request{Call: m.Call, Sure: true}}}})
	return true
}

// reads reports whether a call is answered without a commit of its own. The status of the cell is left out: it must be
// answered also when nothing else is.
func reads(call any) bool {
	switch call.(type) {
	case *v1.JobRef, *v1.ExplainRequest, *v1.ResultsRequest, *v1.LogsRequest, *v1.LookupRequest, *v1.ListJobsRequest,
		*v1.QueueRef, *v1.ListQueuesRequest, *v1.LedgerRequest, *v1.NodeRef, *v1.ListNodesRequest:
		return true
	}
	return false
}
