package cmd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/cluster/store/backup"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/compose"
)

// source says where a journal is read from: a file if one is named, else a directory, else the running cell.
type source struct{ file, dir string }

// addFlags adds what names the source.
func (s *source) addFlags(c *cobra.Command) {
	c.Flags().StringVar(&s.dir, "dir", "", "read what a master that does not run keeps in this directory, in badger")
}

// args takes the file's name from the arguments, behind those that have other names.
func (s *source) args(words ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(words)+1 {
			s.file = args[len(words)]
			args = args[:len(words)]
		}
		if s.file != "" && s.dir != "" {
			return usagef("a file and --dir exclude each other; right would be one of them, or none for the running cell")
		}
		return names(words...)(cmd, args)
	}
}

// name tells a person where it is read from.
func (s *source) name() string {
	switch {
	case s.file != "":
		return s.file
	case s.dir != "":
		return s.dir
	}
	return "the running cell"
}

// read calls fn with the frames of the source. A file holds what it holds, whatever part is asked for.
func (s *source) read(a *App, cmd *cobra.Command, part backup.Part, fn func(*v1.BackupFrame) error) error {
	switch {
	case s.file != "":
		return fileFrames(s.file)(fn)
	case s.dir != "":
		return a.dirFrames(cmd, s.dir, part, fn)
	}
	return a.withCell(cmd, func(ctx context.Context, cell Cell) error {
		r, w := io.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.CloseWithError(cell.Backup(ctx, &v1.BackupRequest{WithoutSnapshot: part == backup.Records}, func(c *v1.Chunk) error {
				_, err := w.Write(c.GetData())
				return err
			}))
		}()
		err := backup.Each(r, fn)
		r.CloseWithError(errors.New("no more is read"))
		<-done
		return err
	})
}

// fileFrames are the frames of a backup file; they can be read again.
func fileFrames(name string) compose.Frames {
	return func(fn func(*v1.BackupFrame) error) error {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		return backup.Each(f, fn)
	}
}

func (a *App) dirFrames(cmd *cobra.Command, dir string, part backup.Part, fn func(*v1.BackupFrame) error) error {
	c, err := a.settings(cmd)
	if err != nil {
		return err
	}
	stores, err := compose.OpenOffline(cmd.Context(), dir, logger(c, a.Err, slog.LevelError))
	if err != nil {
		return err
	}
	from := backup.Source{Cell: c.Cell.Name, Version: a.Version, Log: stores.Log, Snapshots: []journal.Snapshots{stores.Snapshots}, Now: a.Now()}
	return errors.Join(backup.Take(cmd.Context(), from, part, fn), stores.Shut())
}

// inspect reads all frames of the source, checks them, and tells what is there. Whoever is in also gets every frame, after
// it was checked.
func (s *source) inspect(a *App, cmd *cobra.Command, part backup.Part, i *backup.Inspector, also func(*v1.BackupFrame) error) (*backup.Found, error) {
	err := s.read(a, cmd, part, func(f *v1.BackupFrame) error {
		if err := i.Take(f); err != nil || also == nil {
			return err
		}
		return also(f)
	})
	if err != nil {
		return nil, err
	}
	return i.Found()
}
