package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/config"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

const (
	// stopMargin is what the stop of an interrupted job may take over the grace time of its attempts.
	stopMargin = 10 * time.Second
	// closeRunWithin bounds the end of the embedded cell, closeHurried that after a second interrupt: enough to tell all
	// processes to end, not to wait for them.
	closeRunWithin = 15 * time.Second
	closeHurried   = 2 * time.Second
)

func newRunCommand(app *App) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "run FILE|-",
		Short: "Run a job to its end and show its results, in a cell of its own",
		Long: `Run a job file (YAML, TOML or JSON) to its end: submit it, show its progress, then its outcome and the results of
its last stage. The exit code is 0 if the job succeeded.

The cell is opened in this one process and is gone afterwards, unless --dir keeps its data. If a cell is named (by --nats,
by --context, in the environment or by "troupe context use") the job runs there.

An interrupt stops the job, waits until its processes are gone, and exits with 130; a second one does not wait.

With --json the standard output is one document: {"job": a JobStatus, "results": [{"stage", "index", "text" or "data"}]}.`,
		Example: example("troupe run tools/examples/hello.yaml", "troupe run tools/examples/count-source.yaml --json | jq -r '.results[0].text'",
			"troupe run job.toml --nats nats://127.0.0.1:4222"),
		Args:              names("a job FILE (or - for the standard input)"),
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := app.readJob(args[0], queueFlag(cmd, app))
			if err != nil {
				return err
			}
			c, err := app.settings(cmd)
			if err != nil {
				return err
			}
			r := &run{app: app, file: file, live: view.NewLive(app.Err, app.Err.Terminal), config: c}
			if app.json && !app.Err.Terminal {
				r.live = view.NewLive(io.Discard, false) // a program reads the answer, nobody the progress
			}
			r.log = logger(c, r.live, slog.LevelWarn)
			if c.NATS.URL != "" {
				return r.reached(cmd.Context())
			}
			return r.embedded(cmd.Context(), dir)
		},
	}
	c.Flags().StringVarP(&app.queue, "queue", "q", "", "queue of the job, instead of the file's")
	c.Flags().StringVar(&dir, "dir", "", "keep the data of the cell in this `DIR` instead of a temporary one")
	addNodeFlags(c.Flags())
	config.AddFlag(c.Flags(), "log-level", "log.level")
	config.AddFlag(c.Flags(), "log-format", "log.format")
	return c
}

// run is one job from file to outcome.
type run struct {
	app    *App
	file   *jobFile
	live   *view.Live
	log    *slog.Logger
	config *config.Config
}

// reached runs the job in the cell that is named.
func (r *run) reached(ctx context.Context) error {
	cell, release, err := r.app.World.Reach(ctx, r.config, r.log, nil)
	if err != nil {
		return err
	}
	defer release()
	return r.job(ctx, cell)
}

// embedded runs the job in a cell of its own, and closes that with all its processes whatever comes.
func (r *run) embedded(ctx context.Context, dir string) (err error) {
	cell, err := r.app.World.Embed(ctx, r.config, r.log, dir)
	if err != nil {
		return r.interrupted(ctx, err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeRunWithin)
		defer cancel()
		defer r.app.hurried(func() { time.AfterFunc(closeHurried, cancel) })()
		if failed := cell.Close(closing); failed != nil {
			fmt.Fprintf(r.live, "troupe: closing the cell: %s\n", view.CleanText(failed.Error()))
			if err == nil {
				err = &exitError{code: exitFailed}
			}
		}
	}()
	alive, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
	go func() {
		select {
		case <-cell.Done():
			cancel(fmt.Errorf("the cell failed: %w", cell.Err()))
		case <-alive.Done():
		}
	}()
	err = r.job(alive, cell)
	if cause := context.Cause(alive); errors.Is(err, context.Canceled) && ctx.Err() == nil && cause != nil {
		return cause
	}
	return err
}

// job submits, follows and tells the outcome; interrupted, it stops the job.
func (r *run) job(ctx context.Context, cell Cell) error {
	reply, err := submit(ctx, r.app, cell, r.file, "")
	if err != nil {
		return r.interrupted(ctx, err)
	}
	f := &follower{app: r.app, cell: cell, live: r.live, queue: reply.GetQueue(), name: reply.GetName(), uid: reply.GetUid()}
	status, err := f.follow(ctx)
	if errors.Is(context.Cause(ctx), errInterrupted) {
		return r.stop(ctx, cell, f)
	}
	if err != nil {
		return err
	}
	r.live.Clear()
	return r.app.outcome(ctx, cell, status)
}

// interrupted is err, or the interrupt that caused it.
func (r *run) interrupted(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errInterrupted) {
		return &exitError{exitInterrupted, errInterrupted}
	}
	return err
}

// stop ends an interrupted job: it asks, waits for the end within the grace time of the job and a margin, and says what
// came of it.
func (r *run) stop(ctx context.Context, cell Cell, f *follower) error {
	name := view.Clean(f.queue + "/" + f.name)
	fmt.Fprintf(r.live, "interrupted: stopping %s (once more to not wait)\n", name)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.grace()+stopMargin)
	defer cancel()
	defer r.app.hurried(cancel)()
	_, err := bounded(stopping, r.app, func(ctx context.Context) (*v1.StopReply, error) {
		return cell.StopJob(ctx, &v1.StopRequest{Queue: f.queue, Name: f.name, Reason: "interrupted"})
	})
	var status *v1.JobStatus
	if err == nil {
		status, err = f.follow(stopping)
	}
	r.live.Clear()
	if err != nil {
		fmt.Fprintf(r.live, "%s did not end in time: %s\n", name, view.Clean(model.FaultOf(err).Error()))
	} else {
		fmt.Fprintf(r.live, "%s %s: %s\n", name, view.Clean(status.GetPhase()), view.Clean(stopCounts(status)))
	}
	return &exitError{code: exitInterrupted}
}

func stopCounts(s *v1.JobStatus) string {
	c := s.GetCounts()
	return fmt.Sprintf("%s of %s instances were done", view.Count(c.GetDone()), view.Count(c.GetWanted()))
}

// grace is the longest that an attempt of the job may take to end.
func (r *run) grace() time.Duration {
	longest := 10 * time.Second
	if plan, wrong := model.Compile(r.file.spec); wrong == nil {
		for _, s := range plan.Stages {
			longest = max(longest, s.Grace)
		}
	}
	return longest
}
