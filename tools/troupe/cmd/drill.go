package cmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/chaos/drill"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newDrillCommand(app *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "drill",
		Short: "Let a part of the live cell fail for a while, and count what restarted",
		Long: `Let a part of the live cell fail for a while, and report how many attempts restarted, which must be none, and how long
nothing could be placed. The fault is bounded by the one that has it and ends by itself, also if this command is killed.

Small jobs are submitted all the while to see when they can be placed; --probe says what they run, --no-probe sends none.`,
		Example: example("troupe drill leader-stall 30s", "troupe drill partition 30s --node node-a", "troupe drill agent-restart --node node-a --json"),
	}
	for _, kind := range []struct{ name, short string }{
		{"leader-stall", "The leading master neither hears nor says anything for a while"},
		{"partition", "The link between a node and the master is cut for a while"},
		{"agent-restart", "The agent of a node begins anew; what it runs goes on"},
	} {
		c.AddCommand(newDrillKindCommand(app, kind.name, kind.short))
	}
	return group(c)
}

func newDrillKindCommand(app *App, kind, short string) *cobra.Command {
	o := drill.Options{Kind: kind}
	var probe []string
	var none bool
	c := &cobra.Command{
		Use:     kind + " [DURATION]",
		Short:   short,
		Example: example("troupe drill " + kind + " 30s"),
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.For = 30 * time.Second
			if kind == "agent-restart" {
				o.For = time.Second
			}
			if len(args) == 1 {
				var err error
				if o.For, err = time.ParseDuration(args[0]); err != nil || o.For <= 0 {
					return usagef("%q is no duration; right would be 30s", args[0])
				}
			}
			if kind != "leader-stall" && o.Node == "" {
				return usagef("--node says whose it is")
			}
			if !none {
				o.Probe = &v1.StageSpec{Name: "probe", Instances: 1, Command: probe, Resources: &v1.Resources{Cpu: "1m", Memory: "1Mi"}}
			}
			if !app.json {
				o.Say = func(line string) { fmt.Fprintln(app.Err, line) }
			}
			return app.withCell(cmd, func(ctx context.Context, cell Cell) error { return runDrill(ctx, app, cell, o) })
		},
	}
	if kind != "leader-stall" {
		c.Flags().StringVar(&o.Node, "node", "", "node that it is about")
	}
	c.Flags().StringVar(&o.Reason, "reason", "drill by hand", "what to tell those who look at the cell meanwhile")
	c.Flags().StringVar(&o.Queue, "queue", "default", "queue of the small jobs")
	c.Flags().StringSliceVar(&probe, "probe", []string{"true"}, "command of the small jobs, with commas")
	c.Flags().BoolVar(&none, "no-probe", false, "submit none")
	c.Flags().DurationVar(&o.Settle, "settle", 2*time.Minute, "how long the cell has to be as before")
	return c
}

func runDrill(ctx context.Context, app *App, cell Cell, o drill.Options) error {
	r, err := drill.Run(ctx, cell, o)
	if err != nil {
		return err
	}
	err = app.figures(r, func(p *view.Page) {
		p.Line("attempts   %d ran before: %d still run, %d have ended, %d restarted", r.Attempts, r.Same, r.Ended, r.Restarted)
		for _, which := range r.Which {
			p.Line("           restarted: %s", which)
		}
		if r.Probes > 0 {
			p.Line("placing    nothing for %.1f s at the longest, %.2f s from one to the next before; %d small jobs, none lost", r.GapMs/1000, r.UsualMs/1000, r.Probes)
		}
		p.Line("master     %s, epoch %d; before %s, epoch %d", r.MasterAfter, r.EpochAfter, r.MasterBefore, r.EpochBefore)
		if r.BackS >= 0 {
			p.Line("as before  %.1f s after the fault was over", r.BackS)
		}
	})
	switch {
	case err != nil:
		return err
	case r.Restarted > 0:
		return fmt.Errorf("%d attempts restarted", r.Restarted)
	case r.BackS < 0:
		return fmt.Errorf("the cell is not as before after %v", o.Settle)
	}
	return nil
}
