package cmd

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newNodeLostCommand(app *App) *cobra.Command {
	req := &v1.LostRequest{}
	c := &cobra.Command{
		Use:   "lost ID",
		Short: "Say that a silent node is gone for good: its work is placed elsewhere at once",
		Long: `Say that a silent node is gone for good. What ran there is placed elsewhere at once: without waiting until the node's time
is over, or its turn among many, and also if the cell believes that it is the master that is cut off (the state "isolated" of
"troupe cell status"). --all-silent says so of all nodes that are silent now. A node that comes back is reconciled: what was
replaced meanwhile is stopped there. --forget takes the node out of the cell, also one that is lost already: the next master
does not wait for it.`,
		Example: example(`troupe node lost node-a --reason "burnt"`, "troupe node lost node-a --forget", "troupe node lost --all-silent"),
	}
	c.Flags().BoolVar(&req.AllSilent, "all-silent", false, "all nodes that are silent now")
	c.Flags().BoolVar(&req.Forget, "forget", false, "take the node out of the cell")
	c.Flags().StringVar(&req.Reason, "reason", "", "why, for the log")
	c.Args = func(cmd *cobra.Command, args []string) error {
		if req.AllSilent == (len(args) > 0) || len(args) > 1 || req.AllSilent && req.Forget {
			return usagef("name one node, or --all-silent; right would be %s", cmd.UseLine())
		}
		return nil
	}
	c.ValidArgsFunction = app.completeNodes
	c.RunE = ask(app, func(ctx context.Context, cell Cell, args []string) (*v1.LostReply, error) {
		if len(args) > 0 {
			req.Id = args[0]
		}
		return cell.LoseNode(ctx, req)
	}, func(p *view.Page, r *v1.LostReply) {
		if len(r.GetNodes()) == 0 {
			p.Line("no node is silent")
			return
		}
		p.Line("lost: %s", strings.Join(r.GetNodes(), " "))
	})
	return c
}
