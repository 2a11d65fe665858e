package cmd

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newJobResultsCommand(app *App) *cobra.Command {
	limit := 1000
	c := &cobra.Command{
		Use:   "results NAME[/STAGE[/INDEX]]",
		Short: "Show what instances wrote as their results",
		Long: `Show what instances wrote to the file that TROUPE_RESULT names. Of one instance (NAME/STAGE/INDEX) the bytes come as
they are, so that they can go into a file or another program.

With --json: {"results": [{"stage", "index", "text" or "data" (base64)}]}.`,
		Example:           example("troupe job results nightly", "troupe job results nightly/count", "troupe job results nightly/sum/0 > sum.txt"),
		Args:              names("the NAME of a job"),
		ValidArgsFunction: app.completeJobs,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := parseTarget(args[0])
			if err != nil {
				return err
			}
			if limit < 1 {
				return usagef("--limit is %d; right would be 1 or more", limit)
			}
			return app.withCell(cmd, func(ctx context.Context, cell Cell) error {
				if t.hasIndex && !app.json {
					return app.oneResult(ctx, cell, t)
				}
				return app.manyResults(ctx, cell, t, limit)
			})
		},
	}
	c.Flags().IntVar(&limit, "limit", limit, "show at most so many")
	return c
}

// oneResult copies the result of one instance to the standard output.
func (a *App) oneResult(ctx context.Context, cell Cell, t target) error {
	r, err := a.result(ctx, cell, t)
	if err != nil {
		return err
	}
	var out io.Writer = a.Out
	if a.Out.Terminal {
		clean := view.NewCleaner(a.Out)
		defer clean.Close()
		out = clean
	}
	_, err = out.Write(r.GetData())
	return err
}

func (a *App) result(ctx context.Context, cell Cell, t target) (*v1.InstanceResult, error) {
	reply, err := bounded(ctx, a, func(ctx context.Context) (*v1.ResultsReply, error) {
		return cell.Results(ctx, &v1.ResultsRequest{Queue: a.queue, Name: t.job, Stage: t.stage, From: t.index})
	})
	if err != nil {
		return nil, err
	}
	if r := reply.GetResults(); len(r) > 0 && r[0].GetIndex() == t.index {
		return r[0], nil
	}
	return nil, model.NotFound("%s/%s/%d has no result: it has not succeeded yet, or wrote none", t.job, t.stage, t.index)
}

func (a *App) manyResults(ctx context.Context, cell Cell, t target, limit int) error {
	var results []view.Result
	if t.hasIndex {
		r, err := a.result(ctx, cell, t)
		if err != nil {
			return err
		}
		results = []view.Result{{Stage: t.stage, InstanceResult: r}}
	} else {
		stages, err := a.stages(ctx, cell, t)
		if err != nil {
			return err
		}
		for _, stage := range stages {
			if results, err = a.stageResults(ctx, cell, t.job, stage, results, limit); err != nil {
				return err
			}
		}
	}
	if a.json {
		return view.JSONValue(a.Out, map[string]any{"results": reportResults(results)})
	}
	return a.page(func(p *view.Page) {
		if len(results) == 0 {
			p.Line("no results")
		}
		view.Results(p, results, 0)
		if len(results) == limit {
			p.Line("… these are the first %d; --limit shows more", limit)
		}
	})
}

// stages are the names of the stages that t means, checked by the cell's own status.
func (a *App) stages(ctx context.Context, cell Cell, t target) ([]string, error) {
	status, err := bounded(ctx, a, func(ctx context.Context) (*v1.JobStatus, error) {
		return cell.JobStatus(ctx, &v1.JobRef{Queue: a.queue, Name: t.job})
	})
	if err != nil {
		return nil, err
	}
	var all []string
	for _, s := range status.GetStages() {
		if t.stage == "" || t.stage == s.GetName() {
			all = append(all, s.GetName())
		}
	}
	if len(all) == 0 {
		return nil, model.NotFound("%s has no stage %q", t.job, t.stage)
	}
	return all, nil
}

// stageResults appends the results of one stage until there are limit.
func (a *App) stageResults(ctx context.Context, cell Cell, job, stage string, results []view.Result, limit int) ([]view.Result, error) {
	var from uint64
	for len(results) < limit {
		reply, err := bounded(ctx, a, func(ctx context.Context) (*v1.ResultsReply, error) {
			return cell.Results(ctx, &v1.ResultsRequest{Queue: a.queue, Name: job, Stage: stage, From: from})
		})
		if err != nil {
			return nil, err
		}
		for _, r := range reply.GetResults()[:min(len(reply.GetResults()), limit-len(results))] {
			results = append(results, view.Result{Stage: stage, InstanceResult: r})
		}
		switch next := reply.GetNext(); {
		case next == 0:
			return results, nil
		case next <= from:
			return nil, fmt.Errorf("the cell's answer about %s/%s does not go on after %d", job, stage, from)
		default:
			from = next
		}
	}
	return results, nil
}
