package rig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/troupe-sched/troupe/node/driver"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	running   = v1.AttemptPhase_ATTEMPT_PHASE_RUNNING
	succeeded = v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED
	failed    = v1.AttemptPhase_ATTEMPT_PHASE_FAILED
)

// fake is a driver that notes what it is told.
type fake struct {
	name    string
	found   []driver.Slot
	first   []driver.Event // told while it is being opened
	openErr error
	panics  bool
	knows   string // stage whose logs it has

	mu   sync.Mutex
	sink func(driver.Event)
	said []string
}

func (f *fake) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, fmt.Sprintf(format, args...))
}

func (f *fake) Name() string { return f.name }
func (f *fake) Open(_ context.Context, sink func(driver.Event)) ([]driver.Slot, error) {
	f.sink = sink
	for _, e := range f.first {
		sink(e)
	}
	return f.found, f.openErr
}
func (f *fake) Start(t driver.Task) {
	f.note("start %d", t.Fence)
	if f.panics {
		panic("no")
	}
}
func (f *fake) Stop(slot, fence uint64, reason string) { f.note("stop %d %d %s", slot, fence, reason) }
func (f *fake) Release(slot uint64, reason string)     { f.note("release %d %s", slot, reason) }
func (f *fake) Close() error                           { f.note("close"); return nil }
func (f *fake) Logs(_ context.Context, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
	if req.GetStage() != f.knows {
		return fs.ErrNotExist
	}
	return fn(&v1.LogChunk{Data: []byte(f.name)})
}

func open(t *testing.T, drivers ...*fake) *Rig {
	t.Helper()
	byName := map[string]driver.Driver{}
	for _, d := range drivers {
		byName[d.name] = d
	}
	r, err := Open(context.Background(), byName)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func outcome(slot, fence uint64, phase v1.AttemptPhase) driver.Event {
	return driver.Event{Slot: slot, Fence: fence, Outcome: driver.Outcome{Phase: phase}}
}

func TestB46_FoundSlotsAreKnownFromTheStart(t *testing.T) {
	d := &fake{
		name:  "process",
		found: []driver.Slot{{Slot: 1, Fence: 10, Busy: true}, {Slot: 2, Fence: 20, Busy: true}, {Slot: 3, Fence: 30}},
		first: []driver.Event{outcome(1, 10, succeeded)},
	}
	r := open(t, d)
	if got := r.Slots(); !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Fatal(got)
	}
	if s := r.Look(1); s.Fence != 10 || s.Outcome.Phase != succeeded || s.Silent {
		t.Errorf("told while opening: %+v", s)
	}
	if s := r.Look(2); s.Outcome != nil || s.Silent || !s.Known {
		t.Errorf("to be told: %+v", s)
	}
	if s := r.Look(3); !s.Silent {
		t.Errorf("never to be told: %+v", s)
	}
	var told []uint64
	r.Notify(func(slot uint64) { told = append(told, slot) })
	if !slices.Equal(told, []uint64{1, 2, 3}) {
		t.Errorf("told of %v", told)
	}
}

func TestNoticesAreOneASlotUntilSomebodyLooks(t *testing.T) {
	d := &fake{name: "process"}
	r := open(t, d)
	told := 0
	r.Notify(func(uint64) { told++ })
	r.Start("process", driver.Task{Slot: 1, Fence: 10})
	for range 3 {
		d.sink(outcome(1, 10, running))
	}
	if told != 1 {
		t.Fatalf("told %d times before a look", told)
	}
	r.Look(1)
	d.sink(outcome(1, 10, succeeded))
	d.sink(outcome(1, 10, failed)) // an end is final
	d.sink(outcome(1, 9, failed))  // and an older attempt is no news
	if told != 2 {
		t.Fatalf("told %d times after a look", told)
	}
	d.sink(driver.Event{Slot: 1, Fence: 10, Released: true})
	if s := r.Look(1); !s.Released || s.Outcome.Phase != succeeded || s.Fence != 10 {
		t.Fatalf("%+v", s)
	}
	r.Forget(1)
	d.sink(driver.Event{Slot: 1, Released: true})
	if s := r.Look(1); s.Known || r.Slots() != nil {
		t.Fatalf("forgotten, and there again: %+v", s)
	}
}

func TestStartIsOnceAFence(t *testing.T) {
	d := &fake{name: "process"}
	r := open(t, d)
	for _, fence := range []uint64{10, 10, 9, 11} {
		r.Start("process", driver.Task{Slot: 1, Fence: fence})
	}
	r.Stop(1, 11, "why")
	r.Stop(2, 12, "nobody has it")
	if !r.Release(1, "done") || r.Release(2, "done") {
		t.Error("release of a slot that a driver has or has not")
	}
	if want := []string{"start 10", "start 11", "stop 1 11 why", "release 1 done"}; !slices.Equal(d.said, want) {
		t.Fatalf("driver heard %q", d.said)
	}
}

func TestW6_DriverThatPanicsHasFailedTheAttempt(t *testing.T) {
	r := open(t, &fake{name: "func", panics: true})
	r.Start("func", driver.Task{Slot: 1, Fence: 10})
	if s := r.Look(1); s.Outcome == nil || s.Outcome.Phase != failed || s.Outcome.Reason != "driver func panicked: no" {
		t.Fatalf("%+v", s.Outcome)
	}
}

func TestLogsComeFromWhoeverKnowsTheAttempt(t *testing.T) {
	r := open(t, &fake{name: "func", knows: "f"}, &fake{name: "process", knows: "p"})
	for stage, want := range map[string]string{"f": "func", "p": "process"} {
		got := ""
		err := r.Logs(t.Context(), &v1.LogsRequest{Stage: stage}, func(c *v1.LogChunk) error { got += string(c.GetData()); return nil })
		if err != nil || got != want {
			t.Errorf("stage %s: %q, %v", stage, got, err)
		}
	}
	if err := r.Logs(t.Context(), &v1.LogsRequest{Stage: "x"}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestOpenThatFailsClosesWhatWasOpened(t *testing.T) {
	first, second := &fake{name: "func"}, &fake{name: "process", openErr: errors.New("no directory")}
	_, err := Open(context.Background(), map[string]driver.Driver{"func": first, "process": second})
	if err == nil || !strings.Contains(err.Error(), "open driver process: no directory") {
		t.Fatal(err)
	}
	if !slices.Equal(first.said, []string{"close"}) || second.said != nil {
		t.Fatalf("%q, %q", first.said, second.said)
	}
}

// Drivers tell from any goroutine, while actors look.
func TestFromManyGoroutines(t *testing.T) {
	d := &fake{name: "process"}
	r := open(t, d)
	told := make(chan uint64, 4096)
	r.Notify(func(slot uint64) { told <- slot })
	var all sync.WaitGroup
	for slot := range uint64(8) {
		all.Go(func() {
			for fence := range uint64(100) {
				r.Start("process", driver.Task{Slot: slot, Fence: fence + 1})
				d.sink(outcome(slot, fence+1, running))
				d.sink(outcome(slot, fence+1, succeeded))
			}
		})
		all.Go(func() {
			for range 100 {
				r.Look(slot)
			}
		})
	}
	all.Wait()
	for slot := range uint64(8) {
		if s := r.Look(slot); s.Fence != 100 || s.Outcome.Phase != succeeded {
			t.Errorf("slot %d: %+v", slot, s)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}
