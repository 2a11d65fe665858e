package actors_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb/smalldisk"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// A cell whose disk fills up is read-only and says so; what runs goes on running, and what ends is kept. When there is
// room again everything that waited is done, in the same process and under the same epoch.
func TestB12_B45_S7_ACellOnAFullDiskIsReadOnlyUntilThereIsRoom(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	disk := smalldisk.Mount(t, 220<<20)
	begun, gate := make(chan bool, 1), make(chan bool)
	cell, err := actors.Open(ctx, actors.Options{Dir: filepath.Join(disk, "cell"), Agent: &actors.AgentOptions{Funcs: map[string]actors.Func{
		"held": func(_ context.Context, c *actors.Call) error {
			begun <- true
			<-gate
			return c.SetResult([]byte("kept"))
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	defer cell.Close(context.WithoutCancel(ctx))
	if _, err := cell.Submit(ctx, funcJob("before", "held", 1)); err != nil {
		t.Fatal(err)
	}
	<-begun
	epoch := cell.Epoch()
	other := filepath.Join(disk, "other")
	if err := os.WriteFile(other, make([]byte, 100<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	close(gate) // it ends now, and cannot be written down
	status := func() *v1.CellStatus {
		t.Helper()
		s, err := cell.CellStatus(ctx, &v1.CellStatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for status().GetState() != "read_only" {
	}
	if s := status(); s.GetStateReason() == "" || s.GetAdmission() == "open" {
		t.Errorf("read-only is told as %v", s)
	}
	for _, change := range []func() error{
		func() error { _, err := cell.Submit(ctx, funcJob("during", "held", 1)); return err },
		func() error { _, err := cell.StopJob(ctx, &v1.StopRequest{Name: "before"}); return err },
		func() error { _, err := cell.SetQueue(ctx, &v1.QueueSpec{Name: "q"}); return err },
	} {
		var f *model.Fault
		if err := change(); !errors.As(err, &f) || f.Code != 503 || f.RetryAfter <= 0 {
			t.Errorf("a change is answered by %v", err)
		}
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	done, err := cell.Wait(ctx, &v1.JobRef{Name: "before"})
	if err != nil || done.GetPhase() != "succeeded" || done.GetCounts().GetFailedAttempts() != 0 {
		t.Fatalf("what ended on the full disk is %v, %v", done, err)
	}
	if got := status(); got.GetState() != "normal" || got.GetEpoch() != epoch {
		t.Errorf("afterwards the cell is %v", got)
	}
	if _, err := cell.Submit(ctx, funcJob("after", "held", 1)); err != nil {
		t.Fatal(err)
	}
	if done, err := cell.Wait(ctx, &v1.JobRef{Name: "after"}); err != nil || done.GetPhase() != "succeeded" {
		t.Fatalf("%v, %v", done, err)
	}
}
