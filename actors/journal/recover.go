package journal

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Recover is the state of the cell as its log tells it: the newest snapshot that holds, and every record after it. Without
// a good snapshot it replays from the first record. Every record is checked against the one before it by sequence,
// hash and epoch, the snapshot against the record that it ends with. A log that lacks records gives ErrCorrupt.
// Of several stores of snapshots the one whose newest goes furthest is used, at equal reach the first; nils are passed over.
func Recover(ctx context.Context, log Log, snaps ...Snapshots) (*model.State, error) {
	for {
		state, err := recoverOnce(ctx, log, snaps)
		// A trim behind newer snapshots may come between.
		if !errors.Is(err, ErrTrimmed) {
			return state, err
		}
	}
}

func recoverOnce(ctx context.Context, log Log, snaps []Snapshots) (*model.State, error) {
	first, _, err := log.Bounds(ctx)
	if err != nil {
		return nil, fmt.Errorf("recover: bounds of the log: %w", err)
	}
	state, unusable, silent := newestSnapshot(ctx, snaps)
	// The end is asked for now: while the snapshot was being read the leader may have saved it and gone on.
	_, last, err := log.Bounds(ctx)
	switch {
	case err != nil:
		return nil, fmt.Errorf("recover: bounds of the log: %w", err)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("recover: %w", ctx.Err())
	case state.Seq() > last:
		return nil, fmt.Errorf("recover: %w: the log ends with record %d, but there is a snapshot of record %d: the log has lost records",
			ErrCorrupt, last, state.Seq())
	case state.Seq()+1 < first && silent != nil: // later they may be read
		return nil, fmt.Errorf("recover: the log begins with record %d, and snapshots cannot be read now: %w", first, silent)
	case state.Seq()+1 < first && unusable != nil:
		return nil, fmt.Errorf("recover: %w: the log begins with record %d, and no snapshot can be used: %w", ErrCorrupt, first, unusable)
	case state.Seq()+1 < first:
		return nil, fmt.Errorf("recover: %w: the log begins with record %d, but the newest snapshot is of record %d", ErrCorrupt, first, state.Seq())
	case last == 0:
		return state, nil
	}
	if err := replay(ctx, log, state, first, last); err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	return state, nil
}

// newestSnapshot returns the state of the newest good snapshot of all stores, or the empty state; unusable is what is
// wrong with others, silent why a store could not be asked.
func newestSnapshot(ctx context.Context, snaps []Snapshots) (best *model.State, unusable, silent error) {
	type store struct {
		Snapshots
		newest uint64 // of those that it says to have; whether it is good shows when it is loaded
	}
	var stores []store
	note := func(err error) {
		if errors.Is(err, ErrCorrupt) {
			unusable = errors.Join(unusable, err)
		} else {
			silent = errors.Join(silent, err)
		}
	}
	for _, s := range snaps {
		if s == nil {
			continue
		}
		kept, err := s.Kept(ctx)
		if err != nil {
			note(err)
		}
		if len(kept) > 0 {
			stores = append(stores, store{s, kept[0]})
		}
	}
	if !plant.Is(plant.OwnSnapshotTaken) {
		slices.SortStableFunc(stores, func(a, b store) int { return cmp.Compare(b.newest, a.newest) })
	}
	best = model.NewState()
	for _, s := range stores {
		if best.Seq() >= s.newest {
			break
		}
		state, err := loadSnapshot(ctx, s)
		if err != nil {
			note(err)
		} else if state.Seq() > best.Seq() {
			best = state
		}
		if plant.Is(plant.OwnSnapshotTaken) {
			break
		}
	}
	return best, unusable, silent
}

// loadSnapshot returns the state of the newest good snapshot of one store, the empty state if it has none.
func loadSnapshot(ctx context.Context, snaps Snapshots) (*model.State, error) {
	seq, entries, err := snaps.Load(ctx)
	if err != nil {
		return nil, err
	}
	if seq == 0 {
		return model.NewState(), nil
	}
	state, err := model.LoadState(entries)
	if err == nil && state.Seq() != seq {
		err = fmt.Errorf("snapshot of record %d says that it is of record %d", seq, state.Seq())
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return state, nil
}

// replay applies all records of the log that state does not have yet.
func replay(ctx context.Context, log Log, state *model.State, first, last uint64) error {
	// The record that the snapshot ends with is read again: it ties the snapshot to this log.
	from := max(first, state.Seq())
	base, next := state.Seq(), from
	err := log.Read(ctx, from, func(seq uint64, data []byte) error {
		if seq != next {
			return fmt.Errorf("%w: record %d where record %d belongs", ErrCorrupt, seq, next)
		}
		next++
		if seq == base {
			if sha256.Sum256(data) != state.Head() {
				return fmt.Errorf("%w: the snapshot of record %d does not belong to this log; "+
					"if the log is the right one, remove the snapshots and it is replayed whole", ErrCorrupt, seq)
			}
			return nil
		}
		return Replay(state, seq, data)
	})
	if err != nil {
		return err
	}
	if next <= last {
		return fmt.Errorf("%w: the log ends before record %d, it had %d", ErrCorrupt, next, last)
	}
	return nil
}

// Replay applies one stored record to the state.
func Replay(state *model.State, seq uint64, data []byte) error {
	rec, hash, err := DecodeRecord(data)
	if err != nil {
		return fmt.Errorf("record %d: %w", seq, err)
	}
	if rec.GetSeq() != seq {
		return fmt.Errorf("%w: the record stored as %d is record %d", ErrCorrupt, seq, rec.GetSeq())
	}
	if err := state.Apply(rec, hash); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}

// Begin starts the reign of a new master: it appends EpochStarted to the log, waits until that is durable, and applies
// it to the state. From then on no record of an older master can be stored. It runs outside the actors, before the
// tree starts; if another master was quicker it fails with ErrFenced. After an error log and state must not be used
// any more: open and Recover again.
func Begin(ctx context.Context, log Log, state *model.State, host string, now time.Time) (epoch uint64, err error) {
	return BeginWith(ctx, log, state, &v1.EpochStarted{Host: host}, now)
}

// BeginWith is Begin with an event to which it gives the epoch: the one it names, but at least the one after the state's.
func BeginWith(ctx context.Context, log Log, state *model.State, started *v1.EpochStarted, now time.Time) (epoch uint64, err error) {
	started.Epoch = max(started.GetEpoch(), state.Epoch()+1)
	epoch = started.Epoch
	rec := &v1.Record{
		Seq: state.Seq() + 1, Epoch: epoch, Prev: Prev(state), TimeUnixNano: now.UnixNano(),
		Events: []*v1.Event{{Kind: &v1.Event_EpochStarted{EpochStarted: started}}},
	}
	data, hash, err := EncodeRecord(rec)
	if err != nil {
		return 0, fmt.Errorf("begin epoch %d: %w", epoch, err)
	}
	if err := state.Apply(rec, hash); err != nil {
		return 0, fmt.Errorf("begin epoch %d: %w", epoch, err)
	}
	stored := make(chan error, 1)
	log.Append(rec.GetSeq(), data, func(err error) { stored <- err })
	select {
	case err = <-stored:
	case <-ctx.Done():
		err = errors.Join(ctx.Err(), errors.New("the log has not answered; whether the epoch began is not known"))
	}
	if err != nil {
		return 0, fmt.Errorf("begin epoch %d: %w", epoch, err)
	}
	return epoch, nil
}

// Prev is what the next record after state must carry as prev: the hash of the last one, nothing if there is none.
func Prev(state *model.State) []byte {
	if state.Seq() == 0 {
		return nil
	}
	head := state.Head()
	return head[:]
}
