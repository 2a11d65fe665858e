// Package drivertest is the suite that every driver passes: run it from the driver's own tests.
package drivertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-sched/troupe/node/driver"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Behaviour is what the program or function of a test does.
type Behaviour string

// The behaviours that a driver's tests provide. Those that hang print "ready" and a line end first.
const (
	// Succeed ends at once, well.
	Succeed Behaviour = "succeed"
	// Fail ends with exit code 3, or with the error "it is broken".
	Fail Behaviour = "fail"
	// Crash dies by SIGSEGV, or panics with "it is broken".
	Crash Behaviour = "crash"
	// Hang goes on until it is asked to stop.
	Hang Behaviour = "hang"
	// Stubborn goes on whatever it is asked.
	Stubborn Behaviour = "stubborn"
	// WriteResult leaves the result "result of <index>".
	WriteResult Behaviour = "result"
	// WriteLargest leaves a result of exactly driver.ResultMax bytes, WriteTooLarge one of one byte more.
	WriteLargest  Behaviour = "largest"
	WriteTooLarge Behaviour = "too large"
	// ReportProgress says that 1 of 4 is done, then hangs.
	ReportProgress Behaviour = "progress"
	// PrintEnv prints what it knows of itself, in the form of Facts.
	PrintEnv Behaviour = "env"
	// Print writes OutText to standard output and, if the driver has two streams, ErrText to standard error.
	Print Behaviour = "print"
	// Flood writes FloodLines lines of 64 bytes, the last one "the end" filled with dots, and succeeds.
	Flood Behaviour = "flood"
	// SumInputs leaves as its result the results 0, 1 and 2 of stage "before", joined.
	SumInputs Behaviour = "inputs"
	// Missing names a program or function that does not exist.
	Missing Behaviour = "missing"
)

// What Print and Flood write. OutText is not valid UTF-8.
const (
	OutText    = "out \xff\xfe\x00 音\n"
	ErrText    = "err\n"
	FloodLines = 20_000
)

// Facts is what PrintEnv prints about a task, one fact a line.
func Facts(t driver.Task) string {
	return fmt.Sprintf("cell=%s node=%s queue=%s job=%s uid=%d stage=%s index=%d count=%d attempt=%d fence=%d COLOR=%s\n",
		t.Cell, t.Node, t.Template.Queue, t.Template.Job, t.JobUID, t.Template.Spec.Name, t.Index,
		t.Template.Spec.Instances, t.Attempt, t.Fence, t.Template.Spec.Env["COLOR"])
}

// Subject is a driver under test.
type Subject struct {
	// New makes a driver over dir, not opened, that keeps at least 64 KiB and less than 1 MiB of each stream.
	New func(t *testing.T, dir string) driver.Driver
	// Command fills in the part of a stage that says what it runs.
	Command func(t *testing.T, b Behaviour, spec *v1.StageSpec)
	// Unblock, if set, lets Stubborn attempts end at last; without it the driver must be able to kill them.
	Unblock func()
	// Adopts: attempts outlive the driver and are found by the next.
	Adopts bool
	// TwoStreams: standard error is kept apart.
	TwoStreams bool
	// MemoryInputs: results of earlier stages are handed over by Task.Results instead of a directory.
	MemoryInputs bool
}

// patience is how long a test waits for what must happen. It is no measure of speed.
const patience = time.Minute

// Rig is an open driver with the events that it has told.
type Rig struct {
	T       *testing.T
	D       driver.Driver
	Dir     string
	subject *Subject

	mu      sync.Mutex
	events  []driver.Event
	changed chan struct{}
	slots   map[uint64]bool
	fence   uint64
}

// NewRig opens a driver in a fresh directory. At the end of the test every slot that was used is released, the driver is
// closed, and no goroutine may be left.
func NewRig(t *testing.T, s *Subject) *Rig {
	t.Helper()
	r := &Rig{T: t, Dir: t.TempDir(), subject: s, slots: map[uint64]bool{}, changed: make(chan struct{})}
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
	if found := r.Open(); len(found) != 0 {
		t.Fatalf("a fresh driver found slots: %v", found)
	}
	t.Cleanup(r.cleanUp)
	return r
}

// Open makes a driver over the rig's directory and opens it. Events heard before are forgotten.
func (r *Rig) Open() []driver.Slot {
	r.T.Helper()
	r.mu.Lock()
	r.events = nil
	r.mu.Unlock()
	r.D = r.subject.New(r.T, r.Dir)
	found, err := r.D.Open(context.Background(), r.sink)
	if err != nil {
		r.T.Fatalf("open: %v", err)
	}
	return found
}

func (r *Rig) cleanUp() {
	if r.subject.Unblock != nil {
		r.subject.Unblock()
	}
	for slot := range r.slots {
		r.D.Release(slot, "the test is over")
		r.Await(slot, "released", func(e driver.Event) bool { return e.Released })
	}
	if err := r.D.Close(); err != nil {
		r.T.Errorf("close: %v", err)
	}
}

