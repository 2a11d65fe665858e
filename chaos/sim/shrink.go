package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"
)

// ShrinkOptions bound the search for a small schedule.
type ShrinkOptions struct {
	// Within is how long it may search, Runs how many runs it may play; 0 means a minute, and as many as fit.
	Within time.Duration
	Runs   int
	// Out gets a line for every part that could be left out; nil drops them.
	Out io.Writer
}

// Shrunk is what is left of a run that broke.
type Shrunk struct {
	Schedule Schedule
	// Result of playing it: it breaks the same check.
	Result Result
	// From is how many faults, jobs and agents there were, Runs how many runs it took.
	FromFaults, FromJobs, FromAgents, Runs int
	// Whole says that the search came to its end: no single fault and no single job can be left out in any of the ways
	// that were tried.
	Whole bool
}

// saltsMax is in how many ways a part is played before it is taken to be needed.
const saltsMax = 24

// errBudget ends the search.
var errBudget = errors.New("sim: the time for shrinking is over")

// Shrink looks for the few events that matter in a run that breaks: by delta debugging (Zeller and Hildebrandt,
// "Simplifying and Isolating Failure-Inducing Input", 2002) over its faults, then its jobs, agents and steps. A part can
// be left out if, in one of several ways of playing the rest, the same check breaks. It fails if the run does not break.
func Shrink(ctx context.Context, o Options, so ShrinkOptions) (*Shrunk, error) {
	o.Timeline, o.Messages = nil, false
	first := Run(o)
	if first.Violation == nil {
		return nil, fmt.Errorf("sim: seed %d does not break, there is nothing to shrink", o.Seed)
	}
	if so.Within == 0 {
		so.Within = time.Minute
	}
	if so.Out == nil {
		so.Out = io.Discard
	}
	ctx, cancel := context.WithTimeoutCause(ctx, so.Within, errBudget)
	defer cancel()
	s := &shrinker{ctx: ctx, o: so, check: first.Violation.Check}
	whole := Schedule{
		Seed: o.Seed, Focus: o.Focus, Agents: first.agents, Faults: first.Strikes,
		Steps: max(1, min(first.FaultSteps, first.Violation.Step)), Jobs: upToN(first.jobs),
	}
	if o.Schedule != nil {
		whole = *o.Schedule
	}
	if !s.try(whole, 8*saltsMax) {
		return nil, fmt.Errorf("sim: %w: in none of the ways of playing its faults again does seed %d break %q", cmpCause(ctx), o.Seed, s.check)
	}
	s.minimize()
	return &Shrunk{
		Schedule: s.best, Result: Run(Options{Seed: o.Seed, Focus: o.Focus, Schedule: &s.best}), Runs: s.runs, Whole: ctx.Err() == nil,
		FromFaults: len(first.Strikes), FromJobs: len(whole.Jobs), FromAgents: whole.Agents,
	}, nil
}

// cmpCause is why the search ended, or that it did not find anything.
func cmpCause(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return errors.New("nothing found")
}

// shrinker is one search.
type shrinker struct {
	ctx   context.Context
	o     ShrinkOptions
	check Check
	best  Schedule
	runs  int
}

// minimize leaves out what can be left out, the coarse first.
func (s *shrinker) minimize() {
	for before := -1; before != s.size() && s.ctx.Err() == nil; {
		before = s.size()
		one := s.best
		one.SubmitsOnly = true
		if !s.best.SubmitsOnly && s.try(one, saltsMax) {
			fmt.Fprintln(s.o.Out, "clients only submit")
		}
		ddmin(s, "faults", s.best.Faults, func(c *Schedule, list []Strike) { c.Faults = list })
		ddmin(s, "jobs", s.best.Jobs, func(c *Schedule, list []int) { c.Jobs = list })
		for s.best.Agents > 1 {
			fewer := s.best
			fewer.Agents--
			if !s.try(fewer, saltsMax) {
				break
			}
			fmt.Fprintf(s.o.Out, "%d agents\n", fewer.Agents)
		}
		for s.best.Steps > 64 {
			shorter := s.best
			shorter.Steps = s.best.Steps * 2 / 3
			shorter.Faults = slices.DeleteFunc(slices.Clone(s.best.Faults), func(f Strike) bool { return f.Step >= shorter.Steps })
			if len(shorter.Faults) < len(s.best.Faults) || !s.try(shorter, saltsMax) {
				break
			}
		}
	}
}

// size is what the search makes smaller.
func (s *shrinker) size() int { return len(s.best.Faults) + len(s.best.Jobs) + s.best.Agents }

// ddmin leaves out larger and smaller parts of a list until no single item can be left out.
func ddmin[T any](s *shrinker, what string, list []T, set func(*Schedule, []T)) {
	without := func(from, to int) bool {
		c := s.best
		rest := append(slices.Clone(list[:from]), list[to:]...)
		set(&c, rest)
		if !s.try(c, saltsMax) {
			return false
		}
		list = rest
		fmt.Fprintf(s.o.Out, "%d %s\n", len(list), what)
		return true
	}
	for part := len(list); part >= 1 && s.ctx.Err() == nil; part = min(part/2, len(list)) {
		for from := 0; from < len(list); {
			if !without(from, min(from+part, len(list))) {
				from += part
			}
		}
		if part == 1 {
			return
		}
	}
}

// try plays a schedule in some ways, at first in that of the best one; if the check breaks in one it is the best from
// now on. Which of several ways is taken does not depend on how many processors there are.
func (s *shrinker) try(c Schedule, ways uint64) bool {
	width := uint64(runtime.GOMAXPROCS(0))
	for from := uint64(0); from < ways; from += width {
		if s.ctx.Err() != nil || s.o.Runs > 0 && s.runs >= s.o.Runs {
			return false
		}
		n := min(width, ways-from)
		broke := make([]bool, n)
		var wait sync.WaitGroup
		for i := range n {
			one := c
			if from+i > 0 {
				one.Salt = from + i
			}
			wait.Go(func() {
				r := Run(Options{Seed: one.Seed, Focus: one.Focus, Schedule: &one})
				broke[i] = r.Violation != nil && r.Violation.Check == s.check
			})
		}
		wait.Wait()
		s.runs += int(n)
		if i := slices.Index(broke, true); i >= 0 {
			if from+uint64(i) > 0 {
				c.Salt = from + uint64(i)
			}
			s.best = c
			return true
		}
	}
	return false
}

func upToN(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}
