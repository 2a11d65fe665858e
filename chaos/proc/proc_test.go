package proc

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary is the process that is run: what it does is in the variable ROLE.
func TestMain(m *testing.M) {
	switch os.Getenv("ROLE") {
	case "":
		os.Exit(m.Run())
	case "obedient":
		end := make(chan os.Signal, 1)
		signal.Notify(end, syscall.SIGTERM)
		fmt.Println(`{"nats":"nats://x","http":"http://y"}`)
		<-end
		os.Exit(3)
	case "mortal":
		fmt.Println(`{}`)
		fmt.Fprintln(os.Stderr, "last words")
		os.Exit(7)
	case "attempt":
		fmt.Println(`{}`)
		never := make(chan os.Signal, 1)
		signal.Notify(never, syscall.SIGUSR1)
		<-never // it is killed
	}
}

// teller collects events.
type teller chan Event

func (t teller) tell(e Event) { t <- e }

func (t teller) want(tb testing.TB, id, kind string) Event {
	tb.Helper()
	select {
	case e := <-t:
		if e.ID != id || e.Kind != kind {
			tb.Fatalf("told of %+v, want %s of %s", e, kind, id)
		}
		return e
	case <-time.After(30 * time.Second):
		tb.Fatalf("not told that %s %s", id, kind)
	}
	return Event{}
}

