package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-sched/troupe/cluster/store/backup"
	"github.com/troupe-sched/troupe/cluster/store/jetstreamlog"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/compose"
	"github.com/troupe-sched/troupe/tools/troupe/config"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

// answerWait is how long a cell may take to show that it lives, before its journal is made anew.
const answerWait = 3 * time.Second

func newRestoreCommand(app *App) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Begin a cell with a backup",
		Long: `Begin a cell with a backup: in the directory of a master that does not run, or, with --store jetstream, in the stream of a cell
none of whose masters runs. The file is checked whole before anything is written, and until all is written a master finds
what was there before.

The first master begins an epoch above the backup's, and above any that an agent has heard of. What runs on the nodes and is
of jobs that the backup knows goes on; the rest is stopped. What was submitted after the backup is lost.

With JetStream, remove the directory "snapshots" of every other master before it starts: what is in it is of another journal.`,
		Example: example("troupe restore cell.troupe --dir /var/lib/troupe/master",
			"troupe restore cell.troupe --store jetstream --nats nats://nats.example:4222 --cell prod --dir /var/lib/troupe/master"),
		Args: names("the FILE of a backup"),
		RunE: func(cmd *cobra.Command, args []string) error { return app.restore(cmd, args[0], force) },
	}
	config.AddFlag(c.Flags(), "dir", "master.dir")
	config.AddFlag(c.Flags(), "store", "master.store")
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

// restoreStream makes a stream anew, unless a master answers that would not hear of it.
func (a *App) restoreStream(cmd *cobra.Command, conf *config.Config, found *backup.Found, frames compose.Frames, force bool) error {
	if cell := found.Head.GetCell(); cell != conf.Cell.Name && !told(conf, "cell.name") {
		return usagef("the backup is of cell %s; name the cell that it is to become by --cell", cell)
	}
	log := logger(conf, a.Err, slog.LevelError)
	ctx, cancel := context.WithTimeout(cmd.Context(), answerWait)
	defer cancel()
	cell, release, err := a.World.Reach(ctx, conf, log, nil)
	if err != nil {
		return err
	}
	status, err := cell.CellStatus(ctx, &v1.CellStatusRequest{})
	release()
	if err == nil {
		return fmt.Errorf("a master of cell %s runs, in epoch %d: stop every master first", status.GetCell(), status.GetEpoch())
	}
	err = compose.RestoreStream(cmd.Context(), compose.Env{Config: conf, Version: a.Version, Log: log}, found, frames, force)
	var taken *jetstreamlog.ErrOccupied
	if errors.As(err, &taken) {
		return fmt.Errorf("%w; --force replaces it, and what it holds is lost", taken)
	}
	return err
}
