package trace

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// keepState writes a cell's life into a directory as a master does: so many nodes of ten cores, and jobs.
func keepState(t *testing.T, nodes int, jobs ...*v1.JobSpec) (dir string) {
	t.Helper()
	dir = t.TempDir()
	stores, err := actors.OpenStores(actors.Options{Dir: dir})(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	state := model.NewState()
	if _, err := journal.Begin(context.Background(), stores.Log, state, "test", birth); err != nil {
		t.Fatal(err)
	}
	events := []*v1.Event{{Kind: &v1.Event_QueueSet{QueueSet: &v1.QueueSet{Spec: &v1.QueueSpec{Name: model.DefaultQueue}}}}}
	for i := range nodes {
		events = append(events, &v1.Event{Kind: &v1.Event_NodeJoined{NodeJoined: &v1.NodeJoined{Info: &v1.NodeInfo{
			Id: fmt.Sprintf("n%d", i), CpuMilli: 10_000, MemoryBytes: 10 << 30, Drivers: []string{"process"},
			Attributes: map[string]string{"rack": fmt.Sprintf("r%d", i%2)},
		}}}})
	}
	for i, spec := range jobs {
		plan, problems := model.Compile(spec)
		if problems != nil {
			t.Fatal(problems)
		}
		events = append(events, &v1.Event{Kind: &v1.Event_JobSubmitted{JobSubmitted: &v1.JobSubmitted{Uid: uint64(i + 1), Spec: plan.Spec}}})
	}
	for _, e := range events {
		rec := &v1.Record{Seq: state.Seq() + 1, Epoch: state.Epoch(), Prev: journal.Prev(state), Events: []*v1.Event{e}}
		data, hash, err := journal.EncodeRecord(rec)
		if err == nil {
			err = state.Apply(rec, hash)
		}
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		stores.Log.Append(rec.Seq, data, func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if err := stores.Shut(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func service(name string, instances int64) *v1.JobSpec {
	return &v1.JobSpec{Name: name, Kind: "service", Stages: []*v1.StageSpec{{
		Name: "run", Instances: instances, Command: []string{"true"}, Resources: &v1.Resources{Cpu: "1", Memory: "1Gi"},
	}}}
}

func batch(name string, instances int64, duration string) *v1.JobSpec {
	s := service(name, instances)
	s.Kind, s.Stages[0].Duration = "batch", duration
	return s
}

func whatIf(t *testing.T, dir string, o WhatIfOptions) *WhatIf {
	t.Helper()
	state, err := LoadState(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	before := state.Digest()
	w, err := PlayWhatIf(context.Background(), state, o)
	if err != nil {
		t.Fatal(err)
	}
	if state.Digest() != before {
		t.Error("the state has changed")
	}
	return w
}

func TestS27_WhatIfNodesGoTheirWorkMovesOrWaits(t *testing.T) {
	dir := keepState(t, 4, service("web", 30))
	w := whatIf(t, dir, WhatIfOptions{Change: Change{Without: []string{"rack=r1"}}})
	if b, c := w.Base.All, w.Changed.All; b.Begun != 30 || b.Waiting != 0 || c.Waiting != 10 {
		t.Errorf("base %+v\nchanged %+v", b, c)
	}
	if n := w.Interrupted[model.DefaultQueue]; n == 0 || n > 20 {
		t.Errorf("%d of the instances on two nodes of ten were interrupted", n)
	}
	if w.Changed.Resources[0].Capacity != 20_000 || w.Changed.Resources[0].End != 1 {
		t.Errorf("resources %+v", w.Changed.Resources)
	}
}

func TestS27_WhatIfAllNodesGo(t *testing.T) {
	w := whatIf(t, keepState(t, 1, service("web", 3)), WhatIfOptions{Change: Change{Without: []string{"n0"}}})
	if c := w.Changed; c.All.Waiting != 3 || len(c.Resources) != len(w.Base.Resources) || c.Resources[0].Capacity != 0 {
		t.Errorf("%+v", c)
	}
}

func TestS27_WhatIfNodesComeWhatWaitsBegins(t *testing.T) {
	dir := keepState(t, 1, service("web", 8), batch("sums", 40, "10m"))
	w := whatIf(t, dir, WhatIfOptions{Change: Change{Add: 2, Like: "n0"}, Horizon: 15 * time.Minute})
	if b, c := w.Base.All, w.Changed.All; b.Ended >= c.Ended || c.Waiting >= b.Waiting || b.Instances != 48 {
		t.Errorf("base %+v\nchanged %+v", b, c)
	}
	if len(w.Interrupted) != 0 {
		t.Errorf("interrupted %v", w.Interrupted)
	}
}

func TestS27_WhatIfAQueueMayHoldLess(t *testing.T) {
	second := batch("second", 20, "10m")
	second.Rank = 1 // so that it holds nothing yet that it could use again
	dir := keepState(t, 2, batch("first", 20, "10m"), second)
	w := whatIf(t, dir, WhatIfOptions{Change: Change{Queues: []*v1.QueueSpec{{Name: model.DefaultQueue, MaxSlots: 5}}}, Horizon: 30 * time.Minute})
	if b, c := w.Base.All, w.Changed.All; b.Ended != 40 || c.Ended >= 40 {
		t.Errorf("base %+v\nchanged %+v", b, c)
	}
}

func TestS27_WhatIfNothingChangesNothingDiffers(t *testing.T) {
	dir := keepState(t, 2, service("web", 3), batch("sums", 9, ""))
	w := whatIf(t, dir, WhatIfOptions{Assume: time.Minute})
	if w.Base.All != w.Changed.All || w.Base.All.Ended != 9 {
		t.Errorf("base %+v\nchanged %+v", w.Base.All, w.Changed.All)
	}
}

func TestS27_WhatIfSaysWhatIsWrong(t *testing.T) {
	if _, err := LoadState(context.Background(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "no journal") {
		t.Errorf("an empty directory: %v", err)
	}
	state, err := LoadState(context.Background(), keepState(t, 2, service("web", 3)))
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]Change{
		`no node is "n7"`:     {Without: []string{"n7"}},
		`no node is "rack=x"`: {Without: []string{"rack=x"}},
		`no node is "n9"`:     {Add: 1, Like: "n9"},
		"-1 more nodes":       {Add: -1},
	} {
		if _, err := PlayWhatIf(context.Background(), state, WhatIfOptions{Change: c}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	empty, err := LoadState(context.Background(), keepState(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := PlayWhatIf(context.Background(), empty, WhatIfOptions{}); err == nil || !strings.Contains(err.Error(), "no job lives") {
		t.Errorf("a cell without jobs: %v", err)
	}
}
