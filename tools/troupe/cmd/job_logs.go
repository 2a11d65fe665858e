package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

// logsMost bounds how many instances one command shows the output of.
const logsMost = 100

func newJobLogsCommand(app *App) *cobra.Command {
	req := &v1.LogsRequest{}
	c := &cobra.Command{
		Use:   "logs NAME[/STAGE[/INDEX]]",
		Short: "Show the captured output of a job's instances",
		Long: fmt.Sprintf(`Show the captured output of one instance (NAME/STAGE/INDEX), or of the first %d of a stage or a job, with
the instance in front of each line. What it wrote to its standard error goes to the standard error.

With --json it writes one document a chunk: {"stream", "data" (base64), "offset", "skipped"}.`, logsMost),
		Example: example("troupe job logs nightly/count/3", "troupe job logs nightly/count/3 -f --tail 1000",
			"troupe job logs nightly 2>/dev/null | grep warning"),
		Args:              names("the NAME of a job"),
		ValidArgsFunction: app.completeJobs,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := parseTarget(args[0])
			if err != nil {
				return err
			}
			if req.GetTailBytes() < 0 {
				return usagef("--tail is %d; right would be a number of bytes from 0 on", req.GetTailBytes())
			}
			req.Queue, req.Name = app.queue, t.job
			return app.withCell(cmd, func(ctx context.Context, cell Cell) error { return app.logs(ctx, cell, t, req) })
		},
	}
	c.Flags().BoolVarP(&req.Follow, "follow", "f", false, "go on until the attempt ends")
	c.Flags().Int64Var(&req.TailBytes, "tail", 0, "show only the last so many `BYTES`; 0 means all that is kept")
	c.Flags().Uint64Var(&req.Fence, "fence", 0, "show the attempt with this fence; 0 means the newest")
	return c
}

func (a *App) logs(ctx context.Context, cell Cell, t target, req *v1.LogsRequest) error {
	all := []target{t}
	if !t.hasIndex {
		var err error
		if all, err = a.instances(ctx, cell, t); err != nil {
			return err
		}
	}
	if req.GetFollow() && len(all) > 1 {
		return usagef("-f follows one instance, and %s has many; right would be NAME/STAGE/INDEX, such as %s/%s/0", t.job, t.job, all[0].stage)
	}
	shown := 0
	for _, one := range all[:min(len(all), logsMost)] {
		r := &v1.LogsRequest{Queue: req.GetQueue(), Name: req.GetName(), Stage: one.stage, Index: one.index,
			Follow: req.GetFollow(), TailBytes: req.GetTailBytes(), Fence: req.GetFence()}
		sink := a.logSink(one, len(all) > 1)
		err := cell.Logs(ctx, r, sink.take)
		err = errors.Join(err, sink.close())
		var f *model.Fault
		if errors.As(err, &f) && f.Err == model.ErrNotFound && len(all) > 1 {
			continue // not started yet
		}
		if err != nil {
			return err
		}
		shown++
	}
	if len(all) > logsMost {
		a.note(a.Err, func(p *view.Page) {
			p.Line("… the first %d of %s instances; NAME/STAGE/INDEX names one", logsMost, view.Count(len(all)))
		})
	}
	if shown == 0 {
		return model.NotFound("no instance of %s has written anything yet", t.job)
	}
	return nil
}

// instances are those that t means: of all stages, or of one. At most one more than are shown.
func (a *App) instances(ctx context.Context, cell Cell, t target) ([]target, error) {
	status, err := bounded(ctx, a, func(ctx context.Context) (*v1.JobStatus, error) {
		return cell.JobStatus(ctx, &v1.JobRef{Queue: a.queue, Name: t.job})
	})
	if err != nil {
		return nil, err
	}
	var all []target
	for _, s := range status.GetStages() {
		if t.stage != "" && t.stage != s.GetName() {
			continue
		}
		for i := range s.GetCounts().GetWanted() {
			if len(all) > logsMost {
				break
			}
			all = append(all, target{job: t.job, stage: s.GetName(), index: i, hasIndex: true})
		}
	}
	if len(all) == 0 {
		return nil, model.NotFound("%s has no stage %q", t.job, t.stage)
	}
	return all, nil
}

// logSink takes the chunks of one instance and puts them where the instance itself wrote.
type logSink struct {
	json     io.Writer
	out, err io.Writer
	notes    io.Writer
	name     string
	closers  []io.Closer
}

func (a *App) logSink(t target, prefixed bool) *logSink {
	s := &logSink{notes: a.Err, name: fmt.Sprintf("%s/%d", t.stage, t.index)}
	if a.json {
		s.json = a.Out
		return s
	}
	open := func(to Stream) io.Writer {
		var w io.Writer = to
		if prefixed {
			p := &prefixer{out: w, prefix: s.name + " | "}
			w, s.closers = p, append(s.closers, p)
		}
		if to.Terminal {
			c := view.NewCleaner(w)
			w, s.closers = c, append(s.closers, c)
		}
		return w
	}
	s.out, s.err = open(a.Out), open(a.Err)
	return s
}

func (s *logSink) take(c *v1.LogChunk) error {
	if s.json != nil {
		return view.JSON(s.json, c)
	}
	if c.GetSkipped() > 0 {
		fmt.Fprintf(s.notes, "… %s of %s were dropped by rotation\n", view.Bytes(c.GetSkipped()), s.name)
	}
	w := s.out
	if c.GetStream() == "stderr" {
		w = s.err
	}
	_, err := w.Write(c.GetData())
	return err
}

// close writes what is held back, the outermost writer first.
func (s *logSink) close() error {
	var err error
	for i := len(s.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, s.closers[i].Close())
	}
	return err
}

// prefixer puts a prefix in front of each line, also of a last one without an end.
type prefixer struct {
	out    io.Writer
	prefix string
	within bool
}

func (p *prefixer) Write(data []byte) (int, error) {
	buf := make([]byte, 0, len(data)+len(p.prefix))
	for _, c := range data {
		if !p.within {
			buf = append(buf, p.prefix...)
		}
		buf = append(buf, c)
		p.within = c != '\n'
	}
	if _, err := p.out.Write(buf); err != nil {
		return 0, err
	}
	return len(data), nil
}

// Close ends the last line.
func (p *prefixer) Close() error {
	if !p.within {
		return nil
	}
	p.within = false
	_, err := io.WriteString(p.out, "\n")
	return err
}
