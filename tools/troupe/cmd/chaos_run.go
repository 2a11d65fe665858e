package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-sched/troupe/chaos"
	chaosreport "github.com/troupe-sched/troupe/chaos/report"
	"github.com/troupe-sched/troupe/chaos/scenario"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newChaosRunCommand(app *App) *cobra.Command {
	var o chaos.Options
	var page, old string
	var skip, live bool
	var duration time.Duration
	c := &cobra.Command{
		Use:   "run SCENARIO",
		Short: "Strike a cell of real processes on this machine by a scenario, and judge it",
		Long: `Strike a cell of real processes on this machine with the faults of a scenario while it works, let it come to rest, and judge
it by what clients were told, what attempts left behind, the journal, the agents' ledgers and the processes that run.

SCENARIO is one that is built in, see "troupe chaos list", or a file in YAML, TOML or JSON. The cell is in a temporary folder of
its own; all of it is ended and removed afterwards. With the same seed the same faults come at the same times.

With --live it is done to a cell that runs already: with faults that the cell can be asked for and that end by themselves, and
judged by its answers alone.`,
		Example: example("troupe chaos run kill-master", "troupe chaos run chaos.yaml --seed 7 --report out.html", "troupe chaos run soak --duration 1h --json",
			"troupe chaos run drills --live --nats nats://staging.example:4222 --cell staging"),
		Args: names("a scenario"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.Scenario, err = scenario.Open(args[0]); err != nil {
				return usagef("%v", err)
			}
			if duration > 0 {
				o.Scenario.Duration = scenario.Duration(duration)
			}
			if o.Seed == 0 {
				o.Seed = uint64(time.Now().UnixNano()) % 1_000_000_007
			}
			o.Again = fmt.Sprintf("troupe chaos run %s --seed %d", args[0], o.Seed)
			if duration > 0 {
				o.Again += " --duration " + duration.String()
			}
			if old != "" {
				o.Old, o.Again = []string{old}, o.Again+" --troupe-old "+old
			}
			if !app.json {
				begun := time.Now()
				o.Tell = func(text string) {
					fmt.Fprintf(app.Err, "%7.1fs %s\n", time.Since(begun).Seconds(), view.CleanText(text))
				}
			}
			if live {
				o.Again += " --live"
				return app.withCell(cmd, func(ctx context.Context, cell Cell) error {
					made, err := chaos.RunLive(ctx, cell, o)
					return showChaos(app, made, err, page)
				})
			}
			made, err := chaos.Run(cmd.Context(), o)
			err = showChaos(app, made, err, page)
			if skip && errors.Is(err, chaos.ErrUnable) {
				app.note(app.Err, func(p *view.Page) { p.Line("%s is left out: %v", o.Scenario.Name, err) })
				return nil
			}
			return err
		},
	}
	flags := c.Flags()
	flags.Uint64Var(&o.Seed, "seed", 0, "draw faults and whom they strike from this; 0 draws it from the clock")
	flags.DurationVar(&duration, "duration", 0, "let faults come for so long instead of the scenario's time")
	flags.BoolVar(&o.Keep, "keep", false, "leave what the cell has kept and logged, as a run that breaks a promise does")
	flags.StringVar(&page, "report", "", "write the report as one page of HTML to this `FILE`")
	flags.StringVar(&o.Dir, "dir", "", "where the folder of the run is made; empty: the system's for temporary files")
	flags.BoolVar(&live, "live", false, "do it to the running cell that --nats and --cell name, with faults that end by themselves alone")
	flags.BoolVar(&skip, "skip-unable", false, "leave a scenario out, with a note, if this machine lacks what it needs")
	flags.StringVar(&old, "troupe-old", "", "the `PROGRAM` that is the other version for the fault swap")
	return c
}

// showChaos shows the report of a run, if there is one.
func showChaos(app *App, made *chaosreport.Report, err error, page string) error {
	if made == nil {
		return err
	}
	if page != "" {
		err = errors.Join(err, writePage(page, made))
	}
	if app.json {
		err = errors.Join(err, made.JSON(app.Out))
	} else {
		err = errors.Join(err, app.page(func(p *view.Page) { verdict(p, made, page) }))
	}
	return err
}

