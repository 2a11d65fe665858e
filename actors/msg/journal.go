package msg

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Commit makes Events durable, all or none, and then sends Then, in the order of the commits. A commit without events
// is a barrier: Then leaves when everything before it is durable. Events that contradict the state are refused: the
// sender gets CommitRefused, and has rebuilt itself on something that was not true.
type Commit struct {
	Events []*v1.Event
	Then   []Send
}

// Send is a message that leaves once its cause is durable.
type Send struct {
	To kit.Ref
	// From is the sender that the receiver sees; nil for the actor that committed.
	From    kit.Ref
	Message any
}

// CommitRefused answers a Commit whose events contradict the hard state.
type CommitRefused struct {
	Commit *Commit
	Reason error
}

// Committed is what an actor sends itself through Commit.Then to learn that it is durable.
type Committed struct {
	// Events are those of the commit.
	Events []*v1.Event
	// Token is the sender's own.
	Token uint64
}

// ReadJob asks for the newest job of that name as of everything committed before; answered by JobRead.
type ReadJob struct{ ID model.JobID }

// JobRead answers ReadJob. State is a clone that belongs to the receiver; nil if there is no such job.
type JobRead struct{ State *model.JobState }

// ReadQueue asks for a queue; answered by QueueRead.
type ReadQueue struct{ Name string }

// QueueRead answers ReadQueue. State is nil if there is no such queue. Jobs are all its jobs by uid, without stages'
// bitmaps: summaries of their hard state.
type QueueRead struct {
	State *model.QueueState
	Jobs  []*v1.JobSummary
	// Sums are the hashes of the specs of those that live, by uid.
	Sums map[model.UID][32]byte
}

// ReadNode asks for a node; answered by NodeRead.
type ReadNode struct{ ID model.NodeID }

// NodeRead answers ReadNode; State is nil if the cell does not know the node.
type NodeRead struct{ State *model.NodeState }

// ReadCell asks for what a supervisor needs to start its children; answered by CellRead.
type ReadCell struct{}

// CellRead answers ReadCell.
type CellRead struct {
	Seq, Epoch, SnapshotSeq uint64
	Queues                  []string
	LiveJobs                []model.JobID
	EndedJobs               int
	Nodes                   []model.NodeID
	// Drained are those of Nodes that are drained.
	Drained []model.NodeID
}

// ReadHard asks for an answer from the hard state alone, to one of the requests of clients that journal.Hard answers;
// answered by HardRead when everything in it is durable. Whether another master leads meanwhile is not looked at.
type ReadHard struct{ Request proto.Message }

// HardRead answers ReadHard.
type HardRead struct {
	Reply proto.Message
	// Err is why there is no reply.
	Err error
	// Seq is the last record that the answer is of; as of Proof this master led, zero if that does not matter.
	Seq   uint64
	Proof time.Time
}

// Subscribe sends every JobEvent to Ref as it becomes durable, until Unsubscribe.
type Subscribe struct{ Ref kit.Ref }

// Unsubscribe ends a Subscribe.
type Unsubscribe struct{ Ref kit.Ref }
