package cmd

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/chaos/sim"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newChaosCommand(app *App) *cobra.Command {
	c := &cobra.Command{
		Use:     "chaos",
		Short:   "Break a cell on purpose, and see that its promises hold",
		Example: example("troupe chaos sim", "troupe chaos sim --seed 174 --focus master"),
	}
	c.AddCommand(newChaosSimCommand(app))
	return group(c)
}

// simFigures is what a swarm shows to programs.
type simFigures struct {
	Base     uint64            `json:"base"`
	Runs     uint64            `json:"runs"`
	Broke    int               `json:"broke"`
	Steps    uint64            `json:"steps"`
	StepsPS  float64           `json:"steps_per_s"`
	VirtualS float64           `json:"virtual_s"`
	Checked  map[string]uint64 `json:"checked"`
	Again    []string          `json:"again,omitempty"`
}

func newChaosSimCommand(app *App) *cobra.Command {
	var seed, base uint64
	var focus string
	var messages bool
	o := sim.SwarmOptions{Kept: true}
	c := &cobra.Command{
		Use:   "sim",
		Short: "Play the seeded world: the actors of master and agents under faults, in virtual time",
		Long: `Play the seeded world: the actors of a master and its agents run one message at a time and in virtual time over
simulated disks, links and drivers. Everything is drawn from a seed, the faults, too: one seed is one run, to the byte.

Without --seed it plays the seeds that have found something before and fresh ones, on all processors.`,
		Example: example("troupe chaos sim --seeds 1000", "troupe chaos sim --seed 174 --focus master", "troupe chaos sim --json"),
		Args:    names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := sim.CheckFocus(focus); err != nil {
				return usagef("%v", err)
			}
			if seed != 0 {
				return playAgain(app, sim.Options{Seed: seed, Focus: focus, Messages: messages})
			}
			o.Base, o.Focus, o.Out = base, focus, app.Out
			if base == 0 {
				o.Base = uint64(time.Now().UnixNano()) % 1_000_000_007
			}
			if app.json {
				o.Out = io.Discard
			}
			return playSwarm(cmd, app, o)
		},
	}
	flags := c.Flags()
	flags.Uint64Var(&seed, "seed", 0, "play this seed again and print its timeline")
	flags.StringVar(&focus, "focus", "", "only one family of faults ("+strings.Join(sim.Families(), ", ")+
		"), one theme of the load ("+strings.Join(sim.Themes(), ", ")+"), or both: calm/gang")
	flags.BoolVar(&messages, "messages", false, "with --seed: every message, and what the actors log")
	flags.Uint64Var(&base, "base", 0, "draw the fresh seeds from this; 0 draws it from the clock")
	flags.IntVar(&o.Seeds, "seeds", 1000, "fresh seeds at most")
	flags.DurationVar(&o.Within, "within", time.Minute, "begin no new seed after this")
	return c
}

func playSwarm(cmd *cobra.Command, app *App, o sim.SwarmOptions) error {
	s := sim.Swarm(cmd.Context(), o)
	if err := cmd.Context().Err(); err != nil {
		return err
	}
	f := simFigures{
		Base: o.Base, Runs: s.Runs, Broke: len(s.Failed), Steps: s.Steps, VirtualS: s.Virtual.Seconds(),
		StepsPS: float64(s.Steps) / max(s.Wall.Seconds(), 1e-9), Checked: map[string]uint64{},
	}
	for check := range sim.Checks {
		f.Checked[check.String()] = s.Checked[check]
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

// playAgain plays one seed and prints what happened.
func playAgain(app *App, o sim.Options) error {
	if !app.json {
		o.Timeline = app.Out
	}
	r := sim.Run(o)
	if app.json {
		f := simFigures{Runs: 1, Steps: r.Steps, VirtualS: r.Virtual.Seconds(), Checked: map[string]uint64{}}
		for check := range sim.Checks {
			f.Checked[check.String()] = r.Checked[check]
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
