package compose

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/troupe-sched/troupe/actors"
)

// Embedded is a cell that lives in this process for one job.
type Embedded struct {
	*actors.Cell
	process *Process
	log     *slog.Logger
	// temporary is the directory that goes with the cell; empty if it shall stay.
	temporary string
}

// Embed opens a cell in this process: a NATS server with JetStream for the journal, badger for snapshots, an agent that
// runs processes. Its data is in dir, or in a directory that is gone with it if dir is empty.
func Embed(ctx context.Context, e Env, dir string) (*Embedded, error) {
	temporary := ""
	var taken func()
	if dir == "" {
		var err error
		if dir, taken, err = temporaryDir(); err != nil {
			return nil, err
		}
		temporary = dir
	}
	agent := agentOptions(e, filepath.Join(dir, "node"))
	agent.StopAll = true
	sweep := sweepDead(e)
	p, err := openMaster(ctx, masterSpec{
		Env: e, role: "run", dir: dir, taken: taken, own: true, lazily: temporary != "", store: "jetstream", agent: agent,
	})
	if err != nil {
		if temporary != "" {
			err = errors.Join(err, os.RemoveAll(temporary))
		}
		return nil, err
	}
	p.parts.add("sweep", sweep)
	return &Embedded{Cell: p.cell, process: p, log: e.Log, temporary: temporary}, nil
}

// Close stops everything that runs in the cell and ends it; ctx bounds the wait. Data that shall not stay is removed,
// unless processes are left that still end: the next run of this user clears it away then.
func (e *Embedded) Close(ctx context.Context) error {
	err := e.process.Close(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		e.log.Info("the cell did not end in time", "error", err)
		err = errors.New("processes that have not ended yet were told to, and are killed after their grace time")
	case err == nil && e.temporary != "":
		return os.RemoveAll(e.temporary)
	}
	return err
}
