package cmd

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-sched/troupe/chaos/history"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newChaosCheckCommand(app *App) *cobra.Command {
	var page string
	var within time.Duration
	c := &cobra.Command{
		Use:   "check HISTORY",
		Short: "Judge whether one cell without faults could have told its clients what they were told",
		Long: `Judge a history of what clients asked and were told: a file of JSON lines, one operation each, such as

  {"client":3,"kind":"submit","job":"default/render","key":"k1","spec":"a","call_ns":120,"return_ns":900,"outcome":"done","uid":7,"created":true}
  {"client":5,"kind":"status","job":"default/render","call_ns":950,"return_ns":990,"outcome":"done","uid":7,"phase":"running"}

Kinds are submit, status, stop and list; outcomes are done, absent, conflict, refused and unknown. Times are of one monotonic
clock. An operation of unknown outcome may have happened at any time after its call, or never. The history is judged job by job: is
there an order of the operations, each between its call and its return, that explains all answers?`,
		Example: example("troupe chaos check history.jsonl", "troupe chaos check history.jsonl --json", "troupe chaos check history.jsonl --html out.html"),
		Args:    names("a history"),
		RunE: func(_ *cobra.Command, args []string) error {
			ops, err := readHistory(args[0])
			if err != nil {
				return usagef("%v", err)
			}
			r := history.Check(ops, within)
			if page != "" {
				if err := drawHistory(page, ops, within); err != nil {
					return err
				}
			}
			return errors.Join(app.figures(r, func(p *view.Page) { historyPage(p, &r) }), historyVerdict(&r))
		},
	}
	c.Flags().StringVar(&page, "html", "", "draw the operations of broken jobs, or of the first jobs, into this file")
	c.Flags().DurationVar(&within, "within", time.Minute, "say that it is undecided after this")
	return c
}

func readHistory(name string) ([]history.Op, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	ops, err := history.Read(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return ops, nil
}

func drawHistory(name string, ops []history.Op, within time.Duration) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(history.Draw(file, ops, within), file.Close())
}

func historyPage(p *view.Page, r *history.Report) {
	p.Line("%d operations of %d clients on %d jobs, %d of unknown outcome: %s", r.Ops, r.Clients, r.Jobs, r.Unknown, r.Verdict)
	for _, f := range r.Findings {
		p.Line("%s: %s", f.Job, f.Problem)
		for _, op := range f.Ops {
			p.Line("  %s", op)
		}
	}
	for _, name := range r.UndecidedNames {
		p.Line("%s: too long to decide; give it more time with --within", name)
	}
}

// historyVerdict is the error by which the command fails.
func historyVerdict(r *history.Report) error {
	switch r.Verdict {
	case history.Broken:
		return fmt.Errorf("the history of %d jobs is broken", r.BrokenJobs)
	case history.Undecided:
		return fmt.Errorf("the time was too short to decide on %d jobs", r.UndecidedJobs)
	}
	return nil
}
