package proc

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	// againAfter is the pause before a process that died unasked is started again.
	againAfter = 500 * time.Millisecond
	// lineMax bounds the line in which a process says that it is up.
	lineMax = 64 << 10
)

// Facts are what a process says of itself when it is up.
type Facts struct {
	// NATS and HTTP are the URLs by which it is reached; empty if there are none.
	NATS string `json:"nats"`
	HTTP string `json:"http"`
}

// Spec says what a process is.
type Spec struct {
	// ID names it in the cell.
	ID string
	// Argv is the program and its arguments, Env its whole environment.
	Argv, Env []string
	// Log is the file to which its standard error is appended.
	Log string
	// Enter calls start where the process is to be born, such as in a network namespace; nil is here.
	Enter func(start func() error) error
}

// Event is something that happened to a process.
type Event struct {
	ID string
	// Kind is "started", "up" or "ended".
	Kind string
	PID  int
	// Asked says of an end that somebody asked for it, Code what it was: -1 is a signal. Up says that it was up before.
	Asked bool
	Code  int
	Up    bool
}

// Process is one process of the cell, through all its lives. It is safe for concurrent use.
type Process struct {
	spec Spec
	tell func(Event)

	mu   sync.Mutex
	life *life // the newest; nil before the first
	// wanted says that it is to run: one that dies is started again.
	wanted  bool
	revive  *time.Timer
	changed chan struct{} // closed and renewed at every change of life
}

// life is one run of the program.
type life struct {
	cmd   *exec.Cmd
	facts Facts
	up    bool
	asked bool
	ended chan struct{}
}

// New makes a process that does not run yet. tell hears of all that happens to it, one event at a time; it must not block.
func New(spec Spec, tell func(Event)) *Process {
	return &Process{spec: spec, tell: tell, changed: make(chan struct{})}
}

// ID is its name.
func (p *Process) ID() string { return p.spec.ID }

// SetProgram replaces the program and its arguments from the next start on.
func (p *Process) SetProgram(argv []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spec.Argv = slices.Clone(argv)
}

// Program is the program and its arguments.
func (p *Process) Program() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.spec.Argv)
}

// Start starts it, unless it runs. It does not wait until it is up.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = true
	if p.running() {
		return nil
	}
	return p.start()
}

func (p *Process) running() bool { return p.life != nil && !closed(p.life.ended) }

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (p *Process) start() error {
	log, err := os.OpenFile(p.spec.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.spec.ID, err)
	}
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start %s: %w", p.spec.ID, err)
	}
	cmd := exec.Command(p.spec.Argv[0], p.spec.Argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = p.spec.Env, w, log, attributes()
	enter := p.spec.Enter
	if enter == nil {
		enter = func(start func() error) error { return start() }
	}
	err = enter(cmd.Start)
	w.Close()
	if err != nil {
		r.Close()
		return fmt.Errorf("start %s: %w", p.spec.ID, err)
	}
	l := &life{cmd: cmd, ended: make(chan struct{})}
	p.life = l
	p.change()
	p.tell(Event{ID: p.spec.ID, Kind: "started", PID: cmd.Process.Pid})
	go p.listen(l, r)
	go p.watch(l)
	return nil
}

func (p *Process) change() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// listen reads the line in which it says that it is up, and drops what follows.
func (p *Process) listen(l *life, out *os.File) {
	defer out.Close()
	lines := bufio.NewReaderSize(out, lineMax)
	line, err := lines.ReadSlice('\n')
	var facts Facts
	if err == nil && json.Unmarshal(line, &facts) == nil {
		p.mu.Lock()
		if !closed(l.ended) {
			l.facts, l.up = facts, true
			p.change()
			p.tell(Event{ID: p.spec.ID, Kind: "up", PID: l.cmd.Process.Pid})
		}
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, lines) // or the process would stand still when the pipe is full
}

// watch waits for the end of one life.
func (p *Process) watch(l *life) {
	_ = l.cmd.Wait() // how it ended is in its state
	p.mu.Lock()
	defer p.mu.Unlock()
	close(l.ended)
	p.change()
	p.tell(Event{ID: p.spec.ID, Kind: "ended", PID: l.cmd.Process.Pid, Asked: l.asked, Code: l.cmd.ProcessState.ExitCode(), Up: l.up})
	if p.wanted && p.life == l {
		p.revive = time.AfterFunc(againAfter, p.again)
	}
}

// again starts it anew after an end that nobody asked for.
func (p *Process) again() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted && !p.running() && p.start() != nil {
		p.revive = time.AfterFunc(againAfter, p.again)
	}
}

// Up waits until it is up and returns what it says of itself.
func (p *Process) Up(ctx context.Context) (Facts, error) {
	for {
		p.mu.Lock()
		if p.running() && p.life.up {
			facts := p.life.facts
			p.mu.Unlock()
			return facts, nil
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return Facts{}, fmt.Errorf("%s is not up: %w; its log is %s", p.spec.ID, context.Cause(ctx), p.spec.Log)
		}
	}
}

// Facts are what it says of itself; false while it is not up.
func (p *Process) Facts() (Facts, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() || !p.life.up {
		return Facts{}, false
	}
	return p.life.facts, true
}

// PID is its process id, 0 while it does not run.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return 0
	}
	return p.life.cmd.Process.Pid
}

// Signal sends it a signal that it survives, such as SIGSTOP.
func (p *Process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return fmt.Errorf("%s does not run", p.spec.ID)
	}
	return p.life.cmd.Process.Signal(sig)
}

// End ends it by a signal, SIGKILL or one that it obeys, and waits until it is gone. It stays down until Start.
// When ctx ends first it is killed. The exit code is -1 if a signal was the end of it.
func (p *Process) End(ctx context.Context, sig syscall.Signal) (code int, err error) {
	p.mu.Lock()
	p.wanted = false
	if p.revive != nil {
		p.revive.Stop()
	}
	if !p.running() {
		p.mu.Unlock()
		return 0, nil
	}
	l := p.life
	l.asked = true
	p.mu.Unlock()
	err = l.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	select {
	case <-l.ended:
	case <-ctx.Done():
		err = errors.Join(err, fmt.Errorf("%s does not end by %v: %w", p.spec.ID, sig, context.Cause(ctx)))
		_ = l.cmd.Process.Kill() // it fails only if it is gone
		<-l.ended
	}
	return l.cmd.ProcessState.ExitCode(), err
}
