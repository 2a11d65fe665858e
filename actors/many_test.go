package actors_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// submitMany submits jobs side by side; what is refused as busy is tried again after the time that the refusal names.
func submitMany(ctx context.Context, c *actors.Cell, jobs, clients int) (refused int64, err error) {
	var busy, next atomic.Int64
	errs := make([]error, clients)
	var wait sync.WaitGroup
	for w := range clients {
		wait.Go(func() {
			for i := next.Add(1) - 1; i < int64(jobs) && errs[w] == nil; i = next.Add(1) - 1 {
				job := &v1.JobSpec{Name: fmt.Sprintf("j%d", i), Stages: []*v1.StageSpec{stage("s", 10)}}
				for {
					_, err := c.Submit(ctx, &v1.SubmitRequest{Job: job, Key: job.Name})
					fault := model.FaultOf(err)
					if !errors.Is(err, model.Busy(0, "")) {
						errs[w] = err
						break
					}
					busy.Add(1)
					select {
					case <-time.After(fault.RetryAfter / 20): // the refusals are what is to be seen
					case <-ctx.Done():
						errs[w] = ctx.Err()
					}
				}
			}
		})
	}
	wait.Wait()
	return busy.Load(), errors.Join(errs...)
}

// ended waits until so many jobs have ended.
func (th *theatre) ended(jobs int) {
	th.eventually(func() bool {
		s, err := th.cell.Load().CellStatus(th.ctx, &v1.CellStatusRequest{})
		return err == nil && s.GetJobsEnded() == uint64(jobs)
	})
}

func TestM1_M3_MoreJobsThanTheLimitAreRefusedAndComeAgain(t *testing.T) {
	th := open(t, 4, "", nil)
	if err := th.cell.Load().Close(th.ctx); err != nil {
		t.Fatal(err)
	}
	th.opts.Limits = msg.DefaultLimits()
	th.opts.Limits.Jobs = 20
	c := th.start()
	th.fleet.Start()
	refused, err := submitMany(th.ctx, c, 100, 40)
	if err != nil {
		t.Fatal(err)
	}
	th.ended(100)
	if refused == 0 {
		t.Error("a hundred jobs at once were taken by a cell that may have twenty")
	}
}

// BenchmarkM1_TenThousandJobsAtOnce submits them by 64 clients to a cell with a journal on disk and waits for all.
func BenchmarkM1_TenThousandJobsAtOnce(b *testing.B) {
	const jobs = 10_000
	for b.Loop() {
		th := openFor(b, 100, b.TempDir(), nil)
		if _, err := submitMany(th.ctx, th.cell.Load(), jobs, 64); err != nil {
			b.Fatal(err)
		}
		th.ended(jobs)
		_ = th.cell.Load().Close(th.ctx)
	}
	b.ReportMetric(jobs*float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}
