package cmd

import (
	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/tools/troupe/bench"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newBenchProtocolCommand(app *App) *cobra.Command {
	var o bench.ProtocolOptions
	c := &cobra.Command{
		Use:   "protocol",
		Short: "How many messages the incremental protocol needs, against one that repeats the whole demand",
		Long: `How many messages about demand and grants a workload needs, through the real actors in virtual time: as they are, and with
every job's whole demand and every node's whole holding repeated at each heartbeat, as a protocol must that has no memory.`,
		Example: example("troupe bench protocol --json"),
		Args:    names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := bench.RunProtocol(cmd.Context(), o)
			if err != nil {
				return err
			}
			return app.figures(r, func(p *view.Page) {
				for _, x := range r.Runs {
					p.Line("%s, %s: %d messages %v, %d slots granted in %.0f s", x.Work, x.Protocol, x.All, x.Resource, x.Granted, x.Seconds)
				}
			})
		},
	}
	c.Flags().Int64Var(&o.Instances, "instances", 100_000, "instances of the large job")
	c.Flags().IntVar(&o.Nodes, "nodes", 100, "nodes for the large job, of a hundred slots each")
	c.Flags().DurationVar(&o.Heartbeat, "heartbeat", 0, "how often the full protocol repeats everything; the cell's heartbeat if 0")
	return c
}
