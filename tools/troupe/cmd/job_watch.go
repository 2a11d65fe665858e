package cmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newJobWatchCommand(app *App) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "watch [NAME]",
		Short: "Print events as they become durable: of one job until it ends, or of all jobs",
		Long: `Print events as they become durable: of one job until it ends, or of all jobs of a queue until it is interrupted.

With --json it writes one document a line.`,
		Example:           example("troupe job watch nightly", "troupe job watch -q analytics", "troupe job watch --all --json | jq -c 'select(.kind==\"ended\")'"),
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: app.completeJobs,
		RunE: func(cmd *cobra.Command, args []string) error {
			queue, job := app.queue, ""
			if all {
				queue = ""
			}
			if len(args) == 1 {
				job = args[0]
			}
			return app.withCell(cmd, func(ctx context.Context, cell Cell) error {
				return app.watch(ctx, cell, queue, job)
			})
		},
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "show the events of all queues")
	c.PreRunE = notBoth("all", "queue")
	return c
}

var errWatchEnded = errors.New("the cell sends no more events: it has ended or is out of reach")

func (a *App) watch(ctx context.Context, cell Cell, queue, job string) error {
	events, err := cell.Watch(ctx, queue, job)
	if err != nil {
		return err
	}
	if job != "" {
		// An event of the past never comes again, so look once, after the watch has begun.
		status, err := bounded(ctx, a, func(ctx context.Context) (*v1.JobStatus, error) {
			return cell.JobStatus(ctx, &v1.JobRef{Queue: queue, Name: job})
		})
		if err != nil {
			return err
		}
		if terminal(status.GetPhase()) {
			return a.answer(endedEvent(status), func(p *view.Page) { view.Event(p, endedEvent(status)) })
		}
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case e, ok := <-events:
			if !ok {
				return errWatchEnded
			}
			if err := a.answer(e, func(p *view.Page) { view.Event(p, e) }); err != nil {
				return err
			}
			if job != "" && e.GetKind() == "ended" {
				return nil
			}
		}
	}
}

// endedEvent is what a watcher who came too late would have seen.
func endedEvent(s *v1.JobStatus) *v1.JobEvent {
	return &v1.JobEvent{TimeUnixMs: s.GetEndedUnixMs(), Queue: s.GetQueue(), Job: s.GetName(), Uid: s.GetUid(), Kind: "ended",
		Phase: s.GetPhase(), Reason: s.GetReason()}
}
