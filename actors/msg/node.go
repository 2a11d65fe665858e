package msg

import (
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// FromAgent is a message of the agent protocol, routed to the node's actor.
type FromAgent struct{ Message *v1.FromAgent }

// Reserve asks a node to hold slots for a stage. The node is the authority: it answers the placer with Reserved and
// tells the job Granted.
type Reserve struct {
	Serial uint64
	Stage  model.StageID
	ID     model.JobID
	Job    kit.Ref
	Each   model.Resources
	// Extra of each slot; nil if there is none. The node chooses the numbers of dynamic ports.
	Extra *model.Extra
	Slots []model.SlotID
	// Devices of each slot, one list a slot; nil if the stage needs none.
	Devices [][]model.DeviceShare
}

// Work is what a job wants of its slots on one node, in this order: settle, stop, release and yield, launch.
type Work struct {
	ID  model.JobID
	UID model.UID
	Job kit.Ref
	// Templates of the stages that are launched; known ones are passed over.
	Templates []*v1.Template
	Settle    []model.Fence
	Stop      []Stop
	Release   []model.SlotID
	// Yield are slots that are released, and still wanted: elsewhere, or later. They do not lower the demand.
	Yield  []model.SlotID
	Launch []Launch
	// Reason of stops and releases.
	Reason string
}

// Stop ends one attempt.
type Stop struct {
	Slot  model.SlotID
	Fence model.Fence
}

// Launch starts one attempt.
type Launch struct {
	Slot    model.SlotID
	Fence   model.Fence
	Stage   uint32
	Index   uint64
	Attempt uint32
}

// Claim asks all nodes what they hold of a job whose actor has restarted; answered by Claimed from the supervisor and
// by an Inventory from every node.
type Claim struct {
	ID  model.JobID
	UID model.UID
	Job kit.Ref
	// Again says that the actor has restarted within this master: Inventories sent before are lost to it.
	Again bool
	// Mark is greater than every fence that the job has sent before, see Inventory.
	Mark model.Fence
}

// JobsReset tells all nodes that the supervisor of jobs has restarted, and all its children: ends that are not settled
// must be told again, by name, and what is held, in case its job has ended. Jobs that live ask for the rest themselves.
type JobsReset struct{}

// ViewRequest asks nodes to send their NodeView: all of them when the placer has restarted, or one.
type ViewRequest struct {
	// Through is the serial of the last Reserve that the node was sent before this; what the node does not know of it by
	// now was lost.
	Through uint64
}

// ViewsComing tells the placer how many NodeViews answer its ViewRequest.
type ViewsComing struct{ Nodes int }

// NodeSynced tells the supervisor of nodes that a node of an earlier epoch has said, or cannot say, what it holds.
type NodeSynced struct{ Node model.NodeID }

// NodeChanged tells the supervisor of nodes how a node stands. Order is that of the newest DrainNode that Status takes
// into account.
type NodeChanged struct {
	Status *v1.NodeStatus
	Order  uint64
}

// ListNodes is answered by *v1.ListNodesReply.
type ListNodes struct{ Request *v1.ListNodesRequest }

// DrainNode keeps new slots away from a node, or lets them come again; answered by *v1.NodeStatus once durable. Sent by
// way of the supervisor of nodes (ToNode), which refuses a drain beyond Limits.NodesOut with a *model.Fault.
type DrainNode struct {
	Drained bool
	Reason  string
	// Maintenance: it is out for a while. Evict: what runs there is moved away.
	Maintenance, Evict bool
	// Force goes past Limits.NodesOut.
	Force bool
	// Order is given by the supervisor; see NodeChanged.
	Order uint64
}

// TaintNode replaces the taints that operators have put on a node; answered by *v1.NodeStatus once durable.
type TaintNode struct{ Taints []*v1.Taint }

// LoseNodes says that silent nodes are gone for good; sent to the supervisor of nodes, answered by *v1.LostReply.
type LoseNodes struct{ Request *v1.LostRequest }

// DrillNode makes the agent of a node fail on purpose, within bounds that it checks itself; sent by way of the supervisor of
// nodes (ToNode). Answered by *v1.NodeStatus when the order is on its way, or by a *model.Fault if the node is not well.
type DrillNode struct{ Order *v1.AgentDrill }

// GetNode is answered by *v1.NodeStatus.
type GetNode struct{}

// ToNode routes Message to the node of that id; answered by a *model.Fault if there is none.
type ToNode struct {
	ID      model.NodeID
	Message any
}
