package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

const (
	// pollTerminal is the pace of the drawing, pollPlain that of lines. Events make it faster at the end only: a job of
	// a million instances must not be asked for its status as often as it moves.
	pollTerminal = 200 * time.Millisecond
	pollPlain    = 500 * time.Millisecond
	// silenceMax bounds how long a cell may be out of reach while its job is waited for.
	silenceMax = 2 * time.Minute
	// whyAfter is how long nothing may run before it is asked why, and whyEvery the pace of asking again.
	whyAfter, whyEvery = 2 * time.Second, 5 * time.Second
)

// follower waits for the end of a job and draws its progress.
type follower struct {
	app  *App
	cell Cell
	// live shows the progress; nil shows nothing.
	live        *view.Live
	queue, name string
	// uid is the job's identity; 0 means whichever has the name.
	uid uint64

	progress view.Progress
	heard    time.Time
	// pace is the time between two looks, idle how long nothing has run, ask when it is asked next why.
	pace, idle, ask time.Duration
}

// follow returns the status of the job when it has ended, or ctx's error.
func (f *follower) follow(ctx context.Context) (*v1.JobStatus, error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	events, err := f.cell.Watch(watching, f.queue, f.name)
	if err != nil {
		events = nil // only the pace suffers
	}
	f.pace = pollPlain
	if f.app.Err.Terminal {
		f.pace = pollTerminal
	}
	tick := time.NewTicker(f.pace)
	defer tick.Stop()
	f.heard = f.app.Now()
	for {
		status, err := f.look(ctx)
		if err != nil || status != nil {
			return status, err
		}
		if events, err = f.pause(ctx, events, tick.C); err != nil {
			return nil, err
		}
	}
}

// pause waits for the next moment to look: the tick, or the event that ends the job.
func (f *follower) pause(ctx context.Context, events <-chan *v1.JobEvent, tick <-chan time.Time) (<-chan *v1.JobEvent, error) {
	for {
		select {
		case <-ctx.Done():
			return events, ctx.Err()
		case <-tick:
			return events, nil
		case e, ok := <-events:
			if !ok {
				return nil, nil
			}
			if e.GetKind() == "ended" {
				return events, nil
			}
		}
	}
}

// look asks once; it returns the status if the job has ended.
func (f *follower) look(ctx context.Context) (*v1.JobStatus, error) {
	status, err := bounded(ctx, f.app, func(ctx context.Context) (*v1.JobStatus, error) {
		return f.cell.JobStatus(ctx, &v1.JobRef{Queue: f.queue, Name: f.name})
	})
	now := f.app.Now()
	var fault *model.Fault
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &fault) && fault.Temporary() && now.Sub(f.heard) < silenceMax:
		return nil, nil
	case err != nil:
		return nil, err
	case f.uid != 0 && status.GetUid() != f.uid:
		return nil, fmt.Errorf("%s/%s is another job now: the one that was waited for has ended", f.queue, f.name)
	}
	f.heard = now
	ended := terminal(status.GetPhase())
	f.progress.Update(now, status)
	if f.live != nil {
		f.wonder(ctx, status)
		f.live.Draw(now, f.progress.Lines(f.app.Err.width()), f.progress.Line(), ended)
	}
	if ended {
		return status, nil
	}
	return nil, nil
}

// wonder finds out why nothing of a job runs, if that has lasted.
func (f *follower) wonder(ctx context.Context, status *v1.JobStatus) {
	c, phase := status.GetCounts(), status.GetPhase()
	if c.GetWaiting() == 0 || c.GetRunning() > 0 || phase == "stopping" || terminal(phase) {
		f.idle, f.ask, f.progress.Why = 0, 0, ""
		return
	}
	if f.idle += f.pace; f.idle < max(f.ask, whyAfter) {
		return
	}
	f.ask = f.idle + whyEvery
	reply, err := bounded(ctx, f.app, func(ctx context.Context) (*v1.ExplainReply, error) {
		return f.cell.Explain(ctx, &v1.ExplainRequest{Queue: f.queue, Name: f.name})
	})
	if err != nil {
		return // it is a comfort only
	}
	for _, s := range reply.GetStages() {
		if s.GetWantedSlots() > s.GetHeldSlots() {
			f.progress.Why = cmp.Or(s.GetRemedy(), s.GetSummary(), reply.GetSummary())
			return
		}
	}
}

// terminal reports whether a phase is final.
func terminal(phase string) bool {
	return phase == "succeeded" || phase == "failed" || phase == "stopped"
}

// await shows the progress of a job that was submitted, then its outcome. It fails with exit code 1 if the job did not
// succeed. If ctx ends the job goes on.
func (a *App) await(ctx context.Context, cell Cell, job *v1.SubmitReply) error {
	live := view.NewLive(a.Err, a.Err.Terminal)
	f := follower{app: a, cell: cell, live: live, queue: job.GetQueue(), name: job.GetName(), uid: job.GetUid()}
	status, err := f.follow(ctx)
	if errors.Is(context.Cause(ctx), errInterrupted) {
		a.note(a.Err, func(p *view.Page) {
			p.Line("%s", view.Clean(fmt.Sprintf("interrupted: the job goes on; see troupe job status %s%s", job.GetName(), queueHint(job.GetQueue()))))
		})
		return &exitError{code: exitInterrupted}
	}
	if err != nil {
		return err
	}
	live.Clear()
	return a.outcome(ctx, cell, status)
}
