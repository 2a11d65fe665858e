package cmd

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-sched/troupe/chaos/crowd"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newBenchHistoriesCommand(app *App) *cobra.Command {
	var o crowd.Options
	c := &cobra.Command{
		Use:   "histories",
		Short: "Whether clients of a cell that is being broken are told what one without faults could tell them",
		Long: `Let clients ask cells over the real API, all at once and about the same few jobs, while journals are slow and fail, masters
are torn down and rebuilt, resign or are stalled while others take over; and judge each history job by job. Cells keep their
journals in memory, alone and with three masters, in badger and in JetStream, in turn.`,
		Example: example("troupe bench histories --n 1000 --json", "troupe bench histories --n 20 --kind masters"),
		Args:    names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Seed == 0 {
				o.Seed = uint64(time.Now().UnixNano()) % 1_000_000_007
			}
			if !app.json {
				o.Tell = func(line string) { fmt.Fprintln(app.Err, line) }
			}
			var err error
			if o.Dir, err = os.MkdirTemp("", "troupe-histories-"); err != nil {
				return err
			}
			r, err := crowd.Run(cmd.Context(), o)
			if r == nil {
				return errors.Join(err, os.RemoveAll(o.Dir))
			}
			if len(r.Kept) == 0 {
				err = errors.Join(err, os.RemoveAll(o.Dir))
			}
			if r.Broken+r.Undecided > 0 {
				err = errors.Join(err, fmt.Errorf("%d of %d histories are broken, %d took too long to decide", r.Broken, r.Histories, r.Undecided))
			}
			return errors.Join(err, app.figures(r, func(p *view.Page) { historiesPage(p, r) }))
		},
	}
	c.Flags().IntVar(&o.Histories, "n", 1000, "histories")
	c.Flags().IntVar(&o.Clients, "clients", 10, "clients of each")
	c.Flags().IntVar(&o.Ops, "ops", 50, "operations of each client")
	c.Flags().StringArrayVar(&o.Kinds, "kind", nil, "only cells of this kind: memory, masters, badger or jetstream")
	c.Flags().Uint64Var(&o.Seed, "seed", 0, "draw faults and questions from this; 0 draws it from the clock")
	return c
}

func historiesPage(p *view.Page, r *crowd.Report) {
	p.Line("%d histories %v, %d operations, %d of unknown outcome, in %.0f s", r.Histories, r.ByKind, r.Ops, r.Unknown, r.Seconds)
	p.Line("faults: %d failed appends, each of which tears a master down; %d leaders resigned or stalled", r.Failures, r.Changes)
	p.Line("broken: %d; too long to decide: %d", r.Broken, r.Undecided)
	for _, problem := range r.Problems {
		p.Line("%s", problem)
	}
	for _, name := range r.Kept {
		p.Line("kept: %s", name)
	}
}
