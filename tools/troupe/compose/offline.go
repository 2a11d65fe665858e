package compose

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/cluster/store/backup"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb"
	"github.com/troupe-sched/troupe/cluster/store/badgerlog"
	"github.com/troupe-sched/troupe/cluster/store/badgersnap"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// journalDir is where a master keeps its journal, within its directory; restoringDir is one that is not whole yet.
const (
	journalDir   = "journal"
	restoringDir = "journal.restoring"
)

// OpenOffline opens what a master keeps in dir, in badger, and keeps every master out of it until it is closed.
func OpenOffline(ctx context.Context, dir string, log *slog.Logger) (stores actors.Stores, err error) {
	if info, err := os.Stat(filepath.Join(dir, journalDir)); err != nil || !info.IsDir() {
		return stores, fmt.Errorf("%s holds no journal: name the directory of a master that keeps its journal in badger", dir)
	}
	release, err := takeDir(dir)
	if errors.Is(err, errTaken) {
		return stores, fmt.Errorf("%w: a master that runs is asked over NATS (leave out --dir)", err)
	}
	if err != nil {
		return stores, err
	}
	stores, err = actors.OpenStores(actors.Options{Dir: dir, Log: log})(ctx)
	if err != nil {
		release()
		return stores, err
	}
	shut := stores.Close
	stores.Close = func() error {
		defer release()
		return shut()
	}
	return stores, nil
}

// Frames calls fn with the frames of a backup; it can be called again.
type Frames func(fn func(*v1.BackupFrame) error) error

// RestoreDir makes of dir the directory of a master that begins with a backup. found is what an Inspector has said of
// frames. A journal that is there is refused, unless replace says that it is to go. The directory changes at one moment:
// until then a master finds what was there before.
func RestoreDir(ctx context.Context, dir string, found *backup.Found, frames Frames, replace bool, log *slog.Logger) error {
	release, err := takeDir(dir)
	if err != nil {
		return err
	}
	defer release()
	target, draft := filepath.Join(dir, journalDir), filepath.Join(dir, restoringDir)
	there, err := occupied(target)
	if err != nil {
		return err
	}
	if there && !replace {
		return fmt.Errorf("%s holds a journal (%s); --force replaces it, and what it holds is lost", dir, contents(ctx, target, log))
	}
	if err := os.RemoveAll(draft); err != nil { // of a restore that did not end
		return err
	}
	if err := fillDir(ctx, draft, found, frames, log); err != nil {
		return errors.Join(err, os.RemoveAll(draft))
	}
	if err := putInPlace(draft, target); err != nil {
		return err
	}
	return errors.Join(syncDir(dir), os.RemoveAll(draft))
}

func occupied(dir string) (bool, error) {
	list, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return len(list) > 0, err
}

// contents says what would be lost with a journal.
func contents(ctx context.Context, dir string, log *slog.Logger) (text string) {
	text = "that cannot be read"
	withJournal(dir, 1, log, func(l *badgerlog.Log, s *badgersnap.Snapshots) error {
		state, err := journal.Recover(ctx, l, s)
		if err == nil {
			text = fmt.Sprintf("%d records, epoch %d, %d live jobs, %d nodes", state.Seq(), state.Epoch(), state.LiveJobs(), len(state.Nodes()))
		}
		return err
	})
	return text
}

// withJournal opens a journal in badger, which begins with a record if it is empty, and closes it again.
func withJournal(dir string, first uint64, log *slog.Logger, do func(*badgerlog.Log, *badgersnap.Snapshots) error) error {
	db, err := badgerdb.Open(dir, log)
	if err != nil {
		return err
	}
	l, err := badgerlog.NewAt(db, first)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	s := badgersnap.New(db)
	return errors.Join(do(l, s), s.Close(), l.Close(), db.Close())
}

func fillDir(ctx context.Context, dir string, found *backup.Found, frames Frames, log *slog.Logger) error {
	err := withJournal(dir, found.First, log, func(l *badgerlog.Log, s *badgersnap.Snapshots) error {
		return backup.Fill(ctx, found, frames, l, s, time.Now())
	})
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// putInPlace makes a directory stand where another one may stand, which then stands where the first was.
func putInPlace(draft, target string) error {
	if _, err := os.Stat(target); errors.Is(err, os.ErrNotExist) {
		return os.Rename(draft, target)
	}
	if exchange(draft, target) == nil {
		return nil
	}
	// Not every file system can: a crash between the steps leaves the old one beside its place.
	old := target + ".replaced"
	return errors.Join(os.Rename(target, old), os.Rename(draft, target), os.Rename(old, draft))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
