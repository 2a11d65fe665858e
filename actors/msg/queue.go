package msg

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Submit asks a queue to admit a job; answered by *v1.SubmitReply once durable, or by a *model.Fault.
type Submit struct {
	Plan *model.Plan
	Key  string
}

// Want says how many slots a job wants in all, for each of its stages; a target, not an increment. A stage that is
// not named wants none. Answered by nothing: grants come from the nodes.
type Want struct {
	ID       model.JobID
	UID      model.UID
	Priority model.Priority
	Job      kit.Ref
	// Plan of the job.
	Plan   *model.Plan
	Stages []StageWant
	// Again says that it goes all the way although no target has changed: it is said once more in case it was lost, or
	// what is avoided has changed.
	Again bool
}

// StageWant is the demand of one stage.
type StageWant struct {
	Stage  uint32
	Target uint64
	Plan   *model.StagePlan
	// Avoid are nodes on which the stage has failed, at most 64.
	Avoid []model.NodeID
}

// JobChanged tells a queue how far a job is; sent when that has changed, at most a few times a second.
type JobChanged struct{ Summary *v1.JobSummary }

// JobEnded tells a queue that a job's end is durable.
type JobEnded struct {
	Summary *v1.JobSummary
	// Runs are how long the attempts of its stages ran, as far as its actor has seen them end well; by stage.
	Runs []StageRun
}

// StageRun is the mean time that attempts of one stage ran.
type StageRun struct {
	Stage uint32
	Mean  time.Duration
}

// QueueUse tells a queue what its jobs hold, wait for, have lent and borrowed, and may hold; sent by the placer when that
// has changed, at most twice a second. Frozen.
type QueueUse struct{ Used, Waiting, Lent, Borrowed, Allowed *v1.Amounts }

// Equal reports whether both say the same; no use is nil.
func (u *QueueUse) Equal(o *QueueUse) bool {
	return u != nil && o != nil && proto.Equal(u.Used, o.Used) && proto.Equal(u.Waiting, o.Waiting) && proto.Equal(u.Lent, o.Lent) &&
		proto.Equal(u.Borrowed, o.Borrowed) && proto.Equal(u.Allowed, o.Allowed)
}

// JobForgotten tells the supervisor of queues that an ended job has left the state.
type JobForgotten struct {
	ID  model.JobID
	UID model.UID
	Key string
}

// DemandRequest asks all queues to send their demands again: the placer has restarted.
type DemandRequest struct{}

// SetQueue makes or changes a queue; answered by *v1.QueueStatus or a *model.Fault.
type SetQueue struct{ Spec *v1.QueueSpec }

// RemoveQueue removes a queue without live jobs; answered by *v1.QueueStatus or a *model.Fault.
type RemoveQueue struct{ Name string }

// GetQueue is answered by *v1.QueueStatus.
type GetQueue struct{}

// ListQueues is answered by *v1.ListQueuesReply.
type ListQueues struct{}

// QueueChanged tells the supervisor of queues how a queue stands.
type QueueChanged struct{ Status *v1.QueueStatus }

// ListJobs is answered by *v1.ListJobsReply, by the last queue that it passes through.
type ListJobs struct {
	Request *v1.ListJobsRequest
	// Found is what the queues before have added; nil at first. It belongs to whoever handles the message.
	Found []*v1.JobSummary
	// From is the name of the queue to go on with.
	From string
	// Now asks for the answer at once, though it may tell of what is not durable: while the journal has no room, and only
	// then.
	Now bool
}

// ToQueue routes Message to the queue of that name; answered by a *model.Fault if there is none.
type ToQueue struct {
	Name    string
	Message any
}
