package trace

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/chaos/trace/swf"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// swf reads a log in the Standard Workload Format.
func (s *Source) swf() (*Workload, error) {
	log, err := swf.Load(s.Work)
	if err != nil {
		return nil, err
	}
	procs := log.Procs
	if s.Processors > 0 {
		procs = int64(s.Processors)
	}
	if procs <= 0 {
		return nil, errors.New("the log does not say how many processors there are; name them by --processors")
	}
	jobs, left := log.Rigid(procs)
	if len(jobs) == 0 {
		return nil, fmt.Errorf("none of the %d jobs of the log can be played on %d processors", left, procs)
	}
	w := SWF(jobs, procs)
	w.Left = left
	return w, nil
}

// SWF is rigid jobs on a machine of so many identical processors: one node, and each job one instance that takes a core a
// processor. What its user has asked for is the estimate, the user is the owner.
func SWF(jobs []swf.Rigid, procs int64) *Workload {
	w := &Workload{Nodes: []*v1.NodeInfo{{
		Id: "machine", CpuMilli: procs * 1000, MemoryBytes: procs * model.MinMemory, Drivers: []string{model.DriverProcess},
	}}}
	for i := range jobs {
		j := &jobs[i]
		stage := &v1.StageSpec{
			Name: stageName, Command: []string{"job"}, Resources: &v1.Resources{Cpu: fmt.Sprint(j.Procs), Memory: "1Mi"},
		}
		if j.Stated > 0 {
			// Some logs state centuries for no limit at all.
			stage.Duration = model.FormatDuration(time.Duration(min(j.Stated, int64(model.MaxDuration/time.Second))) * time.Second)
		}
		w.Jobs = append(w.Jobs, Job{
			At: time.Duration(j.Submit) * time.Second, Run: time.Duration(j.Run) * time.Second,
			Spec: &v1.JobSpec{Name: fmt.Sprintf("job-%d", i+1), Owner: fmt.Sprintf("user-%d", j.User), Stages: []*v1.StageSpec{stage}},
		})
	}
	return w
}
