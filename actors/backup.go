package actors

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/store/backup"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// backupsMax bounds the backups that are taken at a time: each holds a whole snapshot in memory.
	backupsMax = 2
	// backupPiece is how many bytes of frames go into one chunk.
	backupPiece = 64 << 10
)

// chunks gathers what is written into chunks.
type chunks struct {
	fn   func(*v1.Chunk) error
	data []byte
}

// Write implements io.Writer.
func (c *chunks) Write(p []byte) (int, error) {
	c.data = append(c.data, p...)
	if len(c.data) < backupPiece {
		return len(p), nil
	}
	return len(p), c.flush()
}

func (c *chunks) flush() error {
	if len(c.data) == 0 {
		return nil
	}
	data := c.data
	c.data = nil // what was given away is frozen
	return c.fn(&v1.Chunk{Data: data})
}

// Backup calls fn with the hard state of the cell, in pieces of the file that package cluster/store/backup reads: a
// snapshot and the records after it, or every record that is kept. The cell works on meanwhile.
func (c *Cell) Backup(ctx context.Context, req *v1.BackupRequest, fn func(*v1.Chunk) error) error {
	if c.backups.Add(1) > backupsMax {
		c.backups.Add(-1)
		return model.Busy(5*time.Second, "%d backups are being taken, no more at a time", backupsMax)
	}
	defer c.backups.Add(-1)
	r, err := c.current()
	if err != nil {
		return err
	}
	source := backup.Source{Cell: c.opts.Name, Version: c.opts.Version, Log: r.stores.Log, Snapshots: []journal.Snapshots{r.stores.Snapshots, r.stores.Shared}, Now: time.Now()}
	part := backup.Tail
	if req.GetWithoutSnapshot() {
		part = backup.Records
	}
	out := &chunks{fn: fn}
	if err := backup.Take(ctx, source, part, backup.NewEncoder(out).Write); err != nil {
		return journalFault(err)
	}
	return out.flush()
}

// Journal calls fn with the records of the journal from one to another as frames of a backup, without head and tail;
// following, it goes on with those to come until ctx ends or the master does.
func (c *Cell) Journal(ctx context.Context, req *v1.JournalRequest, fn func(*v1.Chunk) error) error {
	r, err := c.current()
	if err != nil {
		return err
	}
	first, last, err := r.stores.Log.Bounds(ctx)
	if err != nil {
		return journalFault(err)
	}
	from, to := req.GetFrom(), req.GetTo()
	if from == 0 {
		from = first
	}
	switch {
	case from < first:
		return model.Invalid("these records are not kept", &v1.FieldError{Field: "from", Problem: "is before the first record that is kept", Hint: "from " + strconv.FormatUint(first, 10) + " on"})
	case to != 0 && (to < from || to > last && !req.GetFollow()):
		return model.Invalid("these records do not exist", &v1.FieldError{Field: "to", Problem: "is not between the first record wanted and the last there is", Hint: "at most " + strconv.FormatUint(last, 10)})
	}
	return c.records(ctx, r, from, to, req.GetFollow(), fn)
}

// errEnough ends a reading of the journal.
var errEnough = errors.New("enough")

func (c *Cell) records(ctx context.Context, r *reign, from, to uint64, follow bool, fn func(*v1.Chunk) error) error {
	out := &chunks{fn: fn}
	frames := backup.NewEncoder(out)
	read := r.stores.Log.Read
	if follow {
		read = r.stores.Log.Tail
	}
	err := read(ctx, from, func(seq uint64, data []byte) error {
		if err := frames.Write(&v1.BackupFrame{Kind: &v1.BackupFrame_Record{Record: data}}); err != nil {
			return err
		}
		if seq == to {
			return errEnough
		}
		if follow {
			return out.flush() // somebody waits for it
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return journalFault(err)
	}
	return out.flush()
}

// journalFault says of what went wrong with the journal whether to come again.
func journalFault(err error) error {
	switch {
	case errors.Is(err, journal.ErrTrimmed):
		return model.Unavailable("the journal was trimmed while it was read; ask again")
	case errors.Is(err, journal.ErrClosed):
		return model.Unavailable("the master is being built again from its journal")
	}
	return err
}
