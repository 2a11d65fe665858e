package drivertest

import (
	"bytes"
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
	succeeded = v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED
	failed    = v1.AttemptPhase_ATTEMPT_PHASE_FAILED
	stopped   = v1.AttemptPhase_ATTEMPT_PHASE_STOPPED
	running   = v1.AttemptPhase_ATTEMPT_PHASE_RUNNING
)

// Run runs the suite. The names carry the mission ids that they show: S12 the agent runs and watches all kinds of work,
// F9 progress, F10 and F13 the attempt as the unit of retry, F4 reuse of slots, B46 work survives its agent,
// X7 one lifecycle for functions and processes, W6 a crash frees its slot.
func Run(t *testing.T, s *Subject) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *Rig)
	}{
		{"X7_Succeeds", testSucceeds},
		{"F13_Fails", testFails},
		{"F13_MissingCommandIsNamed", testMissing},
		{"W6_CrashFreesTheSlot", testCrash},
		{"S12_TimesOut", testTimeout},
		{"X7_StopsOnRequest", testStop},
		{"X7_StubbornIsEndedAfterItsGrace", testStubborn},
		{"F10_Result", testResult},
		{"F10_ResultTooLarge", testResultLimit},
		{"F10_InputsOfEarlierStages", testInputs},
		{"F9_Progress", testProgress},
		{"S12_KnowsItself", testFacts},
		{"S12_LogsKeepEveryByte", testLogs},
		{"S12_LogsFollow", testFollow},
		{"S12_LogsTail", testTail},
		{"S12_LogsNotThere", testNoLogs},
		{"S12_FloodIsBoundedAndNeverBlocks", testFlood},
		{"F4_SlotIsReused", testReuse},
		{"X7_BusySlotRefuses", testBusy},
		{"X7_RepeatedCallsChangeNothing", testRepeated},
		{"X7_ReleaseWhileRunning", testRelease},
		{"X7_ReleaseOfNothing", testReleaseNothing},
		{"S12_ManySlotsAtOnce", testMany},
		{"B46_AttemptOutlivesAgent", testAdopt},
		{"B46_EndIsKeptForTheNextAgent", testAdoptEnded},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, NewRig(t, s)) })
	}
}

func want(t *testing.T, o driver.Outcome, phase v1.AttemptPhase, reason string) {
	t.Helper()
	if o.Phase != phase || !strings.Contains(o.Reason, reason) || reason == "" && o.Reason != "" {
		t.Fatalf("ended %v with reason %q, want %v with %q", o.Phase, o.Reason, phase, reason)
	}
	if o.Ended.Before(o.Started) || o.Ended.IsZero() {
		t.Errorf("started at %v, ended at %v", o.Started, o.Ended)
	}
}

func testSucceeds(t *testing.T, r *Rig) {
	o := r.Run(1, Succeed)
	want(t, o, succeeded, "")
	if o.ExitCode != 0 || len(o.Result) != 0 || o.Started.IsZero() {
		t.Errorf("outcome %+v", o)
	}
}

func testFails(t *testing.T, r *Rig) {
	o := r.Run(1, Fail)
	reason, code := "it is broken", int32(1)
	if r.subject.TwoStreams {
		reason, code = "exit status 3", 3
	}
	want(t, o, failed, reason)
	if o.ExitCode != code {
		t.Errorf("exit code %d, want %d", o.ExitCode, code)
	}
	// The unit of retry is the attempt: the next one in the slot is a new life.
	want(t, r.Run(1, Succeed), succeeded, "")
}

func testMissing(t *testing.T, r *Rig) {
	want(t, r.Run(1, Missing), failed, `"missing"`)
	want(t, r.Run(1, Succeed), succeeded, "")
}

func testCrash(t *testing.T, r *Rig) {
	reason := "panic: it is broken"
	if r.subject.TwoStreams {
		reason = "signal: segmentation fault"
	}
	want(t, r.Run(1, Crash), failed, reason)
	want(t, r.Run(1, Succeed), succeeded, "")
}

func testTimeout(t *testing.T, r *Rig) {
	task := r.Task(1, Hang)
	task.Template.TimeoutMs = 200
	want(t, r.AwaitEnd(r.Start(task)), failed, "timeout after 200ms")
}

func testStop(t *testing.T, r *Rig) {
	task := r.StartReady(r.Task(1, Hang))
	r.D.Stop(1, task.Fence+100, "of another fence, which changes nothing")
	r.D.Stop(1, task.Fence, "enough")
	want(t, r.AwaitEnd(task), stopped, "stopped: enough")
}

