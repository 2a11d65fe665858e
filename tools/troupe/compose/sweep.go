package compose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/driver/process"
)

const (
	// temporaryName is what directories of cells that do not last are called.
	temporaryName = "troupe-run-"
	// sweptMax bounds how many directories of dead runs one start clears away, sweepWithin the time for each.
	sweptMax    = 8
	sweepWithin = 5 * time.Second
)

// temporaryDir makes a directory for a cell that does not last and takes it, and clears away those of runs that were
// killed before they could: their processes first, which outlive whoever started them.
func temporaryDir(e Env) (dir string, release func(), err error) {
	swept := 0
	old, err := filepath.Glob(filepath.Join(os.TempDir(), fmt.Sprintf("%s%d-*", temporaryName, os.Getuid())))
	if err != nil {
		return "", nil, err
	}
	for _, dir := range old {
		release, err := takeDir(dir)
		if err != nil {
			continue // it lives, or is somebody else's
		}
		if swept++; swept <= sweptMax {
			if err := sweep(e, dir); err != nil {
				e.Log.Warn("what a killed run left behind cannot be cleared away", "dir", dir, "error", err)
			}
		}
		release()
	}
	// It gets its name when it is taken already, so that nobody else who starts now can clear it away.
	begun, err := os.MkdirTemp("", "troupe-new-")
	if err != nil {
		return "", nil, err
	}
	release, err = takeDir(begun)
	if err == nil {
		unique := strings.TrimPrefix(filepath.Base(begun), "troupe-new-")
		dir = filepath.Join(filepath.Dir(begun), fmt.Sprintf("%s%d-%s", temporaryName, os.Getuid(), unique))
		err = os.Rename(begun, dir)
	}
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(begun))
	}
	return dir, release, nil
}

// sweep ends all processes of a cell whose own process is dead, and removes its directory.
func sweep(e Env, dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), sweepWithin)
	defer cancel()
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
	released := make(chan uint64, 4096)
	found, err := d.Open(ctx, func(event driver.Event) {
		if event.Released {
			select {
			case released <- event.Slot:
			default: // more than there can be
			}
		}
	})
	if err != nil {
		return err
	}
	defer d.Close()
	left := map[uint64]bool{}
	for _, slot := range found {
		left[slot.Slot] = true
		d.Release(slot.Slot, "the run that started it is dead")
	}
	for len(left) > 0 {
		select {
		case slot := <-released:
			delete(left, slot)
		case <-ctx.Done():
			return fmt.Errorf("%d processes have not ended yet", len(left))
		}
	}
	return nil
}
