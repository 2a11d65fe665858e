package cmd

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// master leaves a directory of a master in which some jobs were submitted and one was stopped. Snapshots are taken every so
// many records, 0 for none so early.
func master(t *testing.T, every uint64) string {
	t.Helper()
	dir := t.TempDir()
	ended := make(chan struct{})
	cell, err := actors.Open(t.Context(), actors.Options{Name: "local", Dir: dir, SnapshotRecords: every, Events: func(e *v1.JobEvent) {
		if e.GetKind() == "ended" {
			close(ended)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two", "three", "four", "five"} {
		job := &v1.JobSpec{Name: name, Queue: "default", Stages: []*v1.StageSpec{{Name: "s", Driver: "func", Func: "none"}}}
		if _, err := cell.Submit(t.Context(), &v1.SubmitRequest{Job: job}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := cell.StopJob(t.Context(), &v1.StopRequest{Queue: "default", Name: "two", Reason: "not needed"}); err != nil {
		t.Fatal(err)
	}
	<-ended
	if err := cell.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	return dir
}

// told runs a command that must succeed and answer in JSON.
func (h *harness) told(into any, args ...string) {
	h.t.Helper()
	code, out, stderr := h.run(append(args, "--json")...)
	if code != exitOK {
		h.t.Fatalf("%v: exit code %d: %s", args, code, stderr)
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		h.t.Fatalf("%v: %v: %s", args, err, out)
	}
}

func TestF30_BackupAndRestoreOfADirectory(t *testing.T) {
	h, dir := newHarness(t), master(t, 4)
	file := filepath.Join(t.TempDir(), "cell.troupe")
	var saved, whole, there contents
	h.told(&saved, "backup", file, "--dir", dir)
	h.told(&whole, "journal", "verify", file)
	h.told(&there, "journal", "verify", "--dir", dir)
	if !saved.State || saved.JobsLive != 4 || saved.JobsEnded != 1 || whole.Digest != saved.Digest || there.Digest != saved.Digest {
		t.Fatalf("saved %+v, verified %+v, in the directory %+v", saved, whole, there)
	}
	if list, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); len(list) != 1 {
		t.Fatalf("left beside the backup: %v", list)
	}
	fresh := t.TempDir()
	var restored contents
	h.told(&restored, "restore", file, "--dir", fresh)
	h.told(&there, "journal", "verify", "--dir", fresh)
	if there.JobsLive != 4 || there.JobsEnded != 1 || there.Epoch != saved.Epoch+1 || there.Seq != saved.Seq+1 {
		t.Fatalf("restored %+v, want %+v", there, saved)
	}
	cell, err := actors.Open(t.Context(), actors.Options{Name: "local", Dir: fresh})
	if err != nil {
		t.Fatal(err)
	}
	defer cell.Close(context.WithoutCancel(t.Context()))
	if cell.Epoch() <= saved.Epoch {
		t.Errorf("epoch %d begins after a backup of epoch %d", cell.Epoch(), saved.Epoch)
	}
	job := &v1.JobSpec{Name: "six", Stages: []*v1.StageSpec{{Name: "s", Driver: "func", Func: "none"}}}
	if r, err := cell.Submit(t.Context(), &v1.SubmitRequest{Job: job}); err != nil || r.GetUid() < 1000 {
		t.Errorf("job %d is submitted, %v; want a uid that cannot have been given after the backup", r.GetUid(), err)
	}
	if code, _, stderr := h.run("backup", file, "--dir", fresh); code != exitOK && !strings.Contains(stderr, "another process uses") {
		t.Errorf("backup of a directory in use: %s", stderr)
	}
}

func TestF30_RestoreTouchesNothingThatIsThereUnlessForced(t *testing.T) {
	h, dir := newHarness(t), master(t, 4)
	file := filepath.Join(t.TempDir(), "cell.troupe")
	var saved, there contents
	h.told(&saved, "backup", file, "--dir", dir)
	other := master(t, 0)
	code, _, stderr := h.run("restore", file, "--dir", other)
	if code == exitOK || !strings.Contains(stderr, "4 live jobs") || !strings.Contains(stderr, "--force") {
		t.Fatalf("exit code %d, %s; want to hear what would be lost, and of --force", code, stderr)
	}
	h.told(&there, "journal", "verify", "--dir", other)
	if there.Digest == saved.Digest {
		t.Fatal("two masters have left the same state, this test shows nothing")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken")
	data[len(data)/2] ^= 1
	if err := os.WriteFile(broken, data, 0o600); err != nil {
		t.Fatal(err)
	}
	before := there.Digest
	if code, _, stderr := h.run("restore", broken, "--dir", other, "--force"); code == exitOK || !strings.Contains(stderr, "nothing was written") {
		t.Fatalf("a damaged backup was restored: %s", stderr)
	}
	h.told(&there, "journal", "verify", "--dir", other)
	if there.Digest != before {
		t.Fatal("a damaged backup has changed the directory")
	}
	var restored contents
	h.told(&restored, "restore", file, "--dir", other, "--force")
	h.told(&there, "journal", "verify", "--dir", other)
	if there.Seq != saved.Seq+1 || there.JobsLive != saved.JobsLive {
		t.Fatalf("forced, but %+v", there)
	}
	if _, err := os.Stat(filepath.Join(other, "journal.restoring")); err == nil {
		t.Error("the old journal is still there")
	}
}

func TestB45_JournalIsReadAndGoneBackIn(t *testing.T) {
	h, dir := newHarness(t), master(t, 0)
	code, out, stderr := h.run("journal", "tail", "--dir", dir)
	if code != exitOK {
		t.Fatal(stderr)
	}
	for _, want := range []string{"epoch       1: master on", "submitted   default/three (uid 3): 1 stage", "stopping    default/two (uid 2): not needed", "ended       default/two (uid 2): stopped"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	file := filepath.Join(t.TempDir(), "history.troupe")
	var saved contents
	h.told(&saved, "backup", file, "--dir", dir, "--records")
	if !saved.Replayed || saved.First != 1 {
		t.Fatalf("the journal was trimmed: %+v", saved)
	}
	for seq := uint64(1); seq <= saved.Seq; seq++ {
		var plain map[string]any
		h.told(&plain, "journal", "at", strconv.FormatUint(seq, 10), file)
		if uint64(plain["seq"].(float64)) != seq {
			t.Fatalf("asked for record %d, got %v", seq, plain["seq"])
		}
		if jobs := plain["jobs"].([]any); seq == saved.Seq && len(jobs) != 5 {
			t.Errorf("%d jobs at the end, want 5", len(jobs))
		}
	}
	if code, _, stderr := h.run("journal", "at", "9999", file); code == exitOK || !strings.Contains(stderr, "ends with record") {
		t.Errorf("the state of a record that is not there: %s", stderr)
	}
}

func TestB45_TailGoesOnBehindAFailover(t *testing.T) {
	h := newHarness(t)
	cell, err := actors.Open(t.Context(), actors.Options{Name: "local"})
	if err != nil {
		t.Fatal(err)
	}
	defer cell.Close(context.WithoutCancel(t.Context()))
	for _, name := range []string{"one", "two", "three"} {
		job := &v1.JobSpec{Name: name, Stages: []*v1.StageSpec{{Name: "s", Driver: "func", Func: "none"}}}
		if _, err := cell.Submit(t.Context(), &v1.SubmitRequest{Job: job}); err != nil {
			t.Fatal(err)
		}
	}
	// Each reign tells two records and ends; the one after it goes on where it ended, and at last there is nothing new.
	h.cell.journal = func(ctx context.Context, req *v1.JournalRequest, fn func(*v1.Chunk) error) error {
		from := max(req.GetFrom(), 1)
		if from <= 5 {
			if err := cell.Journal(ctx, &v1.JournalRequest{From: from, To: min(from+1, 5)}, fn); err != nil {
				return err
			}
		}
		return model.Unavailable("the reign is over")
	}
	code, out, stderr := h.run("journal", "tail", "-f")
	if code != exitFailed || !strings.Contains(stderr, "the reign is over") {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	for _, name := range []string{"one", "two", "three"} {
		if strings.Count(out, "default/"+name+" ") != 1 {
			t.Errorf("%s is not told once:\n%s", name, out)
		}
	}
}
