package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/compose"
	"google.golang.org/protobuf/proto"
)

// steps are what a job called hi goes through, look after look, after its submit.
func steps(last string) []*v1.JobStatus {
	at := func(phase string, done, running, dead uint64) *v1.JobStatus {
		c := &v1.Counts{Wanted: 4, Done: done, Running: running, Dead: dead, FailedAttempts: 3 * dead, Waiting: 4 - done - running - dead}
		return &v1.JobStatus{Queue: "default", Name: "hi", Uid: 7, Kind: "batch", Phase: phase, SubmittedUnixMs: moment.UnixMilli(), Counts: c,
			Stages: []*v1.StageStatus{{Name: "one", Phase: phase, Counts: c, ResultBytes: 5 * done}}}
	}
	end := at(last, 4, 0, 0)
	if last == "failed" {
		end = at(last, 3, 0, 1)
		end.Reason = "an instance of stage one is dead"
		end.Failures = []*v1.InstanceFailure{{Index: 2, Failures: 3, Final: true, Node: "node-a", ExitCode: 9, TimeUnixNano: moment.UnixNano()}}
	}
	end.EndedUnixMs = moment.UnixMilli() + 3000
	return []*v1.JobStatus{at("pending", 0, 0, 0), at("running", 1, 2, 0), at("running", 2, 2, 0), end}
}

func runHarness(t *testing.T, last string) (*harness, string) {
	h := newHarness(t)
	h.cell.next["default/hi"] = steps(last)
	h.cell.result["hi/one"] = []*v1.InstanceResult{{Index: 0, Data: []byte("first\n")}, {Index: 3, Data: []byte("last\n")}}
	return h, h.file("good.yaml", goodJob)
}

func TestRunShowsProgressAndOutcome(t *testing.T) {
	for _, last := range []string{"succeeded", "failed"} {
		h, file := runHarness(t, last)
		synctest.Test(t, func(*testing.T) { h.transcript("run_"+last, "run "+file) })
		if h.opened != 1 || h.reached != 0 || !h.cell.closed {
			t.Errorf("%d cells opened, %d reached, closed %v; want one of its own, closed", h.opened, h.reached, h.cell.closed)
		}
	}
}

func TestX4_RunSaysWhyNothingRuns(t *testing.T) {
	h, file := runHarness(t, "succeeded")
	pending, rest := h.cell.next["default/hi"][0], h.cell.next["default/hi"][1:]
	pending.Counts.Waiting = 4
	h.cell.next["default/hi"] = append(slices.Repeat([]*v1.JobStatus{pending}, 20), rest...)
	synctest.Test(t, func(t *testing.T) {
		_, _, stderr := h.runIn(context.Background(), true, "run", file)
		waits, runs, _ := strings.Cut(stderr, "2 running")
		if strings.Count(waits, "waits: hi waits for memory") == 0 || strings.Contains(runs, "waits:") {
			t.Errorf("progress %q", stderr)
		}
	})
}

func TestRunOnATerminalRedraws(t *testing.T) {
	h, file := runHarness(t, "succeeded")
	synctest.Test(t, func(t *testing.T) {
		code, stdout, stderr := h.runIn(context.Background(), true, "run", file)
		if code != 0 || !strings.Contains(stderr, "\x1b[3A") || !strings.HasSuffix(stderr, "\x1b[J") {
			t.Errorf("exit %d, progress %q", code, stderr)
		}
		if strings.ContainsRune(stdout, 0x1b) || !strings.Contains(stdout, "one/3  last") {
			t.Errorf("outcome %q", stdout)
		}
	})
}

func TestRunJSONIsOneDocument(t *testing.T) {
	h, file := runHarness(t, "succeeded")
	synctest.Test(t, func(t *testing.T) {
		code, stdout, stderr := h.run("run", file, "--json")
		var report Report
		if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != 0 || strings.Count(stdout, "\n") != 1 {
			t.Fatalf("exit %d, %v: %s", code, err, stdout)
		}
		if len(report.Results) != 2 || report.Results[1].Index != 3 || report.Results[1].Text != "last\n" {
			t.Errorf("results %+v", report.Results)
		}
		if stderr != "" {
			t.Errorf("a program gets progress: %q", stderr)
		}
	})
}

