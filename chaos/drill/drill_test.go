package drill

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// broken is a cell whose drills do what the test says.
type broken struct {
	*actors.Cell
	fault func()
}

func (b *broken) Drill(_ context.Context, req *v1.DrillRequest) (*v1.DrillReply, error) {
	b.fault()
	return &v1.DrillReply{Id: "d", Target: "the test", UntilUnixMs: time.Now().UnixMilli() + req.GetForMs()}, nil
}

// A report counts the attempts that a fault has ended, and only those.
func TestX8_RestartsAreCounted(t *testing.T) {
	fail := make(chan struct{})
	var once sync.Once
	cell, err := actors.Open(t.Context(), actors.Options{Agent: &actors.AgentOptions{Funcs: map[string]actors.Func{
		"hold": func(ctx context.Context, c *actors.Call) error {
			if c.Index == 1 && c.Attempt == 1 {
				select {
				case <-fail:
					return errors.New("ended by the drill")
				case <-ctx.Done():
					return nil
				}
			}
			<-ctx.Done()
			return nil
		},
		"nothing": func(context.Context, *actors.Call) error { return nil },
	}}})
	if err != nil {
		t.Fatal(err)
	}
	defer cell.Close(context.Background())
	_, err = cell.Submit(t.Context(), &v1.SubmitRequest{Job: &v1.JobSpec{Name: "held", Kind: "service", Stages: []*v1.StageSpec{
		{Name: "s", Driver: "func", Func: "hold", Instances: 3},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for running := uint64(0); running < 3; {
		s, err := cell.JobStatus(t.Context(), &v1.JobRef{Name: "held"})
		if err != nil {
			t.Fatal(err)
		}
		running = uint64(len(s.GetInstances()))
	}
	o := Options{
		Kind: "partition", For: 10 * time.Millisecond, Every: time.Millisecond,
		Probe: &v1.StageSpec{Name: "p", Driver: "func", Func: "nothing", Instances: 1},
	}
	quiet, err := Run(t.Context(), &broken{cell, func() {}}, o)
	if err != nil {
		t.Fatal(err)
	}
	if quiet.Attempts != 3 || quiet.Same != 3 || quiet.Restarted != 0 || quiet.Probes < warmUp+coolDown || quiet.BackS < 0 || quiet.GapMs <= 0 {
		t.Errorf("nothing has failed, and the report is %+v", quiet)
	}
	harmful, err := Run(t.Context(), &broken{cell, func() { once.Do(func() { close(fail) }) }}, o)
	if err != nil {
		t.Fatal(err)
	}
	if harmful.Attempts != 3 || harmful.Same != 2 || harmful.Restarted != 1 || len(harmful.Which) != 1 || harmful.Which[0] != "default/held/s/1" {
		t.Errorf("one attempt was ended, and the report is %+v", harmful)
	}
}

// What ends by itself is no restart.
func TestX8_EndsAreNoRestarts(t *testing.T) {
	name := jobName{"q", "j"}
	before := &census{
		runs: map[place]uint64{{name, 1, "s", 0}: 10, {name, 1, "s", 1}: 11, {name, 1, "s", 2}: 12, {jobName{"q", "over"}, 2, "s", 0}: 13},
		jobs: map[jobName]*v1.JobStatus{name: {Uid: 1, Counts: &v1.Counts{Done: 5}}, {"q", "over"}: {Uid: 2}},
	}
	after := &census{
		runs: map[place]uint64{{name, 1, "s", 2}: 20},
		jobs: map[jobName]*v1.JobStatus{name: {Uid: 1, Counts: &v1.Counts{Done: 6}}, {"q", "over"}: {Uid: 3}},
	}
	r := &Report{}
	before.compare(after, r)
	if r.Same != 0 || r.Ended != 2 || r.Restarted != 2 {
		t.Errorf("one of two that are missing is done, one runs anew, one went with its job: %+v", r)
	}
}

// A drill of a cell that places nothing says so, and begins no fault.
func TestX8_ADrillWithoutRoomBeginsNothing(t *testing.T) {
	cell, err := actors.Open(t.Context(), actors.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer cell.Close(context.Background())
	_, err = Run(t.Context(), &broken{cell, func() { t.Error("a fault was begun") }}, Options{
		Kind: "partition", For: time.Millisecond, Every: time.Millisecond, Settle: 50 * time.Millisecond,
		Probe: &v1.StageSpec{Name: "p", Driver: "func", Func: "nothing", Instances: 1},
	})
	if err == nil || !strings.Contains(err.Error(), "explain") {
		t.Errorf("drilled without any node: %v", err)
	}
}
