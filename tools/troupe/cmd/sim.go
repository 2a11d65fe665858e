package cmd

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/chaos/trace"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newSimCommand(app *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "sim",
		Short: "Play workloads through the scheduler in virtual time, and measure what it decides",
		Example: example(
			"troupe sim make --nodes 50 --jobs 2000 --to demo",
			"troupe sim trace --nodes demo-nodes.csv --work demo-work.csv --plot out.svg"),
	}
	c.AddCommand(newSimTraceCommand(app), newSimWhatIfCommand(app), newSimMakeCommand(app))
	return group(c)
}

// traceFlags are what troupe sim trace is told.
type traceFlags struct {
	source trace.Source
	policy string
	plot   string
	seed   uint64
	quotas []string
}

func newSimTraceCommand(app *App) *cobra.Command {
	var f traceFlags
	c := &cobra.Command{
		Use:   "trace",
		Short: "Play a workload and report how full, how long, how fair",
		Long: `Play a workload through the actors of a master in virtual time, over machines that are made up, and report what became
of it: allocation, stranded resources, waiting, evictions. Nothing is simplified but the machines.

Forms:
  plain  machines and work as tables; see below
  openb  lists of nodes and pods as in Alibaba's GPU trace of 2023; pods are tried once, in the published order
  swf    a log in the Standard Workload Format; rigid jobs on one machine of --processors

Policies: ` + strings.Join(trace.PolicyNames(), ", ") + `;
several joined by a comma say more than one thing: easy,bestfit.

` + trace.PlainHelp,
		Example: example(
			"troupe sim trace --nodes nodes.csv --work work.csv --json",
			"troupe sim trace --format openb --nodes nodes --work pods --policy fragmentation --plot out.svg",
			"troupe sim trace --format swf --work log.swf.gz --policy easy"),
		Args: names(),
		RunE: func(cmd *cobra.Command, _ []string) error { return app.simTrace(cmd, f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.source.Format, "format", "plain", "form of the workload: plain, openb or swf")
	flags.StringVar(&f.source.Nodes, "nodes", "", "file with the machines")
	flags.StringVar(&f.source.Work, "work", "", "file with the work")
	flags.StringVar(&f.source.Order, "order", "", "openb: file with the order of arrival and the ranks of the nodes; drawn by --seed if empty")
	flags.IntVar(&f.source.Processors, "processors", 0, "swf: processors of the machine; the log says how many if 0")
	flags.IntVar(&f.source.NodesCount, "nodes-count", 0, "plain: so many machines of 32 cores and 128 GiB, instead of --nodes")
	flags.IntVar(&f.source.Limit, "limit", 0, "only the first so many jobs; 0 for all")
	flags.StringVar(&f.policy, "policy", "", "how to decide; as the cell does by default if empty")
	flags.StringArrayVar(&f.quotas, "queue", nil, "what a queue is promised: name:cpu=8,memory=16Gi,gpu=4000, or name: for nothing; may be repeated")
	flags.StringVar(&f.plot, "plot", "", "write a picture (SVG) to this file")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of everything that is drawn")
	return c
}

// gcPercent lets a play, which leaves much behind and holds little, collect garbage less often.
const gcPercent = 400

// traceAnswer is what troupe sim trace shows to programs.
type traceAnswer struct {
	Format string `json:"format"`
	Work   string `json:"work"`
	*trace.Report
	WallS float64 `json:"wall_s"`
}

func (a *App) simTrace(cmd *cobra.Command, f traceFlags) error {
	f.source.Seed = f.seed
	policy, err := trace.ParsePolicy(f.policy)
	if err != nil {
		return usagef("--policy: %v", err)
	}
	if err := f.source.Check(); err != nil {
		return usagef("%v", err)
	}
	if f.plot != "" { // a play can take long: what is wrong with the file is told before
		if err := writeFile(f.plot, func(*os.File) error { return nil }); err != nil {
			return err
		}
	}
	w, options, err := f.source.Load(policy)
	if err != nil {
		return err
	}
	for _, text := range f.quotas {
		q, err := trace.ParseQueue(text)
		if err != nil {
			return usagef("--queue %s: %v", model.Quote(text), err)
		}
		w.Queues = append(w.Queues, q)
	}
	options.Seed = f.seed
	done := a.simProgress(&options.Progress)
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	began := time.Now()
	r, err := trace.Play(cmd.Context(), w, options)
	done()
	if err != nil {
		return err
	}
	r.Policy = f.policy
	if f.plot != "" {
		title := strings.TrimSpace(f.source.Format + " " + f.policy)
		if err := writeFile(f.plot, func(out *os.File) error { return r.Picture(out, title, w.Once) }); err != nil {
			return err
		}
	}
	answer := traceAnswer{Format: f.source.Format, Work: f.source.Work, Report: r, WallS: time.Since(began).Seconds()}
	return a.figures(answer, func(p *view.Page) { drawTrace(p, answer) })
}

// simProgress lets a person see how far a play is. The function it returns ends that.
func (a *App) simProgress(hook *func(trace.Progress)) func() {
	if !a.Err.Terminal || a.json {
		return func() {}
	}
	var told time.Time
	*hook = func(p trace.Progress) {
		if now := time.Now(); now.Sub(told) > 100*time.Millisecond {
			told = now
			come := ""
			if p.Jobs > 0 {
				come = fmt.Sprintf("%s of %s jobs have come, ", view.Count(p.Arrived), view.Count(p.Jobs))
			}
			fmt.Fprintf(a.Err, "\r\x1b[K%s%s instances run, %s wait, at %s", come, view.Count(p.Running), view.Count(p.Waiting), view.Span(p.At))
		}
	}
	return func() {
		if !told.IsZero() {
			fmt.Fprint(a.Err, "\r\x1b[K")
		}
	}
}

// writeFile makes a file, and says when its content did not get to the disk.
func writeFile(path string, write func(*os.File) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

func drawTrace(p *view.Page, a traceAnswer) {
	r := a.Report
	share := func(v float64) string { return fmt.Sprintf("%.2f %%", v*100) }
	p.Facts(
		[2]string{"workload", strings.TrimSpace(a.Format + " " + a.Work)}, [2]string{"policy", r.Policy},
		[2]string{"nodes", view.Count(r.Nodes)}, [2]string{"time", view.Span(time.Duration(r.SpanS * float64(time.Second)))},
		[2]string{"played in", fmt.Sprintf("%s, %s messages", view.Span(time.Duration(a.WallS*float64(time.Second))), view.Count(r.Steps))},
	)
	if r.Left > 0 {
		p.Line("%s jobs of the log cannot be played: they have no run time, or ask for more than there is", view.Count(r.Left))
	}
	p.Line("")
	t := view.NewTable("resource", ">used on average", ">at most", ">at the end", ">stranded")
	for _, x := range r.Resources {
		t.Row(x.Name, share(x.Used), share(x.Peak), share(x.End), share(r.Packing.Stranded[x.Name]))
	}
	t.Write(p)
	p.Line("")
	facts := [][2]string{
		{"fullest moment", fmt.Sprintf("%s nodes in use, %.1f instances each, %s nodes with services and batch work, %s nodes saved by that",
			view.Count(r.Packing.Used), r.Packing.PerNode.Mean, view.Count(r.Packing.Shared), view.Count(r.Packing.Saved))},
	}
	if n := len(r.ByDemand); n > 0 {
		facts = append(facts, [2]string{"given of " + view.Count(n-1) + " % asked for", fmt.Sprintf("%.2f %%", r.ByDemand[n-1])})
	}
	if r.Packing.Fragmented > 0 {
		facts = append(facts, [2]string{"fragmented devices", share(r.Packing.Fragmented)})
	}
	for _, rule := range sortedNames(r.Evictions) {
		facts = append(facts, [2]string{"evictions by " + rule, view.Count(r.Evictions[rule])})
	}
	p.Facts(facts...)
	p.Line("")
	q := view.NewTable("queue", ">jobs", ">instances", ">begun", ">ended", ">no place", ">evicted", ">lost", ">wait mean", ">p50", ">p95", ">p99", ">max", ">slowdown", ">p95", ">flow")
	for _, x := range append(slices.Clone(r.Queues), r.All) {
		if x.Queue == "" {
			x.Queue = "all"
		}
		s := func(v float64) string { return view.Span(time.Duration(v * float64(time.Second))) }
		q.Row(x.Queue, view.Count(x.Jobs), view.Count(x.Instances), view.Count(x.Begun), view.Count(x.Ended), view.Count(x.Waiting), view.Count(x.Evicted), s(x.LostS),
			s(x.Wait.Mean), s(x.Wait.P50), s(x.Wait.P95), s(x.Wait.P99), s(x.Wait.Max),
			fmt.Sprintf("%.2f", x.Slowdown.Mean), fmt.Sprintf("%.2f", x.Slowdown.P95), s(x.Flow.Mean))
	}
	q.Write(p)
}

func sortedNames(m map[string]uint64) []string {
	list := make([]string, 0, len(m))
	for name := range m { //order: sorted below
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func newSimMakeCommand(app *App) *cobra.Command {
	o := trace.MakeOptions{}
	var to string
	c := &cobra.Command{
		Use:     "make",
		Short:   "Write a made-up workload in the plain form",
		Example: example("troupe sim make --nodes 50 --jobs 2000 --seed 7 --to demo"),
		Args:    names(),
		RunE: func(*cobra.Command, []string) error {
			if to == "" {
				return usagef("--to is missing: the files are named by it, -nodes.csv and -work.csv added")
			}
			nodes, work := to+"-nodes.csv", to+"-work.csv"
			err := writeFile(nodes, func(n *os.File) error {
				return writeFile(work, func(w *os.File) error { return trace.Make(o, n, w) })
			})
			if err != nil {
				return err
			}
			return app.figures(map[string]string{"nodes": nodes, "work": work}, func(p *view.Page) {
				p.Line("%s and %s are written; play them with:", nodes, work)
				p.Line("  troupe sim trace --nodes %s --work %s", nodes, work)
			})
		},
	}
	flags := c.Flags()
	flags.IntVar(&o.Nodes, "nodes", 20, "how many machines")
	flags.IntVar(&o.Jobs, "jobs", 1000, "how many jobs")
	flags.IntVar(&o.Load, "load", 90, "how much is wanted on the average, in percent of the cores")
	flags.BoolVar(&o.Devices, "devices", false, "give some machines GPUs")
	flags.Uint64Var(&o.Seed, "seed", 1, "what everything is drawn from")
	flags.StringVar(&to, "to", "", "what the names of the files begin with")
	return c
}
