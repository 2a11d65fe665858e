package journal

import (
	"context"
	"sync"
)

// Keeper saves snapshots beside the actor: one at a time, in a goroutine of its own, and trims the log behind them.
type Keeper struct {
	log  Log
	snap Snapshots

	mu     sync.Mutex
	busy   bool
	older  uint64 // sequence of the generation before the newest
	newest uint64
	wait   sync.WaitGroup
}

// NewKeeper makes a Keeper; newest is the sequence of the newest snapshot that Recover found, 0 if there was none.
func NewKeeper(log Log, snap Snapshots, newest uint64) *Keeper {
	return &Keeper{log: log, snap: snap, newest: newest}
}

// Newest is the sequence of the newest snapshot.
func (k *Keeper) Newest() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.newest
}

// Save stores a snapshot and calls done, from another goroutine. It returns false, and does nothing, while an earlier
// one is being saved. Records are trimmed only up to the generation before the newest, which is the fallback.
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
		err := k.save(seq, entries)
		k.mu.Lock()
		k.busy = false
		k.mu.Unlock()
		done(err)
	}()
	return true
}

func (k *Keeper) save(seq uint64, entries [][]byte) error {
	ctx := context.Background()
	if err := k.snap.Save(ctx, seq, entries); err != nil {
		return err
	}
	k.mu.Lock()
	k.older, k.newest = k.newest, seq
	trim := k.older
	k.mu.Unlock()
	if trim == 0 {
		return nil
	}
	return k.log.Trim(ctx, trim+1)
}

// Close waits for a save that is under way.
func (k *Keeper) Close() { k.wait.Wait() }
