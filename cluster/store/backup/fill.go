package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// inFlight is how many appends are under way while a log is filled.
const inFlight = 256

// uidGap is how many jobs may have been submitted after a backup was taken: their uids, which agents may still know, are
// not given again.
const uidGap = 1 << 24

// Fill writes a backup into a log that is empty and begins with the backup's first record, and its snapshot into snaps.
// Behind it comes a record of its own, of a new epoch, beyond all that may have been after the backup. found is what an
// Inspector has said of the same frames. When it returns without error all of it is durable, and the backup's part was
// read again: a master that starts from there has the state that the backup holds.
func Fill(ctx context.Context, found *Found, frames func(fn func(*v1.BackupFrame) error) error, log journal.Log, snaps journal.Snapshots, now time.Time) error {
	if found.State == nil || found.State.Seq() != found.Head.GetSeq() {
		return fmt.Errorf("restore: the backup gives no state: its records begin with record %d, and there is no snapshot", found.First)
	}
	if seq := found.Head.GetSnapshotSeq(); seq > 0 {
		if err := snaps.Save(ctx, seq, found.Raw); err != nil {
			return fmt.Errorf("restore: snapshot of record %d: %w", seq, err)
		}
	}
	if err := fill(found.First, frames, log); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	state, err := journal.Recover(ctx, log, snaps)
	if err != nil {
		return fmt.Errorf("restore: what was written cannot be read: %w", err)
	}
	if state.Digest() != found.State.Digest() {
		return fmt.Errorf("restore: %w: what was written is not what the backup holds", journal.ErrCorrupt)
	}
	started := &v1.EpochStarted{Host: "restore", NextUid: uint64(state.NextUID()) + uidGap}
	if _, err := journal.BeginWith(ctx, log, state, started, now); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

func fill(seq uint64, frames func(fn func(*v1.BackupFrame) error) error, log journal.Log) error {
	ended := make(chan error, inFlight)
	under := 0
	err := frames(func(f *v1.BackupFrame) error {
		data := f.GetRecord()
		if data == nil {
			return nil
		}
		if under == inFlight {
			under--
			if err := <-ended; err != nil {
				return err
			}
		}
		under++
		log.Append(seq, data, func(err error) { ended <- err })
		seq++
		return nil
	})
	for range under {
		err = errors.Join(err, <-ended)
	}
	return err
}
