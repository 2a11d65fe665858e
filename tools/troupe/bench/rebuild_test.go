package bench

import (
	"context"
	"testing"
)

func TestF31_B36_B46_ANewMasterHasItsSoftStateAndRestartsNothing(t *testing.T) {
	r, err := RunRebuild(context.Background(), RebuildOptions{Nodes: []int{20, 40}, Attempts: 400, Jobs: 7, Storms: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Curve) != 2 || r.Nodes != 40 || r.Attempts != 400 || r.Curve[0].Attempts != 200 || r.Lost+r.Started != 0 ||
		r.CompleteS < r.ViewS || r.CompleteS < r.SyncedS || r.Messages < 80 || r.PeriodMs != 1000 {
		t.Fatalf("%+v", r)
	}
}
