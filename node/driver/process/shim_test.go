//go:build linux || darwin

package process_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/driver/drivertest"
	"github.com/troupe-sched/troupe/node/driver/process"
	"github.com/troupe-sched/troupe/node/driver/process/internal/host"
	"github.com/troupe-sched/troupe/node/driver/process/internal/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// shimOf is the process id of the shim of a slot.
func shimOf(t *testing.T, r *drivertest.Rig, slot uint64) int {
	t.Helper()
	st, err := wire.ReadState(filepath.Join(slotDir(r, slot), wire.StateName))
	if err != nil || st == nil {
		t.Fatalf("state of slot %d: %v, %v", slot, st, err)
	}
	return int(st.Pid)
}

func signal(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

// family is a script that starts a child without any environment, and one that flees into a session of its own where
// the system can do that, then says their process ids and goes on with rest.
func family(rest string) string {
	escape := ``
	if path, err := exec.LookPath("setsid"); err == nil && runtime.GOOS == "linux" {
		escape = path + ` sleep 1000 & echo $!; `
	}
	return `trap '' TERM; env -i sleep 1000 & echo $!; ` + escape + `echo $$; echo ready; ` + rest
}

// pids are the process ids that a family said.
func pids(t *testing.T, r *drivertest.Rig, task driver.Task) []int {
	t.Helper()
	out, _ := r.Output(&v1.LogsRequest{Fence: task.Fence}, "stdout")
	var pids []int
	for _, line := range strings.Fields(out) {
		var pid int
		if _, err := fmt.Sscan(line, &pid); err == nil {
			pids = append(pids, pid)
		}
	}
	if len(pids) < 2 {
		t.Fatalf("output %q", out)
	}
	return pids
}

func checkDead(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		if p, err := host.Get(pid); err == nil && !p.Zombie {
			t.Errorf("process %d of the attempt still runs", pid)
		}
	}
}

// TestF13_ShimKilled kills -9 the shim under a running attempt: the attempt is LOST, nothing of it runs on, and the slot
// goes on with a new shim.
func TestF13_ShimKilled(t *testing.T) {
	r := drivertest.NewRig(t, subject())
	task := r.StartReady(sh(r, 1, family(`wait`)))
	family := pids(t, r, task)
	shim := shimOf(t, r, 1)
	if p, err := host.Get(shim); err != nil || p.Session != shim {
		t.Errorf("the shim is %+v, %v; want a session of its own", p, err)
	}
	signal(t, shim, syscall.SIGKILL)
	o := r.AwaitEnd(task)
	if o.Phase != v1.AttemptPhase_ATTEMPT_PHASE_LOST || !strings.Contains(o.Reason, "its shim died (signal: killed)") {
		t.Errorf("outcome %+v", o)
	}
	checkDead(t, family)
	if o := r.Run(1, drivertest.Succeed); o.Phase != v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED {
		t.Errorf("the next attempt: %+v", o)
	}
}

// TestF13_ShimKilledWithoutAgent is the same while no agent is there.
func TestF13_ShimKilledWithoutAgent(t *testing.T) {
	r := drivertest.NewRig(t, subject())
	task := r.StartReady(sh(r, 1, family(`wait`)))
	family := pids(t, r, task)
	shim := shimOf(t, r, 1)
	if err := r.D.Close(); err != nil {
		t.Fatal(err)
	}
	signal(t, shim, syscall.SIGKILL)
	if _, err := syscall.Wait4(shim, nil, 0, nil); err != nil {
		t.Fatal(err)
	}
	if found := r.Open(); len(found) != 1 || !found[0].Busy {
		t.Fatalf("found %+v", found)
	}
	o := r.AwaitEnd(task)
	if o.Phase != v1.AttemptPhase_ATTEMPT_PHASE_LOST || !strings.Contains(o.Reason, "its shim died") {
		t.Errorf("outcome %+v", o)
	}
	checkDead(t, family)
	if o := r.Run(1, drivertest.Succeed); o.Phase != v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED {
		t.Errorf("the next attempt: %+v", o)
	}
}

