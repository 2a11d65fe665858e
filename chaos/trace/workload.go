package trace

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Limits of a workload: what is beyond them is refused.
const (
	// MaxNodes is the most machines.
	MaxNodes = 100_000
	// MaxJobs is the most jobs.
	MaxJobs = 4_000_000
)

// Forever is the length of an attempt that runs until it is stopped.
const Forever = time.Duration(-1)

// Workload is machines, and the jobs that come to them.
type Workload struct {
	// Nodes in the order in which they join: of nodes that score the same the first wins.
	Nodes []*v1.NodeInfo
	// Queues that the jobs need, with what they are promised; the player makes those that are missing.
	Queues []*v1.QueueSpec
	// Jobs in the order of their arrival. Each has one stage, and a name that no other job of its queue has.
	Jobs []Job
	// Once says that jobs are tried once, in order, and withdrawn if there is no room; nothing departs.
	Once bool
	// Left is how many jobs of the source cannot be played.
	Left int
}

// Job is one arrival.
type Job struct {
	// At is when it comes, after the beginning.
	At time.Duration
	// Run is how long each of its attempts takes in truth; Forever for one that does not end by itself.
	Run  time.Duration
	Spec *v1.JobSpec
}

// check refuses what cannot be played, and puts the jobs in the order of their arrival.
func (w *Workload) check() error {
	switch {
	case len(w.Nodes) == 0:
		return fmt.Errorf("trace: the workload has no nodes")
	case len(w.Nodes) > MaxNodes:
		return fmt.Errorf("trace: %d nodes, at most %d", len(w.Nodes), MaxNodes)
	case len(w.Jobs) == 0:
		return fmt.Errorf("trace: the workload has no jobs")
	case len(w.Jobs) > MaxJobs:
		return fmt.Errorf("trace: %d jobs, at most %d", len(w.Jobs), MaxJobs)
	}
	seen := make(map[model.JobID]bool, len(w.Jobs))
	for i := range w.Jobs {
		j := &w.Jobs[i]
		id := jobID(j.Spec)
		switch {
		case len(j.Spec.GetStages()) != 1:
			return fmt.Errorf("trace: job %s has %d stages, it must have one", id, len(j.Spec.GetStages()))
		case seen[id]:
			return fmt.Errorf("trace: job %s is there twice", id)
		case j.At < 0:
			return fmt.Errorf("trace: job %s comes %v before the beginning", id, -j.At)
		}
		seen[id] = true
	}
	if !w.Once {
		slices.SortStableFunc(w.Jobs, func(a, b Job) int { return cmp.Compare(a.At, b.At) })
	}
	return nil
}

func jobID(s *v1.JobSpec) model.JobID {
	return model.JobID{Queue: cmp.Or(s.GetQueue(), model.DefaultQueue), Name: s.GetName()}
}

// Policy is how the queues of a workload decide. Empty fields leave it to the workload, or to the default.
type Policy struct {
	// Score chooses nodes; see v1.Score.
	Score string
	// Order, Backfill and Predict of waiting work; see v1.QueueSpec.
	Order, Backfill, Predict string
}

// apply writes the policy into a queue.
func (p Policy) apply(q *v1.QueueSpec) {
	if p.Score != "" {
		q.Score = &v1.Score{By: p.Score}
	}
	q.Order, q.Backfill, q.Predict = cmp.Or(p.Order, q.Order), cmp.Or(p.Backfill, q.Backfill), cmp.Or(p.Predict, q.Predict)
}

// queues lists every queue that the workload needs, by name, with the policy written in.
func (w *Workload) queues(p Policy) []*v1.QueueSpec {
	byName := map[string]*v1.QueueSpec{}
	add := func(q *v1.QueueSpec) {
		if byName[q.GetName()] == nil {
			p.apply(q)
			byName[q.GetName()] = q
		}
	}
	for _, q := range w.Queues {
		add(proto.CloneOf(q))
	}
	for i := range w.Jobs {
		if name := jobID(w.Jobs[i].Spec).Queue; byName[name] == nil {
			add(&v1.QueueSpec{Name: name})
		}
	}
	list := make([]*v1.QueueSpec, 0, len(byName))
	for _, q := range byName { //order: sorted below
		list = append(list, q)
	}
	slices.SortFunc(list, func(a, b *v1.QueueSpec) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return list
}
