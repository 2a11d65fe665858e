package cmd

import (
	"context"

	"github.com/spf13/cobra"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newQueueCommand(app *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "queue",
		Short: "Make, change and look at queues",
		Example: example("troupe queue set analytics --max-jobs 100 --max-slots 64", "troupe queue set ml --quota cpu=8,memory=16Gi,gpu=4000",
			"troupe queue list", "troupe queue ledger"),
	}
	c.AddCommand(newQueueSetCommand(app), newQueueListCommand(app), newQueueStatusCommand(app), newQueueRemoveCommand(app), newQueueLedgerCommand(app))
	return group(c)
}

func oneQueue(p *view.Page, q *v1.QueueStatus) { view.Queues(p, []*v1.QueueStatus{q}) }

func newQueueListCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the queues: limits, quota, what they hold, lent, borrowed and wait for",
		Example: example("troupe queue list", "troupe queue list --json | jq '.queues[] | .spec.name'"),
		Args:    names(),
		RunE: ask(app, func(ctx context.Context, cell Cell, _ []string) (*v1.ListQueuesReply, error) {
			return cell.ListQueues(ctx, &v1.ListQueuesRequest{})
		}, func(p *view.Page, r *v1.ListQueuesReply) { view.Queues(p, r.GetQueues()) }),
	}
}

func newQueueStatusCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:               "status NAME",
		Short:             "Show one queue",
		Example:           example("troupe queue status analytics"),
		Args:              names("the NAME of a queue"),
		ValidArgsFunction: app.completeQueueArg,
		RunE: ask(app, func(ctx context.Context, cell Cell, args []string) (*v1.QueueStatus, error) {
			return cell.QueueStatus(ctx, &v1.QueueRef{Name: args[0]})
		}, oneQueue),
	}
}

func newQueueRemoveCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:               "remove NAME",
		Short:             "Remove a queue that has no live jobs",
		Example:           example("troupe queue remove analytics"),
		Args:              names("the NAME of a queue"),
		ValidArgsFunction: app.completeQueueArg,
		RunE: ask(app, func(ctx context.Context, cell Cell, args []string) (*v1.QueueStatus, error) {
			return cell.RemoveQueue(ctx, &v1.QueueRef{Name: args[0]})
		}, func(p *view.Page, q *v1.QueueStatus) {
			p.Line("%s", view.Clean("removed queue "+q.GetSpec().GetName()))
		}),
	}
}

func newQueueLedgerCommand(app *App) *cobra.Command {
	req := &v1.LedgerRequest{}
	c := &cobra.Command{
		Use:   "ledger [NAME]",
		Short: "List what queues lent to each other: of one queue, as lender or borrower, or of all",
		Long: `List what queues lent to each other: of one queue, as lender or borrower, or of all; newest first. What a queue with a
quota does not use is lent to others, and taken back when its owner wants it.`,
		Example:           example("troupe queue ledger", "troupe queue ledger ml --limit 20", "troupe queue ledger --json | jq '.loans[] | select(.returned_unix_ms==\"0\")'"),
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: app.completeQueueArg,
	}
	c.Flags().Int32Var(&req.Limit, "limit", 1000, "show at most so many")
	c.RunE = ask(app, func(ctx context.Context, cell Cell, args []string) (*v1.LedgerReply, error) {
		if req.GetLimit() < 1 {
			return nil, usagef("--limit is %d; right would be 1 or more", req.GetLimit())
		}
		if len(args) == 1 {
			req.Queue = args[0]
		}
		return cell.QueueLedger(ctx, req)
	}, view.Ledger)
	return c
}
