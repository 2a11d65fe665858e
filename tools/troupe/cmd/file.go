package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/troupe-sched/troupe/actors/jobfile"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// jobFile is a job file that was read.
type jobFile struct {
	doc *jobfile.Document
	// spec is the job to submit: the file's, with what flags say put in.
	spec *v1.JobSpec
}

// readJob reads a job file, or the standard input for "-". A queue that is not empty goes over the file's.
func (a *App) readJob(name, queue string) (*jobFile, error) {
	data, shown, err := a.readAll(name)
	if err != nil {
		return nil, err
	}
	doc, err := jobfile.Parse(shown, data)
	if err != nil {
		return nil, err
	}
	if queue != "" {
		doc.Spec.Queue = queue
	}
	return &jobFile{doc: doc, spec: doc.Spec}, nil
}

func (a *App) readAll(name string) (data []byte, shown string, err error) {
	in, shown := a.In, "stdin"
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, name, fmt.Errorf("%w (name a job file, or - for the standard input)", err)
		}
		defer f.Close()
		in, shown = f, name
	}
	// One byte more than allowed is enough to know that it is too much; the parser says so.
	if data, err = io.ReadAll(io.LimitReader(in, jobfile.MaxBytes+1)); err != nil {
		return nil, shown, fmt.Errorf("read %s: %w", shown, err)
	}
	return data, shown, nil
}

// validate compiles the job as a cell would.
func (f *jobFile) validate() (*v1.ValidateReply, error) {
	plan, wrong := model.Compile(f.spec)
	if wrong != nil {
		return nil, f.doc.Refuse(wrong)
	}
	reply := &v1.ValidateReply{Job: plan.Spec}
	for _, s := range plan.Stages {
		reply.Instances += s.Instances
	}
	return reply, nil
}

// explain makes of a cell's refusal of fields one that names their places in the file; other errors stay as they are.
func (f *jobFile) explain(err error) error {
	var fault *model.Fault
	if errors.As(err, &fault) && fault.Err == model.ErrInvalid && len(fault.Fields) > 0 {
		return f.doc.Refuse(fault.Fields)
	}
	return err
}
