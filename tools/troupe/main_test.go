package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/troupe-sched/troupe/tools/troupe/cmd"
	"github.com/troupe-sched/troupe/tools/troupe/compose"
)

// beTroupe makes the test binary the program itself, so that the tests run the real thing in processes of their own.
const beTroupe = "BE_TROUPE=1"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "shim" || os.Getenv("BE_TROUPE") != "" {
		main()
	}
	os.Exit(m.Run())
}

// place is a machine of one's own: a home, a directory for temporary files, nothing else in the environment.
type place struct {
	t   *testing.T
	dir string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir, err := os.MkdirTemp("", "trp") // short: sockets have short names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return &place{t, dir}
}

func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

func (p *place) write(name, content string) string {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return p.path(name)
}

// fifo is a pipe with a name; lines come from whoever writes into it.
func (p *place) fifo(name string) (path string, lines func() string) {
	p.t.Helper()
	path = p.path(name)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		p.t.Fatal(err)
	}
	// Opened for writing too, it never ends while nobody writes.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { f.Close() })
	r := bufio.NewReader(f)
	return path, func() string {
		line, err := r.ReadString('\n')
		if err != nil {
			p.t.Fatal(err)
		}
		return strings.TrimSpace(line)
	}
}

func (p *place) command(ctx context.Context, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	c := exec.CommandContext(ctx, self, args...)
	c.Env = []string{beTroupe, "HOME=" + p.dir, "TMPDIR=" + p.dir, "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}
	return c
}

// run runs the program to its end.
func (p *place) run(args ...string) (code int, stdout, stderr string) {
	p.t.Helper()
	c := p.command(p.t.Context(), args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	if c.ProcessState == nil {
		p.t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), out.String(), errs.String()
}

// must runs the program, which must succeed, and returns what it wrote.
func (p *place) must(args ...string) string {
	p.t.Helper()
	code, stdout, stderr := p.run(args...)
	if code != 0 {
		p.t.Fatalf("troupe %s: exit %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// running is the program while it runs.
type running struct {
	*exec.Cmd
	t      *testing.T
	stdout *bufio.Reader
	stderr bytes.Buffer
	ended  bool
}

// start starts the program; it is killed with the test if it still runs then.
func (p *place) start(args ...string) *running {
	p.t.Helper()
	proc := &running{Cmd: p.command(context.Background(), args...), t: p.t}
	r, w, err := os.Pipe()
	if err != nil {
		p.t.Fatal(err)
	}
	proc.Stdout, proc.stdout = w, bufio.NewReader(r)
	proc.Stderr = &proc.stderr
	if err := proc.Start(); err != nil {
		p.t.Fatal(err)
	}
	w.Close()
	p.t.Cleanup(func() {
		if !proc.ended {
			proc.end(syscall.SIGKILL)
		}
		r.Close()
		if p.t.Failed() {
			p.t.Logf("troupe %s wrote\n%s", strings.Join(args, " "), proc.stderr.String())
		}
	})
	return proc
}

// server starts a command that lasts and returns its facts when it is up.
func (p *place) server(args ...string) (*running, compose.Facts) {
	p.t.Helper()
	proc := p.start(append(args, "--json")...)
	line, err := proc.stdout.ReadString('\n')
	var facts compose.Facts
	if err == nil {
		err = json.Unmarshal([]byte(line), &facts)
	}
	if err != nil {
		proc.end(syscall.SIGKILL)
		p.t.Fatalf("troupe %s does not come up: %v: %s\n%s", strings.Join(args, " "), err, line, proc.stderr.String())
	}
	return proc, facts
}

// end sends a signal and waits for the end; -1 is the exit code of one that was killed.
func (proc *running) end(sig os.Signal) (code int) {
	proc.t.Helper()
	if err := proc.Process.Signal(sig); err != nil {
		proc.t.Fatal(err)
	}
	return proc.wait()
}

func (proc *running) wait() (code int) {
	_, _ = io.Copy(io.Discard, proc.stdout)
	_ = proc.Wait() // the exit code says it
	proc.ended = true
	return proc.ProcessState.ExitCode()
}

// lives reports whether a process runs; one that is dead and not yet reaped does not.
func lives(t *testing.T, pid string) bool {
	t.Helper()
	if _, err := strconv.Atoi(pid); err != nil {
		t.Fatalf("%q is no process id", pid)
	}
	out, _ := exec.Command("ps", "-o", "stat=", "-p", pid).Output() // it fails if there is none
	state := strings.TrimSpace(string(out))
	return state != "" && !strings.HasPrefix(state, "Z")
}

// report reads what run --json wrote.
func report(t *testing.T, stdout string) (phase string, r cmd.Report) {
	t.Helper()
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	var job struct{ Phase string }
	if err := json.Unmarshal(r.Job, &job); err != nil {
		t.Fatal(err)
	}
	return job.Phase, r
}

// oneStage is a job file of one stage that runs a script.
func oneStage(name string, instances int, script string, more ...string) string {
	quoted, err := json.Marshal(script)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("name: %s\nstages:\n  - name: s\n    instances: %d\n    command: [sh, -c, %s]\n    resources: {cpu: 10m, memory: 1Mi}\n%s\n",
		name, instances, quoted, strings.Join(more, "\n"))
}