func TestRunInANamedCell(t *testing.T) {
	h, file := runHarness(t, "succeeded")
	synctest.Test(t, func(t *testing.T) {
		if code, _, stderr := h.run("run", file, "--nats", "nats://127.0.0.1:4333"); code != 0 || h.opened != 0 || h.reached != 1 {
			t.Errorf("exit %d, %d opened, %d reached: %s", code, h.opened, h.reached, stderr)
		}
	})
	h, file = runHarness(t, "succeeded")
	h.file(".config/troupe/config.yaml", "context: prod\ncontexts:\n  prod: {url: 'nats://127.0.0.1:4333'}\n")
	synctest.Test(t, func(t *testing.T) {
		if code, _, stderr := h.run("run", file); code != 0 || h.opened != 0 || h.reached != 1 {
			t.Errorf("with a context: exit %d, %d opened, %d reached: %s", code, h.opened, h.reached, stderr)
		}
	})
}

// interruptAt runs with a context that a signal ends after a while.
func (h *harness) interruptAt(after time.Duration, args ...string) (int, string, string) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	time.AfterFunc(after, func() { cancel(errInterrupted) })
	return h.runIn(ctx, false, args...)
}

func TestInterruptStopsTheJob(t *testing.T) {
	h, file := runHarness(t, "succeeded")
	h.cell.next["default/hi"] = steps("succeeded")[:2] // it would run for ever
	synctest.Test(t, func(t *testing.T) {
		code, stdout, stderr := h.interruptAt(2200*time.Millisecond, "run", file)
		if code != exitInterrupted || stdout != "" {
			t.Errorf("exit %d, %q", code, stdout)
		}
		for _, want := range []string{"interrupted: stopping default/hi", "default/hi stopped: 1 of 4 instances were done"} {
			if !strings.Contains(stderr, want) {
				t.Errorf("%q is not said: %s", want, stderr)
			}
		}
	})
	var stop *v1.StopRequest
	for _, m := range h.cell.asked {
		if s, ok := m.(*v1.StopRequest); ok {
			stop = s
		}
	}
	if !proto.Equal(stop, &v1.StopRequest{Queue: "default", Name: "hi", Reason: "interrupted"}) || !h.cell.closed {
		t.Errorf("stop %v, closed %v", stop, h.cell.closed)
	}
}

func TestInterruptWaitsInBounds(t *testing.T) {
	h, file := runHarness(t, "succeeded")
	h.cell.next["default/hi"], h.cell.stuck = steps("succeeded")[:2], true
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		code, _, stderr := h.interruptAt(time.Second, "run", file)
		if took := time.Since(begun); code != exitInterrupted || took > 25*time.Second || !strings.Contains(stderr, "did not end in time") {
			t.Errorf("exit %d after %v: %s", code, took, stderr)
		}
	})
	if !h.cell.closed {
		t.Error("the cell was left open")
	}
	h, file = runHarness(t, "succeeded")
	h.cell.next["default/hi"], h.cell.stuck = steps("succeeded")[:2], true
	synctest.Test(t, func(t *testing.T) {
		h.hurry = make(chan struct{})
		time.AfterFunc(3*time.Second, func() { close(h.hurry) })
		begun := time.Now()
		if code, _, stderr := h.interruptAt(time.Second, "run", file); code != exitInterrupted || time.Since(begun) > 4*time.Second {
			t.Errorf("a second interrupt: exit %d after %v: %s", code, time.Since(begun), stderr)
		}
	})
}

