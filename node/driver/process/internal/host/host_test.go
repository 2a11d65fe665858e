//go:build linux || darwin

package host

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
)

func TestB46_ProcessesAreToldApart(t *testing.T) {
	pid, start, boot, err := Self()
	if err != nil || pid != os.Getpid() || start == 0 || boot == "" {
		t.Fatalf("self %d %d %q %v", pid, start, boot, err)
	}
	all, err := List()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, p := range all {
		found = found || p.PID == pid && p.Start == start && p.Parent == os.Getppid()
	}
	if !found {
		t.Errorf("this process is not among %d", len(all))
	}
}

// TestS12_KillAll kills a whole session, with a child that it does not know of, and nothing else.
func TestS12_KillAll(t *testing.T) {
	cmd := exec.Command("sh", "-c", `sleep 1000 & sleep 1000`)
	cmd.Env = append(os.Environ(), "MARK=ours")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	bystander := exec.Command("sleep", "1000")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = bystander.Process.Kill()
		_ = bystander.Wait()
	}()
	if runtime.GOOS == "linux" && (!HasEnv(os.Getpid()) || HasEnv(cmd.Process.Pid, "MARK=theirs")) {
		t.Error("marks are told wrongly")
	}
	left, err := KillAll(func(p Process) bool { return p.Session == cmd.Process.Pid }, time.Minute)
	if err != nil || left != 0 {
		t.Errorf("%d are left, %v", left, err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("it ended with %v", err)
	}
	p, err := Get(bystander.Process.Pid)
	if err != nil || p.Zombie {
		t.Errorf("the bystander: %+v, %v", p, err)
	}
}
