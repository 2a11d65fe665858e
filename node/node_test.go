package node_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/node"
	"github.com/troupe-sched/troupe/node/driver/gofunc"
	"github.com/troupe-sched/troupe/node/driver/process"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// TestMain lets the test binary be what the tests start: a shim, or an agent that is to be killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "shim":
			os.Exit(process.ShimMain(os.Args[2:]))
		case "agent":
			agentMain(os.Args[2])
		}
	}
	os.Exit(m.Run())
}

func options(m *master, dir string) node.Options {
	return node.Options{
		Cell: "test", ID: "n1", Dir: dir, Connect: m.connect, Capacity: model.Resources{model.CPU: 1000, model.Memory: 1 << 20},
	}
}

func open(t *testing.T, o node.Options) *node.Node {
	t.Helper()
	n, err := node.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNode(t, n) })
	return n
}

// closeNode closes it and finds nothing wrong; it may be closed already.
func closeNode(t *testing.T, n *node.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		t.Error(err)
	}
}

// waiting is a program that marks that it runs and ends when a file is there.
func waiting(dir string) *v1.StageSpec {
	return &v1.StageSpec{Name: "s", Driver: "process", Command: []string{"sh", "-c", fmt.Sprintf(
		`echo $TROUPE_FENCE >>%[1]s/runs; echo out $TROUPE_INDEX; while [ ! -e %[1]s/go ]; do sleep 0.02; done; printf 'result %%s' $TROUPE_INDEX >$TROUPE_RESULT`, dir)}}
}

func runs(t *testing.T, dir string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "runs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	lines := strings.Fields(string(text))
	slices.Sort(lines)
	return lines
}

