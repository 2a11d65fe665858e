package replay_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/cluster/store/decisions"
	"github.com/troupe-sched/troupe/node/hollow"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// BenchmarkX2_Recording shows what recording costs where it costs most: many small jobs whose attempts take no time, so that
// the placer decides as fast as it can.
func BenchmarkX2_Recording(b *testing.B) {
	for _, on := range []bool{false, true} {
		b.Run(map[bool]string{false: "off", true: "on"}[on], func(b *testing.B) { recording(b, on) })
	}
}

func recording(b *testing.B, on bool) {
	var cell atomic.Pointer[actors.Cell]
	fleet := hollow.New(hollow.Options{
		Nodes: 200, Info: &v1.NodeInfo{CpuMilli: 16_000, MemoryBytes: 64 << 30, Drivers: []string{"process"}},
		Deliver: func(m *v1.FromAgent) {
			if c := cell.Load(); c != nil {
				c.Deliver(m)
			}
		},
	})
	o := actors.Options{Fabric: fleet}
	dir := b.TempDir()
	if on {
		rec, err := decisions.Open(decisions.Options{Dir: dir, Size: 64 << 20})
		if err != nil {
			b.Fatal(err)
		}
		defer rec.Close()
		o.Record = rec.Tap
	}
	c, err := actors.Open(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close(context.WithoutCancel(b.Context()))
	cell.Store(c)
	fleet.Start()
	const jobs, instances = 2000, 5
	round, before := 0, cpu(b)
	for b.Loop() {
		var wait sync.WaitGroup
		for w := range 16 {
			wait.Add(1)
			go func() {
				defer wait.Done()
				for i := w; i < jobs; i += 16 {
					job := &v1.JobSpec{Name: fmt.Sprintf("job-%d-%d", round, i), Stages: []*v1.StageSpec{{
						Name: "s", Command: []string{"x"}, Instances: instances, Resources: &v1.Resources{Cpu: "100m", Memory: "64Mi"}}}}
					if _, err := c.Submit(b.Context(), &v1.SubmitRequest{Job: job}); err != nil {
						b.Error(err)
						return
					}
					if _, err := c.Wait(b.Context(), &v1.JobRef{Name: job.Name}); err != nil {
						b.Error(err)
						return
					}
				}
			}()
		}
		wait.Wait()
		round++
	}
	b.ReportMetric(float64(round*jobs)/b.Elapsed().Seconds(), "jobs/s")
	// On a machine that others use, too, this is what tells.
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(round*jobs), "cpu-us/job")
	size := int64(0)
	files, _ := decisions.Files(dir)
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			size += info.Size()
		}
	}
	b.ReportMetric(float64(size)/float64(round*jobs), "bytes/job")
}

// cpu is the time of processors that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