// TestB46_SlowShimIsNotKilled: a shim that does not answer when the agent comes back keeps its attempt.
func TestB46_SlowShimIsNotKilled(t *testing.T) {
	s := subject()
	s.New = func(t *testing.T, dir string) driver.Driver {
		opt := options(dir)
		opt.AdoptWithin = 10 * time.Millisecond
		return newDriver(t, opt)
	}
	r := drivertest.NewRig(t, s)
	task := r.StartReady(r.Task(1, drivertest.Hang))
	shim := shimOf(t, r, 1)
	if err := r.D.Close(); err != nil {
		t.Fatal(err)
	}
	signal(t, shim, syscall.SIGSTOP)
	if found := r.Open(); len(found) != 1 || !found[0].Busy || found[0].Fence != task.Fence {
		t.Fatalf("found %+v", found)
	}
	e := r.Await(1, "the state from disk", func(e driver.Event) bool { return e.Fence == task.Fence })
	if e.Outcome.Phase != v1.AttemptPhase_ATTEMPT_PHASE_RUNNING {
		t.Errorf("event %+v", e)
	}
	r.D.Stop(1, task.Fence, "enough")
	signal(t, shim, syscall.SIGCONT)
	if o := r.AwaitEnd(task); o.Phase != v1.AttemptPhase_ATTEMPT_PHASE_STOPPED {
		t.Errorf("outcome %+v", o)
	}
}

// TestS12_DeafShimIsKilledOnRelease: one that does not do what it is told is killed in the end, and all with it.
func TestS12_DeafShimIsKilledOnRelease(t *testing.T) {
	r := drivertest.NewRig(t, subject())
	r.D.(*process.Driver).SetPatience(time.Millisecond)
	task := sh(r, 1, family(`wait`))
	task.Template.GraceMs = 1
	r.StartReady(task)
	family := pids(t, r, task)
	signal(t, shimOf(t, r, 1), syscall.SIGSTOP)
	r.D.Release(1, "drained")
	if o := r.AwaitEnd(task); o.Phase != v1.AttemptPhase_ATTEMPT_PHASE_LOST {
		t.Errorf("outcome %+v", o)
	}
	r.Await(1, "released", func(e driver.Event) bool { return e.Released })
	checkDead(t, family)
}

// TestS12_ReleaseOfAFamily: a shim quits by itself also when what its attempt left behind had to be searched for.
func TestS12_ReleaseOfAFamily(t *testing.T) {
	r := drivertest.NewRig(t, subject())
	r.D.(*process.Driver).SetPatience(time.Hour) // the driver does not kill it
	task := sh(r, 1, family(`wait`))
	task.Template.GraceMs = 1
	r.StartReady(task)
	family := pids(t, r, task)
	r.D.Release(1, "drained")
	if o := r.AwaitEnd(task); o.Phase != v1.AttemptPhase_ATTEMPT_PHASE_STOPPED {
		t.Errorf("outcome %+v", o)
	}
	r.Await(1, "released", func(e driver.Event) bool { return e.Released })
	checkDead(t, family)
}

// TestS12_ShimEndsBySignal: asked to end by SIGTERM, a shim stops its attempt first.
func TestS12_ShimEndsBySignal(t *testing.T) {
	r := drivertest.NewRig(t, subject())
	task := r.StartReady(r.Task(1, drivertest.Hang))
	signal(t, shimOf(t, r, 1), syscall.SIGTERM)
	o := r.AwaitEnd(task)
	if o.Phase != v1.AttemptPhase_ATTEMPT_PHASE_STOPPED || !strings.Contains(o.Reason, "asked to end by a signal") {
		t.Errorf("outcome %+v", o)
	}
}

// TestB46_IdleShimEnds: without an attempt and without an agent a shim goes, and how its last attempt ended is on disk.
func TestB46_IdleShimEnds(t *testing.T) {
	s := subject()
	s.New = func(t *testing.T, dir string) driver.Driver {
		opt := options(dir)
		opt.ShimIdle = time.Millisecond
		return newDriver(t, opt)
	}
	r := drivertest.NewRig(t, s)
	task := r.Start(r.Task(1, drivertest.WriteResult))
	r.AwaitEnd(task)
	shim := shimOf(t, r, 1)
	if err := r.D.Close(); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(shim, &status, 0, nil); err != nil || status.ExitStatus() != 0 || status.Signaled() {
		t.Fatalf("shim ended with %v, %v", status, err)
	}
	r.Open()
	if o := r.AwaitEnd(task); o.Phase != v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED || string(o.Result) != "result of 5" {
		t.Errorf("outcome %+v", o)
	}
	if o := r.Run(1, drivertest.Succeed); o.Phase != v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED {
		t.Errorf("the next attempt: %+v", o)
	}
}

