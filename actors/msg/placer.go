package msg

import (
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
	// Again says that the node's actor has restarted: it may have failed over a Reserve.
	Again bool
	Held  []HeldStage
	// Through is the serial of the last Reserve that Held takes into account.
	Through uint64
}

// HeldStage is how many slots a node holds for a stage.
type HeldStage struct {
	Stage model.StageID
	Each  model.Resources
	Count int
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
	// Unused are those of them in which nothing ever ran: the job had no use for them.
	Unused int
}

// ExplainStages asks the placer to complete an answer that the job has begun and to send it to the asker, who is the
// sender of this message.
type ExplainStages struct {
	Reply  *v1.ExplainReply
	Stages []StageWant
	UID    model.UID
}