func testStubborn(t *testing.T, r *Rig) {
	task := r.Task(1, Stubborn)
	task.Template.GraceMs = 50
	r.StartReady(task)
	r.D.Stop(1, task.Fence, "enough")
	want(t, r.AwaitEnd(task), stopped, "stopped: enough")
	if r.subject.Unblock == nil {
		want(t, r.Run(1, Succeed), succeeded, "")
		return
	}
	// What cannot be killed keeps its slot until it ends by itself.
	want(t, r.Run(1, Succeed), failed, "did not return")
	r.D.Release(1, "enough")
	for _, e := range r.Events(1) {
		if e.Released {
			t.Fatal("a slot was released while its function went on")
		}
	}
	r.subject.Unblock()
	r.Await(1, "released", func(e driver.Event) bool { return e.Released })
}

func testResult(t *testing.T, r *Rig) {
	o := r.Run(1, WriteResult)
	want(t, o, succeeded, "")
	if string(o.Result) != "result of 5" {
		t.Errorf("result %q", o.Result)
	}
	// The result of one attempt is not that of the next.
	if o = r.Run(1, Succeed); len(o.Result) != 0 {
		t.Errorf("an attempt without a result has %q", o.Result)
	}
}

func testResultLimit(t *testing.T, r *Rig) {
	o := r.Run(1, WriteLargest)
	want(t, o, succeeded, "")
	if len(o.Result) != driver.ResultMax {
		t.Errorf("result has %d bytes", len(o.Result))
	}
	o = r.Run(1, WriteTooLarge)
	want(t, o, failed, "result too large: 65537 bytes, limit 65536")
	if len(o.Result) != 0 {
		t.Errorf("result has %d bytes", len(o.Result))
	}
}

func testInputs(t *testing.T, r *Rig) {
	before := map[uint64][]byte{0: []byte("a"), 1: []byte("b"), 2: []byte("c")}
	task := r.Task(1, SumInputs)
	if r.subject.MemoryInputs {
		task.Results = func(stage string) (map[uint64][]byte, error) {
			if stage != "before" {
				return nil, fmt.Errorf("stage %q was not asked for", stage)
			}
			return before, nil
		}
		o := r.AwaitEnd(r.Start(task))
		want(t, o, succeeded, "")
		if string(o.Result) != "abc" {
			t.Errorf("result %q, want abc", o.Result)
		}
		task = r.Task(1, SumInputs)
	}
	task.Inputs = writeInputs(t, before)
	o := r.AwaitEnd(r.Start(task))
	want(t, o, succeeded, "")
	if string(o.Result) != "abc" {
		t.Errorf("result %q, want abc", o.Result)
	}
}

func testProgress(t *testing.T, r *Rig) {
	task := r.Start(r.Task(1, ReportProgress))
	e := r.Await(1, "progress", func(e driver.Event) bool { return e.Outcome.ProgressMilli == 250 })
	if e.Outcome.Phase != running || e.Fence != task.Fence || e.Outcome.Started.IsZero() {
		t.Errorf("event %+v", e)
	}
	r.D.Stop(1, task.Fence, "enough")
	if o := r.AwaitEnd(task); o.ProgressMilli != 250 {
		t.Errorf("progress at the end is %d", o.ProgressMilli)
	}
}

func testFacts(t *testing.T, r *Rig) {
	for range 2 {
		task := r.Task(1, PrintEnv)
		want(t, r.AwaitEnd(r.Start(task)), succeeded, "")
		if out, _ := r.Output(&v1.LogsRequest{Fence: task.Fence}, "stdout"); out != Facts(task) {
			t.Errorf("it says\n%s, want\n%s", out, Facts(task))
		}
	}
}

func testLogs(t *testing.T, r *Rig) {
	first := r.Task(1, Print)
	want(t, r.AwaitEnd(r.Start(first)), succeeded, "")
	second := r.Task(2, Print)
	second.Index = 6
	want(t, r.AwaitEnd(r.Start(second)), succeeded, "")
	stage := first.Template.Spec.Name
	for _, req := range []*v1.LogsRequest{
		{Fence: first.Fence},
		{Uid: 42, Stage: stage, Index: 5},
		{Uid: 42, Stage: stage, Index: 6, Follow: true},
	} {
		if out, _ := r.Output(req, "stdout"); out != OutText {
			t.Errorf("%v: stdout %q, want %q", req, out, OutText)
		}
		if out, _ := r.Output(req, "stderr"); r.subject.TwoStreams && out != ErrText {
			t.Errorf("%v: stderr %q, want %q", req, out, ErrText)
		}
	}
	// Released slots leave their logs.
	r.D.Release(1, "done")
	r.Await(1, "released", func(e driver.Event) bool { return e.Released })
	if out, _ := r.Output(&v1.LogsRequest{Fence: first.Fence}, "stdout"); out != OutText {
		t.Errorf("after the release stdout is %q, want %q", out, OutText)
	}
}

