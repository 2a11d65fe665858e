package model

import (
	"errors"
	"testing"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// cell drives a State by events, one a record.
type cell struct {
	*State
	t *testing.T
}

func newCell(t *testing.T) *cell {
	c := &cell{State: NewState(), t: t}
	c.must(&v1.Record{Epoch: 1, Events: []*v1.Event{epochStarted(1)}})
	return c
}

func epochStarted(n uint64) *v1.Event {
	return &v1.Event{Kind: &v1.Event_EpochStarted{EpochStarted: &v1.EpochStarted{Epoch: n}}}
}

func (c *cell) apply(events ...*v1.Event) error {
	head := c.Head()
	return c.Apply(&v1.Record{Seq: c.Seq() + 1, Epoch: c.Epoch(), Prev: head[:], Events: events}, [32]byte{byte(c.Seq() + 1)})
}

func (c *cell) must(rec *v1.Record) {
	c.t.Helper()
	rec.Seq = c.Seq() + 1
	if err := c.Apply(rec, [32]byte{byte(rec.Seq)}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cell) mustApply(events ...*v1.Event) {
	c.t.Helper()
	if err := c.apply(events...); err != nil {
		c.t.Fatal(err)
	}
}

func queueSet(name string) *v1.Event {
	return &v1.Event{Kind: &v1.Event_QueueSet{QueueSet: &v1.QueueSet{Spec: &v1.QueueSpec{Name: name}}}}
}

func submitted(uid uint64, queue, name, key string) *v1.Event {
	return &v1.Event{Kind: &v1.Event_JobSubmitted{JobSubmitted: &v1.JobSubmitted{
		Uid: uid, Key: key, Spec: &v1.JobSpec{Queue: queue, Name: name, Stages: []*v1.StageSpec{{Instances: 1}}}}}}
}

func endedJob(uid uint64, queue, name string) *v1.Event {
	return &v1.Event{Kind: &v1.Event_JobEnded{JobEnded: &v1.JobEnded{Uid: uid, Queue: queue, Name: name, Phase: PhaseFailed}}}
}

func forgotten(uid uint64, queue, name string) *v1.Event {
	return &v1.Event{Kind: &v1.Event_JobForgotten{JobForgotten: &v1.JobForgotten{Uid: uid, Queue: queue, Name: name}}}
}

func removed(queue string) *v1.Event {
	return &v1.Event{Kind: &v1.Event_QueueRemoved{QueueRemoved: &v1.QueueRemoved{Queue: queue}}}
}

func TestS5_ChainIsHeld(t *testing.T) {
	head := func(s *State) []byte { h := s.Head(); return h[:] }
	tests := []struct {
		name string
		rec  func(s *State) *v1.Record
	}{
		{"same again", func(s *State) *v1.Record { return &v1.Record{Seq: s.Seq(), Epoch: 2, Prev: head(s)} }},
		{"gap", func(s *State) *v1.Record { return &v1.Record{Seq: s.Seq() + 2, Epoch: 2, Prev: head(s)} }},
		{"other record before", func(s *State) *v1.Record { return &v1.Record{Seq: s.Seq() + 1, Epoch: 2, Prev: make([]byte, 32)} }},
		{"no record before", func(s *State) *v1.Record { return &v1.Record{Seq: s.Seq() + 1, Epoch: 2} }},
		{"lower epoch", func(s *State) *v1.Record { return &v1.Record{Seq: s.Seq() + 1, Epoch: 1, Prev: head(s)} }},
		{"higher epoch that never started", func(s *State) *v1.Record { return &v1.Record{Seq: s.Seq() + 1, Epoch: 3, Prev: head(s)} }},
		{"epoch started again", func(s *State) *v1.Record {
			return &v1.Record{Seq: s.Seq() + 1, Epoch: 2, Prev: head(s), Events: []*v1.Event{epochStarted(2)}}
		}},
		{"lower epoch started", func(s *State) *v1.Record {
			return &v1.Record{Seq: s.Seq() + 1, Epoch: 1, Prev: head(s), Events: []*v1.Event{epochStarted(1)}}
		}},
		{"epoch whose ids would wrap", func(s *State) *v1.Record {
			return &v1.Record{Seq: s.Seq() + 1, Epoch: MaxEpoch + 1, Prev: head(s), Events: []*v1.Event{epochStarted(MaxEpoch + 1)}}
		}},
		{"nil", func(*State) *v1.Record { return nil }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newCell(t)
			h := c.Head()
			c.must(&v1.Record{Epoch: 2, Prev: h[:], Events: []*v1.Event{epochStarted(2)}})
			before := c.Digest()
			if err := c.Apply(test.rec(c.State), [32]byte{9}); !errors.Is(err, ErrChain) {
				t.Fatalf("got %v, want %v", err, ErrChain)
			}
			if c.Digest() != before {
				t.Fatal("refused, yet the state changed")
			}
		})
	}
	if err := NewState().Apply(&v1.Record{Seq: 1}, [32]byte{}); !errors.Is(err, ErrChain) {
		t.Fatalf("a first record that starts no epoch: %v", err)
	}
}

func TestB42_OneKeyMakesOneJob(t *testing.T) {
	c := newCell(t)
	c.mustApply(queueSet("q"), queueSet("r"), submitted(1, "q", "a", "key"))
	conflict := &Fault{Err: ErrConflict}
	if err := c.apply(submitted(2, "q", "b", "key")); !errors.Is(err, conflict) {
		t.Fatalf("the key made a second job: %v", err)
	}
	if k := c.Queue("q").Key("key"); k.GetUid() != 1 || k.GetName() != "a" || len(k.GetSpecSha256()) != 32 {
		t.Fatalf("key %v", k)
	}
	c.mustApply(submitted(2, "r", "b", "key")) // another queue, another key
	c.mustApply(endedJob(1, "q", "a"))
	if err := c.apply(submitted(3, "q", "c", "key")); !errors.Is(err, conflict) {
		t.Fatalf("the key made a second job after the first had ended: %v", err)
	}
	c.mustApply(forgotten(1, "q", "a"), submitted(3, "q", "c", "key"))
	if c.LiveJobs() != 2 || c.EndedJobs() != 0 || c.NextUID() != 4 {
		t.Fatalf("%d live, %d ended, next uid %d", c.LiveJobs(), c.EndedJobs(), c.NextUID())
	}
}

// Uids are given out before they are committed, so they may come in another order.
func TestUidsMayComeInAnyOrder(t *testing.T) {
	c := newCell(t)
	c.mustApply(queueSet("q"), submitted(9, "q", "a", ""), submitted(5, "q", "b", ""))
	if c.NextUID() != 10 {
		t.Fatalf("next uid is %d, and 9 was used", c.NextUID())
	}
	if _, err := LoadState(c.Entries()); err != nil {
		t.Fatal(err)
	}
}

func TestNamesAreUsedAgain(t *testing.T) {
	c := newCell(t)
	id := JobID{Queue: "q", Name: "a"}
	c.mustApply(queueSet("q"), submitted(5, "q", "a", ""))
	for name, ev := range map[string]*v1.Event{
		"a live job has the name":   submitted(6, "q", "a", ""),
		"the uid is taken":          submitted(5, "q", "b", ""),
		"there is no such queue":    submitted(6, "r", "b", ""),
		"a live job is forgotten":   forgotten(5, "q", "a"),
		"a queue with a live job":   removed("q"),
		"no such job to forget":     forgotten(6, "q", "a"),
		"forgotten by another name": forgotten(5, "q", "b"),
		"no such queue to remove":   removed("r"),
	} {
		if err := c.apply(ev); !errors.Is(err, &Fault{Err: ErrConflict}) {
			t.Errorf("%s: %v, want a conflict", name, err)
		}
	}
	c.mustApply(endedJob(5, "q", "a"))
	if err := c.apply(submitted(4, "q", "a", "")); !errors.Is(err, &Fault{Err: ErrConflict}) {
		t.Fatalf("a newer job with an older uid: %v", err)
	}
	c.mustApply(submitted(6, "q", "a", ""), endedJob(6, "q", "a"), submitted(7, "q", "a", ""))
	c.mustApply(forgotten(5, "q", "a"))
	if c.Newest(id).UID != 7 || c.Job(6) == nil || c.Job(5) != nil {
		t.Fatal("forgetting the oldest lost another")
	}
	c.mustApply(endedJob(7, "q", "a"), forgotten(7, "q", "a"))
	if c.Newest(id).UID != 6 {
		t.Fatalf("newest is %v, want the one before the forgotten", c.Newest(id))
	}
	c.mustApply(removed("q"))
	if c.Newest(id) != nil || c.Job(6) != nil || c.Queue("q") != nil || len(c.Jobs()) != 0 {
		t.Fatal("a removed queue left jobs behind")
	}
}

func TestSubmittedSpecsAreChecked(t *testing.T) {
	stage := func(n int64) []*v1.StageSpec { return []*v1.StageSpec{{Instances: n}} }
	for name, e := range map[string]*v1.JobSubmitted{
		"nil":            nil,
		"no uid":         {Spec: &v1.JobSpec{Queue: "q", Name: "a", Stages: stage(1)}},
		"uid wraps":      {Uid: 1<<64 - 1, Spec: &v1.JobSpec{Queue: "q", Name: "a", Stages: stage(1)}},
		"no name":        {Uid: 1, Spec: &v1.JobSpec{Queue: "q", Stages: stage(1)}},
		"no queue":       {Uid: 1, Spec: &v1.JobSpec{Name: "a", Stages: stage(1)}},
		"no stage":       {Uid: 1, Spec: &v1.JobSpec{Queue: "q", Name: "a"}},
		"no instance":    {Uid: 1, Spec: &v1.JobSpec{Queue: "q", Name: "a", Stages: stage(0)}},
		"minus instance": {Uid: 1, Spec: &v1.JobSpec{Queue: "q", Name: "a", Stages: stage(-1)}},
		"too many":       {Uid: 1, Spec: &v1.JobSpec{Queue: "q", Name: "a", Stages: stage(1 << 62)}},
	} {
		if _, err := NewJobState(e); !errors.Is(err, &Fault{Err: ErrInvalid}) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
}

func TestNodesJoinDrainAndGo(t *testing.T) {
	c := newCell(t)
	joined := func(id string, cpu int64) *v1.Event {
		return &v1.Event{Kind: &v1.Event_NodeJoined{NodeJoined: &v1.NodeJoined{Info: &v1.NodeInfo{Id: id, CpuMilli: cpu}}}}
	}
	drain := &v1.Event{Kind: &v1.Event_NodeDrained{NodeDrained: &v1.NodeDrained{Node: "n", Drained: true, Reason: "why"}}}
	gone := &v1.Event{Kind: &v1.Event_NodeRemoved{NodeRemoved: &v1.NodeRemoved{Node: "n"}}}
	if c.apply(drain) == nil || c.apply(gone) == nil || c.apply(joined("", 1)) == nil {
		t.Fatal("a node that is not there was drained or removed, or one without a name joined")
	}
	c.mustApply(joined("n", 1000), drain, joined("n", 2000))
	if n := c.Node("n"); n.Info.GetCpuMilli() != 2000 || !n.Drained || n.DrainReason != "why" {
		t.Fatalf("node %+v: joining again must not undo the drain", n)
	}
	c.mustApply(gone)
	if len(c.Nodes()) != 0 {
		t.Fatal("the node is still there")
	}
}

func TestSpecSum(t *testing.T) {
	a := &v1.JobSpec{Name: "a", Labels: map[string]string{"x": "1", "y": "2", "z": "3"}}
	b := &v1.JobSpec{Name: "a", Labels: map[string]string{"z": "3", "y": "2", "x": "1"}}
	if SpecSum(a) != SpecSum(b) {
		t.Fatal("equal specs, different sums")
	}
	if b.Rank = 1; SpecSum(a) == SpecSum(b) {
		t.Fatal("different specs, equal sums")
	}
}

func TestB41_TaintsAndMaintenanceAreKept(t *testing.T) {
	c := newCell(t)
	tainted := func(node string, keys ...string) *v1.Event {
		e := &v1.NodeTainted{Node: node}
		for _, k := range keys {
			e.Taints = append(e.Taints, &v1.Taint{Key: k, Effect: TaintEvict})
		}
		return &v1.Event{Kind: &v1.Event_NodeTainted{NodeTainted: e}}
	}
	if err := c.apply(tainted("n", "a")); !errors.Is(err, &Fault{Err: ErrConflict}) {
		t.Fatalf("tainted a node that is not there: %v", err)
	}
	c.mustApply(&v1.Event{Kind: &v1.Event_NodeJoined{NodeJoined: &v1.NodeJoined{Info: &v1.NodeInfo{Id: "n"}}}}, tainted("n", "a", "b"),
		&v1.Event{Kind: &v1.Event_NodeDrained{NodeDrained: &v1.NodeDrained{Node: "n", Drained: true, Maintenance: true, Evict: true}}})
	again, err := LoadState(c.Entries())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []*NodeState{c.Node("n"), again.Node("n")} {
		if len(n.Taints) != 2 || n.Taints[1].GetKey() != "b" || !n.Drained || !n.Maintenance || !n.Evict {
			t.Errorf("node %+v", n)
		}
	}
	c.mustApply(tainted("n"), &v1.Event{Kind: &v1.Event_NodeDrained{NodeDrained: &v1.NodeDrained{Node: "n"}}})
	if n := c.Node("n"); len(n.Taints) != 0 || n.Drained || n.Maintenance || n.Evict {
		t.Errorf("node %+v", n)
	}
}

func TestB39_EvictionsAreCountedAndTheNewestKept(t *testing.T) {
	c := newCell(t)
	job := submitted(1, "q", "a", "")
	job.GetJobSubmitted().Spec.Stages[0].Instances = 3
	c.mustApply(queueSet("q"), job)
	evicted := func(stage uint32, index, fence uint64) *v1.Event {
		return &v1.Event{Kind: &v1.Event_InstancesEvicted{InstancesEvicted: &v1.InstancesEvicted{
			Queue: "q", Name: "a", Uid: 1, Stage: stage, Evictions: []*v1.Eviction{{Index: index, Fence: fence}}}}}
	}
	for i := range uint64(30) {
		c.mustApply(evicted(0, i%3, i))
	}
	again, err := LoadState(c.Entries())
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range []*JobState{c.Job(1), c.Job(1).Clone(), again.Job(1)} {
		n, newest := j.Evictions(0)
		if n != 30 || len(newest) != EvictionsKept || newest[0].GetFence() != 10 || newest[19].GetFence() != 29 {
			t.Errorf("%d evictions, kept %v", n, newest)
		}
		if j.Counts(0).FailedAttempts != 0 || j.Failures(0, 0) != 0 {
			t.Error("an eviction counts as a failure")
		}
	}
	c.mustApply(&v1.Event{Kind: &v1.Event_JobProgressed{JobProgressed: &v1.JobProgressed{
		Queue: "q", Name: "a", Uid: 1, Done: []*v1.Range{{From: 0, To: 1}}}}})
	before := c.Digest()
	for name, ev := range map[string]*v1.Event{
		"done": evicted(0, 0, 1), "no such instance": evicted(0, 3, 1), "no such stage": evicted(1, 0, 1),
		"nobody": {Kind: &v1.Event_InstancesEvicted{InstancesEvicted: &v1.InstancesEvicted{Queue: "q", Name: "a", Uid: 1}}},
	} {
		if c.apply(ev) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if c.Digest() != before {
		t.Error("refused, yet the state changed")
	}
	c.mustApply(endedJob(1, "q", "a"))
	if c.apply(evicted(0, 1, 1)) == nil {
		t.Error("an ended job was evicted")
	}
}
