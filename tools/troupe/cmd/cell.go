package cmd

import (
	"context"

	"github.com/spf13/cobra"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newCellCommand(app *App) *cobra.Command {
	c := &cobra.Command{
		Use:     "cell",
		Short:   "Look at a cell as a whole",
		Example: example("troupe cell status", "troupe cell tree"),
	}
	c.AddCommand(
		&cobra.Command{
			Use:     "status",
			Short:   "Show the state of the cell: epoch, nodes, resources, jobs, journal",
			Example: example("troupe cell status", "troupe cell status --json | jq .jobs_live"),
			Args:    names(),
			RunE: ask(app, func(ctx context.Context, cell Cell, _ []string) (*v1.CellStatus, error) {
				return cell.CellStatus(ctx, &v1.CellStatusRequest{})
			}, view.Cell),
		},
		&cobra.Command{
			Use:     "tree",
			Short:   "Print the live supervision tree: restarts, mailboxes, messages handled",
			Example: example("troupe cell tree", "troupe cell tree --json | jq '.. | select(.restarts? != \"0\")'"),
			Args:    names(),
			RunE: ask(app, func(ctx context.Context, cell Cell, _ []string) (*v1.CellTree, error) {
				return cell.CellTree(ctx, &v1.CellTreeRequest{})
			}, view.Tree),
		},
	)
	return group(c)
}
