package cmd

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/tools/troupe/bench"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newBenchFaultsCommand(app *App) *cobra.Command {
	var o bench.FaultsOptions
	c := &cobra.Command{
		Use:   "faults",
		Short: "By how much a batch job is slower when nodes fail or are slow",
		Long: `By how much a batch job is slower when 5 and 10 percent of its nodes fall ill while it runs: some go silent for good, some
fail every attempt, most become several times slower. Through the production actors, in virtual time.`,
		Example: example("troupe bench faults --json"),
		Args:    names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Nodes < 20 || o.Seeds < 1 || o.SlowMost < 2 {
				return usagef("--nodes must be 20 at least, --seeds 1 and --slow-most 2")
			}
			r, err := bench.RunFaults(cmd.Context(), o)
			if err != nil {
				return err
			}
			return app.figures(r, func(p *view.Page) {
				for _, x := range r.Rows {
					p.Line("%d%% of %d nodes ill (%d down, %d failing, %d slow): %.1f%% slower (%.1f to %.1f), %d attempts failed, %d lost",
						x.Percent, r.Nodes, x.Down, x.Failing, x.Slow, x.Slower, x.Least, x.Most, x.Failed, x.Off)
				}
				p.Line("%d jobs lost", r.JobsLost)
			})
		},
	}
	c.Flags().IntVar(&o.Nodes, "nodes", 100, "nodes")
	c.Flags().IntVar(&o.Slots, "slots", 12, "instances that run at once on a node")
	c.Flags().IntVar(&o.Instances, "instances", 24_000, "instances of the job")
	c.Flags().DurationVar(&o.Each, "each", 30*time.Second, "mean time of an instance")
	c.Flags().IntVar(&o.SlowMost, "slow-most", 5, "slow nodes take twice to so many times the time")
	c.Flags().IntVar(&o.Seeds, "seeds", 5, "runs of each kind; the median counts")
	return c
}
