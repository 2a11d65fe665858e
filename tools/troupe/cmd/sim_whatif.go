package cmd

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/chaos/trace"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

// whatIfFlags are what troupe sim whatif is told.
type whatIfFlags struct {
	from    string
	without []string
	queues  []string
	policy  string
	options trace.WhatIfOptions
}

func newSimWhatIfCommand(app *App) *cobra.Command {
	var f whatIfFlags
	c := &cobra.Command{
		Use:   "whatif",
		Short: "Play on from a cell's durable state, as it is and with a change, and tell the difference",
		Long: `Play on from the durable state of a cell, once as it is and once with a change, and tell the difference. Both plays run
the actors of a master in virtual time; the cell itself is not touched, and may run meanwhile.

The state does not say what runs where: both plays begin by placing all that lives, and the change comes when that has
settled. How long attempts run is what their stages state, else --assume-duration, else they run on.`,
		Example: example(
			"troupe sim whatif --from ~/.local/state/troupe/master --without-nodes rack=r7",
			"troupe sim whatif --from DIR --add-nodes 20 --like node-3 --assume-duration 10m --json",
			"troupe sim whatif --from DIR --set-queue web:cpu=200,memory=1Ti --policy easy"),
		Args: names(),
		RunE: func(cmd *cobra.Command, _ []string) error { return app.simWhatIf(cmd, f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.from, "from", "", "directory of the cell's master, which keeps its journal in badger")
	flags.StringSliceVar(&f.without, "without-nodes", nil, "nodes that go: names, or attribute=value for all that have it")
	flags.IntVar(&f.options.Change.Add, "add-nodes", 0, "so many nodes come")
	flags.StringVar(&f.options.Change.Like, "like", "", "the node that they are like; the first if empty")
	flags.StringArrayVar(&f.queues, "set-queue", nil, "a queue's promise: name:cpu=8,memory=16Gi,gpu=4000, or name: for nothing; may be repeated")
	flags.StringVar(&f.policy, "policy", "", "how all queues decide: "+strings.Join(trace.PolicyNames(), ", "))
	flags.DurationVar(&f.options.Horizon, "horizon", time.Hour, "how long to play on after the change")
	flags.DurationVar(&f.options.Assume, "assume-duration", 0, "how long attempts run whose stages do not say; 0 for on and on")
	flags.Uint64Var(&f.options.Seed, "seed", 1, "seed of the order in which actors get their turns")
	return c
}

func (a *App) simWhatIf(cmd *cobra.Command, f whatIfFlags) error {
	if f.from == "" {
		return usagef("--from is missing: the directory of the cell's master")
	}
	if f.options.Horizon <= 0 || f.options.Assume < 0 {
		return usagef("--horizon must be more than nothing, and --assume-duration no less")
	}
	policy, err := trace.ParsePolicy(f.policy)
	if err != nil {
		return usagef("--policy: %v", err)
	}
	o := f.options
	o.Change.Policy, o.Change.Without = policy, f.without
	for _, text := range f.queues {
		q, err := trace.ParseQueue(text)
		if err != nil {
			return usagef("--set-queue %s: %v", model.Quote(text), err)
		}
		o.Change.Queues = append(o.Change.Queues, q)
	}
	state, err := trace.LoadState(cmd.Context(), f.from)
	if err != nil {
		return err
	}
	done := a.simProgress(&o.Progress)
	w, err := trace.PlayWhatIf(cmd.Context(), state, o)
	done()
	if err != nil {
		return err
	}
	return a.figures(w, func(p *view.Page) { drawWhatIf(p, w, o.Horizon) })
}

// drawWhatIf shows both plays side by side, what differs marked by an arrow.
func drawWhatIf(p *view.Page, w *trace.WhatIf, horizon time.Duration) {
	share := func(v float64) string { return fmt.Sprintf("%.2f %%", v*100) }
	p.Line("after %s: as it is -> with the change", view.Span(horizon))
	p.Line("")
	t := view.NewTable("resource", ">used on average", ">at the end", ">stranded", ">capacity")
	for i, b := range w.Base.Resources {
		c := w.Changed.Resources[i]
		t.Row(b.Name, turned(share(b.Used), share(c.Used)), turned(share(b.End), share(c.End)), turned(share(w.Base.Packing.Stranded[b.Name]), share(w.Changed.Packing.Stranded[b.Name])),
			turned(sized(b), sized(c)))
	}
	t.Write(p)
	p.Line("")
	last := func(r *trace.Report) string { return view.Span(time.Duration(r.SpanS * float64(time.Second))) }
	p.Facts(
		[2]string{"nodes in use", turned(view.Count(w.Base.Packing.Used), view.Count(w.Changed.Packing.Used))},
		[2]string{"last begin or end after", turned(last(w.Base), last(w.Changed))},
	)
	p.Line("")
	q := view.NewTable("queue", ">instances", ">placed", ">ended", ">no place", ">interrupted", ">wait mean", ">p95")
	span := func(v float64) string { return view.Span(time.Duration(v * float64(time.Second))) }
	row := func(b, c trace.Figures, interrupted uint64) {
		name := b.Queue
		if name == "" {
			name = "all"
		}
		q.Row(name, view.Count(b.Instances), turned(view.Count(b.Begun), view.Count(c.Begun)), turned(view.Count(b.Ended), view.Count(c.Ended)),
			turned(view.Count(b.Waiting), view.Count(c.Waiting)), view.Count(interrupted),
			turned(span(b.Wait.Mean), span(c.Wait.Mean)), turned(span(b.Wait.P95), span(c.Wait.P95)))
	}
	all := uint64(0)
	for i, b := range w.Base.Queues {
		all += w.Interrupted[b.Queue]
		row(b, w.Changed.Queues[i], w.Interrupted[b.Queue])
	}
	row(w.Base.All, w.Changed.All, all)
	q.Write(p)
}

// sized is how much of a resource there is.
func sized(a trace.Allocation) string {
	switch a.Name {
	case "memory", "disk":
		return view.Bytes(a.Capacity)
	case "cpu", "devices":
		return view.CPU(a.Capacity)
	}
	return view.Count(a.Capacity)
}

// turned is what became of a value; alone if it is the same.
func turned(was, is string) string {
	if was == is {
		return was
	}
	return was + " -> " + is
}
