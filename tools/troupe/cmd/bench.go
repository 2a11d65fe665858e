package cmd

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/tools/troupe/bench"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newBenchCommand(app *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure whole paths through a cell of its own",
		Long: `Measure whole paths through a cell that is opened for it and removed after it.

Each figure comes with a limit that was taken in the same run: the machine's speed drifts, the ratio does not.`,
		Example: example("troupe bench throughput --instances 1000000 --nodes 1000 --json", "troupe bench process --instances 2000 --json", "troupe bench place --json"),
	}
	c.AddCommand(newBenchThroughputCommand(app), newBenchProcessCommand(app), newBenchSubmitCommand(app), newBenchPlaceCommand(app), newBenchPreemptCommand(app), newBenchProtocolCommand(app), newBenchFaultsCommand(app), newBenchFailoverCommand(app))
	c.AddCommand(newBenchJournalCommand(app), newBenchRebuildCommand(app), newBenchHistoriesCommand(app))
	return group(c)
}

func newBenchThroughputCommand(app *App) *cobra.Command {
	var o bench.ThroughputOptions
	c := &cobra.Command{
		Use:   "throughput",
		Short: "One batch job through all actors and a durable journal, with agents that run nothing",
		Example: example(
			"troupe bench throughput --instances 1000000 --nodes 1000 --json",
			"troupe bench throughput --memory-journal      without the disk",
		),
		Args: names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := bench.RunThroughput(cmd.Context(), o)
			if err != nil {
				return err
			}
			return app.figures(r, func(p *view.Page) {
				p.Line("%d instances on %d nodes with %d slots in %.2f s: %.0f instances/s", r.Instances, r.Nodes, r.Slots, r.Seconds, r.InstancesPerS)
				p.Line("peak resident memory %d MiB; journal (%s) %d bytes in %d records", r.PeakRSSBytes>>20, r.Journal, r.JournalBytes, r.JournalRecords)
				p.Line("the journal's store alone, one record after another: %.0f appends/s", r.AppendsPerS)
			})
		},
	}
	c.Flags().Int64Var(&o.Instances, "instances", 1_000_000, "instances of the job, at most 10000000")
	c.Flags().IntVar(&o.Nodes, "nodes", 1000, "hollow nodes")
	c.Flags().Int64Var(&o.SlotsPerNode, "slots", 64, "slots a node has room for")
	c.Flags().BoolVar(&o.Memory, "memory-journal", false, "keep the journal in memory instead of on disk")
	return c
}

func newBenchProcessCommand(app *App) *cobra.Command {
	o := bench.ProcessOptions{Command: []string{"/bin/true"}}
	c := &cobra.Command{
		Use:     "process",
		Short:   "Real processes through master, agent and shim, against fork, exec and wait alone",
		Example: example("troupe bench process --instances 2000 --json", "troupe bench place --json"),
		Args:    names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := os.Stat(o.Command[0]); err != nil {
				o.Command[0] = "/usr/bin/true" // where macOS has it
			}
			r, err := bench.RunProcess(cmd.Context(), o)
			if err != nil {
				return err
			}
			return app.figures(r, func(p *view.Page) {
				p.Line("%d attempts of %s in %d slots: %.0f attempts/s", r.Instances, o.Command[0], r.Slots, r.AttemptsPerS)
				p.Line("bare fork, exec and wait: %.0f/s as many at once, %.0f/s one at a time", r.BarePerS, r.BareSerialPerS)
				p.Line("ratio %.2f and %.2f", r.Ratio, r.RatioSerial)
			})
		},
	}
	c.Flags().Int64Var(&o.Instances, "instances", 2000, "attempts a round")
	c.Flags().Int64Var(&o.Slots, "slots", 16, "attempts at once")
	c.Flags().IntVar(&o.Rounds, "rounds", 3, "how often cell and bare loop take turns; the median counts")
	return c
}

func newBenchSubmitCommand(app *App) *cobra.Command {
	var o bench.SubmitOptions
	var store string
	c := &cobra.Command{
		Use:     "submit",
		Short:   "Durable submits over NATS, by one client and by many",
		Example: example("troupe bench submit --json", "troupe bench submit --clients 8 --store badger"),
		Args:    names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := app.benchSubmit(cmd, o, store)
			if err != nil {
				return err
			}
			return app.figures(r, func(p *view.Page) {
				p.Line("journal in %s; a submit is answered when it is durable", store)
				p.Line("one client: p50 %.0f us, p99 %.0f us; a request that needs no disk: p50 %.0f us", r.AloneP50Us, r.AloneP99Us, r.PingP50Us)
				p.Line("%d clients: %.0f submits/s, p50 %.0f us, p99 %.0f us", r.Clients, r.SubmitsPerS, r.P50Us, r.P99Us)
			})
		},
	}
	c.Flags().IntVar(&o.Clients, "clients", 64, "clients, each with a connection of its own")
	c.Flags().IntVar(&o.Submits, "submits", 10_000, "submits of all clients together")
	c.Flags().StringVar(&store, "store", "jetstream", "where the journal is kept: jetstream, badger or memory")
	return c
}

// benchSubmit opens a whole cell with a NATS server in a directory of its own, and clients over TCP.
func (a *App) benchSubmit(cmd *cobra.Command, o bench.SubmitOptions, store string) (r *bench.Submit, err error) {
	c, err := a.settings(cmd)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "troupe-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	c.Master.Dir, c.Node.Dir = filepath.Join(dir, "master"), filepath.Join(dir, "node")
	c.Master.Listen, c.Master.Store, c.NATS.URL, c.HTTP.Listen = "127.0.0.1:0", store, "", ""
	log := logger(c, a.Err, slog.LevelWarn)
	server, err := a.World.Dev(cmd.Context(), c, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Close(context.WithoutCancel(cmd.Context()))) }()
	c.NATS.URL, c.Cell.Name = server.Facts().NATS, server.Facts().Cell
	return bench.RunSubmit(cmd.Context(), func() (bench.Submitter, func(), error) {
		return a.World.Reach(cmd.Context(), c, log, nil)
	}, o)
}

// figures shows what was measured, for people or for programs.
func (a *App) figures(r any, draw func(*view.Page)) error {
	if a.json {
		return view.JSONValue(a.Out, r)
	}
	return a.page(draw)
}