func TestRunWhenTheCellFails(t *testing.T) {
	h, file := runHarness(t, "succeeded")
	h.cell.next["default/hi"] = steps("succeeded")[:2]
	h.cell.failed = errors.New("the disk is full")
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		h.cell.done = done
		time.AfterFunc(3*time.Second, func() { close(done) })
		code, _, stderr := h.run("run", file)
		if code != exitFailed || !strings.Contains(stderr, "the cell failed: the disk is full") {
			t.Errorf("exit %d: %s", code, stderr)
		}
	})
	h.cell.fail = []error{model.Conflict("a job of that name lives")}
	synctest.Test(t, func(t *testing.T) {
		h.cell.done = make(chan struct{})
		if code, _, stderr := h.run("run", file); code != exitFailed || !strings.Contains(stderr, "lives") {
			t.Errorf("a refused job: exit %d: %s", code, stderr)
		}
	})
}

func TestWaitingIsNotStopping(t *testing.T) {
	h, file := runHarness(t, "succeeded")
	h.cell.next["default/hi"] = steps("succeeded")[:2]
	synctest.Test(t, func(t *testing.T) {
		code, _, stderr := h.interruptAt(3*time.Second, "job", "submit", file, "--wait")
		if code != exitInterrupted || !strings.Contains(stderr, "the job goes on; see troupe job status hi") {
			t.Errorf("exit %d: %s", code, stderr)
		}
	})
	for _, m := range h.cell.asked {
		if _, ok := m.(*v1.StopRequest); ok {
			t.Error("the job was stopped")
		}
	}
	h, file = runHarness(t, "failed")
	synctest.Test(t, func(t *testing.T) {
		if code, _, _ := h.run("job", "submit", file, "--wait"); code != exitFailed {
			t.Errorf("a failed job exits with %d", code)
		}
	})
}

func TestFollowNoticesAnotherJobOfTheName(t *testing.T) {
	h, file := runHarness(t, "succeeded")
	other := steps("succeeded")[1]
	other.Uid = 8
	h.cell.next["default/hi"] = []*v1.JobStatus{other}
	synctest.Test(t, func(t *testing.T) {
		if code, _, stderr := h.run("job", "submit", file, "--wait"); code != exitFailed || !strings.Contains(stderr, "is another job now") {
			t.Errorf("exit %d: %s", code, stderr)
		}
	})
}

func TestServersSayWhereTheyAreAndEndOnASignal(t *testing.T) {
	for _, role := range []string{"dev", "master", "node"} {
		h := newHarness(t)
		synctest.Test(t, func(t *testing.T) {
			code, stdout, stderr := h.interruptAt(time.Minute, role, "--dir", "/data")
			if code != exitOK || !h.server.closed || !strings.Contains(stdout, "nats://127.0.0.1:4222") {
				t.Errorf("%s: exit %d, closed %v: %s%s", role, code, h.server.closed, stdout, stderr)
			}
			golden(t, role, strings.ReplaceAll(stdout, h.home, "$HOME"))
		})
	}
	h := newHarness(t)
	synctest.Test(t, func(t *testing.T) {
		code, stdout, _ := h.interruptAt(time.Minute, "dev", "--json", "--nats-listen", "127.0.0.1:4333", "--cell", "main")
		var facts compose.Facts
		if err := json.Unmarshal([]byte(stdout), &facts); err != nil || code != exitOK || facts.NATS != "nats://127.0.0.1:4333" || facts.Cell != "main" {
			t.Errorf("exit %d, %v: %s", code, err, stdout)
		}
	})
}

func TestServerThatFailsEndsTheProcess(t *testing.T) {
	h := newHarness(t)
	h.broken = errors.New("the journal is fenced")
	synctest.Test(t, func(t *testing.T) {
		code, _, stderr := h.run("master")
		if code != exitFailed || !strings.Contains(stderr, "master of cell local failed: the journal is fenced") || !h.server.closed {
			t.Errorf("exit %d, closed %v: %s", code, h.server.closed, stderr)
		}
	})
}
