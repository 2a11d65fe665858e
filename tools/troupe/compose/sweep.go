package compose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/driver/process"
)

const (
	// temporaryName is what directories of cells that do not last are called, temporaryNew before they are taken.
	temporaryName = "troupe-run-"
	temporaryNew  = "troupe-new-"
	// sweptMax bounds how many directories of dead runs one run clears away.
	sweptMax = 8
)

// temporaryDir makes a directory for a cell that does not last, and takes it. It gets its name when it is taken
// already, so that nobody who starts now can take it for the one of a dead run.
func temporaryDir() (dir string, release func(), err error) {
	begun, err := os.MkdirTemp("", temporaryNew)
	if err != nil {
		return "", nil, err
	}
	release, err = takeDir(begun)
	if err == nil {
		dir = filepath.Join(filepath.Dir(begun), temporaryOf(strings.TrimPrefix(filepath.Base(begun), temporaryNew)))
		err = os.Rename(begun, dir)
	}
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(begun))
	}
	return dir, release, nil
}

func temporaryOf(unique string) string {
	return fmt.Sprintf("%s%d-%s", temporaryName, os.Getuid(), unique)
}

// sweepDead clears away, beside what else goes on, what runs left that were killed before they could: their processes
// first, which outlive whoever started them. The function that it returns waits for the end of it.
func sweepDead(e Env) func(context.Context) error {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		old, err := filepath.Glob(filepath.Join(os.TempDir(), temporaryOf("*")))
		if err != nil {
			e.Log.Warn("dead runs cannot be looked for", "error", err)
		}
		for _, dir := range old[:min(len(old), sweptMax)] {
			if err := sweep(ctx, e, dir); err != nil {
				e.Log.Warn("what a killed run left behind is not cleared away yet", "dir", dir, "error", err)
			}
		}
	}()
	return func(closing context.Context) error {
		defer context.AfterFunc(closing, cancel)()
		<-done
		cancel()
		return nil
	}
}

// sweep ends all processes of a run whose own process is dead, and removes its directory.
func sweep(ctx context.Context, e Env, dir string) error {
	release, err := takeDir(dir)
	if errors.Is(err, errTaken) {
		return nil // it lives
	}
	if err != nil {
		return err
	}
	defer release()
	slots := filepath.Join(dir, "node", "slots")
	if _, err := os.Stat(slots); err == nil {
		if err := releaseAll(ctx, e, slots); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}

// releaseAll takes the slots over that an agent left, and empties them.
func releaseAll(ctx context.Context, e Env, dir string) error {
	d, err := process.New(process.Options{Dir: dir, Shim: e.Shim, Log: e.Log})
	if err != nil {
		return err
	}
	released := make(chan uint64)
	found, err := d.Open(ctx, func(event driver.Event) {
		if event.Released {
			select {
			case released <- event.Slot:
			case <-ctx.Done():
			}
		}
	})
	if err != nil {
		return err
	}
	left := map[uint64]bool{}
	for _, slot := range found {
		left[slot.Slot] = true
		d.Release(slot.Slot, "the run that started it is dead")
	}
	for len(left) > 0 && ctx.Err() == nil {
		select {
		case slot := <-released:
			delete(left, slot)
		case <-ctx.Done():
			err = fmt.Errorf("%d processes have not ended yet", len(left))
		}
	}
	return errors.Join(err, d.Close())
}
