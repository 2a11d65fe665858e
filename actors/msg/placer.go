package msg

import (
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Demand tells the placer how many slots a stage may hold in all. A target of zero ends the demand.
type Demand struct {
	Stage    model.StageID
	ID       model.JobID
	Job      kit.Ref
	Priority model.Priority
	Target   uint64
	Plan     *model.StagePlan
	// Labels of the job, sorted by name: affinities select by them.
	Labels []model.Label
	// Estimate is how long one attempt runs by what its user says, Predicted by what is known of the owner's past; 0 for
	// not known.
	Estimate, Predicted time.Duration
	// Avoid are nodes on which the stage has failed, at most 64.
	Avoid []model.NodeID
}

// QueueShare tells the placer what a queue is promised and how its work is ordered; it replaces what was said before.
type QueueShare struct {
	Queue string
	// Plan is nil for a queue that is removed.
	Plan *model.QueuePlan
}

// QueueReset tells the placer that a queue's actor has restarted: what it demanded before is void until it says so again.
type QueueReset struct{ Queue string }

// NodeView tells the placer all of one node; it replaces what the placer thought.
type NodeView struct {
	Node    model.NodeID
	NodeRef kit.Ref
	Info    *v1.NodeInfo
	// Open says whether the node takes new slots: fresh and not drained.
	Open bool
	// Gone says that the node is lost or removed: forget it.
	Gone bool
	// Taints of agent and operators together.
	Taints []*v1.Taint
	// Maintenance says that the node is out for maintenance, Evict that what it holds is to be moved elsewhere.
	Maintenance, Evict bool
	// Again says that the node's actor has restarted: it may have failed over a Reserve.
	Again bool
	Held  []HeldStage
	// Through is the serial of the last Reserve that Held takes into account.
	Through uint64
}

// NodesAwaited tells the placer, after a master has begun, how many known nodes have yet to say what they hold; none when
// all have, or their time is over.
type NodesAwaited struct{ Nodes int }

// HeldStage is how many slots of one size a node holds for a stage: all of them, unless the stage was changed meanwhile.
type HeldStage struct {
	Stage model.StageID
	Each  model.Resources
	Extra *model.Extra
	Count int
	// Devices of each slot; nil if the stage needs none.
	Devices [][]model.DeviceShare
	// Since is when the newest of them was taken.
	Since time.Time
}

// Reserved answers Reserve: the node has taken all but Refused slots.
type Reserved struct {
	Node    model.NodeID
	Serial  uint64
	Refused int
}

// Freed tells the placer that slots of a stage have gone from a node.
type Freed struct {
	Node  model.NodeID
	Stage model.StageID
	Each  model.Resources
	Count int
	// Devices of each slot; nil if the stage needs none.
	Devices [][]model.DeviceShare
	// Unused are those of them that the job gave back because it has no use for them (any more).
	Unused int
	// Yielded are those that it gave up and still wants, as what is evicted.
	Yielded int
}

// ExplainStages asks the placer to complete an answer that the job has begun and to send it to the asker, who is the
// sender of this message.
type ExplainStages struct {
	Reply  *v1.ExplainReply
	Stages []StageWant
	UID    model.UID
}

// Unlearn asks the placer to forget what it can find out again: memory is short.
type Unlearn struct{}

// Rebuild asks the placer to forget everything and to begin anew from what nodes and queues say, as after a failure: so
// that a recording of it begins with all that it knows.
type Rebuild struct{}

// Kept is what the placer notes when it keeps room for the first work that does not fit.
type Kept struct {
	Stage model.StageID
	ID    model.JobID
	// From is when the room is expected to be there, in Unix milliseconds; 0 if nobody knows.
	From  int64
	Nodes []model.NodeID
}

// GetLedger asks the placer who lent what to whom; answered by *v1.LedgerReply.
type GetLedger struct{ Request *v1.LedgerRequest }
