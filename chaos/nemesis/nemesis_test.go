package nemesis_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/chaos"
	"github.com/troupe-sched/troupe/chaos/cell"
	"github.com/troupe-sched/troupe/chaos/nemesis"
	"github.com/troupe-sched/troupe/chaos/proc"
	"github.com/troupe-sched/troupe/chaos/scenario"
)

// The test binary is every process of the cell: a NATS server that is one, and masters and nodes that only say so.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || strings.HasPrefix(os.Args[1], "-") {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if os.Args[1] == "chaos" {
		server := chaos.NATSServer{Log: os.Stderr}
		for i, arg := range os.Args {
			switch arg {
			case "--dir":
				server.Dir = os.Args[i+1]
			case "--listen":
				server.Listen = os.Args[i+1]
			}
		}
		if err := server.Run(ctx, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	fmt.Println("{}")
	<-ctx.Done()
}

func open(t *testing.T) *cell.Cell {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Parse("x.yaml", []byte("cell: {nats: 1, nodes: 2}\nduration: 1s\n"))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "tn")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := cell.Open(ctx, cell.Options{Shape: s.Cell, Dir: dir, Program: []string{self}, Tell: func(proc.Event) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if left := c.Left(context.Background()); len(left) > 0 {
			t.Errorf("processes %v are left", left)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return c
}

func ms(n int) scenario.Duration { return scenario.Duration(time.Duration(n) * time.Millisecond) }

func TestB46_FaultsAreDoneAndUndone(t *testing.T) {
	c := open(t)
	before := map[string]int{}
	for _, p := range c.Parts() {
		before[p.ID] = p.Proc.PID()
	}
	strikes := nemesis.New(c, 1).Run(t.Context(), time.Now(), []scenario.Fault{
		{Fault: "kill", Who: "node-1", For: ms(100)},
		{Fault: "stop", Who: "leader", For: ms(100)},
		{Fault: "partition", Who: "leader", For: ms(100), How: "both"},
		{Fault: "term", Who: "node-2"},
		{Fault: "kill", Who: "any shim"}, // there is none
		{At: ms(200), Fault: "reset", Who: "all nodes, leader"},
		{Fault: "clock", Who: "all nodes", For: ms(10), By: ms(5000)},
		{Fault: "step-down", For: ms(50), Times: 2},
		{Fault: "reconnect", For: ms(50), Times: 5},
	})
	for i, s := range strikes {
		if i == 4 {
			if s.Skipped == "" || !s.Begun.IsZero() {
				t.Errorf("one who is not there is struck: %+v", s)
			}
			continue
		}
		if s.Failed != nil || s.Skipped != "" || s.Ended.Sub(s.Begun) < s.Fault.For.Std() {
			t.Errorf("%+v", s)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, p := range c.Parts() {
		if _, err := p.Proc.Up(ctx); err != nil {
			t.Error(err)
		}
		killed := p.Role == "node"
		if again := p.Proc.PID() != before[p.ID]; again != killed {
			t.Errorf("%s was process %d and is %d", p.ID, before[p.ID], p.Proc.PID())
		}
		if state := stateOf(t, p.Proc.PID()); state == "T" {
			t.Errorf("%s stands still", p.ID)
		}
	}
	for _, node := range c.Role("node") {
		if clock, err := os.ReadFile(node.Clock); err != nil || string(clock) != "0s\n" {
			t.Errorf("the clock of %s is %q, %v", node.ID, clock, err)
		}
	}
}

// stateOf is the state of a process as /proc tells it, empty where there is none.
func stateOf(t *testing.T, pid int) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		return ""
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:]))[0]
}

func TestAnInterruptUndoesEverythingAtOnce(t *testing.T) {
	c := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, cancel)
	begun := time.Now()
	strikes := nemesis.New(c, 1).Run(ctx, begun, []scenario.Fault{
		{Fault: "stop", Who: "leader", For: ms(3_600_000)},
		{Fault: "kill", Who: "node-1", For: ms(3_600_000)},
		{At: ms(3_600_000), Fault: "kill", Who: "node-2"},
	})
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	if strikes[2].Skipped == "" {
		t.Error("a fault is done after the end of the run")
	}
	for _, s := range strikes[:2] {
		if s.Failed != nil || s.Ended.IsZero() {
			t.Errorf("not undone: %+v", s)
		}
	}
	if state := stateOf(t, c.Part("master-1").Proc.PID()); state == "T" {
		t.Error("the master still stands still")
	}
	if c.Part("node-1").Proc.PID() == 0 {
		t.Error("the node was not started again")
	}
}

func TestTwoFaultsNeverHoldTheSame(t *testing.T) {
	c := open(t)
	strikes := nemesis.New(c, 1).Run(t.Context(), time.Now(), []scenario.Fault{
		{Fault: "stop", Who: "node-1", For: ms(400)},
		{At: ms(100), Fault: "kill", Who: "all nodes"},
		{At: ms(100), Fault: "kill", Who: "node-2"},
		{At: ms(100), Fault: "partition", Who: "node-1", For: ms(10)},
	})
	for i, want := range []bool{true, false, true, true} {
		if done := strikes[i].Skipped == ""; done != want {
			t.Errorf("fault %d is done: %v, %+v", i, done, strikes[i])
		}
	}
}

func TestX1_ASeedStrikesTheSame(t *testing.T) {
	c := open(t)
	struck := func(seed uint64) (all []string) {
		for _, s := range nemesis.New(c, seed).Run(t.Context(), time.Now(), slices.Repeat([]scenario.Fault{{Fault: "reset", Who: "any node"}}, 1)) {
			all = append(all, strings.Join(s.Parts, " "))
		}
		return all
	}
	several := map[string]bool{}
	for seed := range uint64(20) {
		first := struck(seed)
		if again := struck(seed); !slices.Equal(first, again) {
			t.Errorf("seed %d strikes %v, then %v", seed, first, again)
		}
		several[first[0]] = true
	}
	if len(several) != 2 {
		t.Errorf("all seeds strike %v", several)
	}
}
