package actors_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/store/backup"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// saved is the backup of a cell as a file.
func saved(t *testing.T, cell *actors.Cell, req *v1.BackupRequest) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := cell.Backup(t.Context(), req, func(c *v1.Chunk) error { file.Write(c.GetData()); return nil }); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func inspected(t *testing.T, file []byte) *backup.Found {
	t.Helper()
	i := &backup.Inspector{}
	if err := backup.Each(bytes.NewReader(file), i.Take); err != nil {
		t.Fatal(err)
	}
	f, err := i.Found()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestF30_BackupOfALivingCellHoldsWhatWasAcknowledged(t *testing.T) {
	cell, err := actors.Open(t.Context(), actors.Options{Dir: t.TempDir(), SnapshotRecords: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer cell.Close(context.WithoutCancel(t.Context()))
	var seq uint64
	for i := range 10 {
		job := &v1.JobSpec{Name: "job" + string(rune('a'+i)), Stages: []*v1.StageSpec{{Name: "s", Driver: "func", Func: "none"}}}
		r, err := cell.Submit(t.Context(), &v1.SubmitRequest{Job: job})
		if err != nil {
			t.Fatal(err)
		}
		seq = r.GetSeq()
		f := inspected(t, saved(t, cell, &v1.BackupRequest{}))
		if f.Head.GetSeq() < seq || f.State.Newest(model.JobID{Queue: r.GetQueue(), Name: r.GetName()}) == nil {
			t.Fatalf("job %s, acknowledged with record %d, is not in the backup of record %d", r.GetName(), seq, f.Head.GetSeq())
		}
	}
	with := inspected(t, saved(t, cell, &v1.BackupRequest{}))
	if with.Head.GetSnapshotSeq() == 0 {
		t.Fatal("the backup has no snapshot, though one was taken every three records")
	}
}

func TestB45_JournalIsReadInPartsAndFollowed(t *testing.T) {
	cell, err := actors.Open(t.Context(), actors.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer cell.Close(context.WithoutCancel(t.Context()))
	submit := func(name string) uint64 {
		job := &v1.JobSpec{Name: name, Stages: []*v1.StageSpec{{Name: "s", Driver: "func", Func: "none"}}}
		if _, err := cell.Submit(t.Context(), &v1.SubmitRequest{Job: job}); err != nil {
			t.Fatal(err)
		}
		status, err := cell.CellStatus(t.Context(), &v1.CellStatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return status.GetSeq()
	}
	first := submit("one")
	read := func(ctx context.Context, req *v1.JournalRequest, fn func(*v1.Record) error) error {
		records := &backup.Splitter{Each: fn}
		return cell.Journal(ctx, req, func(c *v1.Chunk) error {
			for _, b := range c.GetData() { // a byte at a time
				if _, err := records.Write([]byte{b}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var seqs []uint64
	note := func(r *v1.Record) error { seqs = append(seqs, r.GetSeq()); return nil }
	if err := read(t.Context(), &v1.JournalRequest{}, note); err != nil || len(seqs) != int(first) {
		t.Fatalf("%v, %v; want %d records", seqs, err, first)
	}
	if err := read(t.Context(), &v1.JournalRequest{From: 99}, note); err != nil {
		t.Fatal(err) // there is nothing yet
	}
	if err := read(t.Context(), &v1.JournalRequest{To: 99}, note); model.FaultOf(err).Err != model.ErrInvalid {
		t.Fatalf("records that do not exist: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := errors.New("done")
	asked := false
	var last uint64
	err = read(ctx, &v1.JournalRequest{From: first, Follow: true}, func(r *v1.Record) error {
		switch {
		case !asked:
			asked = true
			last = submit("two")
		case r.GetSeq() >= last:
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Fatalf("following: %v", err)
	}
}

func TestF30_RestoredCellOutgrowsTheEpochsThatAgentsHaveSeen(t *testing.T) {
	running := func(*v1.Launch) (v1.AttemptPhase, []byte, bool) { return 0, nil, true }
	th := open(t, 3, t.TempDir(), running)
	th.submit(&v1.JobSpec{Name: "kept", Stages: []*v1.StageSpec{stage("s", 2)}}, "")
	isUp := func(s *v1.JobStatus) bool { return s.GetCounts().GetRunning() == 2 }
	th.until("kept", isUp)
	file := saved(t, th.cell.Load(), &v1.BackupRequest{})
	for range 3 { // epochs that the backup does not know
		if err := th.cell.Load().Close(th.ctx); err != nil {
			t.Fatal(err)
		}
		th.start()
	}
	th.until("kept", isUp)
	th.submit(&v1.JobSpec{Name: "gone", Stages: []*v1.StageSpec{stage("s", 1)}}, "")
	th.until("gone", func(s *v1.JobStatus) bool { return s.GetCounts().GetRunning() == 1 })
	seen, ran := th.cell.Load().Epoch(), th.fleet.Ran()
	if err := th.cell.Load().Close(th.ctx); err != nil {
		t.Fatal(err)
	}
	f := inspected(t, file)
	log, snaps := memlog.New(memlog.Options{}), memlog.NewSnapshots()
	frames := func(fn func(*v1.BackupFrame) error) error { return backup.Each(bytes.NewReader(file), fn) }
	if err := backup.Fill(th.ctx, f, frames, log, snaps, time.Now()); err != nil {
		t.Fatal(err)
	}
	th.opts.Dir, th.opts.Journal = "", func(context.Context) (actors.Stores, error) {
		return actors.Stores{Log: log.Reopen(), Snapshots: snaps.Reopen()}, nil
	}
	th.start()
	th.fleet.Start() // as agents do at their next heartbeat: they do not hear a master of an epoch so low
	th.until("kept", isUp)
	if now := th.cell.Load().Epoch(); now <= seen {
		t.Errorf("the restored cell is in epoch %d, agents have seen epoch %d", now, seen)
	}
	if th.fleet.Ran() != ran {
		t.Errorf("%d attempts have begun, %d before the restore: what ran was to go on", th.fleet.Ran(), ran)
	}
	if _, err := th.cell.Load().JobStatus(th.ctx, &v1.JobRef{Name: "gone"}); model.FaultOf(err).Err != model.ErrNotFound {
		t.Errorf("the job that was submitted after the backup: %v", err)
	}
	// Its attempt is stopped: a node that it filled has room again.
	th.submit(&v1.JobSpec{Name: "next", Stages: []*v1.StageSpec{stage("s", 2)}}, "")
	th.until("next", isUp)
}