// writePage writes the report as a page, whole or not at all.
func writePage(file string, made *chaosreport.Report) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".report")
	if err != nil {
		return err
	}
	err = errors.Join(made.HTML(f), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// verdict shows a report on a terminal.
func verdict(p *view.Page, r *chaosreport.Report, page string) {
	f := r.Figures
	p.Line("")
	for _, c := range r.Checks {
		mark := "kept  "
		switch {
		case c.Broken > 0:
			mark = "BROKEN"
		case c.Checked == 0:
			mark = "unseen"
		}
		p.Line("%s  %-17s %7d checked  %s", mark, c.Name, c.Checked, view.Clean(c.Note))
		for _, v := range c.Violations {
			p.Line("        %s", view.CleanText(v))
		}
	}
	p.Line("")
	p.Line("%d faults (%d skipped), %d epochs, %d records; %d submits acknowledged, %d lost, %d unanswered; %d attempts, %d restarted",
		f.Faults, f.Skipped, f.Epochs, f.Records, f.Acknowledged, f.Lost, f.Unanswered, f.Attempts, f.Restarted)
	p.Line("answers: p50 %d ms, p99 %d ms, max %d ms; longest without an answer %d ms, without a start %d ms",
		f.OpP50MS, f.OpP99MS, f.OpMaxMS, f.SilentMS, f.NoStartMS)
	for _, s := range r.Sizes {
		flat := "grows"
		if s.Flat {
			flat = "flat"
		}
		p.Line("%-12s %-10s first %d, last %d, most %d, by the hour %+d: %s", s.Part, s.What, s.First, s.Last, s.Max, s.PerHour, flat)
	}
	if r.Stopped != "" {
		p.Line("it did not come to its end: %s", view.Clean(r.Stopped))
	}
	if r.Dir != "" {
		p.Line("kept:   %s", r.Dir)
	}
	if page != "" {
		p.Line("report: %s", page)
	}
	p.Line("again:  %s", r.Again)
}

func newChaosListCommand(app *App) *cobra.Command {
	var faults bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the scenarios that are built in, or the faults that a scenario can name",
		Example: example("troupe chaos list", "troupe chaos list --faults"),
		Args:    names(),
		RunE: func(*cobra.Command, []string) error {
			about := scenario.Kinds()
			if !faults {
				about = map[string]string{}
				for _, name := range scenario.Names() {
					s, err := scenario.Open(name)
					if err != nil {
						return err
					}
					about[name] = s.About
				}
			}
			if app.json {
				return view.JSONValue(app.Out, about)
			}
			return app.page(func(p *view.Page) {
				for _, name := range slices.Sorted(maps.Keys(about)) {
					p.Line("%-16s %s", name, about[name])
				}
			})
		},
	}
	c.Flags().BoolVar(&faults, "faults", false, "list the faults instead")
	return c
}

// newChaosNATSCommand is a NATS server as a process of its own, for cells that are to be broken.
func newChaosNATSCommand(app *App) *cobra.Command {
	var s chaos.NATSServer
	c := &cobra.Command{
		Use: "nats", Hidden: true, Short: "Run a NATS server for a cell that is to be broken",
		Example: example("troupe chaos nats --dir /tmp/n1 --name n1 --listen 127.0.0.1:4222"),
		Args:    names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.Log = io.Writer(app.Err)
			return s.Run(cmd.Context(), app.Out)
		},
	}
	flags := c.Flags()
	flags.StringVar(&s.Dir, "dir", "", "where it keeps its streams")
	flags.StringVar(&s.Name, "name", "", "its name in the cluster")
	flags.StringVar(&s.Listen, "listen", "", "where clients reach it")
	flags.StringVar(&s.ClusterListen, "cluster-listen", "", "where the other servers reach it")
	flags.StringArrayVar(&s.Routes, "route", nil, "URL of a server of the cluster")
	return c
}