func letGo(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A cell in memory runs functions; what came before is handed to them.
func TestX5_X7_FunctionsInMemory(t *testing.T) {
	t.Parallel()
	funcs := gofunc.NewRegistry()
	err := funcs.Register("sum", func(_ context.Context, c *gofunc.Call) error {
		before, err := c.Inputs("before")
		if err != nil {
			return err
		}
		return c.SetResult(fmt.Appendf(nil, "%d inputs, first %s", len(before), before[0]))
	})
	if err != nil {
		t.Fatal(err)
	}
	m := newMaster(1)
	o := options(m, "")
	o.Funcs = funcs
	o.Results = func(_ context.Context, uid uint64, queue, job, stage string, fn func(*v1.InstanceResult) error) error {
		for i := range uint64(3) {
			if err := fn(&v1.InstanceResult{Index: i, Data: fmt.Appendf(nil, "%d/%s/%s/%s/%d", uid, queue, job, stage, i)}); err != nil {
				return err
			}
		}
		return nil
	}
	n := open(t, o)
	if got := n.Info(); got.GetCpuMilli() != 1000 || !slices.Equal(got.GetDrivers(), []string{"func"}) {
		t.Fatal(got)
	}
	m.want(template(7, &v1.StageSpec{Name: "s", Driver: "func", Func: "sum", After: []string{"before"}}), launch(1, 10, 7, 0))
	if end := m.ends(t, 10); string(end.GetResult()) != "3 inputs, first 7/q/j/before/0" {
		t.Fatal(end)
	}
	m.until(t, "usage is told", func() bool { return m.usage.GetMemoryBytes() > 0 || m.usage.GetDiskBytes() > 0 })
	m.want(settled(10), release(1))
	m.until(t, "the slot is released", func() bool { return m.told[len(m.told)-1].GetReleased().GetSlot() == 1 })
	if tree := n.Tree(); tree.Name != "agent" || len(tree.Children) != 3 {
		t.Fatal(tree)
	}
	closeNode(t, n)
	if <-n.Done(); n.Err() == nil {
		t.Fatal("ended without a reason")
	}
}

// A drill ends the agent as a crash would and begins it anew in the same process: what ran has not noticed.
func TestX8_B46_F32_ADrillBeginsTheAgentAnew(t *testing.T) {
	t.Parallel()
	dir, scratch := t.TempDir(), t.TempDir()
	m := newMaster(1)
	n := open(t, options(m, dir))
	m.want(template(7, waiting(scratch)), launch(1, 10, 7, 0), launch(2, 11, 7, 1))
	m.until(t, "both run", func() bool { return m.state(10) != nil && m.state(11) != nil })
	first, process := m.session, m.hello.GetProcess()
	n.Deliver(&v1.ToAgent{Node: "n1", Epoch: 1, Drill: &v1.AgentDrill{Kind: "restart", ForMs: 50, Id: "d"}})
	m.until(t, "another life has a session", func() bool { return m.session>>40 > first>>40 && m.hello.GetProcess() != process })
	if slots := m.hello.GetSlots(); len(slots) != 2 || slots[0].GetAttempt().GetFence() != 10 || slots[1].GetLastFence() != 11 {
		t.Fatal(slots)
	}
	letGo(t, scratch)
	for index, fence := range []uint64{10, 11} {
		if end := m.ends(t, fence); string(end.GetResult()) != fmt.Sprintf("result %d", index) {
			t.Error(end)
		}
	}
	if got := runs(t, scratch); !slices.Equal(got, []string{"10", "11"}) {
		t.Errorf("began %v", got)
	}
	select {
	case <-n.Done():
		t.Fatal("a drill has ended the node: ", n.Err())
	default:
	}
	n.Deliver(&v1.ToAgent{Node: "n1", Epoch: 1, Drill: &v1.AgentDrill{Kind: "restart", ForMs: 300_000, Id: "d"}})
	closeNode(t, n) // also while it is down
	<-n.Done()
}

// Processes run on while the node is closed, and the next one on the same directory takes them over.
func TestB46_ProcessesOutliveTheNode(t *testing.T) {
	t.Parallel()
	dir, scratch := t.TempDir(), t.TempDir()
	m := newMaster(1)
	n := open(t, options(m, dir))
	m.want(template(7, waiting(scratch)), launch(1, 10, 7, 0), launch(2, 11, 7, 1))
	m.until(t, "both run", func() bool { return m.state(10) != nil && m.state(11) != nil })
	closeNode(t, n)

	m = newMaster(2)
	n = open(t, options(m, dir))
	m.until(t, "there is a session", func() bool { return m.open })
	if slots := m.hello.GetSlots(); len(slots) != 2 || slots[0].GetAttempt().GetFence() != 10 || slots[1].GetLastFence() != 11 {
		t.Fatal(slots)
	}
	letGo(t, scratch)
	for index, fence := range []uint64{10, 11} {
		if end := m.ends(t, fence); string(end.GetResult()) != fmt.Sprintf("result %d", index) {
			t.Error(end)
		}
	}
	if got := runs(t, scratch); !slices.Equal(got, []string{"10", "11"}) {
		t.Errorf("began %v", got)
	}
	var out strings.Builder
	err := n.Logs(t.Context(), &v1.LogsRequest{Fence: 11}, func(c *v1.LogChunk) error {
		out.Write(c.GetData())
		return nil
	})
	if err != nil || out.String() != "out 1\n" {
		t.Errorf("output %q, %v", out.String(), err)
	}
	if err := n.Logs(t.Context(), &v1.LogsRequest{Fence: 99}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	m.want(settled(10, 11), release(1), release(2))
	m.until(t, "both slots are released", func() bool {
		return m.told[len(m.told)-1].GetReleased() != nil && m.told[len(m.told)-2].GetReleased() != nil
	})
}

// agentMain is an agent that starts five attempts, says when all run, and waits to be killed.
func agentMain(dir string) {
	m := newMaster(1)
	n, err := node.Open(context.Background(), options(m, filepath.Join(dir, "node")))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	commands := []*v1.Command{template(7, waiting(dir))}
	for i := range uint64(5) {
		commands = append(commands, launch(i+1, i+10, 7, i))
	}
	m.want(commands...)
	m.mu.Lock()
	for running := 0; running < 5; m.changed.Wait() {
		running = 0
		for i := range uint64(5) {
			if m.state(i+10) != nil {
				running++
			}
		}
	}
	m.mu.Unlock()
	fmt.Println("all run")
	<-n.Done()
}

// An agent that is killed comes back, finds what it ran, and nothing ran twice.
func TestB46_F13_AgentKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "agent", dir)
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(said).ReadString('\n'); line != "all run\n" {
		t.Fatal(line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed

	m := newMaster(1)
	open(t, options(m, filepath.Join(dir, "node")))
	m.until(t, "there is a session", func() bool { return m.open })
	letGo(t, dir)
	for i := range uint64(5) {
		if end := m.ends(t, i+10); end.GetPhase() != v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED {
			t.Error(end)
		}
	}
	if got := runs(t, dir); !slices.Equal(got, []string{"10", "11", "12", "13", "14"}) {
		t.Errorf("began %v", got)
	}
	m.want(settled(10, 11, 12, 13, 14), release(1), release(2), release(3), release(4), release(5))
	m.until(t, "all slots are released", func() bool {
		n := 0
		for _, c := range m.told {
			if c.GetReleased() != nil {
				n++
			}
		}
		return n == 5
	})
}

// A drain stops what runs and leaves nothing.
func TestF13_DrainStopsProcesses(t *testing.T) {
	t.Parallel()
	dir, scratch := t.TempDir(), t.TempDir()
	m := newMaster(1)
	n := open(t, options(m, dir))
	m.want(template(7, waiting(scratch)), launch(1, 10, 7, 0), launch(2, 11, 7, 1))
	m.until(t, "both run", func() bool { return m.state(10) != nil && m.state(11) != nil })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := n.Drain(ctx, "interrupted"); err != nil {
		t.Fatal(err)
	}
	for _, fence := range []uint64{10, 11} {
		if end := m.ends(t, fence); end.GetPhase() != v1.AttemptPhase_ATTEMPT_PHASE_STOPPED || !strings.HasPrefix(end.GetReason(), "stopped: interrupted") {
			t.Error(end)
		}
	}
	left, err := os.ReadDir(filepath.Join(dir, "slots", "slots"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	m.want(launch(3, 12, 7, 2))
	m.until(t, "a launch is refused", func() bool { return m.told[len(m.told)-1].GetRefused().GetReason() == "agent is stopping: interrupted" })
}

func TestOptionsThatCannotBe(t *testing.T) {
	t.Parallel()
	m := newMaster(1)
	for name, c := range map[string]struct {
		change func(*node.Options)
		want   string
	}{
		"no connect": {func(o *node.Options) { o.Connect = nil }, "Options.Connect is missing"},
		"no driver":  {func(o *node.Options) { o.Dir = "" }, "nothing can run here: give Options.Dir for processes, or Options.Funcs"},
		"name":       {func(o *node.Options) { o.ID = "Not A Name" }, "id"},
		"attribute":  {func(o *node.Options) { o.Attributes = map[string]string{"node": "x"} }, "attributes.node"},
		"capacity":   {func(o *node.Options) { o.Capacity[model.CPU] = -1 }, "cpu_milli"},
		"cell":       {func(o *node.Options) { o.Cell = "" }, "Config.Cell is empty"},
		"dir":        {func(o *node.Options) { o.Dir = filepath.Join(os.DevNull, "x") }, "not a directory"},
	} {
		o := options(m, t.TempDir())
		c.change(&o)
		n, err := node.Open(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if n != nil {
			closeNode(t, n)
		}
	}
}

// One directory has one node, and a node that fails to open leaves it free.
func TestOneNodeADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, options(newMaster(1), dir))
	if _, err := node.Open(t.Context(), options(newMaster(1), dir)); err == nil {
		t.Fatal("two nodes in one directory")
	}
	closeNode(t, first)
	other := options(newMaster(1), dir)
	other.ID = "n2"
	if _, err := node.Open(t.Context(), other); err == nil || !strings.Contains(err.Error(), `the ledger belongs to node "n1"`) {
		t.Fatal(err)
	}
	open(t, options(newMaster(1), dir))
}
