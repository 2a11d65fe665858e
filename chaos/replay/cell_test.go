package replay_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/chaos/replay"
	"github.com/troupe-sched/troupe/cluster/store/decisions"
	"github.com/troupe-sched/troupe/node/hollow"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// A cell with goroutines and the machine's clock decides what is decided again, also behind a placer that has begun anew.
func TestX2_S17_DecisionsOfALivingCellAreDecidedAgain(t *testing.T) {
	dir := t.TempDir()
	rec, err := decisions.Open(decisions.Options{Dir: dir, Size: 64 << 20, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	var cell atomic.Pointer[actors.Cell]
	fleet := hollow.New(hollow.Options{
		Nodes: 40, Info: &v1.NodeInfo{CpuMilli: 4000, MemoryBytes: 8 << 30, Drivers: []string{"process"}},
		Deliver: func(m *v1.FromAgent) {
			if c := cell.Load(); c != nil {
				c.Deliver(m)
			}
		},
	})
	rebuild := make(chan func(), 1)
	c, err := actors.Open(t.Context(), actors.Options{Fabric: fleet, Record: func(env *msg.Env, tell func(any)) kit.Tap {
		rebuild <- func() { tell(&msg.Rebuild{}) }
		return rec.Tap(env, tell)
	}})
	if err != nil {
		t.Fatal(err)
	}
	cell.Store(c)
	fleet.Start()
	batch := func(from int) {
		for i := range 60 {
			job := &v1.JobSpec{Name: fmt.Sprintf("job-%03d", from+i), Rank: int32(i % 3), Stages: []*v1.StageSpec{{
				Name: "s", Command: []string{"x"}, Instances: int64(10 + i), Resources: &v1.Resources{Cpu: "300m", Memory: "128Mi"}}}}
			if _, err := c.Submit(t.Context(), &v1.SubmitRequest{Job: job}); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Explain(t.Context(), &v1.ExplainRequest{Name: job.Name}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 60 {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			if s, err := c.Wait(ctx, &v1.JobRef{Name: fmt.Sprintf("job-%03d", from+i)}); err != nil || s.GetPhase() != "succeeded" {
				t.Fatal(s, err)
			}
			cancel()
		}
	}
	batch(0)
	(<-rebuild)()
	batch(100)
	if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := decisions.Files(dir)
	if err != nil || len(files) != 2 {
		t.Fatalf("%d segments, %v; want one of each start", len(files), err)
	}
	for _, file := range files {
		r, err := replay.File(file, replay.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if d := r.Difference; d != nil {
			t.Fatalf("%s: message %d: %T %+v\nthen %+v\nnow  %+v\n%v", file, d.Number, d.Heard.Message, d.Heard.Message, d.Then, d.Now, d.Failed)
		}
		if r.Slots == 0 || r.Missing > 0 {
			t.Errorf("%s: %+v", file, r)
		}
	}
}
