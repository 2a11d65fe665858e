package cmd

import (
	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/tools/troupe/bench"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newBenchRebuildCommand(app *App) *cobra.Command {
	o := bench.RebuildOptions{Nodes: []int{5000}, Storms: true}
	c := &cobra.Command{
		Use:   "rebuild",
		Short: "A change of master over thousands of agents: how soon the new one knows what runs, at which rate of messages",
		Long: `A change of master over thousands of agents that run nothing, which hold attempts of a set of jobs. The journal is in
JetStream on disk, synced on every write; master and agents speak over NATS, all in this process. The master ends as a kill
would end it, and another begins from the journal alone. Then all agents begin a new session at once, as after a failure of
the network. No attempt may be lost or started by any of it, or the command fails.`,
		Example: example("troupe bench rebuild --nodes 5000 --attempts 100000 --json",
			"troupe bench rebuild --nodes 500,1000,5000   how the time grows"),
		Args: names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := bench.RunRebuild(cmd.Context(), o)
			if err != nil {
				return err
			}
			return app.figures(r, func(p *view.Page) { showRebuild(p, r) })
		},
	}
	c.Flags().IntSliceVar(&o.Nodes, "nodes", o.Nodes, "nodes of the cell; several sizes are measured one after the other")
	c.Flags().IntVar(&o.Attempts, "attempts", 100_000, "attempts that run in the largest cell; smaller ones have as many a node")
	c.Flags().IntVar(&o.Jobs, "jobs", 100, "jobs that they belong to")
	c.Flags().BoolVar(&o.Storms, "storm", o.Storms, "let all agents begin a new session at once, afterwards")
	return c
}

func showRebuild(p *view.Page, r *bench.Rebuild) {
	runs := r.Curve
	if len(runs) == 0 {
		runs = []bench.RebuildRun{r.RebuildRun}
	}
	for _, c := range runs {
		p.Line("%d nodes, %d attempts of %d jobs: complete %.2f s after the master began (hard state %.2f, nodes %.2f, placer %.2f)",
			c.Nodes, c.Attempts, c.Jobs, c.CompleteS, c.HardS, c.SyncedS, c.ViewS)
		p.Line("  %d messages, at most %d/s; fullest mailbox %d (%s); %.1f s of processor time; %d attempts restarted",
			c.Messages, c.PeakPerS, c.PeakMailbox, c.InMailbox, c.CPUS, c.Lost+c.Started)
		if c.StormS > 0 {
			p.Line("  all agents at once: all back after %.2f s, at most %d messages/s; they report every %d ms", c.StormS, c.StormPeakPerS, c.PeriodMs)
		}
	}
}
