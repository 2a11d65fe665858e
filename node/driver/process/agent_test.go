//go:build linux || darwin

package process_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/driver/drivertest"
	"github.com/troupe-sched/troupe/node/driver/process"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// agentTask is an attempt of the agent that is killed: slot 1 goes on for ever, slot 2 until the gate is opened.
func agentTask(dir string, slot uint64) driver.Task {
	script := `echo ran >>"$RAN"; echo ready; exec sleep 1000`
	if slot == 2 {
		script = `echo ran >>"$RAN"; echo ready; read x <"$GATE"; printf kept >"$TROUPE_RESULT"`
	}
	return driver.Task{Slot: slot, Fence: 10 * slot, JobUID: 42, Stage: 1, Index: slot, Attempt: 1, Cell: "cell-1", Node: "node-1",
		Template: &v1.Template{GraceMs: 60_000, Spec: &v1.StageSpec{Name: "stage", Command: []string{"sh", "-c", script},
			Env: map[string]string{"RAN": filepath.Join(dir, fmt.Sprint("ran-", slot)), "GATE": filepath.Join(dir, "gate")}}}}
}

// agentMain is the life of an agent that is killed: it starts two attempts, says so, and waits.
func agentMain(dir string) int {
	d, err := process.New(options(dir))
	if err == nil {
		_, err = d.Open(context.Background(), func(driver.Event) {})
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for slot := range uint64(2) {
		task := agentTask(dir, slot+1)
		d.Start(task)
		err := d.Logs(context.Background(), &v1.LogsRequest{Fence: task.Fence, Follow: true}, func(*v1.LogChunk) error { return os.ErrClosed })
		if err != os.ErrClosed {
			fmt.Println(err)
			return 1
		}
	}
	fmt.Println("started")
	select {}
}

// TestB46_AgentKilled kills -9 an agent that runs two attempts. The next one adopts both, also the one that ended while
// no agent was there, and none has run twice.
func TestB46_AgentKilled(t *testing.T) {
	for _, endsWithout := range []bool{true, false} {
		t.Run(fmt.Sprintf("ends without an agent %v", endsWithout), func(t *testing.T) {
			r := drivertest.NewRig(t, subject())
			if err := r.D.Close(); err != nil {
				t.Fatal(err)
			}
			gate := filepath.Join(r.Dir, "gate")
			if err := unix.Mkfifo(gate, 0o600); err != nil {
				t.Fatal(err)
			}
			killAgent(t, r.Dir)
			open := func() {
				if err := os.WriteFile(gate, []byte("go\n"), 0); err != nil {
					t.Fatal(err)
				}
			}
			if endsWithout {
				open()
			}
			if found := r.Open(); len(found) != 2 || !found[0].Busy || !found[1].Busy {
				t.Fatalf("found %+v", found)
			}
			if !endsWithout {
				open()
			}
			checkAdopted(t, r)
		})
	}
}

// killAgent starts an agent over dir and kills it when both its attempts run.
func killAgent(t *testing.T, dir string) {
	t.Helper()
	agent := exec.Command(os.Args[0], "agent", dir)
	out, err := agent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "started\n" {
		t.Fatalf("the agent says %q, %v", line, err)
	}
	if err := agent.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := agent.Wait(); err == nil {
		t.Fatal("the agent was not killed")
	}
}

func checkAdopted(t *testing.T, r *drivertest.Rig) {
	t.Helper()
	hanging, ending := agentTask(r.Dir, 1), agentTask(r.Dir, 2)
	r.Use(1, 2)
	o := r.AwaitEnd(ending)
	if o.Phase != v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED || string(o.Result) != "kept" {
		t.Errorf("the attempt that ended: %+v", o)
	}
	e := r.Await(1, "the adopted attempt", func(e driver.Event) bool { return e.Fence == hanging.Fence })
	if e.Outcome.Phase != v1.AttemptPhase_ATTEMPT_PHASE_RUNNING || !e.Adopted {
		t.Errorf("event %+v", e)
	}
	r.AwaitOutput(hanging, "ready\n")
	r.D.Start(hanging) // an agent that does not know better
	r.D.Stop(1, hanging.Fence, "enough")
	if o := r.AwaitEnd(hanging); o.Phase != v1.AttemptPhase_ATTEMPT_PHASE_STOPPED {
		t.Errorf("the attempt that was stopped: %+v", o)
	}
	for slot := range 2 {
		ran, err := os.ReadFile(filepath.Join(r.Dir, fmt.Sprint("ran-", slot+1)))
		if strings.Count(string(ran), "ran\n") != 1 {
			t.Errorf("attempt in slot %d ran %q times, %v", slot+1, ran, err)
		}
	}
}

func TestB46_OneAgentADirectory(t *testing.T) {
	r := drivertest.NewRig(t, subject())
	second := newDriver(t, options(r.Dir))
	_, err := second.Open(context.Background(), func(driver.Event) {})
	if err == nil || !strings.Contains(err.Error(), "driven by another agent") || !strings.Contains(err.Error(), r.Dir) {
		t.Errorf("the second agent was told %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}