func testFollow(t *testing.T, r *Rig) {
	task := r.StartReady(r.Task(1, Hang))
	read := make(chan string, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- r.D.Logs(context.Background(), &v1.LogsRequest{Fence: task.Fence, Follow: true}, func(c *v1.LogChunk) error {
			read <- string(c.Data)
			return nil
		})
	}()
	if text := <-read; text != "ready\n" {
		t.Errorf("read %q", text)
	}
	r.D.Stop(1, task.Fence, "enough")
	if err := <-ended; err != nil {
		t.Errorf("following ended with %v", err)
	}
	// A follower that goes away is let go.
	task = r.StartReady(r.Task(1, Hang))
	ctx, cancel := context.WithCancel(context.Background())
	err := r.D.Logs(ctx, &v1.LogsRequest{Fence: task.Fence, Follow: true}, func(*v1.LogChunk) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("following ended with %v", err)
	}
}

func testTail(t *testing.T, r *Rig) {
	task := r.Task(1, Print)
	want(t, r.AwaitEnd(r.Start(task)), succeeded, "")
	out, skipped := r.Output(&v1.LogsRequest{Fence: task.Fence, TailBytes: 4}, "stdout")
	if out != OutText[len(OutText)-4:] || skipped != 0 {
		t.Errorf("tail %q, skipped %d", out, skipped)
	}
}

func testNoLogs(t *testing.T, r *Rig) {
	nothing := func(c *v1.LogChunk) error { return fmt.Errorf("unexpected %v", c) }
	for _, req := range []*v1.LogsRequest{{Fence: 999}, {Uid: 7, Stage: "stage-s", Index: 5}} {
		if err := r.D.Logs(context.Background(), req, nothing); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v: %v, want fs.ErrNotExist", req, err)
		}
	}
	if err := r.D.Logs(context.Background(), &v1.LogsRequest{}, nothing); err == nil || !strings.Contains(err.Error(), "fence") {
		t.Errorf("a request for nothing: %v", err)
	}
	// An attempt that printed nothing has a log, an empty one.
	task := r.Task(1, Succeed)
	want(t, r.AwaitEnd(r.Start(task)), succeeded, "")
	if err := r.D.Logs(context.Background(), &v1.LogsRequest{Fence: task.Fence}, nothing); err != nil {
		t.Error(err)
	}
}

func testFlood(t *testing.T, r *Rig) {
	task := r.Task(1, Flood)
	want(t, r.AwaitEnd(r.Start(task)), succeeded, "")
	const total = FloodLines * 64
	out, skipped := r.Output(&v1.LogsRequest{Fence: task.Fence}, "stdout")
	if len(out) < 64<<10 || len(out) > 1<<20 || int64(len(out))+skipped != total {
		t.Errorf("%d bytes are kept, %d skipped, of %d", len(out), skipped, total)
	}
	if last := out[len(out)-64:]; !strings.HasPrefix(last, "the end") {
		t.Errorf("last line %q", last)
	}
	want(t, r.Run(1, Succeed), succeeded, "")
}

func testReuse(t *testing.T, r *Rig) {
	first := r.Task(1, WriteResult)
	for i := range uint64(100) {
		task := first // one template, as the tasks of a stage have
		task.Fence, task.Index = first.Fence+i, i
		o := r.AwaitEnd(r.Start(task))
		want(t, o, succeeded, "")
		if string(o.Result) != fmt.Sprintf("result of %d", i) {
			t.Fatalf("attempt %d: result %q", i, o.Result)
		}
	}
	r.fence += 100
	if n := len(r.Events(1)); n > 200 {
		t.Errorf("100 attempts made %d events", n)
	}
}

func testBusy(t *testing.T, r *Rig) {
	task := r.StartReady(r.Task(1, Hang))
	want(t, r.Run(1, Succeed), failed, fmt.Sprintf("slot 1 is busy with the attempt of fence %d", task.Fence))
	r.D.Stop(1, task.Fence, "enough")
	want(t, r.AwaitEnd(task), stopped, "stopped: enough")
}

