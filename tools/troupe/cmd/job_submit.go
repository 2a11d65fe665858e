package cmd

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newJobSubmitCommand(app *App) *cobra.Command {
	var wait bool
	var key string
	c := &cobra.Command{
		Use:   "submit FILE|-",
		Short: "Submit a job file to a cell; it is durable when this returns",
		Long: `Submit a job file (YAML, TOML or JSON) to a cell. The job is durable when this returns.

The same --key never makes a second job, so that a script may try again whatever happened. With --wait it shows the
progress, then the outcome, and exits with 1 if the job did not succeed. An interrupt ends the waiting, not the job.`,
		Example: example("troupe job submit job.yaml", "troupe job submit job.yaml --wait --json",
			"troupe job submit job.toml -q analytics --key nightly-2026-03-01", "generate | troupe job submit -"),
		Args:              names("a job FILE (or - for the standard input)"),
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := app.readJob(args[0], queueFlag(cmd, app))
			if err != nil {
				return err
			}
			return app.withCell(cmd, func(ctx context.Context, cell Cell) error {
				reply, err := submit(ctx, app, cell, file, key)
				if err != nil {
					return err
				}
				if wait {
					app.note(app.Err, func(p *view.Page) { p.Line("%s", submitted(reply)) })
					return app.await(ctx, cell, reply)
				}
				return app.answer(reply, func(p *view.Page) {
					p.Line("%s", submitted(reply))
					p.Line("%s", view.Clean("troupe job status "+reply.GetName()+queueHint(reply.GetQueue())+" tells how it goes"))
				})
			})
		},
	}
	c.Flags().BoolVarP(&wait, "wait", "w", false, "show the progress and wait for the end")
	c.Flags().StringVar(&key, "key", "", "idempotency key: the same key never makes a second job")
	return c
}

func newJobValidateCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:               "validate FILE|-",
		Short:             "Check a job file and show what it becomes; no cell is needed",
		Example:           example("troupe job validate job.yaml", "troupe job validate job.yaml --json | jq .job"),
		Args:              names("a job FILE (or - for the standard input)"),
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := app.readJob(args[0], queueFlag(cmd, app))
			if err != nil {
				return err
			}
			reply, err := file.validate()
			if err != nil {
				return err
			}
			return app.answer(reply, func(p *view.Page) { view.Validated(p, file.doc.File, reply) })
		},
	}
}

// queueFlag is the queue that the flag names; empty if the file shall say it.
func queueFlag(cmd *cobra.Command, app *App) string {
	if cmd.Flags().Changed("queue") {
		return app.queue
	}
	return ""
}

func queueHint(queue string) string {
	if queue == "default" {
		return ""
	}
	return " -q " + queue
}

func submitted(r *v1.SubmitReply) string {
	if r.GetCreated() {
		return view.Clean("submitted " + r.GetQueue() + "/" + r.GetName())
	}
	return view.Clean(r.GetQueue() + "/" + r.GetName() + " was there already: the same key or the same live job")
}

// submit hands a job to the cell, again and again within the time for an answer as long as the cell is busy or out of
// reach. The key makes that safe: whatever was lost, one job comes of it.
func submit(ctx context.Context, app *App, cell Cell, file *jobFile, key string) (*v1.SubmitReply, error) {
	if key == "" {
		key = "cli-" + rand.Text()
	}
	return bounded(ctx, app, func(ctx context.Context) (*v1.SubmitReply, error) {
		for {
			reply, err := cell.Submit(ctx, &v1.SubmitRequest{Job: file.spec, Key: key})
			var f *model.Fault
			if err == nil || !errors.As(err, &f) || !f.Temporary() {
				return reply, file.explain(err)
			}
			wait := time.NewTimer(max(f.RetryAfter, 200*time.Millisecond))
			select {
			case <-wait.C:
			case <-ctx.Done():
				wait.Stop()
				return nil, err // what the cell said last tells more than that time is up
			}
		}
	})
}
