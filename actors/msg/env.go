package msg

import (
	"sync/atomic"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
)

// Env is what the actors of one master share: constant after the start of the tree.
type Env struct {
	// Cell is the name of the cell.
	Cell string
	// Epoch of this master.
	Epoch uint64
	// Host names this master in the journal and in logs.
	Host string
	// Refs of the actors that exist once; filled before any of them handles its first message.
	Refs Refs
	IDs  *IDs
	// Tally counts what nobody owns.
	Tally Tally
	// Scores are the names of scores that the program has added to the built-in ones.
	Scores []string
	Limits
}

// Refs of the actors that exist once in a master.
type Refs struct {
	Journal, Names, Placer, Queues, Jobs, Nodes, Gateway kit.Ref
}

// Tally counts since this master began; for status, nothing is decided by it.
type Tally struct {
	// Started are attempts sent to nodes. Lost are attempts that were given up because their node, their slot or all
	// traces of them are gone, so that their instances run again.
	Started, Lost atomic.Uint64
}

// Limits of one master. Every one has an answer at the limit, which the field tells.
type Limits struct {
	// Jobs live at once; more are refused as busy.
	Jobs int
	// Queues; more are refused as busy.
	Queues int
	// Nodes; an agent beyond gets no answer and is counted.
	Nodes int
	// EndedJobs kept; the oldest are forgotten.
	EndedJobs int
	// BacklogBytes waiting in the journal; above it new work is refused as busy until it has halved.
	BacklogBytes int64
	// MemoryBytes that this process may use, by the Memory port; above 80 % of it new work is refused, above 95 % large
	// answers too, each until it is a tenth below. 0 for GOMEMLIMIT, and no limit if there is none.
	MemoryBytes int64
	// Suspect and Lost are how long a node may be silent.
	Suspect, Lost time.Duration
	// Heartbeat is how often agents report when nothing changes.
	Heartbeat time.Duration
	// NodesOut is how many nodes may be drained at once; a drain beyond it is refused unless it is forced. 0 means no
	// limit.
	NodesOut int
	// ReadLease is for how long after the sending of an append that succeeded reads are answered without another one; a
	// new master answers nobody for as long. 0 where there is one master alone: then no read needs an append.
	ReadLease time.Duration
	// Settle is how long a new master waits for the nodes it knows before it replaces what they ran.
	Settle time.Duration
	// LostRate is how many lost nodes a minute have their work placed elsewhere, beyond the first few; the others wait
	// for their turn. 0 means a tenth of the nodes, at least one.
	LostRate int
	// Isolation is the share of the nodes, in percent, that may fall silent together (and at least three) before that is
	// taken for this master's own isolation: then no node is declared lost. 0 and 100 mean that it never is.
	Isolation int
	// IsolationMax is how long the belief lasts; after it the silent nodes are lost, at LostRate.
	IsolationMax time.Duration
}

// DefaultLimits are right for a cell of thousands of nodes on a small machine.
func DefaultLimits() Limits {
	return Limits{
		Jobs: 20_000, Queues: 1_000, Nodes: 100_000, EndedJobs: 10_000,
		BacklogBytes: 64 << 20, MemoryBytes: 0,
		Suspect: 5 * time.Second, Lost: 15 * time.Second, Heartbeat: time.Second, Settle: 15 * time.Second,
		Isolation: 30, IsolationMax: 10 * time.Minute,
	}
}

// IDs numbers jobs, slots and fences. It outlives restarts of actors, and the epoch in the high half makes its numbers grow
// over changes of master.
type IDs struct {
	epoch uint64
	n     atomic.Uint64
	uid   atomic.Uint64
	// told gives the numbers instead of n, if it is there.
	told func() uint64
}

// NewIDs makes the source of one epoch; nextUID is the state's.
func NewIDs(epoch uint64, nextUID model.UID) *IDs {
	i := &IDs{epoch: epoch}
	i.uid.Store(uint64(nextUID) - 1)
	return i
}

// ToldIDs makes the source of one epoch whose numbers are those that next gives: for what is decided over again, with the
// same numbers.
func ToldIDs(epoch uint64, next func() uint64) *IDs { return &IDs{epoch: epoch, told: next} }

func (i *IDs) next() uint64 {
	if i.told != nil {
		return i.told()
	}
	return i.n.Add(1)
}

// UID is a new job's uid.
func (i *IDs) UID() model.UID { return model.UID(i.uid.Add(1)) }

// Slot is a new slot id.
func (i *IDs) Slot() model.SlotID { return model.SlotID(model.NewID(i.epoch, i.next())) }

// Order is a number greater than all before: it puts what one actor says in different ways in order.
func (i *IDs) Order() uint64 { return i.next() }

// Fence is a new fence.
func (i *IDs) Fence() model.Fence { return model.Fence(model.NewID(i.epoch, i.next())) }
