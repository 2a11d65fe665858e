package cmd

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/troupe-sched/troupe/cluster/store/backup"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newBackupCommand(app *App) *cobra.Command {
	var s source
	var records bool
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Save the hard state of a cell in one file: the newest snapshot and the journal after it",
		Long: `Save the hard state of a cell in one file: the newest snapshot and the records of the journal after it. The cell works on
meanwhile. What is saved is checked while it is written, and the file is there whole or not at all.

What runs is not in it: a restored cell learns that from its nodes.`,
		Example: example("troupe backup cell.troupe", "troupe backup cell.troupe --dir /var/lib/troupe/master   the master does not run",
			"troupe backup history.troupe --records      every record that is kept, and no snapshot"),
		Args: names("the FILE to write"),
		RunE: func(cmd *cobra.Command, args []string) error {
			part := backup.Tail
			if records {
				part = backup.Records
			}
			return app.backup(cmd, &s, part, args[0])
		},
	}
	s.addFlags(c)
	c.Flags().BoolVar(&records, "records", false, "save every record that is kept, and no snapshot")
	return c
}

func (a *App) backup(cmd *cobra.Command, s *source, part backup.Part, name string) error {
	var found *backup.Found
	size, err := writeWhole(name, func(f *bufio.Writer) (err error) {
		found, err = s.inspect(a, cmd, part, &backup.Inspector{}, backup.NewEncoder(f).Write)
		return err
	})
	if err != nil {
		return err
	}
	saved := describe(found)
	saved.File, saved.Bytes = name, size
	return a.figures(saved, func(p *view.Page) {
		p.Line("%s holds the hard state of cell %s", name, found.Head.GetCell())
		saved.draw(p)
	})
}

// writeWhole writes a file that is there whole or not at all, and returns its size.
func writeWhole(name string, write func(*bufio.Writer) error) (size int64, err error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is no file; right would be the name of one to write", name)
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.partial")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	out := bufio.NewWriterSize(f, 256<<10)
	if err = write(out); err == nil {
		err = out.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		var info os.FileInfo
		if info, err = f.Stat(); err == nil {
			size = info.Size()
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	return size, os.Rename(f.Name(), name)
}

// contents is what a journal or a backup holds.
type contents struct {
	File  string `json:"file,omitempty"`
	Bytes int64  `json:"bytes,omitempty"`
	Cell  string `json:"cell"`
	// First and Seq are the first and the last record, Records how many there are.
	First   uint64 `json:"first"`
	Seq     uint64 `json:"seq"`
	Records uint64 `json:"records"`
	Epoch   uint64 `json:"epoch"`
	// SnapshotSeq is the record that the snapshot ends with, 0 if there is none; Entries is how many entries it has.
	SnapshotSeq uint64 `json:"snapshot_seq"`
	Entries     uint64 `json:"entries"`
	TakenUnixMs int64  `json:"taken_unix_ms"`
	// Replayed says that the state was made from the very first record, and, if there is a snapshot, that this is the same.
	Replayed bool `json:"replayed"`
	// The rest is of the state; nothing if it cannot be told, because the records begin in the middle.
	State     bool   `json:"state"`
	JobsLive  int    `json:"jobs_live"`
	JobsEnded int    `json:"jobs_ended"`
	Queues    int    `json:"queues"`
	Nodes     int    `json:"nodes"`
	Digest    string `json:"digest,omitempty"`
}

func describe(f *backup.Found) *contents {
	h := f.Head
	c := &contents{
		Cell: h.GetCell(), First: f.First, Seq: h.GetSeq(), Records: f.Records, Epoch: h.GetEpoch(), SnapshotSeq: h.GetSnapshotSeq(),
		Entries: f.Entries, TakenUnixMs: h.GetTakenUnixMs(), Replayed: f.Replayed,
	}
	if s := f.State; s != nil {
		c.State, c.JobsLive, c.JobsEnded, c.Queues, c.Nodes = true, s.LiveJobs(), s.EndedJobs(), len(s.Queues()), len(s.Nodes())
		c.Digest = fmt.Sprintf("%x", s.Digest())
	}
	return c
}

func (c *contents) draw(p *view.Page) {
	facts := [][2]string{{"records", fmt.Sprintf("%s, from %d to %d", view.Count(c.Records), c.First, c.Seq)}, {"epoch", view.Count(c.Epoch)}}
	if c.SnapshotSeq > 0 {
		facts = append(facts, [2]string{"snapshot", fmt.Sprintf("of record %d, %s entries", c.SnapshotSeq, view.Count(c.Entries))})
	}
	if c.State {
		facts = append(facts, [2]string{"state", fmt.Sprintf("%s live jobs, %s ended, %s queues, %s nodes",
			view.Count(c.JobsLive), view.Count(c.JobsEnded), view.Count(c.Queues), view.Count(c.Nodes))}, [2]string{"digest", c.Digest[:16]})
	}
	if c.Bytes > 0 {
		facts = append(facts, [2]string{"size", view.Bytes(c.Bytes)})
	}
	p.Facts(facts...)
}
