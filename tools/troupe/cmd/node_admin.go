package cmd

import (
	"context"

	"github.com/spf13/cobra"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newNodeListCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the nodes: state, slots, what is held of what there is",
		Example: example("troupe node list", "troupe node list --json | jq -r '.nodes[] | select(.liveness!=\"fresh\") | .info.id'"),
		Args:    names(),
		RunE: ask(app, func(ctx context.Context, cell Cell, _ []string) (*v1.ListNodesReply, error) {
			return listNodes(ctx, cell)
		}, func(p *view.Page, r *v1.ListNodesReply) { view.Nodes(p, r.GetNodes()) }),
	}
}

func newNodeStatusCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:               "status ID",
		Short:             "Show one node",
		Example:           example("troupe node status node-a"),
		Args:              names("the ID of a node"),
		ValidArgsFunction: app.completeNodes,
		RunE: ask(app, func(ctx context.Context, cell Cell, args []string) (*v1.NodeStatus, error) {
			return cell.NodeStatus(ctx, &v1.NodeRef{Id: args[0]})
		}, view.Node),
	}
}
