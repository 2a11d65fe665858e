package model

import "fmt"

// NodeID names a machine in the cell.
type NodeID string

// UID identifies one job for ever; names may be used again. It is 1 or more.
type UID uint64

// JobID is the name of a job. At most one live job has it.
type JobID struct {
	Queue, Name string
}

// String is the form people read and type: queue/name.
func (j JobID) String() string { return j.Queue + "/" + j.Name }

// SlotID identifies one slot in the cell for ever.
type SlotID uint64

// Fence identifies one attempt in the cell for ever. Of two attempts of one instance the later has the greater fence.
type Fence uint64

// NewID makes the id numbered n of an epoch: the epoch in the high half, n in the low half, so that ids grow over
// changes of master. It serves slots and fences alike.
func NewID(epoch, n uint64) uint64 { return epoch<<36 | n&(1<<36-1) }

// EpochOf is the epoch in which an id was made.
func EpochOf(id uint64) uint64 { return id >> 36 }

// StageID names one stage of one job: the unit of demand.
type StageID struct {
	Job   UID
	Stage uint32
}

// String is for logs: uid.stage.
func (s StageID) String() string { return fmt.Sprintf("%d.%d", s.Job, s.Stage) }
