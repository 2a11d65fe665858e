package cmd

import (
	"context"

	"github.com/spf13/cobra"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newQueueCommand(app *App) *cobra.Command {
	c := &cobra.Command{
		Use:     "queue",
		Short:   "Make, change and look at queues",
		Example: example("troupe queue set analytics --max-jobs 100 --max-slots 64", "troupe queue list"),
	}
	c.AddCommand(newQueueSetCommand(app), newQueueListCommand(app), newQueueStatusCommand(app), newQueueRemoveCommand(app))
	return group(c)
}

func newQueueSetCommand(app *App) *cobra.Command {
	spec := &v1.QueueSpec{}
	c := &cobra.Command{
		Use:   "set NAME",
		Short: "Make a queue, or change the limits that are named",
		Example: example("troupe queue set analytics", "troupe queue set analytics --max-slots 64",
			`troupe queue set analytics --description "nightly reports"`),
		Args:              names("the NAME of a queue"),
		ValidArgsFunction: app.completeQueueArg,
	}
	flags := c.Flags()
	flags.Int64Var(&spec.MaxJobs, "max-jobs", 0, "most live jobs; 0 means the cell's limit")
	flags.Int64Var(&spec.MaxSlots, "max-slots", 0, "most slots that its jobs hold together; 0 means no limit")
	flags.StringVar(&spec.Description, "description", "", "free text shown in lists")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return ask(app, func(ctx context.Context, cell Cell, args []string) (*v1.QueueStatus, error) {
			wanted := &v1.QueueSpec{Name: args[0]}
			if old, err := cell.QueueStatus(ctx, &v1.QueueRef{Name: args[0]}); err == nil && old.GetSpec() != nil {
				wanted = &v1.QueueSpec{Name: args[0], MaxJobs: old.GetSpec().GetMaxJobs(),
					MaxSlots: old.GetSpec().GetMaxSlots(), Description: old.GetSpec().GetDescription()}
			} else if !absent(err) {
				return nil, err
			}
			if flags.Changed("max-jobs") {
				wanted.MaxJobs = spec.GetMaxJobs()
			}
			if flags.Changed("max-slots") {
				wanted.MaxSlots = spec.GetMaxSlots()
			}
			if flags.Changed("description") {
				wanted.Description = spec.GetDescription()
			}
			return cell.SetQueue(ctx, wanted)
		}, oneQueue)(cmd, args)
	}
	return c
}

func oneQueue(p *view.Page, q *v1.QueueStatus) { view.Queues(p, []*v1.QueueStatus{q}) }

func newQueueListCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the queues with their limits and what they hold",
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
