package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "troupe-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "troupe")
	build := exec.Command("go", "build", "-o", binary, "github.com/troupe-sched/troupe/tools/troupe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// rig is a home directory of its own, so that nothing of the machine's configuration is read.
type rig struct {
	t    *testing.T
	ctx  context.Context
	home string
	nats string
}

func newRig(t *testing.T) *rig {
	if testing.Short() {
		t.Skip("starts processes")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return &rig{t: t, ctx: ctx, home: t.TempDir()}
}

func (r *rig) command(args ...string) *exec.Cmd {
	c := exec.CommandContext(r.ctx, binary, args...)
	c.Dir = r.home
	c.Env = []string{"HOME=" + r.home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	if r.nats != "" {
		c.Env = append(c.Env, "TROUPE_NATS__URL="+r.nats)
	}
	return c
}

// say runs a command to its end and returns its output.
func (r *rig) say(args ...string) (string, error) {
	out, err := r.command(args...).CombinedOutput()
	return string(out), err
}

func (r *rig) must(args ...string) string {
	r.t.Helper()
	out, err := r.say(args...)
	if err != nil {
		r.t.Fatalf("troupe %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (r *rig) file(name, text string) string {
	r.t.Helper()
	path := filepath.Join(r.home, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// server is a process that lasts.
type server struct {
	rig   *rig
	args  []string
	cmd   *exec.Cmd
	facts struct {
		NATS string `json:"nats"`
	}
	mu  sync.Mutex
	log strings.Builder
}

// serve starts a process that prints its facts as JSON when it is ready.
func (r *rig) serve(args ...string) *server {
	r.t.Helper()
	s := &server{rig: r, args: args}
	s.start()
	r.t.Cleanup(func() {
		s.signal(syscall.SIGTERM)
		_ = s.cmd.Wait()
		if r.t.Failed() {
			s.mu.Lock()
			r.t.Logf("%s said:\n%s", args[0], s.log.String())
			s.mu.Unlock()
		}
	})
	return s
}

func (s *server) start() {
	s.rig.t.Helper()
	s.cmd = s.rig.command(append(s.args, "--json")...)
	if s.args[0] == "master" { // it has a server of its own
		s.cmd.Env = slices.DeleteFunc(s.cmd.Env, func(v string) bool { return strings.HasPrefix(v, "TROUPE_") })
	}
	s.cmd.Stderr = s
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		s.rig.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		s.rig.t.Fatalf("troupe %s did not start: %v\n%s", strings.Join(s.args, " "), s.cmd.Wait(), s.log.String())
	}
	if err := json.Unmarshal(lines.Bytes(), &s.facts); err != nil {
		s.rig.t.Fatalf("facts %q: %v", lines.Text(), err)
	}
}

// Write takes the log of the process.
func (s *server) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *server) signal(sig syscall.Signal) { _ = s.cmd.Process.Signal(sig) }

// killAndRestart is kill -9, and the same command again.
func (s *server) killAndRestart() {
	s.rig.t.Helper()
	s.signal(syscall.SIGKILL)
	_ = s.cmd.Wait()
	s.start()
}

// until asks again and again until ok says yes.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-r.ctx.Done():
			r.t.Fatalf("%s: it did not come about", what)
		}
	}
}

// count is the number of lines of a file; 0 if it is not there yet.
func (r *rig) count(path string) int {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.t.Fatal(err)
	}
	return strings.Count(string(data), "\n")
}

type status struct {
	Phase  string `json:"phase"`
	Counts struct {
		Done string `json:"done"`
	} `json:"counts"`
}

func (r *rig) status(job string) (s status) {
	out, err := r.command("job", "status", job, "--json").Output()
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	if err != nil {
		return status{}
	}
	return s
}

// exitCode of a command that has ended.
func exitCode(err error) int {
	var e *exec.ExitError
	if errors.As(err, &e) {
		return e.ExitCode()
	}
	return 0
}
