package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/troupe-sched/troupe/chaos/history"
	"github.com/troupe-sched/troupe/chaos/pause"
	"github.com/troupe-sched/troupe/cluster/api"
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
	asks := history.Client{Number: number, Cell: l.cell, Now: func() int64 { return int64(time.Since(l.begun)) }}
	for pause.For(ctx, l.w.Think.Std()/2+time.Duration(r.Int64N(int64(l.w.Think)+1))) == nil {
		name := fmt.Sprintf("%sshared-%d-%d", l.files.Prefix, time.Since(l.begun)/namesFor, r.IntN(namesMany))
		// It ends by its own time: an answer that comes after the end of the load is still an answer.
		calling, cancel := context.WithTimeout(context.WithoutCancel(ctx), callWithin)
		switch n := r.IntN(10); {
		case n < 4: // one of two variants, each with a key of its own
			variant := r.IntN(2)
			job := l.batch(name, 1)
			job.Labels = map[string]string{"variant": fmt.Sprint(variant)} // and not its rank, or one would evict the other
			l.keep(asks.Submit(calling, job, fmt.Sprintf("%s-%d", name, variant), fmt.Sprint(variant)))
		case n < 7:
			l.keep(asks.Status(calling, api.DefaultQueue, name))
		case n < 8:
			l.keep(asks.List(calling, api.DefaultQueue, name))
		default:
			l.keep(asks.Stop(calling, api.DefaultQueue, name, 0))
		}
		cancel()
	}
}

// keep keeps an operation for the judge and for the timeline.
func (l *Load) keep(op history.Op) {
	o := Operation{Kind: string(op.Kind), Begun: l.begun.Add(time.Duration(op.Call)), Done: l.begun.Add(time.Duration(op.Return))}
	// Of a stop of a job that is not there nobody knows what became of it, but it was answered.
	if op.Outcome == history.Unknown && op.Return-op.Call >= int64(callWithin) {
		o.Err = op.Error
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.history = append(l.history, op)
	l.operations = append(l.operations, o)
}
