package backup_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/journal/journaltest"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/store/backup"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb"
	"github.com/troupe-sched/troupe/cluster/store/badgerlog"
	"github.com/troupe-sched/troupe/cluster/store/badgersnap"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// world is a journal as a master would have left it.
type world struct {
	stored []journaltest.Stored
	// states as of each record: the slow and obvious oracle.
	states []*model.State
	source backup.Source
	// snapshot is the record of the newest one, first the first record that is kept.
	snapshot, first uint64
}

func draw(t *rapid.T) *world {
	w := &world{first: 1}
	w.stored, _ = journaltest.Draw(t, 20)
	log, snaps := memlog.New(memlog.Options{}), memlog.NewSnapshots()
	state := model.NewState()
	every := rapid.IntRange(1, 25).Draw(t, "records between snapshots")
	var older uint64
	for i, s := range w.stored {
		if err := journal.Replay(state, uint64(i+1), s.Data); err != nil {
			t.Fatal(err)
		}
		w.states = append(w.states, state.Clone())
		log.Append(uint64(i+1), s.Data, func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		})
		if (i+1)%every == 0 {
			if err := snaps.Save(context.Background(), state.Seq(), state.Entries()); err != nil {
				t.Fatal(err)
			}
			older, w.snapshot = w.snapshot, state.Seq()
		}
	}
	if rapid.Bool().Draw(t, "trimmed") && older > 0 {
		if err := log.Trim(context.Background(), older+1); err != nil {
			t.Fatal(err)
		}
		w.first = older + 1
	}
	w.source = backup.Source{Cell: "test", Version: "1", Log: log, Snapshots: []journal.Snapshots{nil, snaps}, Now: time.Unix(7, 0)}
	return w
}

func (w *world) file(t *rapid.T, part backup.Part) []byte {
	var file bytes.Buffer
	if err := backup.Take(context.Background(), w.source, part, backup.NewEncoder(&file).Write); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func inspect(file []byte, to uint64) (*backup.Found, error) {
	i := &backup.Inspector{To: to}
	if err := backup.Each(bytes.NewReader(file), i.Take); err != nil {
		return nil, err
	}
	return i.Found()
}

func TestF30_BackupIsTheStateAtEveryRecordThatItCovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := draw(t)
		part := backup.Part(rapid.IntRange(0, 2).Draw(t, "part"))
		file := w.file(t, part)
		for to := range uint64(len(w.stored) + 2) {
			f, err := inspect(file, to)
			at := to
			if to == 0 {
				at = uint64(len(w.stored))
			}
			fromStart := w.first == 1 && (part != backup.Tail || w.snapshot <= 1)
			known := at <= uint64(len(w.stored)) && (part != backup.Records && w.snapshot > 0 && at >= w.snapshot || fromStart)
			switch {
			case !known && (err == nil && f.State != nil):
				t.Fatalf("record %d: a state from nowhere", to)
			case !known:
			case err != nil:
				t.Fatalf("record %d: %v", to, err)
			case f.State.Digest() != w.states[at-1].Digest():
				t.Fatalf("record %d: the backup gives another state", to)
			}
		}
	})
}

func TestF30_EveryDamageToABackupIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := draw(t)
		file := w.file(t, backup.Part(rapid.IntRange(0, 2).Draw(t, "part")))
		bad := bytes.Clone(file)
		switch at := rapid.IntRange(0, len(file)-1).Draw(t, "at"); rapid.IntRange(0, 3).Draw(t, "damage") {
		case 0:
			bad[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case 1:
			bad = bad[:at]
		case 2:
			bad = append(bad, file[at:]...)
		case 3:
			bad = append(bad[:at:at], file[at+1:]...)
		}
		if bytes.Equal(bad, file) {
			return
		}
		if _, err := inspect(bad, 0); !errors.Is(err, journal.ErrCorrupt) {
			t.Fatalf("damage is not found: %v", err)
		}
	})
}