// sink holds every event to what the port promises: it is about an attempt or a release, and nothing but the same end
// comes after an end.
func (r *Rig) sink(e driver.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Released != (e.Fence == 0) || e.Released != (e.Outcome.Phase < running) {
		r.T.Errorf("event without sense: %+v", e)
	}
	for _, before := range r.events {
		if !e.Released && before.Fence == e.Fence && before.Outcome.IsFinal() && before.Outcome.Phase != e.Outcome.Phase {
			r.T.Errorf("after its end %+v an attempt is %+v", before.Outcome, e.Outcome)
		}
	}
	r.events = append(r.events, e)
	close(r.changed)
	r.changed = make(chan struct{})
}

// Events heard of a slot so far.
func (r *Rig) Events(slot uint64) []driver.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var events []driver.Event
	for _, e := range r.events {
		if e.Slot == slot {
			events = append(events, e)
		}
	}
	return events
}

// Await waits for an event of a slot.
func (r *Rig) Await(slot uint64, what string, match func(driver.Event) bool) driver.Event {
	r.T.Helper()
	limit := time.After(patience)
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		for _, e := range r.Events(slot) {
			if match(e) {
				return e
			}
		}
		select {
		case <-changed:
		case <-limit:
			r.T.Fatalf("slot %d: waited for %s in vain; heard %+v", slot, what, r.Events(slot))
		}
	}
}

// AwaitEnd waits for the end of an attempt.
func (r *Rig) AwaitEnd(t driver.Task) driver.Outcome {
	r.T.Helper()
	e := r.Await(t.Slot, fmt.Sprintf("the end of fence %d", t.Fence), func(e driver.Event) bool {
		return e.Fence == t.Fence && e.Outcome.IsFinal()
	})
	return e.Outcome
}

// Task makes a task of that behaviour in a slot, with a fence of its own. Change it before it is started.
func (r *Rig) Task(slot uint64, b Behaviour) driver.Task {
	r.T.Helper()
	r.fence++
	spec := &v1.StageSpec{Name: "stage-" + string(b[:1]), Instances: 7, Env: map[string]string{"COLOR": "grün"},
		Stop: &v1.Stop{Signal: "TERM"}}
	r.subject.Command(r.T, b, spec)
	return driver.Task{Slot: slot, Fence: r.fence, JobUID: 42, Stage: 1, Index: 5, Attempt: 2, Cell: "cell-1", Node: "node-1",
		Template: &v1.Template{JobUid: 42, Stage: 1, Queue: "tenant", Job: "work", Spec: spec, GraceMs: 60_000}}
}

// Start starts a task; its slot is released at the end of the test.
func (r *Rig) Start(t driver.Task) driver.Task {
	r.slots[t.Slot] = true
	r.D.Start(t)
	return t
}

// Run runs a behaviour to its end.
func (r *Rig) Run(slot uint64, b Behaviour) driver.Outcome {
	r.T.Helper()
	return r.AwaitEnd(r.Start(r.Task(slot, b)))
}

// Use has slots released at the end of the test that it did not start itself.
func (r *Rig) Use(slots ...uint64) {
	for _, slot := range slots {
		r.slots[slot] = true
	}
}

// errSeen ends the following of a log.
var errSeen = errors.New("seen")

// AwaitOutput follows the standard output of an attempt until it holds text.
func (r *Rig) AwaitOutput(t driver.Task, text string) {
	r.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var seen bytes.Buffer
	err := r.D.Logs(ctx, &v1.LogsRequest{Fence: t.Fence, Follow: true}, func(c *v1.LogChunk) error {
		if c.Stream == "stdout" {
			seen.Write(c.Data)
		}
		if bytes.Contains(seen.Bytes(), []byte(text)) {
			return errSeen
		}
		return nil
	})
	if !errors.Is(err, errSeen) {
		r.T.Fatalf("output %q of fence %d was not seen: %v; output %q, events %+v", text, t.Fence, err, seen.Bytes(), r.Events(t.Slot))
	}
}

// StartReady starts a behaviour that hangs, and returns when it does.
func (r *Rig) StartReady(t driver.Task) driver.Task {
	r.T.Helper()
	r.Start(t)
	r.AwaitOutput(t, "ready\n")
	return t
}

// Output is one stream of an attempt, as kept, with what was skipped.
func (r *Rig) Output(req *v1.LogsRequest, stream string) (text string, skipped int64) {
	r.T.Helper()
	var b bytes.Buffer
	next := int64(-1)
	err := r.D.Logs(context.Background(), req, func(c *v1.LogChunk) error {
		if c.Stream != stream {
			return nil
		}
		if next >= 0 && c.Offset != next+c.Skipped {
			r.T.Errorf("chunk at offset %d (skipped %d) after offset %d", c.Offset, c.Skipped, next)
		}
		next = c.Offset + int64(len(c.Data))
		skipped += c.Skipped
		b.Write(c.Data)
		return nil
	})
	if err != nil {
		r.T.Fatalf("logs %v: %v", req, err)
	}
	return b.String(), skipped
}