func newProcess(t *testing.T, role string, env ...string) (*Process, teller) {
	t.Helper()
	told := make(teller, 100)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := New(Spec{ID: role, Argv: []string{self}, Env: append(env, "ROLE="+role), Log: filepath.Join(t.TempDir(), "log")}, told.tell)
	t.Cleanup(func() {
		if _, err := p.End(context.Background(), syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	})
	return p, told
}

func up(t *testing.T, p *Process) Facts {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	facts, err := p.Up(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func TestAProcessHasManyLives(t *testing.T) {
	p, told := newProcess(t, "obedient")
	if _, ok := p.Facts(); ok || p.PID() != 0 {
		t.Error("it is up before it was started")
	}
	var pids []int
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		if err := p.Start(); err != nil { // again: it runs
			t.Fatal(err)
		}
		told.want(t, "obedient", "started")
		if facts := up(t, p); facts.NATS != "nats://x" || facts.HTTP != "http://y" {
			t.Errorf("it says %+v", facts)
		}
		told.want(t, "obedient", "up")
		pids = append(pids, p.PID())
		code, err := p.End(t.Context(), sig)
		if want := map[syscall.Signal]int{syscall.SIGTERM: 3, syscall.SIGKILL: -1}[sig]; err != nil || code != want {
			t.Errorf("%v: it ends with %d, %v, want %d", sig, code, err, want)
		}
		if e := told.want(t, "obedient", "ended"); !e.Asked || e.PID != pids[len(pids)-1] {
			t.Errorf("told of its end as %+v", e)
		}
	}
	if pids[0] == pids[1] || p.PID() != 0 {
		t.Errorf("its lives were processes %v, now it is %d", pids, p.PID())
	}
	if code, err := p.End(t.Context(), syscall.SIGTERM); code != 0 || err != nil {
		t.Errorf("the end of one that does not run: %d, %v", code, err)
	}
	if err := p.Signal(syscall.SIGSTOP); err == nil {
		t.Error("a signal reaches one that does not run")
	}
}

func TestF23_AStoppedProcessIsKilledAllTheSame(t *testing.T) {
	p, _ := newProcess(t, "obedient")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	up(t, p)
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if code, err := p.End(ctx, syscall.SIGTERM); err == nil || code != -1 {
		t.Errorf("one that stands still obeys: %d, %v", code, err)
	}
}

func TestOneThatDiesUnaskedIsStartedAgain(t *testing.T) {
	p, told := newProcess(t, "mortal")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		told.want(t, "mortal", "started")
		for e := told.next(t); e.Kind != "ended"; e = told.next(t) { // what it says is read beside its end
			if e.Kind != "up" {
				t.Fatalf("told of %+v", e)
			}
		}
	}
	if _, err := p.End(t.Context(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(p.spec.Log)
	if err != nil || strings.Count(string(log), "last words") < 2 {
		t.Errorf("its log is %q, %v", log, err)
	}
}

func (t teller) next(tb testing.TB) Event {
	tb.Helper()
	select {
	case e := <-t:
		return e
	case <-time.After(30 * time.Second):
		tb.Fatal("not told of anything")
		return Event{}
	}
}

func TestUpEndsWithItsContext(t *testing.T) {
	p, _ := newProcess(t, "obedient")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Up(ctx); err == nil || !strings.Contains(err.Error(), "log") {
		t.Errorf("one that never starts is up: %v", err)
	}
}

func TestAProgramThatIsNotThereIsAnError(t *testing.T) {
	p := New(Spec{ID: "none", Argv: []string{filepath.Join(t.TempDir(), "none")}, Log: filepath.Join(t.TempDir(), "log")}, func(Event) {})
	if err := p.Start(); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("it starts: %v", err)
	}
	if p.PID() != 0 {
		t.Error("it runs")
	}
}

// An attempt is known by its environment and gone when it is; others are not taken for it.
func TestAttemptsAreFoundByWhatTheyWereGiven(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	dir := t.TempDir()
	cell := "proc-test-" + filepath.Base(filepath.Dir(dir))
	env := []string{"TROUPE_CELL=" + cell, "TROUPE_NODE=n", "TROUPE_JOB=j", "TROUPE_STAGE=s", "TROUPE_JOB_UID=5", "TROUPE_INDEX=6", "TROUPE_FENCE=7", "TROUPE_RESULT=" + dir + "/slots/x"}
	p, _ := newProcess(t, "attempt", env...)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	up(t, p)
	all := Attempts(cell)
	if len(all) != 1 || !slices.Equal(all[0].PIDs, []int{p.PID()}) || all[0].Fence != 7 || all[0].Index != 6 || all[0].UID != 5 ||
		all[0].Node != "n" || all[0].Job != "j" || all[0].Stage != "s" {
		t.Errorf("found %+v, want that of process %d", all, p.PID())
	}
	if left := Attempts(cell[:len(cell)-1]); len(left) != 0 {
		t.Errorf("another cell has %+v", left)
	}
	if below := Below(dir); !slices.Equal(below, []int{p.PID()}) {
		t.Errorf("below its folder are %v", below)
	}
	if below := Below(dir + "/slo"); len(below) != 0 {
		t.Errorf("below a part of the name of a folder are %v", below)
	}
	if u, ok := UsageOf(p.PID()); !ok || u.RSS < 1<<20 || u.FDs < 3 || u.Threads < 1 {
		t.Errorf("it uses %+v, %v", u, ok)
	}
	if _, err := p.End(t.Context(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if all := Attempts(cell); len(all) != 0 {
		t.Errorf("after its end there is %+v", all)
	}
	if _, ok := UsageOf(1 << 30); ok {
		t.Error("a process that is not there uses something")
	}
}

func TestF22_KillBelowKillsWhatIsBelowAlone(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	mine, other := t.TempDir(), t.TempDir()
	begin := func(dir string) (*exec.Cmd, *os.File) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		c := exec.Command("sh", "-c", "read never", "shim", "-dir", dir+"/slots/1")
		c.Stdin = r
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		r.Close()
		t.Cleanup(func() { w.Close() })
		return c, w
	}
	doomed, _ := begin(mine)
	spared, leash := begin(other)
	if shims := Shims(mine); !slices.Equal(shims, []int{doomed.Process.Pid}) {
		t.Errorf("shims are %v, want %d", shims, doomed.Process.Pid)
	}
	KillBelow(mine)
	if err := doomed.Wait(); err == nil || doomed.ProcessState.ExitCode() != -1 {
		t.Errorf("what is below ends with %v", err)
	}
	leash.Close()
	if err := spared.Wait(); err == nil || spared.ProcessState.ExitCode() != 1 { // read fails at the end of its input
		t.Errorf("what is not below ends with %v", err)
	}
}
