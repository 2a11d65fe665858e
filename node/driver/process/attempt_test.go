//go:build linux || darwin

package process_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/driver/drivertest"
	"github.com/troupe-sched/troupe/node/driver/process/internal/host"
	"github.com/troupe-sched/troupe/node/driver/process/internal/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	succeeded = v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED
	failed    = v1.AttemptPhase_ATTEMPT_PHASE_FAILED
)

// TestS12_ChildrenDieWithTheAttempt: what the main process leaves behind is killed before the end is told.
func TestS12_ChildrenDieWithTheAttempt(t *testing.T) {
	r := drivertest.NewRig(t, subject())
	for _, rest := range []string{`exit 0`, `exit 3`, `kill -KILL $$`} {
		task := r.Start(sh(r, 1, family(rest)))
		r.AwaitEnd(task)
		checkDead(t, pids(t, r, task))
	}
	if o := r.Run(1, drivertest.Succeed); o.Phase != succeeded {
		t.Errorf("the next attempt: %+v", o)
	}
}

// TestS12_LongLife: a program that orphans children for long leaves no zombies, and signals that end other programs do
// not end its shim.
func TestS12_LongLife(t *testing.T) {
	r := drivertest.NewRig(t, subject())
	task := r.Start(sh(r, 1, `for i in 1 2 3; do (sh -c 'exit 0' &); done; `+
		`while :; do n=$((n%1000+1)); echo "$n 1000" >>"$TROUPE_PROGRESS"; done`))
	first := r.Await(1, "progress", func(e driver.Event) bool { return e.Outcome.ProgressMilli > 0 })
	shim := shimOf(t, r, 1)
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		signal(t, shim, sig)
	}
	// The second report is a second later: the shim has looked after orphans by then.
	r.Await(1, "more progress", func(e driver.Event) bool { return e.Outcome.ProgressMilli != first.Outcome.ProgressMilli })
	all, err := host.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.Zombie && p.Parent == shim {
			t.Errorf("zombie %+v", p)
		}
	}
	r.D.Stop(1, task.Fence, "enough")
	if o := r.AwaitEnd(task); o.Reason != "stopped: enough; signal: terminated" {
		t.Errorf("outcome %+v", o)
	}
}

