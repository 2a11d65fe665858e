package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/troupe-sched/troupe/chaos/audit"
	"github.com/troupe-sched/troupe/chaos/cell"
	"github.com/troupe-sched/troupe/chaos/load"
	"github.com/troupe-sched/troupe/chaos/nemesis"
	"github.com/troupe-sched/troupe/chaos/proc"
	"github.com/troupe-sched/troupe/chaos/report"
	"github.com/troupe-sched/troupe/chaos/scenario"
	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/client"
)

const (
	// upWithin bounds the start of the cell and of its services.
	upWithin = 90 * time.Second
	// tidyWithin bounds what comes after the quiet time: the questions, the stop of everything, the reading of journals.
	tidyWithin = 3 * time.Minute
)

// Options of a run. Scenario is required.
type Options struct {
	Scenario scenario.Scenario
	// Seed draws the random faults, and whom faults strike.
	Seed uint64
	// Program is the command that runs Troupe; this program if empty. Old is another version, for the fault "swap".
	Program, Old []string
	// Env is set for every process of the cell.
	Env map[string]string
	// Dir is the folder in which the folder of the run is made; the system's for temporary files if empty. Keep leaves
	// what the cell has kept and logged there, and so does a broken promise.
	Dir  string
	Keep bool
	// Again is the command line that does the same run again, for the report; made up from scenario and seed if empty.
	Again string
	// Tell hears in words what happens, as it happens; nil is quiet.
	Tell func(string)
}

// ErrBroken is the error of a run in which a promise was broken. Its report tells which.
var ErrBroken = errors.New("a promise was broken")

// ErrUnable is the error of a run for which this machine lacks something: the rights of root, /dev/fuse, or another version
// of the program.
var ErrUnable = cell.ErrUnable

// Run does one scenario and judges the cell. The report is there whenever the cell was opened, also with an error: with
// ErrBroken if a promise was broken, with another one if the run did not come to its end.
func Run(ctx context.Context, o Options) (*report.Report, error) {
	r := &run{o: o, begun: time.Now()}
	if r.o.Tell == nil {
		r.o.Tell = func(string) {}
	}
	if len(r.o.Program) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("chaos: %w", err)
		}
		r.o.Program = []string{self}
	}
	if s := o.Scenario; s.Needs("swap") && len(o.Old) == 0 {
		return nil, fmt.Errorf("chaos: %w: %s needs another version of the program to swap with; name one", ErrUnable, s.Name)
	}
	// A short name: sockets below it have short names.
	dir, err := os.MkdirTemp(o.Dir, "tc")
	if err != nil {
		return nil, fmt.Errorf("chaos: %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("chaos: %w", err)
	}
	made, err := r.do(ctx, dir)
	if made != nil && !made.Passed && err == nil {
		err = ErrBroken
	}
	if o.Keep || errors.Is(err, ErrBroken) {
		r.o.Tell("what the cell has kept is in " + dir)
		if made != nil {
			made.Dir = dir
		}
		return made, err
	}
	return made, errors.Join(err, os.RemoveAll(dir))
}

// run is one run while it lasts.
type run struct {
	o     Options
	begun time.Time
	// start is when the first fault can strike.
	start time.Time
	// cell is the one that was opened for the run, nil if it is another's; asks is how it is asked, and prefix begins the
	// names of all jobs of the run.
	cell   *cell.Cell
	asks   api.Cell
	prefix string
	load   *load.Load
	watch  *watch
	// evidence is gathered over the run.
	evidence audit.Evidence
	strikes  []nemesis.Strike
	stopped  error
}

func (r *run) do(ctx context.Context, dir string) (*report.Report, error) {
	s := r.o.Scenario
	r.watch = newWatch(s)
	opening, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	r.o.Tell(fmt.Sprintf("%s: %d masters, %d NATS servers, %d nodes, seed %d", s.Name, s.Cell.Masters, s.Cell.NATS, s.Cell.Nodes, r.o.Seed))
	c, err := cell.Open(opening, cell.Options{
		Shape: s.Cell, Dir: dir, Program: r.o.Program, Old: r.o.Old, Env: r.o.Env, Tell: r.event,
	})
	if err != nil {
		return nil, fmt.Errorf("chaos: the cell does not come up: %w", err)
	}
	r.cell, r.asks = c, c.Client()
	err = r.play(ctx, opening)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		r.stopped = err
	}
	made := r.report()
	return made, errors.Join(err, c.Close(context.WithoutCancel(ctx)))
}

// event hears of processes.
func (r *run) event(e proc.Event) {
	r.watch.event(e)
	if e.Kind == "ended" && !e.Asked {
		r.o.Tell(fmt.Sprintf("%s (process %d) ended by itself with %d", e.ID, e.PID, e.Code))
	}
}

// play does the scenario with an open cell and gathers all evidence.
func (r *run) play(ctx, opening context.Context) error {
	s := r.o.Scenario
	r.load = load.New(r.asks, s.Load, load.Files{Effects: r.cell.Effects, Leash: r.cell.Leash()})
	if err := r.load.Begin(opening); err != nil {
		return fmt.Errorf("chaos: %w", err)
	}
	r.start = time.Now()
	impatient, err := client.New(client.Config{Conn: r.cell.Conn(), Cell: r.cell.Name, Try: askWithin, Wait: askWithin})
	if err != nil {
		return fmt.Errorf("chaos: %w", err)
	}
	defer r.watch.run(ctx, impatient, r.cell)()
	r.o.Tell(fmt.Sprintf("the cell is up after %v; faults and work for %v", time.Since(r.begun).Round(time.Millisecond), s.Duration))
	playing, cancel := context.WithDeadline(ctx, r.start.Add(s.Duration.Std()))
	defer cancel()
	struck := make(chan []nemesis.Strike)
	go func() { struck <- nemesis.New(r.cell, r.o.Seed).Run(ctx, r.start, s.Plan(r.o.Seed)) }()
	r.load.Run(playing)
	<-playing.Done() // also when there is no work
	r.strikes = <-struck
	for _, x := range r.strikes {
		if x.Failed != nil {
			r.o.Tell(fmt.Sprintf("fault %s at %v: %v", x.Fault.Fault, x.Fault.At, x.Failed))
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.o.Tell("the last fault is over; the cell comes to rest")
	r.rest(ctx)
	r.hear(ctx)
	return nil
}
