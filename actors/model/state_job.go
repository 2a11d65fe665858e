package model

import (
	"fmt"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// The phases in which a job can end. A job that lives has phase "".
const (
	PhaseSucceeded = "succeeded"
	PhaseFailed    = "failed"
	PhaseStopped   = "stopped"
)

// JobState is the hard state of one job: the journal keeps one of each job, and the job's actor its own clone, changed
// by the same events. Its fields are changed by Apply alone. Events given to it are frozen, it keeps parts of them.
type JobState struct {
	UID UID
	ID  JobID
	// Spec is the submitted spec with all defaults filled in.
	Spec *v1.JobSpec
	// Key is the idempotency key of the submission, empty if it had none.
	Key               string
	SubmittedUnixNano int64
	StopRequested     bool
	StopReason        string
	// Phase is empty while the job lives, then one of the Phase constants for ever.
	Phase         string
	Reason        string
	EndedUnixNano int64
	stages        []stageState
}

// NewJobState is the job as it is submitted.
func NewJobState(e *v1.JobSubmitted) (*JobState, error) {
	spec := e.GetSpec()
	j := &JobState{
		UID: UID(e.GetUid()), ID: JobID{Queue: spec.GetQueue(), Name: spec.GetName()},
		Spec: spec, Key: e.GetKey(), SubmittedUnixNano: e.GetTimeUnixNano(),
		stages: make([]stageState, len(spec.GetStages())),
	}
	switch {
	case j.UID == 0 || j.UID >= uidMax:
		return nil, Invalid(fmt.Sprintf("job_submitted with uid %d: it must be from 1 to %d", j.UID, uidMax-1))
	case j.ID.Queue == "" || j.ID.Name == "":
		return nil, Invalid(fmt.Sprintf("job_submitted of uid %d: it needs the names of queue and job, but has %q", j.UID, j.ID))
	case len(j.stages) == 0:
		return nil, Invalid(fmt.Sprintf("job %s has no stages", j.ID))
	}
	for i, stage := range spec.GetStages() {
		if n := stage.GetInstances(); n < 1 || n > instancesHeldMax {
			return nil, Invalid(fmt.Sprintf("job %s: stages[%d].instances is %d: it must be from 1 to %d", j.ID, i, n, int64(instancesHeldMax)))
		}
		j.stages[i].instances = uint64(stage.GetInstances())
	}
	return j, nil
}

// uidMax keeps uid+1 from wrapping.
const uidMax = UID(1) << 62

// Ended reports whether the job is over.
func (j *JobState) Ended() bool { return j.Phase != "" }

// Stages is the number of stages.
func (j *JobState) Stages() int { return len(j.stages) }

// Done reports whether an instance has succeeded.
func (j *JobState) Done(stage int, index uint64) bool { return j.stages[stage].isDone(index) }

// Dead reports whether an instance has failed for good.
func (j *JobState) Dead(stage int, index uint64) bool { return j.stages[stage].isDead(index) }

// StageDone reports whether all instances of a stage have succeeded.
func (j *JobState) StageDone(stage int) bool {
	return j.stages[stage].doneCount == j.stages[stage].instances
}

// AllDone reports whether all instances of all stages have succeeded.
func (j *JobState) AllDone() bool {
	for i := range j.stages {
		if !j.StageDone(i) {
			return false
		}
	}
	return true
}

// NextOpen returns the first instance from index from on that is neither done nor dead, and whether there is one.
func (j *JobState) NextOpen(stage int, from uint64) (index uint64, found bool) {
	return j.stages[stage].nextOpen(from)
}

// StageCounts are the numbers of one stage's hard state.
type StageCounts struct {
	// Instances = Done + Dead + those still open.
	Instances, Done, Dead uint64
	// FailedAttempts counts every failure there was, also those of instances that succeeded later.
	FailedAttempts uint64
	// ResultBytes is the size of all results together.
	ResultBytes uint64
}

// Open is the number of instances that are neither done nor dead.
func (c StageCounts) Open() uint64 { return c.Instances - c.Done - c.Dead }

// Counts returns the numbers of a stage.
func (j *JobState) Counts(stage int) StageCounts {
	s := &j.stages[stage]
	return StageCounts{
		Instances: s.instances, Done: s.doneCount, Dead: s.deadCount,
		FailedAttempts: s.failedAttempts, ResultBytes: s.resultBytes,
	}
}

// Failures is the number of failed attempts of an instance that is not done; 0 once it is.
func (j *JobState) Failures(stage int, index uint64) uint32 {
	return j.stages[stage].failures[index].GetFailures()
}

// LastFailure is the newest failure of an instance that is not done, nil if there is none.
func (j *JobState) LastFailure(stage int, index uint64) *v1.InstanceFailure {
	return j.stages[stage].failures[index]
}

// StageFailures lists the newest failure of each instance that is not done, by index.
func (j *JobState) StageFailures(stage int) []*v1.InstanceFailure {
	return sortedValues(j.stages[stage].failures)
}

// Result is what one instance has left. It is frozen.
type Result struct {
	Index uint64
	Data  []byte
}

// Results lists the non-empty results of a stage by index. The list is frozen: later events do not change it.
func (j *JobState) Results(stage int) []Result { return j.stages[stage].sortedResults() }

// Evictions is how often attempts of a stage were ended for somebody else, and the newest EvictionsKept of these
// evictions, oldest first. The list is frozen: later events do not change it.
func (j *JobState) Evictions(stage int) (uint64, []*v1.Eviction) {
	return j.stages[stage].evicted, j.stages[stage].evictions
}

// Clone is a copy that shares only what is frozen. It costs the done bitmaps and failures, not the results.
func (j *JobState) Clone() *JobState {
	c := *j
	c.stages = make([]stageState, len(j.stages))
	for i := range j.stages {
		c.stages[i] = j.stages[i].clone()
	}
	return &c
}

// Apply changes the job by one event of its own; all of it or, with an error, nothing. Terminal states are final: for a
// job that has ended, and for an instance that is done or dead, any further settling is a *Fault of ErrConflict.
func (j *JobState) Apply(ev *v1.Event) error {
	switch k := ev.GetKind().(type) {
	case *v1.Event_JobStopRequested:
		e := k.JobStopRequested
		if err := j.mine(e.GetUid(), e.GetQueue(), e.GetName()); err != nil {
			return err
		}
		if !j.StopRequested { // the first reason stands
			j.StopRequested, j.StopReason = true, e.GetReason()
		}
		return nil
	case *v1.Event_JobProgressed:
		e := k.JobProgressed
		if err := j.mine(e.GetUid(), e.GetQueue(), e.GetName()); err != nil {
			return err
		}
		if int64(e.GetStage()) >= int64(len(j.stages)) {
			return Invalid(fmt.Sprintf("job %s has %d stages, there is no stage %d", j.ID, len(j.stages), e.GetStage()))
		}
		if err := j.stages[e.GetStage()].progress(e); err != nil {
			return fmt.Errorf("job %s, stage %d: %w", j.ID, e.GetStage(), err)
		}
		return nil
	case *v1.Event_InstancesEvicted:
		e := k.InstancesEvicted
		if err := j.mine(e.GetUid(), e.GetQueue(), e.GetName()); err != nil {
			return err
		}
		if int64(e.GetStage()) >= int64(len(j.stages)) {
			return Invalid(fmt.Sprintf("job %s has %d stages, there is no stage %d", j.ID, len(j.stages), e.GetStage()))
		}
		if err := j.stages[e.GetStage()].evict(e.GetEvictions()); err != nil {
			return fmt.Errorf("job %s, stage %d: %w", j.ID, e.GetStage(), err)
		}
		return nil
	case *v1.Event_JobEnded:
		return j.end(k.JobEnded)
	}
	return Invalid(fmt.Sprintf("job %s: the event is not one of a submitted job", j.ID))
}

func (j *JobState) end(e *v1.JobEnded) error {
	if err := j.mine(e.GetUid(), e.GetQueue(), e.GetName()); err != nil {
		return err
	}
	switch phase := e.GetPhase(); {
	case phase != PhaseSucceeded && phase != PhaseFailed && phase != PhaseStopped:
		return Invalid(fmt.Sprintf("job %s cannot end as %q: it must be %q, %q or %q", j.ID, phase, PhaseSucceeded, PhaseFailed, PhaseStopped))
	case phase == PhaseSucceeded && !j.AllDone():
		return Conflict("job %s cannot have succeeded: not all of its instances are done", j.ID)
	}
	j.Phase, j.Reason, j.EndedUnixNano = e.GetPhase(), e.GetReason(), e.GetTimeUnixNano()
	return nil
}

// mine refuses events of other jobs, and all events once the job has ended.
func (j *JobState) mine(uid uint64, queue, name string) error {
	if uid != uint64(j.UID) {
		return Conflict("job %s has uid %d, the event is of uid %d", j.ID, j.UID, uid)
	}
	if err := j.named(queue, name); err != nil {
		return err
	}
	if j.Ended() {
		return Conflict("job %s (uid %d) has ended as %q, which is final", j.ID, j.UID, j.Phase)
	}
	return nil
}

func (j *JobState) named(queue, name string) error {
	if (JobID{Queue: queue, Name: name}) != j.ID {
		return Conflict("uid %d is job %s, the event names it %s/%s", j.UID, j.ID, queue, name)
	}
	return nil
}
