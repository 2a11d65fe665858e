package history

import (
	"context"
	"errors"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/api"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Client asks a cell and writes down what it is told.
type Client struct {
	// Number of this client in the history.
	Number int
	Cell   api.Cell
	// Now is the clock of the history, in nanoseconds.
	Now func() int64
}

// Submit submits a job under a key; spec tells equal jobs from others.
func (c Client) Submit(ctx context.Context, job *v1.JobSpec, key, spec string) Op {
	op := Op{Kind: Submit, Key: key, Spec: spec}
	c.ask(&op, job.GetQueue(), job.GetName(), func() error {
		r, err := c.Cell.Submit(ctx, &v1.SubmitRequest{Job: job, Key: key})
		op.UID, op.Created = r.GetUid(), r.GetCreated()
		return err
	})
	return op
}

// Status asks where a job stands.
func (c Client) Status(ctx context.Context, queue, name string) Op {
	op := Op{Kind: Status}
	c.ask(&op, queue, name, func() error {
		r, err := c.Cell.JobStatus(ctx, &v1.JobRef{Queue: queue, Name: name})
		op.UID, op.Phase = r.GetUid(), r.GetPhase()
		return err
	})
	return op
}

// Stop asks a job to end: the one of a uid, or if that is 0 the one that has the name when it is asked.
func (c Client) Stop(ctx context.Context, queue, name string, uid uint64) Op {
	op := Op{Kind: Stop, UID: uid}
	c.ask(&op, queue, name, func() error {
		r, err := c.Cell.StopJob(ctx, &v1.StopRequest{Queue: queue, Name: name, Uid: uid})
		op.Phase = r.GetPhase()
		return err
	})
	return op
}

// List looks for a name on the first page of a queue's jobs, which should be all.
func (c Client) List(ctx context.Context, queue, name string) Op {
	op := Op{Kind: List}
	c.ask(&op, queue, name, func() error {
		r, err := c.Cell.ListJobs(ctx, &v1.ListJobsRequest{Queue: queue, Ended: true})
		for _, job := range r.GetJobs() {
			if job.GetName() == name {
				op.UID, op.Phase = job.GetUid(), job.GetPhase()
			}
		}
		if err == nil && r.GetNext() == "" && op.UID == 0 {
			op.Outcome = Absent
		}
		return err
	})
	return op
}

// ask times one question and writes down its outcome.
func (c Client) ask(op *Op, queue, name string, do func() error) {
	if queue == "" {
		queue = api.DefaultQueue
	}
	op.Client, op.Job, op.Call = c.Number, queue+"/"+name, c.Now()
	err := do()
	op.Return = c.Now()
	switch {
	case err != nil:
		op.Outcome, op.Error = OutcomeOf(op.Kind, err), err.Error()
	case op.Outcome == "":
		op.Outcome = Done
	}
}

// OutcomeOf is what an error tells of what became of a question. A client may have tried more than once: who was busy in
// the end may have done it at first.
func OutcomeOf(k Kind, err error) Outcome {
	var f *model.Fault
	switch {
	case !errors.As(err, &f):
		return Unknown
	case f.Err == model.ErrNotFound && k == Submit, f.Err == model.ErrInvalid, f.Err == model.ErrTooLarge:
		return Refused
	case f.Err == model.ErrNotFound && k == Stop:
		return Unknown // there is no such job, or it was another one that was meant, which may have been stopped at first
	case f.Err == model.ErrNotFound:
		return Absent
	case f.Err == model.ErrConflict && k == Submit:
		return Conflict
	}
	return Unknown
}
