package cmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/cluster/api"
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
	show := func(e *v1.JobEvent) error { return a.answer(e, func(p *view.Page) { view.Event(p, e) }) }
	// What happened before the watch, and what it missed, only the status tells.
	look := job != ""
	for {
		if look {
			if end, err := a.endOf(ctx, cell, queue, job); end != nil || err != nil {
				if err == nil {
					err = show(end)
				}
				return err
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case e, ok := <-events:
			if !ok {
				return errWatchEnded
			}
			if err := show(e); err != nil || job != "" && e.GetKind() == "ended" {
				return err
			}
			look = job != "" && e.GetKind() == api.EventMissed
		}
	}
}

// endOf is the event by which a job has ended; nil if it has not.
func (a *App) endOf(ctx context.Context, cell Cell, queue, job string) (*v1.JobEvent, error) {
	status, err := bounded(ctx, a, func(ctx context.Context) (*v1.JobStatus, error) {
		return cell.JobStatus(ctx, &v1.JobRef{Queue: queue, Name: job})
	})
	if err != nil || !terminal(status.GetPhase()) {
		return nil, err
	}
	return endedEvent(status), nil
}

// endedEvent is what a watcher who came too late would have seen.
func endedEvent(s *v1.JobStatus) *v1.JobEvent {
	return &v1.JobEvent{TimeUnixMs: s.GetEndedUnixMs(), Queue: s.GetQueue(), Job: s.GetName(), Uid: s.GetUid(), Kind: "ended",
		Phase: s.GetPhase(), Reason: s.GetReason()}
}
