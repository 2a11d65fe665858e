package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/chaos/sim"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

// simFigures is what a swarm shows to programs.
type simFigures struct {
	Base     uint64            `json:"base"`
	Runs     uint64            `json:"runs"`
	Broke    int               `json:"broke"`
	Steps    uint64            `json:"steps"`
	StepsPS  float64           `json:"steps_per_s"`
	WallS    float64           `json:"wall_s"`
	VirtualS float64           `json:"virtual_s"`
	Reigns   uint64            `json:"reigns"`
	Checked  map[string]uint64 `json:"checked"`
	// Coverage counts faults by the phase of the protocol in which they struck, Shapes the work that was made.
	Coverage map[string]map[string]uint64 `json:"coverage,omitempty"`
	Shapes   sim.Shapes                   `json:"shapes,omitempty"`
	Again    []string                     `json:"again,omitempty"`
}

// simRun is what the command is told.
type simRun struct {
	one      sim.Options
	swarm    sim.SwarmOptions
	base     uint64
	shrink   bool
	schedule string
	list     bool
}

func newChaosSimCommand(app *App) *cobra.Command {
	o := simRun{swarm: sim.SwarmOptions{Kept: true}}
	c := &cobra.Command{
		Use:   "sim",
		Short: "Play the seeded world: the actors of masters and agents under faults, in virtual time",
		Long: `Play the seeded world: the actors of masters and their agents run one message at a time and in virtual time over
simulated disks, links and drivers. Everything is drawn from a seed, the faults, too: one seed is one run, to the byte.

Without --seed it plays the seeds that have found something before and fresh ones, on all processors. --shrink looks for
the few faults and jobs that matter in a seed that breaks, and prints them as a schedule, which --schedule plays.`,
		Example: example("troupe chaos sim --seeds 1000", "troupe chaos sim --seeds 5000 --steps 10000 --within 10m --json",
			"troupe chaos sim --seed 174 --focus master", "troupe chaos sim --seed 174 --shrink > few.json", "troupe chaos sim --schedule few.json"),
		Args: names(),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, app) },
	}
	flags := c.Flags()
	flags.Uint64Var(&o.one.Seed, "seed", 0, "play this seed again and print its timeline")
	flags.StringVar(&o.one.Focus, "focus", "", "only one family of faults ("+strings.Join(sim.Families(), ", ")+
		"), one theme of the load ("+strings.Join(sim.Themes(), ", ")+"), or both: calm/gang")
	flags.BoolVar(&o.one.Messages, "messages", false, "with --seed or --schedule: every message, and what the actors log")
	flags.BoolVar(&o.shrink, "shrink", false, "with --seed: look for the few events that matter, and print them as a schedule")
	flags.StringVar(&o.schedule, "schedule", "", "play the schedule in this file")
	flags.Uint64Var(&o.base, "base", 0, "draw the fresh seeds from this; 0 draws it from the clock")
	flags.IntVar(&o.swarm.Seeds, "seeds", 1000, "fresh seeds at most")
	flags.Uint64Var(&o.one.Steps, "steps", 0, "messages in the part with faults of each run; 0 leaves it to the seed")
	flags.DurationVar(&o.swarm.Within, "within", time.Minute, "begin no new seed after this; with --shrink, search no longer")
	flags.BoolVar(&o.list, "list", false, "list the faults, the moments in which they can strike, and what is checked")
	return c
}

func (o *simRun) run(cmd *cobra.Command, app *App) error {
	if err := sim.CheckFocus(o.one.Focus); err != nil {
		return usagef("%v", err)
	}
	switch {
	case o.list:
		return listSim(app)
	case o.schedule != "":
		return o.playSchedule(app)
	case o.shrink && o.one.Seed == 0:
		return usagef("--shrink needs the --seed of a run that breaks")
	case o.shrink:
		return o.shrinkOne(cmd, app)
	case o.one.Seed != 0:
		return playAgain(app, o.one)
	}
	s := o.swarm
	s.Base, s.Focus, s.Steps, s.Out = o.base, o.one.Focus, o.one.Steps, app.Out
	if s.Base == 0 {
		s.Base = uint64(time.Now().UnixNano()) % 1_000_000_007
	}
	if app.json {
		s.Out = io.Discard
	}
	s.Progress = func(runs, failed int, steps uint64) {
		fmt.Fprintf(app.Err, "%d runs, %d broke, %d million steps\n", runs, failed, steps/1_000_000)
	}
	return playSwarm(cmd, app, s)
}

