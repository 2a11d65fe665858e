package cmd

import (
	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/tools/troupe/bench"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newBenchPlaceCommand(app *App) *cobra.Command {
	var o bench.PlaceOptions
	c := &cobra.Command{
		Use:   "place",
		Short: "Placement alone: a mixed cell filled from empty, then kept at nine tenths while work comes and goes",
		Long: `Placement alone: a mixed cell filled from empty, then kept at nine tenths while work comes and goes.

24 machine shapes, 400 demand shapes of four bands, 30 % of them with constraints and 10 % spread over racks or nodes; one
task a decision, no actors, one goroutine. Several sizes of cell show how the cost of a placement grows.`,
		Example: example(
			"troupe bench place --nodes 10000 --tasks 100000 --json",
			"troupe bench place --nodes 1000,10000,100000   how cost grows",
			"troupe bench place --ablate                    what each way to be fast is worth",
			"troupe bench place --filter-workers 2          whether filtering in parallel pays",
		),
		Args: names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := bench.RunPlace(cmd.Context(), o)
			if err != nil {
				return err
			}
			return app.figures(r, func(p *view.Page) { showPlace(p, r) })
		},
	}
	c.Flags().IntSliceVar(&o.Nodes, "nodes", []int{10_000}, "nodes of the cell; several sizes are measured one after the other")
	c.Flags().IntVar(&o.Tasks, "tasks", 0, "tasks placed in each of the two phases; 0 means ten a node")
	c.Flags().StringVar(&o.Score, "score", "", "how nodes are chosen: hybrid, bestfit, epvm, fragmentation or packing; hybrid if empty")
	c.Flags().Uint64Var(&o.Seed, "seed", 1, "seed of cell, demand and draws")
	c.Flags().BoolVar(&o.Ablate, "ablate", false, "measure the first size also without score cache, equivalence classes and randomisation")
	c.Flags().IntVar(&o.FilterWorkers, "filter-workers", 0, "measure filtering of all nodes by that many workers, nodes or filters shared out; at least 2")
	return c
}

func showPlace(p *view.Page, r *bench.Place) {
	runs := r.Curve
	if len(runs) == 0 {
		runs = []bench.PlaceRun{r.PlaceRun}
	}
	for _, c := range runs {
		p.Line("%d nodes, %d classes, score %s: %.0f placements/s, %.0f a second of processor time, p50 %.2f us, p99 %.2f us, %.0f bytes a node",
			c.Nodes, c.Classes, c.Score, c.PlacementsPerS, c.PlacementsPerCPUS, c.P50Us, c.P99Us, c.BytesPerNode)
		p.Line("  fill to %.1f %%: %.0f/s; churn there: %.0f/s; packed until %.1f %%",
			100*c.Fill.Utilisation, c.Fill.PlacementsPerS, c.Churn.PlacementsPerS, 100*c.Packed)
	}
	for _, c := range r.Ablation {
		p.Line("without %s: %.0f placements/s, p50 %.2f us, p99 %.2f us", c.Without, c.PlacementsPerS, c.P50Us, c.P99Us)
	}
	for _, w := range r.Filter {
		p.Line("filtering split by %s, %d workers, grain %d: %.0f us, %.1f us of it to hand over; %.2f times as fast",
			w.Split, w.Workers, w.Grain, w.Us, w.HandOverUs, w.Ratio)
	}
}