// forge writes frames as they come, with a tail that fits them.
func forge(frames []*v1.BackupFrame) []byte {
	var file bytes.Buffer
	e := backup.NewEncoder(&file)
	for _, f := range frames {
		_ = e.Write(f)
	}
	return file.Bytes()
}

func TestS5_FramesLeftOutOrExchangedAreFoundUnderARightHash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := draw(t)
		var frames []*v1.BackupFrame
		part := backup.Part(rapid.IntRange(0, 2).Draw(t, "part"))
		if err := backup.Take(context.Background(), w.source, part, func(f *v1.BackupFrame) error { frames = append(frames, f); return nil }); err != nil {
			t.Fatal(err)
		}
		i := rapid.IntRange(0, len(frames)-2).Draw(t, "frame")
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			frames = append(frames[:i:i], frames[i+1:]...)
		case 1:
			frames = append(frames[:i+1:i+1], frames[i:]...)
		case 2:
			j := rapid.IntRange(0, len(frames)-2).Draw(t, "with")
			if i == j {
				return
			}
			frames[i], frames[j] = frames[j], frames[i]
		}
		if _, err := inspect(forge(frames), 0); !errors.Is(err, journal.ErrCorrupt) {
			t.Fatalf("not found: %v", err)
		}
	})
}

func TestF30_RestoredJournalStartsAMasterWithTheSameState(t *testing.T) {
	dirs := t.TempDir
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		if n++; n > 12 {
			return // each opens a database on disk
		}
		w := draw(rt)
		part := backup.Part(rapid.IntRange(0, 2).Draw(rt, "part"))
		file := w.file(rt, part)
		f, err := inspect(file, 0)
		if err != nil {
			rt.Fatal(err)
		}
		db, err := badgerdb.Open(dirs(), nil)
		if err != nil {
			rt.Fatal(err)
		}
		defer db.Close()
		log, err := badgerlog.NewAt(db, f.First)
		if err != nil {
			rt.Fatal(err)
		}
		snaps := badgersnap.New(db)
		frames := func(fn func(*v1.BackupFrame) error) error { return backup.Each(bytes.NewReader(file), fn) }
		err = backup.Fill(rt.Context(), f, frames, log, snaps, time.Unix(8, 0))
		if f.State == nil {
			if err == nil {
				rt.Fatal("records from the middle were restored without a snapshot")
			}
			_ = log.Close()
			return
		}
		if err != nil {
			rt.Fatal(err)
		}
		if err := log.Close(); err != nil {
			rt.Fatal(err)
		}
		if log, err = badgerlog.New(db); err != nil {
			rt.Fatal(err)
		}
		defer log.Close()
		state, err := journal.Recover(rt.Context(), log, snaps)
		want := w.states[len(w.states)-1]
		if err != nil || state.Seq() != want.Seq()+1 || state.Epoch() != want.Epoch()+1 || state.NextUID() <= want.NextUID()+1000 {
			rt.Fatalf("the restored journal does not begin an epoch and uids beyond the backup: %v", err)
		}
		// But for that it is the same: the entry of the cell comes first.
		if !slices.EqualFunc(state.Entries()[1:], want.Entries()[1:], bytes.Equal) {
			rt.Fatal("the restored journal gives another state")
		}
		if epoch, err := journal.Begin(rt.Context(), log, state, "host", time.Unix(9, 0)); err != nil || epoch <= f.Head.GetEpoch() {
			rt.Fatalf("epoch %d begins, %v; the backup is of epoch %d", epoch, err, f.Head.GetEpoch())
		}
	})
}

func TestF30_NothingIsTakenOfAnEmptyJournal(t *testing.T) {
	s := backup.Source{Cell: "test", Log: memlog.New(memlog.Options{}), Snapshots: []journal.Snapshots{memlog.NewSnapshots()}}
	if err := backup.Take(t.Context(), s, backup.Tail, func(*v1.BackupFrame) error { return nil }); err == nil {
		t.Fatal("an empty journal gives a backup")
	}
}
