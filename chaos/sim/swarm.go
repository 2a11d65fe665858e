package sim

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"time"
)

// SwarmOptions of many runs.
type SwarmOptions struct {
	// Base from which the seeds are drawn; it is printed first.
	Base uint64
	// Seeds is how many fresh ones are played at most, Within how long new ones are begun; 0 means no bound.
	Seeds  int
	Within time.Duration
	// Steps of the part with faults in each fresh run; 0 leaves it to the seed.
	Steps uint64
	// Focus narrows all fresh runs; empty leaves it to each seed.
	Focus string
	// Kept plays the scenarios, too, before the fresh ones.
	Kept bool
	// Out gets the report.
	Out io.Writer
	// Progress is called now and then with what there is so far; nil for never. It must be quick.
	Progress func(runs, failed int, steps uint64)
}

// progressEvery is how many runs lie between two calls of SwarmOptions.Progress.
const progressEvery = 100

// SwarmResult is what many runs have shown together.
type SwarmResult struct {
	Runs, Steps, Begun, Records, Jobs, Reigns uint64
	Virtual, Wall                             time.Duration
	Checked                                   [Checks]uint64
	Coverage                                  Coverage
	ByFocus                                   map[string]int
	Shapes                                    Shapes
	// Failed are the runs in which something broke.
	Failed []Result
}

// failuresMax is how many broken runs a swarm waits for before it ends.
const failuresMax = 3

// Swarm plays the kept scenarios and many fresh seeds, on all processors, and writes a report.
// It ends early when ctx does.
func Swarm(ctx context.Context, o SwarmOptions) SwarmResult {
	fmt.Fprintf(o.Out, "base %d\n", o.Base)
	began := time.Now()
	s := SwarmResult{ByFocus: map[string]int{}, Shapes: Shapes{}}
	work := make(chan Options)
	var lock sync.Mutex
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for one := range work {
				r := Run(one)
				lock.Lock()
				s.add(o.Out, r)
				if o.Progress != nil && s.Runs%progressEvery == 0 {
					o.Progress(int(s.Runs), len(s.Failed), s.Steps)
				}
				lock.Unlock()
			}
		})
	}
	enough := func() bool {
		lock.Lock()
		defer lock.Unlock()
		return len(s.Failed) >= failuresMax || ctx.Err() != nil
	}
	if o.Kept {
		for _, k := range Scenarios() {
			if enough() {
				break
			}
			work <- Options{Seed: k.Seed, Focus: k.Focus, Steps: k.Steps}
		}
	}
	draw := rand.New(rand.NewPCG(o.Base, 0x7377_6172_6d))
	for n := 0; n < o.Seeds && !enough() && (o.Within == 0 || time.Since(began) < o.Within); n++ {
		work <- Options{Seed: 1 + draw.Uint64N(1<<40), Focus: o.Focus, Steps: o.Steps}
	}
	close(work)
	wait.Wait()
	s.Wall = time.Since(began)
	fmt.Fprintln(o.Out, s.String())
	return s
}

func (s *SwarmResult) add(out io.Writer, r Result) {
	s.Runs++
	s.Steps += r.Steps
	s.Virtual += r.Virtual
	s.Begun += uint64(r.Begun)
	s.Records += uint64(r.Records)
	s.Jobs += uint64(r.Jobs)
	s.Reigns += uint64(r.Reigns)
	s.ByFocus[r.Focus]++
	s.ByFocus[r.Theme]++
	s.Coverage.Add(&r.Coverage)
	s.Shapes.Add(r.Shapes)
	for c, n := range r.Checked {
		s.Checked[c] += n
	}
	if r.Violation != nil {
		s.Failed = append(s.Failed, r)
		fmt.Fprintln(out, r.Failure())
	}
}

// Failure tells of a broken run: what broke, the end of the timeline, and how to play it again.
func (r *Result) Failure() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d broke: %v\n", r.Seed, r.Violation)
	for _, line := range r.Tail {
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintf(&b, "play it again: %s", r.Again())
	return b.String()
}

// Again is the line that plays a run again.
func (r *Result) Again() string {
	line := fmt.Sprintf("troupe chaos sim --seed %d", r.Seed)
	if r.asked != "" {
		line += " --focus " + r.asked
	}
	if r.steps != 0 {
		line += fmt.Sprintf(" --steps %d", r.steps)
	}
	return line
}

// Idle are the checks that had nothing to look at in any run: they have shown nothing.
func (s *SwarmResult) Idle() []Check {
	var list []Check
	for c := range Checks {
		if s.Checked[c] == 0 {
			list = append(list, c)
		}
	}
	return list
}

// String is the report.
func (s *SwarmResult) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d runs, %d broke; %d steps in %v, %.0f a second; %v of the world's time\n",
		s.Runs, len(s.Failed), s.Steps, s.Wall.Round(time.Millisecond), float64(s.Steps)/max(s.Wall.Seconds(), 1e-9), s.Virtual.Round(time.Second))
	fmt.Fprintf(&b, "%d jobs, %d attempts, %d records, %d reigns of masters\n", s.Jobs, s.Begun, s.Records, s.Reigns)
	for _, f := range sortedKeys(s.ByFocus) {
		fmt.Fprintf(&b, "%s %d  ", f, s.ByFocus[f])
	}
	fmt.Fprint(&b, "\n\n")
	for c := range Checks {
		fmt.Fprintf(&b, "%12d  %s\n", s.Checked[c], c)
	}
	fmt.Fprintf(&b, "\nfaults by the moment in which they struck\n%s\n", &s.Coverage)
	fmt.Fprintf(&b, "\nwork that was made\n%s", s.Shapes)
	if idle := s.Idle(); len(idle) > 0 {
		fmt.Fprintf(&b, "\nnothing was shown by: %v\n", idle)
	}
	return b.String()
}
