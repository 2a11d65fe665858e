package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/chaos/history"
	"github.com/troupe-sched/troupe/cluster/api"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// callWithin is how long a client that is judged waits for one answer, tries and all.
	callWithin = 10 * time.Second
	// namesFor is how long clients use the same names, and namesMany how many: few operations a name can be judged
	// quickly, and many clients a name make it worth while.
	namesFor  = 2 * time.Second
	namesMany = 3
)

// client asks one thing after another about names that all clients share.
func (l *Load) client(ctx context.Context, number int) {
	r := rand.New(rand.NewPCG(uint64(number), 0x636c69))
	for wait(ctx, l.w.Think.Std()/2+time.Duration(r.Int64N(int64(l.w.Think)+1))) {
		name := fmt.Sprintf("shared-%d-%d", time.Since(l.begun)/namesFor, r.IntN(namesMany))
		op := history.Op{Client: number, Job: api.DefaultQueue + "/" + name}
		// It ends by its own time: an answer that comes after the end of the load is still an answer.
		calling, cancel := context.WithTimeout(context.WithoutCancel(ctx), callWithin)
		op.Call = int64(time.Since(l.begun))
		switch n := r.IntN(10); {
		case n < 4:
			l.askSubmit(calling, &op, name, r.IntN(2))
		case n < 8:
			l.askStatus(calling, &op, name)
		default:
			l.askStop(calling, &op, name)
		}
		op.Return = int64(time.Since(l.begun))
		cancel()
		l.keep(op)
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// keep keeps an operation for the judge and for the timeline.
func (l *Load) keep(op history.Op) {
	o := Operation{Kind: string(op.Kind), Begun: l.begun.Add(time.Duration(op.Call)), Done: l.begun.Add(time.Duration(op.Return))}
	if op.Outcome == history.Unknown {
		o.Err = op.Error
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.history = append(l.history, op)
	l.operations = append(l.operations, o)
}

// askSubmit submits one of two variants under a name, each with a key of its own.
func (l *Load) askSubmit(ctx context.Context, op *history.Op, name string, variant int) {
	op.Kind, op.Key, op.Spec = history.Submit, fmt.Sprintf("%s-%d", name, variant), fmt.Sprint(variant)
	spec := l.batch(name, 1)
	spec.Rank = int32(variant)
	reply, err := l.cell.Submit(ctx, &v1.SubmitRequest{Job: spec, Key: op.Key})
	switch {
	case err == nil:
		op.Outcome, op.UID, op.Created = history.Done, reply.GetUid(), reply.GetCreated()
	case codeOf(err) == model.ErrConflict:
		op.Outcome, op.Error = history.Conflict, err.Error()
	default:
		unknown(op, err)
	}
}

func (l *Load) askStatus(ctx context.Context, op *history.Op, name string) {
	op.Kind = history.Status
	reply, err := l.cell.JobStatus(ctx, &v1.JobRef{Queue: api.DefaultQueue, Name: name})
	if err == nil {
		op.Outcome, op.UID, op.Phase = history.Done, reply.GetUid(), reply.GetPhase()
		return
	}
	unknown(op, err)
}

func (l *Load) askStop(ctx context.Context, op *history.Op, name string) {
	op.Kind = history.Stop
	reply, err := l.cell.StopJob(ctx, &v1.StopRequest{Queue: api.DefaultQueue, Name: name, Reason: "chaos"})
	if err == nil {
		op.Outcome, op.Phase = history.Done, reply.GetPhase()
		return
	}
	unknown(op, err)
}

// unknown notes an answer that was none. A cell that was busy in the end may have been something else in an attempt before,
// so that too leaves open what became of it.
func unknown(op *history.Op, err error) {
	op.Outcome, op.Error = history.Unknown, err.Error()
	if codeOf(err) == model.ErrNotFound && op.Kind != history.Submit {
		op.Outcome = history.Absent
	}
}