func testRepeated(t *testing.T, r *Rig) {
	task := r.StartReady(r.Task(1, Hang))
	r.D.Start(task) // runs already
	r.D.Stop(1, task.Fence, "enough")
	r.D.Stop(1, task.Fence, "more than enough")
	want(t, r.AwaitEnd(task), stopped, "stopped: enough")
	r.D.Stop(1, task.Fence, "it has ended")
	before := len(r.Events(1))
	r.D.Start(task) // has ended: its end is told again, and it does not run twice
	r.Await(1, "the end once more", func(driver.Event) bool { return len(r.Events(1)) > before })
	ends := 0
	for _, e := range r.Events(1) {
		if e.Outcome.IsFinal() {
			ends++
			want(t, e.Outcome, stopped, "stopped: enough")
		}
	}
	if ends != 2 {
		t.Errorf("%d ends were told, want 2", ends)
	}
}

func testRelease(t *testing.T, r *Rig) {
	task := r.StartReady(r.Task(1, Hang))
	r.D.Release(1, "drained")
	r.D.Release(1, "twice")
	r.Await(1, "released", func(e driver.Event) bool { return e.Released })
	// Each call is answered, maybe with one event; the end comes before the first.
	events := r.Events(1)
	first := slices.IndexFunc(events, func(e driver.Event) bool { return e.Released })
	if first == 0 || events[first-1].Fence != task.Fence {
		t.Fatalf("events %+v", events)
	}
	want(t, events[first-1].Outcome, stopped, "stopped: drained")
	// The number may come to life again.
	want(t, r.Run(1, Succeed), succeeded, "")
}

func testReleaseNothing(t *testing.T, r *Rig) {
	r.D.Release(9, "never was")
	r.Await(9, "released", func(e driver.Event) bool { return e.Released })
}

func testMany(t *testing.T, r *Rig) {
	var all sync.WaitGroup
	tasks := make([]driver.Task, 8)
	for i := range tasks {
		tasks[i] = r.Task(uint64(i+1), Print)
		r.slots[tasks[i].Slot] = true
	}
	for _, task := range tasks {
		all.Go(func() { r.D.Start(task) })
	}
	all.Wait()
	for _, task := range tasks {
		want(t, r.AwaitEnd(task), succeeded, "")
	}
}

func testAdopt(t *testing.T, r *Rig) {
	if !r.subject.Adopts {
		t.Skip("attempts of this driver end with the agent")
	}
	task := r.StartReady(r.Task(1, Hang))
	if err := r.D.Close(); err != nil {
		t.Fatal(err)
	}
	found := r.Open()
	if len(found) != 1 || found[0] != (driver.Slot{Slot: 1, Fence: task.Fence, JobUID: 42, Stage: 1, Index: 5, Attempt: 2, Busy: true}) {
		t.Fatalf("found %+v", found)
	}
	e := r.Await(1, "the adopted attempt", func(e driver.Event) bool { return e.Fence == task.Fence })
	if e.Outcome.Phase != running || !e.Adopted || e.Outcome.Started.IsZero() {
		t.Errorf("event %+v", e)
	}
	r.AwaitOutput(task, "ready\n")
	want(t, r.Run(1, Succeed), failed, "is busy")
	r.D.Stop(1, task.Fence, "enough")
	want(t, r.AwaitEnd(task), stopped, "stopped: enough")
	want(t, r.Run(1, Succeed), succeeded, "")
}

func testAdoptEnded(t *testing.T, r *Rig) {
	if !r.subject.Adopts {
		t.Skip("attempts of this driver end with the agent")
	}
	task := r.Task(1, WriteResult)
	want(t, r.AwaitEnd(r.Start(task)), succeeded, "")
	for range 2 { // it is told to every agent until there is a next attempt
		if err := r.D.Close(); err != nil {
			t.Fatal(err)
		}
		if found := r.Open(); len(found) != 1 || !found[0].Busy || found[0].Fence != task.Fence {
			t.Fatalf("found %+v", found)
		}
		o := r.AwaitEnd(task)
		want(t, o, succeeded, "")
		if !bytes.Equal(o.Result, []byte("result of 5")) {
			t.Errorf("result %q", o.Result)
		}
	}
	want(t, r.Run(1, Succeed), succeeded, "")
}
