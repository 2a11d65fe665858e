package cmd

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/troupe-sched/troupe/cluster/store/backup"
	"github.com/troupe-sched/troupe/cluster/store/jetstreamlog"
	"github.com/troupe-sched/troupe/tools/troupe/compose"
	"github.com/troupe-sched/troupe/tools/troupe/config"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newRestoreCommand(app *App) *cobra.Command {
	var force, serve bool
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Begin a cell with a backup",
		Long: `Begin a cell with a backup: in the directory of a master that does not run, or, with --store jetstream, in the stream of a cell
none of whose masters runs. The file is checked whole before anything is written, and until all is written a master finds
what was there before.

The first master begins an epoch above the backup's, and above any that an agent has heard of. What runs on the nodes and is
of jobs that the backup knows goes on; the rest is stopped. What was submitted after the backup is lost.

Where the masters' own NATS servers are one cluster, most of them must be up: run troupe restore --serve on the other hosts
meanwhile, instead of their masters. With JetStream, remove the directory "snapshots" of every other master before it starts: what is in it is of another journal.`,
		Example: example("troupe restore cell.troupe --dir /var/lib/troupe/master",
			"troupe restore cell.troupe --store jetstream --nats nats://nats.example:4222 --cell prod --dir /var/lib/troupe/master"),
		Args: func(cmd *cobra.Command, args []string) error {
			if serve {
				return names()(cmd, args)
			}
			return names("the FILE of a backup (or --serve)")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if serve {
				return app.serveOnly(cmd)
			}
			return app.restore(cmd, args[0], force)
		},
	}
	for flag, key := range map[string]string{ //order: flags are shown by name
		"id": "master.id", "dir": "master.dir", "store": "master.store", "nats-listen": "master.listen", "replicas": "master.replicas",
		"peers": "master.peers", "cluster-listen": "master.cluster.listen",
	} {
		config.AddFlag(c.Flags(), flag, key)
	}
	c.Flags().BoolVar(&serve, "serve", false, "restore nothing: run this host's NATS server for a restore on another one")
	c.Flags().BoolVar(&force, "force", false, "replace the journal that is there, which is then lost")
	return c
}

func (a *App) restore(cmd *cobra.Command, name string, force bool) error {
	conf, err := a.settings(cmd)
	if err != nil {
		return err
	}
	i := &backup.Inspector{}
	frames := fileFrames(name)
	if err := frames(i.Take); err != nil {
		return fmt.Errorf("%s: %w; nothing was written", name, err)
	}
	found, err := i.Found()
	if err != nil {
		return fmt.Errorf("%s: %w; nothing was written", name, err)
	}
	log := logger(conf, a.Err, slog.LevelError)
	var where string
	switch conf.Master.Store {
	case "badger":
		where = conf.Master.Dir
		err = compose.RestoreDir(cmd.Context(), where, found, frames, force, log)
	case "jetstream":
		where = "stream " + jetstreamlog.StreamName(conf.Cell.Name)
		err = a.restoreStream(cmd, conf, found, frames, force)
	default:
		return usagef("--store %s keeps nothing; right would be badger or jetstream", conf.Master.Store)
	}
	if err != nil {
		return err
	}
	done := describe(found)
	done.File = name
	return a.figures(done, func(p *view.Page) {
		p.Line("%s holds the hard state of cell %s; start a master", where, found.Head.GetCell())
		done.draw(p)
	})
}

// restoreStream makes a stream anew.
func (a *App) restoreStream(cmd *cobra.Command, conf *config.Config, found *backup.Found, frames compose.Frames, force bool) error {
	if cell := found.Head.GetCell(); cell != conf.Cell.Name && !told(conf, "cell.name") {
		return usagef("the backup is of cell %s; name the cell that it is to become by --cell", cell)
	}
	env := compose.Env{Config: conf, Version: a.Version, Log: logger(conf, a.Err, slog.LevelError)}
	err := compose.RestoreStream(cmd.Context(), env, found, frames, force)
	var taken *jetstreamlog.ErrOccupied
	if errors.As(err, &taken) {
		return fmt.Errorf("%w; --force replaces it, and what it holds is lost", taken)
	}
	return err
}

// serveOnly runs the NATS server of this host's master, for a restore on another host.
func (a *App) serveOnly(cmd *cobra.Command) error {
	conf, err := a.settings(cmd)
	if err != nil {
		return err
	}
	env := compose.Env{Config: conf, Version: a.Version, Log: logger(conf, a.Err, slog.LevelError)}
	return compose.ServeOnly(cmd.Context(), env, func(url string) {
		a.note(a.Err, func(p *view.Page) { p.Line("NATS server %s is up for a restore; interrupt it when that is over", url) })
	})
}
