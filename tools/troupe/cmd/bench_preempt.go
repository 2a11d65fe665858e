package cmd

import (
	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/tools/troupe/bench"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newBenchPreemptCommand(app *App) *cobra.Command {
	var o bench.PreemptOptions
	c := &cobra.Command{
		Use:   "preempt",
		Short: "A wave of production work that evicts batch work from a full cell, through all actors",
		Example: example(
			"troupe bench preempt --json",
			"troupe bench preempt --nodes 1000 --wave 3900",
		),
		Args: names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := bench.RunPreempt(cmd.Context(), o)
			if err != nil {
				return err
			}
			return app.figures(r, func(p *view.Page) {
				p.Line("%d nodes with %d slots filled by %d batch jobs in %.2f s", r.Nodes, r.Slots, r.Jobs, r.FillSeconds)
				p.Line("%d production instances run %.2f s after the first was submitted; %d evicted, %.0f/s", r.Wave, r.Seconds, r.Evicted, r.EvictedPerS)
				p.Line("peak resident memory %d MiB; journal: %s", r.PeakRSSBytes>>20, r.Journal)
			})
		},
	}
	c.Flags().IntVar(&o.Nodes, "nodes", 10_000, "hollow nodes")
	c.Flags().Int64Var(&o.SlotsPerNode, "slots", 4, "slots a node has room for; all are filled before the wave comes")
	c.Flags().Int64Var(&o.Wave, "wave", 39_000, "production instances, each of which evicts a batch instance")
	c.Flags().Int64Var(&o.Jobs, "jobs", 100, "batch jobs that fill the cell, and jobs in the wave")
	c.Flags().BoolVar(&o.Memory, "memory-journal", false, "keep the journal in memory instead of on disk")
	return c
}
