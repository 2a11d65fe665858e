package jetstreamlog

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/natsd"
	"github.com/troupe-sched/troupe/cluster/store/backup"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// backedUp is a backup of a journal of some epochs, with a snapshot, and without the records before that.
func backedUp(t *testing.T) []byte {
	t.Helper()
	log, snaps, state := memlog.New(memlog.Options{}), memlog.NewSnapshots(), model.NewState()
	for i := range 9 {
		if _, err := journal.Begin(t.Context(), log, state, "host", time.Unix(int64(i), 0)); err != nil {
			t.Fatal(err)
		}
		if i == 5 {
			if err := snaps.Save(t.Context(), state.Seq(), state.Entries()); err != nil {
				t.Fatal(err)
			}
			if err := log.Trim(t.Context(), 4); err != nil {
				t.Fatal(err)
			}
		}
	}
	var file bytes.Buffer
	if err := backup.Take(t.Context(), backup.Source{Cell: "c", Log: log, Snapshots: []journal.Snapshots{snaps}}, backup.Tail, backup.NewEncoder(&file).Write); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestF30_RestoreIntoAStreamIsAJournalOnlyWhenItIsWhole(t *testing.T) {
	s := start(t, natsd.Options{Port: natsd.RandomPort})
	nc, opts := connect(t, s), Options{Cell: newCell()}
	file := backedUp(t)
	frames := func(fn func(*v1.BackupFrame) error) error { return backup.Each(bytes.NewReader(file), fn) }
	i := &backup.Inspector{}
	if err := frames(i.Take); err != nil {
		t.Fatal(err)
	}
	found, err := i.Found()
	if err != nil {
		t.Fatal(err)
	}
	old := open(t, nc, opts)
	if _, err := journal.Begin(t.Context(), old, model.NewState(), "old", time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	var taken *ErrOccupied
	if _, _, err := Restore(t.Context(), nc, opts, found.First, false); !errors.As(err, &taken) || taken.Messages != 1 {
		t.Fatalf("restore over a journal: %v", err)
	}
	log, finish, err := Restore(t.Context(), nc, opts, found.First, true)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	snaps := memlog.NewSnapshots()
	if err := backup.Fill(t.Context(), found, frames, log, snaps, time.Unix(9, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), nc, opts); err == nil || !strings.Contains(err.Error(), "restore") {
		t.Fatalf("a master opens a journal that is being restored: %v", err)
	}
	if _, _, err := Restore(t.Context(), nc, opts, found.First, false); !errors.As(err, &taken) || !taken.Unfinished {
		t.Fatalf("restore over the rest of one: %v", err)
	}
	if err := finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A master that has written before does not get a word in.
	refused := make(chan error, 1)
	old.Append(2, []byte("x"), func(err error) { refused <- err })
	if err := <-refused; !errors.Is(err, journal.ErrFenced) {
		t.Fatalf("a master from before: %v", err)
	}
	fresh := open(t, nc, opts)
	state, err := journal.Recover(t.Context(), fresh, snaps)
	if err != nil || state.Seq() != found.State.Seq()+1 || state.NextUID() <= found.State.NextUID() {
		t.Fatalf("recovered: %v", err)
	}
	if epoch, err := journal.Begin(t.Context(), fresh, state, "new", time.Unix(20, 0)); err != nil || epoch != found.Head.GetEpoch()+2 {
		t.Fatalf("epoch %d, %v", epoch, err)
	}
}
