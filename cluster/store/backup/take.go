package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Source is what a backup is taken of.
type Source struct {
	Cell, Version string
	Log           journal.Log
	// Snapshots may be nil. Of several the newest that can be loaded is taken.
	Snapshots []journal.Snapshots
	Now       time.Time
}

// Part says how much of a journal is taken.
type Part uint8

// The parts: the newest snapshot and the records from the one with which it ends; every record that is kept; both.
const (
	Tail Part = iota
	Records
	Everything
)

// Take makes the frames of a backup, and stops at fn's first error. The journal may be written meanwhile: what comes after
// the last record at the time of the call is not in it.
func Take(ctx context.Context, s Source, part Part, fn func(*v1.BackupFrame) error) error {
	if err := take(ctx, s, part, fn); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

func take(ctx context.Context, s Source, part Part, fn func(*v1.BackupFrame) error) error {
	var snapshot uint64
	var entries [][]byte
	if part != Records {
		var err error
		if snapshot, entries, err = newest(ctx, s.Snapshots); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
	}
	first, last, err := s.Log.Bounds(ctx)
	switch {
	case err != nil:
		return err
	case last == 0:
		return errors.New("the journal is empty: there is nothing to save")
	case snapshot > last:
		return fmt.Errorf("%w: the journal ends with record %d, but there is a snapshot of record %d", journal.ErrCorrupt, last, snapshot)
	case part != Records && snapshot+1 < first:
		return fmt.Errorf("%w: the journal begins with record %d, but the newest snapshot is of record %d", journal.ErrCorrupt, first, snapshot)
	}
	epoch, err := epochOf(ctx, s.Log, last)
	if err != nil {
		return err
	}
	head := &v1.BackupHead{
		Format: Format, Cell: s.Cell, Version: s.Version, TakenUnixMs: s.Now.UnixMilli(), SnapshotSeq: snapshot, Seq: last, Epoch: epoch,
	}
	if err := fn(&v1.BackupFrame{Kind: &v1.BackupFrame_Head{Head: head}}); err != nil {
		return err
	}
	for _, e := range entries {
		if err := fn(&v1.BackupFrame{Kind: &v1.BackupFrame_Entry{Entry: e}}); err != nil {
			return err
		}
	}
	from := first
	if part == Tail {
		// The record that the snapshot ends with ties it to the journal, if it is still there.
		from = max(first, snapshot)
	}
	tail, err := records(ctx, s.Log, from, last, fn)
	if err != nil {
		return err
	}
	tail.Entries = uint64(len(entries))
	return fn(&v1.BackupFrame{Kind: &v1.BackupFrame_Tail{Tail: tail}})
}

// newest loads the newest snapshot of several stores; an error only if there are some, and none can be loaded.
func newest(ctx context.Context, stores []journal.Snapshots) (seq uint64, entries [][]byte, err error) {
	for _, s := range stores {
		if s == nil {
			continue
		}
		kept, failed := s.Kept(ctx)
		if failed == nil && (len(kept) == 0 || kept[0] <= seq) {
			continue
		}
		n, list, failed := s.Load(ctx)
		if failed != nil {
			err = errors.Join(err, failed)
		} else if n > seq {
			seq, entries = n, list
		}
	}
	if seq > 0 {
		return seq, entries, nil
	}
	return 0, nil, err
}

// errEnough ends a reading of the log.
var errEnough = errors.New("enough")

// records makes the frames of the records from one to another, and the tail that tells of them.
func records(ctx context.Context, log journal.Log, from, to uint64, fn func(*v1.BackupFrame) error) (*v1.BackupTail, error) {
	tail := &v1.BackupTail{}
	err := log.Read(ctx, from, func(seq uint64, data []byte) error {
		if seq > to {
			return errEnough
		}
		if seq == to {
			_, hash, err := journal.DecodeRecord(data)
			if err != nil {
				return fmt.Errorf("record %d: %w", seq, err)
			}
			tail.Head = hash[:]
		}
		tail.Records++
		return fn(&v1.BackupFrame{Kind: &v1.BackupFrame_Record{Record: data}})
	})
	switch {
	case err != nil && !errors.Is(err, errEnough):
		return nil, err
	case tail.Records != to-from+1:
		return nil, fmt.Errorf("%w: the journal gave %d records from record %d on, it had %d", journal.ErrCorrupt, tail.Records, from, to-from+1)
	}
	return tail, nil
}

// epochOf is the epoch of one record.
func epochOf(ctx context.Context, log journal.Log, seq uint64) (epoch uint64, err error) {
	err = log.Read(ctx, seq, func(_ uint64, data []byte) error {
		rec, _, err := journal.DecodeRecord(data)
		if err != nil {
			return fmt.Errorf("record %d: %w", seq, err)
		}
		epoch = rec.GetEpoch()
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return epoch, err
}

// load is the state that the entries of a snapshot give.
func load(seq uint64, entries [][]byte) (*model.State, error) {
	state, err := model.LoadState(entries)
	if err != nil {
		return nil, fmt.Errorf("%w: snapshot of record %d: %w", journal.ErrCorrupt, seq, err)
	}
	if state.Seq() != seq {
		return nil, fmt.Errorf("%w: the snapshot of record %d says that it is of record %d", journal.ErrCorrupt, seq, state.Seq())
	}
	return state, nil
}
