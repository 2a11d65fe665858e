package trace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
)

// journalDir is where a master keeps its journal, within its directory.
const journalDir = "journal"

// LoadState reads the durable state of a cell from the directory of its master, which may run meanwhile: a copy is read,
// and what is in the directory stays as it is. The journal must be kept in badger.
func LoadState(ctx context.Context, dir string) (state *model.State, err error) {
	from := filepath.Join(dir, journalDir)
	if info, err := os.Stat(from); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s holds no journal: name the directory of a master that keeps its journal in badger", dir)
	}
	temporary, err := os.MkdirTemp("", "troupe-whatif-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
	if err := copyDir(from, filepath.Join(temporary, journalDir)); err != nil {
		return nil, fmt.Errorf("copy the journal: %w", err)
	}
	stores, err := actors.OpenStores(actors.Options{Dir: temporary})(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stores.Shut()) }()
	state, err = journal.Recover(ctx, stores.Log, stores.Snapshots)
	if err != nil {
		return nil, fmt.Errorf("%w (a master that writes while its journal is copied can make the copy useless: try again)", err)
	}
	return state, nil
}

// copyDir copies the files of a directory; those that go while it does so are left out.
func copyDir(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		inner, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch target := filepath.Join(to, inner); {
		case entry.IsDir():
			return os.MkdirAll(target, 0o700)
		case entry.Type().IsRegular():
			return copyFile(path, target)
		}
		return nil
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
