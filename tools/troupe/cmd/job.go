package cmd

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newJobCommand(app *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "job",
		Short: "Submit jobs and look after them",
		Example: example("troupe job submit job.yaml --wait", "troupe job status nightly -q analytics",
			"troupe job logs nightly/count/3 -f", "troupe job explain nightly"),
	}
	c.PersistentFlags().StringVarP(&app.queue, "queue", "q", "default", "queue of the job")
	c.RegisterFlagCompletionFunc("queue", app.completeQueues)
	c.AddCommand(
		newJobSubmitCommand(app), newJobValidateCommand(app), newJobStatusCommand(app), newJobListCommand(app),
		newJobStopCommand(app), newJobLogsCommand(app), newJobWatchCommand(app), newJobExplainCommand(app),
		newJobResultsCommand(app),
	)
	return group(c)
}

func newJobStatusCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:               "status NAME",
		Short:             "Show where a job stands: stages, running attempts, failures",
		Example:           example("troupe job status nightly", "troupe job status nightly -q analytics --json | jq -r .phase"),
		Args:              names("the NAME of a job"),
		ValidArgsFunction: app.completeJobs,
		RunE: ask(app, func(ctx context.Context, cell Cell, args []string) (*v1.JobStatus, error) {
			return cell.JobStatus(ctx, &v1.JobRef{Queue: app.queue, Name: args[0]})
		}, view.Job),
	}
}

func newJobListCommand(app *App) *cobra.Command {
	var labels []string
	var ended, all bool
	req := &v1.ListJobsRequest{}
	c := &cobra.Command{
		Use:   "list",
		Short: "List the jobs of a queue, or of all queues",
		Example: example("troupe job list", "troupe job list -q analytics --ended", "troupe job list --all -l app=web -l team=search",
			"troupe job list --json | jq -r '.jobs[].name'"),
		Args: names(),
		RunE: ask(app, func(ctx context.Context, cell Cell, _ []string) (*v1.ListJobsReply, error) {
			if req.GetLimit() < 1 {
				return nil, usagef("--limit is %d; right would be 1 or more", req.GetLimit())
			}
			var err error
			if req.Labels, err = labelPairs(labels); err != nil {
				return nil, err
			}
			if req.Queue = app.queue; all {
				req.Queue = ""
			}
			req.Ended = ended
			return listJobs(ctx, cell, req)
		}, func(p *view.Page, r *v1.ListJobsReply) {
			view.Jobs(p, r.GetJobs())
			if r.GetNext() != "" {
				p.Line("… there are more: --after %s, or a greater --limit", view.Clean(r.GetNext()))
			}
		}),
	}
	c.Flags().BoolVar(&ended, "ended", false, "show jobs that have ended, too")
	c.Flags().BoolVarP(&all, "all", "a", false, "show the jobs of all queues")
	c.Flags().StringArrayVarP(&labels, "label", "l", nil, "show only jobs with this label, `KEY=VALUE`; may be given again")
	c.Flags().Int32Var(&req.Limit, "limit", 1000, "show at most so many")
	c.Flags().StringVar(&req.After, "after", "", "go on after this place of an earlier list")
	c.PreRunE = notBoth("all", "queue")
	return c
}

func labelPairs(pairs []string) (map[string]string, error) {
	m := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, usagef("--label is %q; right would be KEY=VALUE, such as app=web", pair)
		}
		m[key] = value
	}
	return m, nil
}

func newJobStopCommand(app *App) *cobra.Command {
	var reason string
	var wait bool
	c := &cobra.Command{
		Use:               "stop NAME",
		Short:             "Stop a job: its attempts are asked to end, then killed after their grace time",
		Example:           example("troupe job stop nightly", `troupe job stop nightly --reason "wrong input" --wait`),
		Args:              names("the NAME of a job"),
		ValidArgsFunction: app.completeJobs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.withCell(cmd, func(ctx context.Context, cell Cell) error {
				reply, err := bounded(ctx, app, func(ctx context.Context) (*v1.StopReply, error) {
					return cell.StopJob(ctx, &v1.StopRequest{Queue: app.queue, Name: args[0], Reason: reason})
				})
				if err != nil {
					return err
				}
				if wait {
					f := follower{app: app, cell: cell, queue: app.queue, name: args[0]}
					status, err := f.follow(ctx)
					if err != nil {
						return err
					}
					return app.answer(status, func(p *view.Page) { view.Outcome(p, status) })
				}
				return app.answer(reply, func(p *view.Page) {
					if reply.GetStopping() {
						p.Line("%s", view.Clean(app.queue+"/"+args[0]+" is stopping"))
					} else {
						p.Line("%s", view.Clean(app.queue+"/"+args[0]+" had ended already: "+reply.GetPhase()))
					}
				})
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "stopped by hand", "what to tell those who look at the job later")
	c.Flags().BoolVarP(&wait, "wait", "w", false, "wait until it has ended")
	return c
}
