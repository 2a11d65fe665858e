package journal

import (
	"context"
	"errors"
	"sync"

	"github.com/troupe-sched/troupe/actors/kit/plant"
)

// Keeper saves snapshots beside the actor: one at a time, in a goroutine of its own, and trims the log behind them.
type Keeper struct {
	log           Log
	local, shared Snapshots

	mu     sync.Mutex
	busy   bool
	newest uint64
	wait   sync.WaitGroup
}

// NewKeeper makes a Keeper that saves to local and, if there is one, to shared, from which other masters recover too.
// The log, if it has one, is trimmed behind the older of the two newest generations: of the shared ones if there are
// any, because what this master alone has is lost to the others with its disk.
func NewKeeper(log Log, local, shared Snapshots) *Keeper {
	k := &Keeper{log: log, local: local, shared: shared}
	if kept, err := local.Kept(context.Background()); err == nil && len(kept) > 0 { // else the next one is saved the sooner
		k.newest = kept[0]
	}
	return k
}

// Newest is the sequence of the newest snapshot in local, 0 if there is none.
func (k *Keeper) Newest() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.newest
}

// Busy reports whether a snapshot is being saved.
func (k *Keeper) Busy() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.busy
}

// Save stores a snapshot and calls done, from another goroutine. It returns false, and does nothing, while an earlier
// one is being saved.
func (k *Keeper) Save(seq uint64, entries [][]byte, done func(error)) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.busy {
		return false
	}
	k.busy = true
	k.wait.Add(1)
	go func() {
		defer k.wait.Done()
		err := k.Store(seq, entries)
		k.mu.Lock()
		k.busy = false
		k.mu.Unlock()
		done(err)
	}()
	return true
}

// Store is Save that waits.
func (k *Keeper) Store(seq uint64, entries [][]byte) error {
	ctx := context.Background()
	base := k.local
	err := k.local.Save(ctx, seq, entries)
	if err == nil {
		k.mu.Lock()
		k.newest = seq
		k.mu.Unlock()
	}
	if k.shared != nil {
		// Also when there is no room on the own disk: the others need it, and the log must not grow for that.
		if !plant.Is(plant.TrimBehindOwn) {
			base = k.shared
		}
		shared := k.shared.Save(ctx, seq, entries)
		err = errors.Join(err, shared)
		if shared != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	return errors.Join(err, k.trim(ctx, base))
}

func (k *Keeper) trim(ctx context.Context, base Snapshots) error {
	if k.log == nil {
		return nil
	}
	kept, err := base.Kept(ctx)
	if err != nil || len(kept) < 2 {
		return err
	}
	return k.log.Trim(ctx, kept[1]+1)
}

// Close waits for a save that is under way.
func (k *Keeper) Close() { k.wait.Wait() }