func listSim(app *App) error {
	fmt.Fprintln(app.Out, "faults")
	for f := range sim.Faults {
		fmt.Fprintln(app.Out, "  "+f.String())
	}
	fmt.Fprintln(app.Out, "moments")
	for m := range sim.Moments {
		fmt.Fprintln(app.Out, "  "+m.String())
	}
	fmt.Fprintln(app.Out, "checks")
	for c := range sim.Checks {
		fmt.Fprintln(app.Out, "  "+c.String())
	}
	return nil
}

func (o *simRun) playSchedule(app *App) error {
	f, err := os.Open(o.schedule)
	if err != nil {
		return err
	}
	defer f.Close()
	s, err := sim.ReadSchedule(f)
	if err != nil {
		return fmt.Errorf("%s: %w", o.schedule, err)
	}
	return playAgain(app, sim.Options{Seed: s.Seed, Focus: s.Focus, Schedule: s, Messages: o.one.Messages})
}

// shrinkOne prints the schedule on the output, what it does beside it.
func (o *simRun) shrinkOne(cmd *cobra.Command, app *App) error {
	small, err := sim.Shrink(cmd.Context(), o.one, sim.ShrinkOptions{Within: o.swarm.Within, Out: app.Err})
	if err != nil {
		return err
	}
	s := &small.Schedule
	fmt.Fprintf(app.Err, "%d of %d faults, %d of %d jobs, %d of %d agents, after %d runs\n%v\n", len(s.Faults), small.FromFaults,
		len(s.Jobs), small.FromJobs, s.Agents, small.FromAgents, small.Runs, small.Result.Violation)
	if !small.Whole {
		fmt.Fprintln(app.Err, "the time was over before all was tried; --within 10m tries more")
	}
	e := json.NewEncoder(app.Out)
	e.SetIndent("", "  ")
	return e.Encode(s)
}

func playSwarm(cmd *cobra.Command, app *App, o sim.SwarmOptions) error {
	s := sim.Swarm(cmd.Context(), o)
	if err := cmd.Context().Err(); err != nil {
		return err
	}
	f := simFigures{
		Base: o.Base, Runs: s.Runs, Broke: len(s.Failed), Steps: s.Steps, VirtualS: s.Virtual.Seconds(), WallS: s.Wall.Seconds(),
		StepsPS: float64(s.Steps) / max(s.Wall.Seconds(), 1e-9), Reigns: s.Reigns, Checked: checkedOf(&s.Checked),
		Coverage: s.Coverage.Table(), Shapes: s.Shapes,
	}
	for i := range s.Failed {
		f.Again = append(f.Again, s.Failed[i].Again())
	}
	if app.json {
		if err := app.figures(f, func(*view.Page) {}); err != nil {
			return err
		}
	}
	if len(s.Failed) > 0 {
		return fmt.Errorf("%d of %d runs broke", len(s.Failed), s.Runs)
	}
	return nil
}

func checkedOf(counts *[sim.Checks]uint64) map[string]uint64 {
	checked := map[string]uint64{}
	for check := range sim.Checks {
		checked[check.String()] = counts[check]
	}
	return checked
}

// playAgain plays one seed and prints what happened.
func playAgain(app *App, o sim.Options) error {
	if !app.json {
		o.Timeline = app.Out
	}
	r := sim.Run(o)
	if app.json {
		f := simFigures{
			Runs: 1, Steps: r.Steps, VirtualS: r.Virtual.Seconds(), Reigns: uint64(r.Reigns), Checked: checkedOf(&r.Checked),
			Coverage: r.Coverage.Table(), Shapes: r.Shapes,
		}
		if r.Violation != nil {
			f.Broke, f.Again = 1, []string{r.Again()}
		}
		if err := app.figures(f, func(*view.Page) {}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(app.Out, "seed %d: %d steps, %v of the world's time, trace %016x\n", r.Seed, r.Steps, r.Virtual, r.Hash)
	}
	if r.Violation != nil {
		return fmt.Errorf("seed %d broke: %w", r.Seed, r.Violation)
	}
	return nil
}
