package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-sched/troupe/chaos/durability"
	"github.com/troupe-sched/troupe/chaos/lossyfs"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

// journalFigures is what the journal's benchmark shows to programs.
type journalFigures struct {
	Runs []*durability.Report `json:"runs"`
	// Sums over the runs of stores that sync.
	Records   uint64 `json:"records"`
	Cuts      int    `json:"cuts"`
	Kills     int    `json:"kills"`
	Stepdowns int    `json:"stepdowns"`
	Lost      uint64 `json:"lost"`
	// Disorder are records that are there twice, out of order, missing in the middle or damaged.
	Disorder uint64  `json:"disorder"`
	Seconds  float64 `json:"seconds"`
	Seed     uint64  `json:"seed"`
}

func newBenchJournalCommand(app *App) *cobra.Command {
	var o durability.Options
	var harsh bool
	c := &cobra.Command{
		Use:   "journal",
		Short: "Whether the journal keeps what it has acknowledged, over power cuts, kills and step-downs",
		Long: `Append records through the real stores, on disks that forget what was not synced, and remember outside of them what was
acknowledged: first to three NATS servers, each a process with a disk of its own, then to badger in a process. Meanwhile the power
of one, two or all machines is cut, processes are killed with SIGKILL, and the leader of the stream is made to step down. After each
of these everything acknowledged must be there, once and in order. Appends that wait together share one write, as in a busy
master, and each counts as a record.

At last the same is done with stores that acknowledge before data is on disk: there records must get lost, or the check is worth
nothing. It needs Linux, /dev/fuse and root.`,
		Example: example("troupe bench journal --records 1000000 --cuts 100 --kills 200 --stepdowns 200 --json", "troupe bench journal --records 20000 --cuts 5 --kills 5 --stepdowns 5"),
		Args:    names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := lossyfs.Supported(); err != nil {
				return err
			}
			if harsh {
				o.Names = lossyfs.Harsh
			}
			if o.Seed == 0 {
				o.Seed = uint64(time.Now().UnixNano()) % 1_000_000_007
			}
			if !app.json {
				o.Tell = func(line string) { fmt.Fprintln(app.Err, line) }
			}
			f, err := benchJournal(cmd.Context(), o)
			if f == nil {
				return err
			}
			return errors.Join(err, app.figures(f, func(p *view.Page) { f.page(p) }))
		},
	}
	c.Flags().Uint64Var(&o.Records, "records", 1_000_000, "records to be acknowledged, of each store")
	c.Flags().IntVar(&o.Cuts, "cuts", 100, "power cuts, of each store")
	c.Flags().IntVar(&o.Kills, "kills", 200, "processes killed, of each store")
	c.Flags().IntVar(&o.Stepdowns, "stepdowns", 200, "times that the leader of the stream is made to step down")
	c.Flags().IntVar(&o.Window, "window", 64, "appends under way at most")
	c.Flags().IntVar(&o.Rate, "rate", 1000, "appends to NATS servers that begin in a second; 0 means as many as can")
	c.Flags().BoolVar(&harsh, "harsh", false, "names of files, too, are on disk only when their folder was synced")
	c.Flags().Uint64Var(&o.Seed, "seed", 0, "draw the faults from this; 0 draws it from the clock")
	return c
}

// benchJournal tries all stores. It fails when one has lost anything, or when one that must lose has not.
func benchJournal(ctx context.Context, o durability.Options) (*journalFigures, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "troupe-journal-")
	if err != nil {
		return nil, err
	}
	o.Self = []string{self, "chaos", "journal"}
	f, began := &journalFigures{Seed: o.Seed}, time.Now()
	var wrong error
	for i, run := range journalRuns(o) {
		run.Dir = filepath.Join(dir, fmt.Sprint(i))
		r, err := durability.Run(ctx, run)
		if err != nil {
			return nil, fmt.Errorf("%w (seed %d, logs in %s)", err, o.Seed, dir)
		}
		f.Runs = append(f.Runs, r)
		switch {
		case run.Lazy && r.Lost == 0:
			wrong = errors.Join(wrong, fmt.Errorf("%s acknowledged what was not on disk, and nothing was lost: the check is worth nothing", r.Store))
		case run.Lazy:
			continue
		case !r.Kept():
			wrong = errors.Join(wrong, fmt.Errorf("%s has not kept what it acknowledged (seed %d): %s", r.Store, o.Seed, r.Example))
		}
		f.Records, f.Lost, f.Disorder = f.Records+r.Records, f.Lost+r.Lost, f.Disorder+r.Disorder
		f.Cuts, f.Kills, f.Stepdowns = f.Cuts+r.Cuts, f.Kills+r.Kills, f.Stepdowns+r.Stepdowns
	}
	f.Seconds = time.Since(began).Seconds()
	return f, errors.Join(wrong, os.RemoveAll(dir))
}

// journalRuns are the stores that sync, and then those that do not.
func journalRuns(o durability.Options) []durability.Options {
	servers, badger := o, o
	servers.Store, servers.Servers = "jetstream", 3
	badger.Store, badger.Stepdowns = "badger", 0
	lazy := o
	lazy.Lazy, lazy.Records, lazy.Cuts, lazy.Kills, lazy.Stepdowns = true, min(o.Records, 10_000), 1, 0, 0
	lazyServer, lazyBadger := lazy, lazy
	lazyServer.Store, lazyServer.Servers = "jetstream", 1
	lazyBadger.Store = "badger"
	return []durability.Options{servers, badger, lazyServer, lazyBadger}
}

func (f *journalFigures) page(p *view.Page) {
	for _, r := range f.Runs {
		kind := r.Store
		if r.Servers > 0 {
			kind = fmt.Sprintf("%s, %d servers", r.Store, r.Servers)
		}
		if r.Lazy {
			kind += ", not synced"
		}
		p.Line("%s: %d records acknowledged; %d cuts (%d of all at once), %d kills, %d step-downs in %.0f s: %d lost, %d out of order",
			kind, r.Records, r.Cuts, r.CutsOfAll, r.Kills, r.Stepdowns, r.Seconds, r.Lost, r.Disorder)
	}
}

// newChaosJournalCommand is a process of the journal's benchmark.
func newChaosJournalCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "journal", Hidden: true, Short: "Be a process of troupe bench journal", DisableFlagParsing: true,
		Example: example("troupe chaos journal -kind=nats -name=n1 -dir=/tmp/n1 -port=4222"),
		Args:    cobra.ArbitraryArgs, // they are flags, and checked as such
		RunE: func(cmd *cobra.Command, args []string) error {
			return durability.RunChild(cmd.Context(), args, app.Out, app.Err)
		},
	}
}