// TestF13_WhyItDidNotStart: each way has a reason that says what to do.
func TestF13_WhyItDidNotStart(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	r := drivertest.NewRig(t, subject())
	for name, test := range map[string]struct {
		change func(*v1.StageSpec)
		code   int32
		reason string
	}{
		"not in PATH":     {func(s *v1.StageSpec) { s.Command = []string{"frobnicate"} }, 127, `command "frobnicate" not found in PATH "`},
		"own PATH":        {func(s *v1.StageSpec) { s.Env["PATH"] = "/nowhere" }, 127, `command "sh" not found in PATH "/nowhere"`},
		"no file":         {func(s *v1.StageSpec) { s.Command = []string{"/no/such"} }, 127, `command "/no/such" not found`},
		"not executable":  {func(s *v1.StageSpec) { s.Command = []string{write("data", "x", 0o600)} }, 126, "permission denied"},
		"no interpreter":  {func(s *v1.StageSpec) { s.Command = []string{write("script", "#!/no/such\n", 0o700)} }, 127, "interpreter"},
		"not a program":   {func(s *v1.StageSpec) { s.Command = []string{write("noise", "\x01\x02", 0o700)} }, 126, "not a program"},
		"too long":        {func(s *v1.StageSpec) { s.Command = []string{"true", strings.Repeat("x", 3<<20)} }, 126, "too long"},
		"no directory":    {func(s *v1.StageSpec) { s.Dir = "/no/such/dir" }, 127, `working directory "/no/such/dir": no such file`},
		"not a directory": {func(s *v1.StageSpec) { s.Dir = write("plain", "", 0o600) }, 127, "is not a directory"},
		"relative dir":    {func(s *v1.StageSpec) { s.Dir = "work" }, -1, `dir "work" is not an absolute path`},
		"no command":      {func(s *v1.StageSpec) { s.Command = nil }, -1, "command is empty"},
		"zero byte":       {func(s *v1.StageSpec) { s.Command = []string{"sh", "a\x00"} }, -1, "command[1] holds a zero byte"},
		"env name":        {func(s *v1.StageSpec) { s.Env["A=B"] = "" }, -1, `env "A=B"`},
		"env of ours":     {func(s *v1.StageSpec) { s.Env["TROUPE_FENCE"] = "1" }, -1, `env "TROUPE_FENCE" is set by the agent`},
		"signal":          {func(s *v1.StageSpec) { s.Stop.Signal = "TREM" }, -1, `stop.signal "TREM" is not a signal`},
	} {
		t.Run(name, func(t *testing.T) {
			task := r.Task(1, drivertest.Succeed)
			test.change(task.Template.Spec)
			o := r.AwaitEnd(r.Start(task))
			if o.Phase != failed || o.ExitCode != test.code || !strings.Contains(o.Reason, test.reason) {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// TestF10_WhatIsNoResult: anything but a plain file makes the attempt fail, and is gone for the next one.
func TestF10_WhatIsNoResult(t *testing.T) {
	r := drivertest.NewRig(t, subject())
	for _, script := range []string{`mkdir "$TROUPE_RESULT"; touch "$TROUPE_RESULT/x"`, `ln -s /etc/passwd "$TROUPE_RESULT"`, `mkfifo "$TROUPE_RESULT"`} {
		if o := r.AwaitEnd(r.Start(sh(r, 1, script))); o.Phase != failed || !strings.Contains(o.Reason, "result cannot be read") {
			t.Errorf("%s: outcome %+v", script, o)
		}
		if o := r.Run(1, drivertest.Succeed); o.Phase != succeeded || len(o.Result) != 0 {
			t.Errorf("after %s: outcome %+v", script, o)
		}
	}
	// A result that a failed attempt left is not that of the next.
	r.AwaitEnd(r.Start(sh(r, 1, `echo stale >"$TROUPE_RESULT"; echo 1 >"$TROUPE_PROGRESS"; exit 1`)))
	if o := r.Run(1, drivertest.Succeed); len(o.Result) != 0 || o.ProgressMilli != 0 {
		t.Errorf("outcome %+v", o)
	}
}

// TestF10_FreshDirectory: every attempt begins in an empty directory, whatever the one before did to it.
func TestF10_FreshDirectory(t *testing.T) {
	r := drivertest.NewRig(t, subject())
	for _, script := range []string{`mkdir -p a/b; touch .c a/b/d; chmod 500 a/b a`, `rm -rf "$PWD"`, `chmod 0 .`} {
		if o := r.AwaitEnd(r.Start(sh(r, 1, script))); o.Phase != succeeded {
			t.Errorf("%s: outcome %+v", script, o)
		}
		task := sh(r, 1, `ls -A && pwd && touch ok`)
		if o := r.AwaitEnd(r.Start(task)); o.Phase != succeeded {
			t.Errorf("after %s: outcome %+v", script, o)
		}
		if out, _ := r.Output(&v1.LogsRequest{Fence: task.Fence}, "stdout"); strings.Count(out, "\n") != 1 {
			t.Errorf("after %s the next attempt found %q", script, out)
		}
	}
	task := sh(r, 1, `pwd`)
	task.Template.Spec.Dir = "/"
	r.AwaitEnd(r.Start(task))
	if out, _ := r.Output(&v1.LogsRequest{Fence: task.Fence}, "stdout"); out != "/\n" {
		t.Errorf("a directory of its own: %q", out)
	}
}

// TestS12_NonBlockingOutput: a program that makes its output non-blocking does not do so to the next one.
func TestS12_NonBlockingOutput(t *testing.T) {
	r := drivertest.NewRig(t, subject())
	task := r.Task(1, drivertest.Succeed)
	task.Template.Spec.Command = []string{os.Args[0], "nonblock"}
	if o := r.AwaitEnd(r.Start(task)); o.Phase != succeeded {
		t.Fatalf("outcome %+v", o)
	}
	task = sh(r, 1, `head -c 3000000 /dev/zero`)
	if o := r.AwaitEnd(r.Start(task)); o.Phase != succeeded {
		t.Errorf("outcome %+v", o)
	}
	out, skipped := r.Output(&v1.LogsRequest{Fence: task.Fence}, "stdout")
	if int64(len(out))+skipped != 3_000_000 {
		t.Errorf("%d bytes are kept and %d skipped of 3000000", len(out), skipped)
	}
}

// TestS12_LogsThatCannotBeWritten: output is dropped then, and the attempt does not notice.
func TestS12_LogsThatCannotBeWritten(t *testing.T) {
	r := drivertest.NewRig(t, subject())
	task := r.Task(1, drivertest.Flood)
	id := wire.LogID{Fence: task.Fence, UID: 42, Index: 5, Stage: task.Template.Spec.Name}
	if err := os.WriteFile(filepath.Join(r.Dir, "logs", id.String()), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if o := r.AwaitEnd(r.Start(task)); o.Phase != succeeded {
		t.Errorf("outcome %+v", o)
	}
}

// TestS12_LogBudget: of ended attempts the newest output is kept, by count and by bytes, also by the next agent.
func TestS12_LogBudget(t *testing.T) {
	for _, limit := range []string{"count", "bytes"} {
		t.Run(limit, func(t *testing.T) {
			s := subject()
			s.New = func(t *testing.T, dir string) driver.Driver {
				opt := options(dir)
				if limit == "count" {
					opt.LogsKept = 2
				} else {
					opt.LogBytes = 250
				}
				return newDriver(t, opt)
			}
			r := drivertest.NewRig(t, s)
			var fences []uint64
			for range 4 {
				task := r.Start(sh(r, 1, `head -c 100 /dev/zero`))
				r.AwaitEnd(task)
				fences = append(fences, task.Fence)
			}
			r.Run(1, drivertest.Succeed) // so that the slot itself remembers none of them
			for range 2 {
				for i, fence := range fences {
					err := r.D.Logs(context.Background(), &v1.LogsRequest{Fence: fence}, func(*v1.LogChunk) error { return nil })
					if gone := errors.Is(err, fs.ErrNotExist); gone != (i < 2) {
						t.Errorf("logs of attempt %d of 4: %v", i+1, err)
					}
				}
				if err := r.D.Close(); err != nil {
					t.Fatal(err)
				}
				r.Open()
			}
		})
	}
}

func TestS12_SlotLimit(t *testing.T) {
	s := subject()
	s.New = func(t *testing.T, dir string) driver.Driver {
		opt := options(dir)
		opt.SlotsMax = 1
		return newDriver(t, opt)
	}
	r := drivertest.NewRig(t, s)
	r.Run(1, drivertest.Succeed)
	if o := r.Run(2, drivertest.Succeed); o.Phase != failed || !strings.Contains(o.Reason, "holds 1 slots, its limit") {
		t.Errorf("outcome %+v", o)
	}
}

// TestX7_TemplateMayChange: a slot takes the template that comes with a task.
func TestX7_TemplateMayChange(t *testing.T) {
	r := drivertest.NewRig(t, subject())
	for i := range 3 {
		task := sh(r, 1, fmt.Sprintf(`printf %d >"$TROUPE_RESULT"`, i))
		if o := r.AwaitEnd(r.Start(task)); string(o.Result) != fmt.Sprint(i) {
			t.Errorf("outcome %+v", o)
		}
	}
	task := r.Task(1, drivertest.Succeed)
	task.Results = func(string) (map[uint64][]byte, error) { return nil, nil }
	if o := r.AwaitEnd(r.Start(task)); o.Phase != failed || !strings.Contains(o.Reason, "in a directory") {
		t.Errorf("outcome %+v", o)
	}
}
