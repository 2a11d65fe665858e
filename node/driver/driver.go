// Package driver is the port between the agent and what really runs: processes under a shim, or Go functions.
// driver/conformance_test.go holds one suite over all drivers.
package driver

import (
	"context"
	"time"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Task is one attempt to run. It is frozen once handed over.
type Task struct {
	Slot, Fence, JobUID uint64
	Stage               uint32
	Index               uint64
	Attempt             uint32
	Cell, Node          string
	Template            *v1.Template
	// Inputs is a directory with one folder a stage that came before, one file an instance; empty if there is none.
	Inputs string
}

// Outcome is how an attempt ended, or how far it is.
type Outcome struct {
	Phase    v1.AttemptPhase
	ExitCode int32
	Reason   string
	// Result is what the attempt wrote as its result, at most ResultMax bytes.
	Result         []byte
	ProgressMilli  uint32
	Started, Ended time.Time
}

// ResultMax bounds the result of one instance, in bytes.
const ResultMax = 64 << 10

// Event is what a driver tells of a slot.
type Event struct {
	Slot, Fence uint64
	// Outcome of the attempt; a phase of RUNNING carries start time and progress.
	Outcome Outcome
	// Released: the slot is empty and its resources are free; Outcome is not set.
	Released bool
	// Adopted marks events about attempts that an earlier life of the agent had started.
	Adopted bool
}

// Slot is a live slot that a driver found when it was opened.
type Slot struct {
	Slot, Fence, JobUID uint64
	Stage               uint32
	Index               uint64
	Attempt             uint32
	// Busy says whether an attempt runs in it or has ended with an outcome not yet taken.
	Busy bool
}

// Driver runs the attempts of one node. All calls return at once; what happens comes as events, in order per slot.
// Start in a slot that runs an attempt is an error of the caller and is answered by a FAILED event.
type Driver interface {
	// Name is what a stage asks for: "process" or "func".
	Name() string
	// Open finds what an earlier life left behind, takes it over and starts to call sink, from any goroutine.
	// For every slot found busy an event follows with its state (also if it ended meanwhile).
	Open(ctx context.Context, sink func(Event)) ([]Slot, error)
	// Start runs t in its slot; the slot comes to life with its first task.
	Start(t Task)
	// Stop ends the attempt by its signal, waits for grace, then kills the whole process group.
	Stop(slot, fence uint64, reason string)
	// Release stops what runs in the slot, removes all traces but logs and reports Released.
	Release(slot uint64, reason string)
	// Logs copies captured output of the attempt to fn until the end (or, following, until the attempt ends or ctx
	// does). It fails with fs.ErrNotExist if there is none.
	Logs(ctx context.Context, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error
	// Close lets go of everything that can outlive this process and stops the rest.
	Close() error
}
