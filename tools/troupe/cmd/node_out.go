package cmd

import (
	"context"

	"github.com/spf13/cobra"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newNodeDrainCommand(app *App) *cobra.Command {
	req := &v1.DrainRequest{Drained: true}
	c := &cobra.Command{
		Use:   "drain ID",
		Short: "Keep new work off a node; what runs there goes on, or is moved away",
		Long: `Keep new work off a node. What runs there goes on; with --evict it is moved to other nodes, never more of a stage at once
than its max_unavailable allows. A cell may limit how many nodes are out at once (limits.nodes_out); --force goes past it.`,
		Example: example(`troupe node drain node-a --reason "new kernel"`, "troupe node drain node-a --evict",
			"troupe node drain node-a --maintenance --evict --force"),
	}
	c.Flags().BoolVar(&req.Maintenance, "maintenance", false, "it is out for a while, and comes back")
	return app.nodeOut(c, req, "drained by hand")
}

func newNodeMaintainCommand(app *App) *cobra.Command {
	req := &v1.DrainRequest{Drained: true, Maintenance: true, Evict: true}
	var undo bool
	c := &cobra.Command{
		Use:   "maintain ID",
		Short: "Take a node out for maintenance and move its work away; --undo brings it back",
		Long: `Take a node out for maintenance: nothing new comes, and what runs there is moved to other nodes, never more of a stage at
once than its max_unavailable allows. --evict=false lets it run on. --undo brings the node back.`,
		Example: example(`troupe node maintain node-a --reason "new disks"`, "troupe node maintain node-a --undo"),
	}
	out := app.nodeOut(c, req, "maintenance").RunE
	c.Flags().BoolVar(&undo, "undo", false, "bring it back: let new work come again")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if undo {
			return app.undrain()(cmd, args)
		}
		return out(cmd, args)
	}
	return c
}

// nodeOut completes a command that takes a node out as req says, if flags do not say otherwise.
func (a *App) nodeOut(c *cobra.Command, req *v1.DrainRequest, reason string) *cobra.Command {
	c.Args = names("the ID of a node")
	c.ValidArgsFunction = a.completeNodes
	c.Flags().StringVar(&req.Reason, "reason", reason, "what to tell those who look at the node later")
	c.Flags().BoolVar(&req.Evict, "evict", req.GetEvict(), "move away what runs there")
	c.Flags().BoolVar(&req.Force, "force", false, "go past the limit of nodes that are out at once")
	c.RunE = ask(a, func(ctx context.Context, cell Cell, args []string) (*v1.NodeStatus, error) {
		req.Id = args[0]
		return cell.DrainNode(ctx, req)
	}, view.Node)
	return c
}

func newNodeUndrainCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:               "undrain ID",
		Short:             "Let new work come to a node again",
		Example:           example("troupe node undrain node-a"),
		Args:              names("the ID of a node"),
		ValidArgsFunction: app.completeNodes,
		RunE:              app.undrain(),
	}
}

func (a *App) undrain() func(*cobra.Command, []string) error {
	return ask(a, func(ctx context.Context, cell Cell, args []string) (*v1.NodeStatus, error) {
		return cell.DrainNode(ctx, &v1.DrainRequest{Id: args[0]})
	}, view.Node)
}
