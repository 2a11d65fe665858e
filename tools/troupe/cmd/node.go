package cmd

import (
	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/tools/troupe/compose"
	"github.com/troupe-sched/troupe/tools/troupe/config"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newNodeCommand(app *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "node",
		Short: "Run the agent of this machine, or look after the nodes of a cell",
		Long: `Run the agent of this machine: it offers the machine to the cell and runs what the master sends. Its commands look after
the nodes of a running cell.

It ends on an interrupt or SIGTERM. Attempts go on without it, and its next start takes them over with all that happened.`,
		Example: example("troupe node --nats nats://master.example:4222", "troupe node --id rack1-a --attribute rack=1,zone=a --cpu 6 --memory 12Gi",
			"troupe node --id gpu-1 --pool gpu --device gpu:V100=4 --taint gpu=yes --custom license=3 --ports 20000-29999 --package torch",
			"troupe node list", `troupe node drain rack1-a --reason "new kernel"`),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.serve(cmd, app.World.Node, func(p *view.Page, f compose.Facts) {
				p.Line("node %s of cell %s is up", f.Node, f.Cell)
				whereabouts(p, f)
			})
		},
	}
	config.AddFlag(c.Flags(), "dir", "node.dir")
	addNodeFlags(c.Flags())
	addProcessFlags(c.Flags())
	c.AddCommand(newNodeListCommand(app), newNodeStatusCommand(app), newNodeDrainCommand(app), newNodeUndrainCommand(app),
		newNodeMaintainCommand(app), newNodeTaintCommand(app), newNodeUntaintCommand(app), newNodeLostCommand(app))
	return c
}
