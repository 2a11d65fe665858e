package msg

import (
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// ToJob routes Message to the actor of that job, started if need be; it answers with a *model.Fault if there is no
// such job. If UID is not zero and not the job's, the message is for a job that is gone: slots in it are given back.
type ToJob struct {
	ID      model.JobID
	UID     model.UID
	Message any
}

// ToAllJobs routes Message to the actors of all live jobs.
type ToAllJobs struct{ Message any }

// StartJob makes sure that a live job has its actor. Fresh says that it was admitted just now, so that nothing of it
// can run anywhere.
type StartJob struct {
	ID    model.JobID
	UID   model.UID
	Fresh bool
}

// Granted gives slots on one node to a stage of a job.
type Granted struct {
	Node    model.NodeID
	NodeRef kit.Ref
	Stage   model.StageID
	Slots   []model.SlotID
	// Order is when the node said so; see Inventory.
	Order uint64
}

// Reported tells a job what became of its attempts on one node.
type Reported struct {
	// ID and UID of the job: its actor may be another one by now.
	ID  model.JobID
	UID model.UID

	Node     model.NodeID
	NodeRef  kit.Ref
	Attempts []*v1.AttemptState
	// Refused are launches that the agent did not admit; their slots are gone.
	Refused []Refused
	// Freed are slots that are released and gone.
	Freed []model.SlotID
	// Order is when the node said so; see Inventory.
	Order uint64
}

// Refused is a launch that the agent did not admit.
type Refused struct {
	Slot   model.SlotID
	Fence  model.Fence
	Reason string
}

// SlotsLost tells a job that slots are gone without a word: the node has forgotten them, or is lost itself.
type SlotsLost struct {
	ID  model.JobID
	UID model.UID

	Node  model.NodeID
	Slots []model.SlotID
	// Away: the node is out of reach, so what ran there may go on, and be found again.
	Away   bool
	Reason string
}

// Evict asks a job to give up Count slots of a stage on one node to somebody else. The job chooses them: idle ones
// first, then the youngest attempts. It is answered by nothing: the node tells that they are free. Until then it is said
// again, and the job gives no more than Count for it however often it hears it. Of slots that are still on their way to
// the job it gives what it owes when they come.
type Evict struct {
	// Serial is a number of the source of slots' own: it means slots with smaller ones, that were asked for before it.
	Serial model.SlotID
	// Until is when who asks waits no more and decides anew: from then on it means nothing.
	Until time.Time
	Stage model.StageID
	Node  model.NodeID
	Count int
	// For is the job that gets the room; zero for maintenance and taints.
	For model.JobID
	// Rule is one of the Rule constants, Reason the priorities of victim and winner in words.
	Rule, Reason string
}

// The rules by which work is evicted.
const (
	RulePriority    = "priority"
	RuleQuota       = "quota"
	RuleMaintenance = "maintenance"
	RuleTaint       = "taint"
)

// Inventory tells a job all that one node holds of it. Slots that the job believes to hold there, and that are not
// named, are gone, unless they were granted later: Inventories come by way of the supervisor, grants do not. One that
// was overtaken by the news that a slot has gone is asked for again, or the slot would come back as a ghost.
type Inventory struct {
	Node    model.NodeID
	NodeRef kit.Ref
	Slots   []HeldSlot
	// Order is when the node said so, by IDs.Order.
	Order uint64
	// Mark is that of the Claim that it answers, else 0: a launch with a smaller fence that it does not name was lost.
	Mark model.Fence
}

// NodeReset tells all jobs that a node's actor has restarted: what it holds has been told to the jobs in Told, and it
// holds nothing of the others.
type NodeReset struct {
	Node model.NodeID
	Told map[model.UID]bool
	// Order is when the node said so; see Inventory.
	Order uint64
}

// Leftovers tells a job what a node holds of it, in case that it has ended and nobody knows: told when the supervisor of
// jobs has restarted, because an Inventory may have been lost on its way through it. A job that lives claims what it holds.
type Leftovers struct {
	Node    model.NodeID
	NodeRef kit.Ref
	Slots   []model.SlotID
}

// HeldSlot is one slot that a node holds for a job.
type HeldSlot struct {
	Slot  model.SlotID
	Stage uint32
	// Attempt is the newest in it; nil if there is none, or its end is settled.
	Attempt *v1.AttemptState
	// Fence of the newest attempt that the node knows; 0 if there was none.
	Fence model.Fence
	// Releasing: the slot is being given back.
	Releasing bool
}

// Claimed answers Claim: Inventories of so many nodes follow or have come.
type Claimed struct {
	UID   model.UID
	Nodes int
	// Mark is that of the Claim.
	Mark model.Fence
}

// WantRequest asks a job to send its Want again: its queue has restarted.
type WantRequest struct{ Queue string }

// EndpointsRequest asks a job to register its instances again: names has restarted.
type EndpointsRequest struct{}

// StopJob asks a job to end; answered by *v1.StopReply once durable, and by a fault if UID is not 0 and of another job.
type StopJob struct {
	Reason string
	UID    model.UID
}

// GetJob is answered by *v1.JobStatus.
type GetJob struct{}

// ExplainJob is answered by *v1.ExplainReply, from the placer.
type ExplainJob struct{ Request *v1.ExplainRequest }

// GetResults is answered by *v1.ResultsReply.
type GetResults struct{ Request *v1.ResultsRequest }

// LocateLogs asks where the output of an instance is; answered by *v1.LogPlace, whose node is empty if it is not known.
type LocateLogs struct{ Request *v1.LogsRequest }