func TestS12_ShimCannotStart(t *testing.T) {
	for command, reason := range map[string]string{
		"/usr/bin/false": "shim did not start", "/nonexistent/troupe": "shim cannot be started",
	} {
		s := subject()
		s.New = func(t *testing.T, dir string) driver.Driver {
			opt := options(dir)
			opt.Shim = []string{command}
			return newDriver(t, opt)
		}
		r := drivertest.NewRig(t, s)
		o := r.Run(1, drivertest.Succeed)
		if o.Phase != v1.AttemptPhase_ATTEMPT_PHASE_FAILED || !strings.Contains(o.Reason, reason) {
			t.Errorf("%s: outcome %+v", command, o)
		}
	}
}

// TestB46_FoldersOfNothing: what a crash left of slots in which nothing ran is removed, what is no slot stays.
func TestB46_FoldersOfNothing(t *testing.T) {
	r := drivertest.NewRig(t, subject())
	if err := r.D.Close(); err != nil {
		t.Fatal(err)
	}
	stranger := filepath.Join(r.Dir, "slots", "notes")
	for _, dir := range []string{slotDir(r, 7), stranger} {
		if err := os.MkdirAll(filepath.Join(dir, "work"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(slotDir(r, 7), wire.StateName), []byte("this is no state at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	if found := r.Open(); len(found) != 0 {
		t.Errorf("found %+v", found)
	}
	if _, err := os.Stat(slotDir(r, 7)); !os.IsNotExist(err) {
		t.Errorf("the empty slot is there: %v", err)
	}
	if _, err := os.Stat(stranger); err != nil {
		t.Error(err)
	}
}

// TestB46_LongPaths: sockets work although the directory's name is longer than a socket's may be.
func TestB46_LongPaths(t *testing.T) {
	s := subject()
	s.New = func(t *testing.T, dir string) driver.Driver {
		return newDriver(t, options(filepath.Join(dir, strings.Repeat("long", 40))))
	}
	r := drivertest.NewRig(t, s)
	task := r.StartReady(r.Task(1, drivertest.Hang))
	if err := r.D.Close(); err != nil {
		t.Fatal(err)
	}
	r.Open()
	r.D.Stop(1, task.Fence, "enough")
	if o := r.AwaitEnd(task); o.Phase != v1.AttemptPhase_ATTEMPT_PHASE_STOPPED {
		t.Errorf("outcome %+v", o)
	}
}

// TestS12_ReleaseLeavesLogsOnly: neither files nor processes.
func TestS12_ReleaseLeavesLogsOnly(t *testing.T) {
	r := drivertest.NewRig(t, subject())
	task := r.Start(r.Task(1, drivertest.Print))
	r.AwaitEnd(task)
	shim := shimOf(t, r, 1)
	r.D.Release(1, "done")
	r.Await(1, "released", func(e driver.Event) bool { return e.Released })
	checkDead(t, []int{shim})
	if entries, err := os.ReadDir(filepath.Join(r.Dir, "slots")); err != nil || len(entries) != 0 {
		t.Errorf("slots holds %v, %v", entries, err)
	}
	if entries, err := os.ReadDir(filepath.Join(r.Dir, "logs")); err != nil || len(entries) != 1 {
		t.Errorf("logs holds %v, %v", entries, err)
	}
}

// TestS12_DescriptorsAreGivenBack: slots that come and go leave none open.
func TestS12_DescriptorsAreGivenBack(t *testing.T) {
	r := drivertest.NewRig(t, subject())
	count := func() int {
		t.Helper()
		fds, err := os.ReadDir("/dev/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	for _, b := range []drivertest.Behaviour{drivertest.Succeed, drivertest.Print} {
		r.Run(1, b)
	}
	before := count()
	for slot := range uint64(10) {
		r.Run(slot+2, drivertest.Print)
		r.D.Release(slot+2, "done")
		r.Await(slot+2, "released", func(e driver.Event) bool { return e.Released })
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors are open, %d were", after, before)
	}
}

func TestS12_OptionsAreChecked(t *testing.T) {
	for want, opt := range map[string]process.Options{
		"dir is empty": {}, "log segment": {Dir: "x", LogSegment: 1}, "slots max": {Dir: "x", SlotsMax: -1},
	} {
		if _, err := process.New(opt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("options %+v: %v, want %q", opt, err, want)
		}
	}
	if code := process.ShimMain([]string{"-nonsense"}); code == 0 {
		t.Error("a shim started with nonsense")
	}
	d := newDriver(t, options(filepath.Join(t.TempDir(), "file")))
	if _, err := d.Open(context.Background(), func(driver.Event) {}); err != nil {
		t.Error(err)
	}
	if _, err := d.Open(context.Background(), func(driver.Event) {}); err == nil {
		t.Error("opened twice")
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// rawLink is a connection to a shim without a driver.
type rawLink struct {
	t    *testing.T
	conn net.Conn
	in   wire.Decoder
}

func dialShim(t *testing.T, r *drivertest.Rig, slot uint64) *rawLink {
	t.Helper()
	// Relative, for the path of a test's directory may be too long for a socket.
	t.Chdir(slotDir(r, slot))
	conn, err := net.Dial("unix", wire.SocketName)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &rawLink{t: t, conn: conn}
}

func (l *rawLink) send(c *v1.ShimCommand) {
	l.t.Helper()
	frame, err := wire.AppendFrame(nil, 0, c)
	if err == nil {
		_, err = l.conn.Write(frame)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *rawLink) run(fence uint64) {
	l.send(&v1.ShimCommand{Kind: &v1.ShimCommand_Run{Run: &v1.ShimRun{Fence: fence}}})
}

func (l *rawLink) next() *v1.AttemptState {
	l.t.Helper()
	for {
		st := &v1.ShimState{}
		ok, err := l.in.Next(st)
		if ok {
			return st.Attempt
		}
		n := 0
		if err == nil {
			n, err = l.conn.Read(l.in.Space())
			l.in.Filled(n)
		}
		if err != nil {
			l.t.Fatal(err)
		}
	}
}

// TestB46_NoFenceRunsTwice: a shim that is told the same fence again does not run it, and what an agent said just before
// it died is done before the next agent is answered.
func TestB46_NoFenceRunsTwice(t *testing.T) {
	r := drivertest.NewRig(t, subject())
	ran := filepath.Join(r.Dir, "ran")
	task := r.Start(sh(r, 1, `echo "$TROUPE_FENCE" >>`+ran))
	r.AwaitEnd(task)
	shim := shimOf(t, r, 1)
	if err := r.D.Close(); err != nil {
		t.Fatal(err)
	}
	first := dialShim(t, r, 1)
	if a := first.next(); a.Fence != task.Fence || a.Phase != succeeded {
		t.Fatalf("state %v", a)
	}
	first.run(task.Fence)
	first.run(100)
	if a := first.next(); a.Fence != 100 {
		t.Errorf("state %v", a)
	}
	signal(t, shim, syscall.SIGSTOP)
	first.run(101)
	if err := first.conn.Close(); err != nil {
		t.Fatal(err)
	}
	second := dialShim(t, r, 1)
	signal(t, shim, syscall.SIGCONT)
	if a := second.next(); a.Fence != 101 {
		t.Errorf("the next agent is told %v", a)
	}
	for a := second.next(); !(&driver.Outcome{Phase: a.Phase}).IsFinal(); {
		a = second.next()
	}
	if err := second.conn.Close(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(ran); string(text) != fmt.Sprintf("%d\n100\n101\n", task.Fence) {
		t.Errorf("ran %q, %v", text, err)
	}
	r.Open()
}

// TestS12_NonsenseEndsTheConnectionOnly: an agent that cannot be understood is hung up on; the attempt goes on.
func TestS12_NonsenseEndsTheConnectionOnly(t *testing.T) {
	r := drivertest.NewRig(t, subject())
	task := r.StartReady(r.Task(1, drivertest.Hang))
	if err := r.D.Close(); err != nil {
		t.Fatal(err)
	}
	l := dialShim(t, r, 1)
	l.next()
	if _, err := l.conn.Write([]byte(strings.Repeat("nonsense", 100))); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, l.conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("hung up with %v", err)
	}
	r.Open()
	r.D.Stop(1, task.Fence, "enough")
	if o := r.AwaitEnd(task); o.Phase != v1.AttemptPhase_ATTEMPT_PHASE_STOPPED {
		t.Errorf("outcome %+v", o)
	}
}
