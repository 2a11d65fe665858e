// Package driver is the port between the agent and what really runs: processes under a shim (package process), or Go
// functions (package gofunc). Package drivertest holds one suite that every driver passes.
package driver

import (
	"context"
	"strings"
	"time"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Task is one attempt to run. It is frozen once handed over, and so is its template: tasks of one stage share it, and a
// driver may take the same pointer for the same content.
type Task struct {
	Slot, Fence, JobUID uint64
	Stage               uint32
	Index               uint64
	Attempt             uint32
	Cell, Node          string
	Template            *v1.Template
	// Inputs is a directory with one folder a stage that came before, one file an instance, named by its index; empty
	// if there is none. Processes need it.
	Inputs string
	// Results serves the same to Go functions without any file: what the instances of a stage left as their results, by
	// index. If it is nil, functions read Inputs instead (see ReadInputs).
	Results func(stage string) (map[uint64][]byte, error)
	// Extra is what the slot has beyond plain resources; nil if nothing.
	Extra *Extra
}

// Outcome is how an attempt ended, or how far it is.
type Outcome struct {
	Phase    v1.AttemptPhase
	ExitCode int32
	Reason   string
	// Result is what a successful attempt wrote as its result, at most ResultMax bytes.
	Result         []byte
	ProgressMilli  uint32
	Started, Ended time.Time
}

// IsFinal says whether the attempt has ended.
func (o *Outcome) IsFinal() bool { return o.Phase >= v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED }

// CleanReason makes a reason fit to be told: valid UTF-8 and at most ReasonMax bytes.
func CleanReason(reason string) string {
	reason = strings.ToValidUTF8(reason, "\uFFFD")
	if len(reason) > ReasonMax {
		reason = strings.ToValidUTF8(reason[:ReasonMax-len("…")], "") + "…"
	}
	return reason
}

// Limits that hold for every driver.
const (
	// ResultMax bounds the result of one instance, in bytes.
	ResultMax = 64 << 10
	// ReasonMax bounds the reason of an outcome, in bytes.
	ReasonMax = 4 << 10
	// QuietStart is how long an attempt runs before it is told as RUNNING. One that ends within it is told once, by its
	// end: half the messages of short work.
	QuietStart = 20 * time.Millisecond
	// ProgressEvery is the shortest time between two reports of progress of one attempt.
	ProgressEvery = time.Second
)

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

// Refusal is the answer to a task that is not started: it has failed for that reason.
func Refusal(t *Task, reason string) Event {
	return Event{Slot: t.Slot, Fence: t.Fence, Outcome: Outcome{Phase: v1.AttemptPhase_ATTEMPT_PHASE_FAILED,
		ExitCode: -1, Reason: CleanReason(reason), Ended: time.Now()}}
}

// Slot is a live slot that a driver found when it was opened.
type Slot struct {
	Slot, Fence, JobUID uint64
	Stage               uint32
	Index               uint64
	Attempt             uint32
	// Busy says that an event about the attempt follows: it runs, or it has ended. A driver keeps the end of the last
	// attempt of a slot until the next Start or Release there, and tells it again after every Open, because it cannot
	// know whether the agent had time to save it.
	Busy bool
}

// Driver runs the attempts of one node. All calls but Open, Logs and Close return at once; what happens comes as events,
// in order per slot. The sink must not block; it may be called from within a call.
//
// Every call can be repeated: Start with the fence that runs is ignored, with the fence that ended last it tells that
// end again, and Release of a slot that is not there reports Released. Start in a slot that runs another attempt, or is
// being released, is an error of the caller and is answered by a FAILED event. Stop of an attempt that does not run is
// ignored: its end has been told.
type Driver interface {
	// Name is what a stage asks for: "process" or "func".
	Name() string
	// Open finds what an earlier life left behind, takes it over and starts to call sink, from any goroutine.
	// For every slot found busy an event follows with its state (also if it ended meanwhile).
	Open(ctx context.Context, sink func(Event)) ([]Slot, error)
	// Start runs t in its slot; the slot comes to life with its first task.
	Start(t Task)
	// Stop asks the attempt to end, waits for the grace of its template, then kills all of it. It ends as STOPPED.
	Stop(slot, fence uint64, reason string)
	// Release stops what runs in the slot, removes all traces but logs and reports Released.
	Release(slot uint64, reason string)
	// Logs copies captured output of the attempt to fn until the end (or, following, until the attempt ends or ctx
	// does). The attempt is named by fence, or else by uid, stage and index: then the newest one is taken. tail_bytes
	// counts for each stream. It fails with fs.ErrNotExist if nothing is known of such an attempt.
	Logs(ctx context.Context, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error
	// Close lets go of everything that can outlive this process and stops the rest. No event comes after it.
	Close() error
}
