package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"
)

// onceJob writes a line for every attempt that begins, so that an attempt that ran twice shows.
func onceJob(name, ran string, instances int) string {
	return fmt.Sprintf(`name: %s
stages:
  - name: work
    instances: %d
    command: [sh, -c, 'echo "$TROUPE_INDEX" >> %s; sleep 0.2; echo "result $TROUPE_INDEX" > "$TROUPE_RESULT"']
    resources: {cpu: 250m, memory: 16Mi}
`, name, instances, ran)
}

// ranOnce checks that every instance began once.
func (r *rig) ranOnce(ran string, instances int) {
	r.t.Helper()
	data, err := os.ReadFile(ran)
	if err != nil {
		r.t.Fatal(err)
	}
	seen := map[string]int{}
	for _, line := range strings.Fields(string(data)) {
		seen[line]++
	}
	var wrong []string
	for i := range instances {
		if n := seen[fmt.Sprint(i)]; n != 1 {
			wrong = append(wrong, fmt.Sprintf("%d began %d times", i, n))
		}
	}
	if sort.Strings(wrong); len(wrong) > 0 {
		r.t.Fatalf("instances that did not run once: %s", strings.Join(wrong, ", "))
	}
}

// cluster is a master with a NATS server of its own, and one agent, as processes.
func (r *rig) cluster() (master, node *server) {
	r.t.Helper()
	master = r.serve("master", "--dir", filepath.Join(r.home, "master"), "--nats-listen", "127.0.0.1:0")
	r.nats = master.facts.NATS
	address := strings.TrimPrefix(r.nats, "nats://")
	master.args = []string{"master", "--dir", filepath.Join(r.home, "master"), "--nats-listen", address}
	node = r.serve("node", "--id", "n1", "--dir", filepath.Join(r.home, "node"), "--cpu", "2", "--memory", "1Gi")
	return master, node
}

func TestB46_F13_B29_KilledAgentRestartsNothing(t *testing.T) {
	r := newRig(t)
	_, node := r.cluster()
	ran := filepath.Join(r.home, "ran")
	r.must("job", "submit", r.file("once.yaml", onceJob("once", ran, 40)))
	for _, reached := range []int{6, 18, 30} {
		r.until("attempts begin", func() bool { return r.count(ran) >= reached })
		node.killAndRestart()
	}
	r.until("the job ends", func() bool { return r.status("once").Phase == "succeeded" })
	r.ranOnce(ran, 40)
}

func TestF30_F31_B14_B46_KilledMasterForgetsAndRestartsNothing(t *testing.T) {
	r := newRig(t)
	master, _ := r.cluster()
	ran := filepath.Join(r.home, "ran")
	r.must("job", "submit", r.file("once.yaml", onceJob("once", ran, 40)), "--key", "k")
	for i, reached := range []int{6, 18, 30} {
		r.until("attempts begin", func() bool { return r.count(ran) >= reached })
		name := fmt.Sprintf("later-%d", i)
		r.must("job", "submit", r.file(name+".yaml", "name: "+name+"\nstages: [{name: s, command: ['true']}]\n"))
		master.killAndRestart()
	}
	r.must("job", "submit", filepath.Join(r.home, "once.yaml"), "--key", "k") // the same key: no second job
	r.until("the job ends", func() bool { return r.status("once").Phase == "succeeded" })
	r.ranOnce(ran, 40)
	for i := range 3 {
		r.until("acknowledged jobs end", func() bool { return r.status(fmt.Sprintf("later-%d", i)).Phase == "succeeded" })
	}
	if s := r.status("once"); s.Counts.Done != "40" {
		t.Fatalf("results counted: %s of 40", s.Counts.Done)
	}
	if out := r.must("job", "results", "once"); strings.Count(out, "result ") != 40 {
		t.Fatalf("results:\n%s", out)
	}
}

func TestX5_AnInterruptedRunLeavesNothing(t *testing.T) {
	r := newRig(t)
	ran := filepath.Join(r.home, "ran")
	job := r.file("long.yaml", fmt.Sprintf("name: long\nstages:\n  - name: s\n    instances: 2\n    command: [sh, -c, 'echo $$ >> %s; exec sleep 3600']\n", ran))
	run := r.command("run", job)
	var out strings.Builder
	run.Stdout, run.Stderr = &out, &out
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	r.until("both run", func() bool { return r.count(ran) == 2 })
	_ = run.Process.Signal(syscall.SIGINT)
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()
	select {
	case err := <-ended:
		if exitCode(err) != 130 {
			t.Errorf("exit code %d, an interrupted run gives 130", exitCode(err))
		}
	case <-time.After(time.Minute):
		t.Fatal("the run does not end")
	}
	data, err := os.ReadFile(ran)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range strings.Fields(string(data)) {
		var n int
		if _, err := fmt.Sscan(pid, &n); err != nil {
			t.Fatal(err)
		}
		if syscall.Kill(n, 0) == nil {
			t.Errorf("process %d still runs after:\n%s", n, out.String())
		}
	}
}
