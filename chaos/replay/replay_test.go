package replay_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/place"
	"github.com/troupe-sched/troupe/actors/tree"
	"github.com/troupe-sched/troupe/chaos/replay"
	"github.com/troupe-sched/troupe/chaos/trace"
	"github.com/troupe-sched/troupe/cluster/store/decisions"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// workload is jobs of all bands, with gangs, services, racks, devices and limits, in queues that lend to each other.
func workload(rng *rand.Rand, nodes, jobs int) *trace.Workload {
	w := &trace.Workload{}
	for i := range nodes {
		n := &v1.NodeInfo{
			Id: fmt.Sprintf("node-%03d", i), CpuMilli: 4000 + 4000*rng.Int64N(3), MemoryBytes: 16 << 30, Drivers: []string{"process"},
			Attributes: map[string]string{"rack": fmt.Sprint(i / 5), "os": "linux"},
		}
		if i%4 == 0 {
			n.Devices = []*v1.Device{{Kind: "gpu", Model: "V100"}, {Kind: "gpu", Model: "V100"}}
		}
		w.Nodes = append(w.Nodes, n)
	}
	w.Queues = []*v1.QueueSpec{
		{Name: "web", Quota: &v1.Quota{Cpu: "40", Memory: "100Gi"}},
		{Name: "batch", Quota: &v1.Quota{Cpu: "20", Memory: "60Gi"}, Order: "shortest"},
		{Name: "free"},
	}
	for i := range jobs {
		s := &v1.StageSpec{Name: "s", Command: []string{"x"}, Instances: 1 + rng.Int64N(6),
			Resources: &v1.Resources{Cpu: fmt.Sprintf("%dm", 200*(1+rng.IntN(10))), Memory: fmt.Sprintf("%dMi", 256*(1+rng.IntN(8)))}}
		spec := &v1.JobSpec{Name: fmt.Sprintf("job-%04d", i), Kind: "batch", Stages: []*v1.StageSpec{s}, Rank: int32(rng.IntN(3))}
		run := time.Duration(1+rng.IntN(600)) * time.Second
		switch n := rng.IntN(10); {
		case n == 0 && i < jobs/2:
			run, s.Instances = trace.Forever, min(s.Instances, 2)
			spec.Queue, spec.Kind, spec.Band = "web", "service", "production"
			s.Spread = "rack"
		case n < 3:
			spec.Queue, spec.Band = "free", "free"
		case n < 5:
			spec.Queue, spec.Band, s.Gang = "batch", "batch", &v1.Gang{}
		default:
			spec.Queue, spec.Band = "batch", "batch"
			s.Duration = run.String()
		}
		w.Jobs = append(w.Jobs, trace.Job{At: time.Duration(i) * 3 * time.Second, Run: run, Spec: spec})
	}
	return w
}

// record plays a workload in virtual time and returns the file in which its decisions are.
func record(t *testing.T, seed uint64, nodes, jobs int) string {
	t.Helper()
	dir := t.TempDir()
	rec, err := decisions.Open(decisions.Options{Dir: dir, Size: 256 << 20, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = trace.Play(t.Context(), workload(rand.New(rand.NewPCG(seed, 1)), nodes, jobs), trace.Options{
		Seed: seed,
		Change: func(c *tree.Config) {
			c.Record = func(env *msg.Env, _ func(any)) kit.Tap { return rec.Tap(env, func(any) {}) }
		},
	})
	if err = errors.Join(err, rec.Close()); err != nil {
		t.Fatal(err)
	}
	files, err := decisions.Files(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	return files[0]
}

func TestX2_RecordedDecisionsAreDecidedAgain(t *testing.T) {
	for seed := range uint64(4) {
		file := record(t, seed, 12, 150)
		got, err := replay.File(file, replay.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if d := got.Difference; d != nil {
			t.Fatalf("seed %d: message %d, %T %+v\nthen %+v\nnow  %+v\n%v", seed, d.Number, d.Heard.Message, d.Heard.Message, d.Then, d.Now, d.Failed)
		}
		if got.Missing > 0 || got.Slots == 0 || got.Evicted == 0 || got.Heard < 1000 {
			t.Errorf("seed %d: %+v", seed, got)
		}
		t.Logf("seed %d: heard %d, said %d, slots %d, evicted %d", seed, got.Heard, got.Said, got.Slots, got.Evicted)
	}
}

func TestX2_OtherRulesShowTheFirstDecisionThatTheyWouldChange(t *testing.T) {
	file := record(t, 1, 12, 60)
	got, err := replay.File(file, replay.Options{Place: place.Options{Score: "epvm"}})
	if err != nil {
		t.Fatal(err)
	}
	if d := got.Difference; d == nil || d.Then == nil || d.Now == nil {
		t.Fatalf("%+v: slots are spread as they were packed", got)
	}
}

// entries are those of a file.
func entries(t *testing.T, file string) (head decisions.Head, list []decisions.Entry) {
	t.Helper()
	err := decisions.Read(file, func(h decisions.Head, e decisions.Entry) error {
		head, list = h, append(list, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return head, list
}

func TestX2_AChangeOfOneInputIsFoundWhereItTells(t *testing.T) {
	file := record(t, 2, 12, 80)
	found := 0
	for seed := range uint64(25) {
		head, list := entries(t, file)
		rng := rand.New(rand.NewPCG(seed, 2))
		// One of the messages that say what a node has, or what is wanted, says something else.
		at := 0
		for changed := false; !changed; {
			at = rng.IntN(len(list))
			switch m := list[at].Message.(type) {
			case *msg.NodeView:
				if changed = m.Open; changed {
					m.Open = false
				}
			case *msg.Demand:
				if changed = m.Target > 1; changed {
					m.Target--
				}
			case *msg.Freed:
				if changed = m.Count > 1; changed {
					m.Count--
				}
			}
		}
		number := uint64(0)
		for _, e := range list[:at+1] {
			if e.Kind == decisions.Heard {
				number++
			}
		}
		got, err := replay.Play(func(fn func(decisions.Head, decisions.Entry) error) error {
			for _, e := range list {
				if err := fn(head, e); err != nil {
					return err
				}
			}
			return nil
		}, replay.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Difference != nil {
			found++
			if got.Difference.Number < number {
				t.Fatalf("seed %d: message %d was changed, but the difference is at message %d", seed, number, got.Difference.Number)
			}
		}
	}
	if found < 5 {
		t.Errorf("only %d of 25 changes made a difference", found)
	}
}
