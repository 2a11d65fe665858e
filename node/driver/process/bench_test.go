//go:build linux || darwin

package process_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/node/driver"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// BenchmarkAttempts runs /bin/true through driver and shims on some slots, and by a bare loop of fork, exec and wait on
// as many goroutines, in turn in the same run. The ratio is what attempts cost us.
func BenchmarkAttempts(b *testing.B) {
	for _, slots := range []int{1, 4, 8} {
		b.Run(fmt.Sprintf("slots=%d", slots), func(b *testing.B) { benchAttempts(b, slots) })
	}
}

func benchAttempts(b *testing.B, slots int) {
	program, err := exec.LookPath("true")
	if err != nil {
		b.Skip(err)
	}
	run := newBenchRun(b, slots, program)
	defer run.close()
	run.attempts(10 * slots) // shims are up
	const rounds = 4
	var ours, bare, oursCPU, bareCPU time.Duration
	b.ResetTimer()
	for range rounds {
		n := max(b.N/rounds, slots)
		start, startCPU := time.Now(), familyCPU()
		bareLoop(b, n, slots, program)
		middle, middleCPU := time.Now(), familyCPU()
		run.attempts(n)
		bare, ours = bare+middle.Sub(start), ours+time.Since(middle)
		bareCPU, oursCPU = bareCPU+middleCPU-startCPU, oursCPU+familyCPU()-middleCPU
	}
	n := float64(max(b.N/rounds, slots) * rounds)
	b.ReportMetric(n/ours.Seconds(), "attempts/s")
	b.ReportMetric(n/bare.Seconds(), "bare/s")
	b.ReportMetric(bare.Seconds()/ours.Seconds(), "ratio")
	if oursCPU > 0 {
		b.ReportMetric(float64(oursCPU.Microseconds())/n, "cpu-µs")
		b.ReportMetric(float64(bareCPU.Microseconds())/n, "bare-cpu-µs")
	}
	b.ReportMetric(0, "ns/op")
}

// bareLoop is what a program can do that only starts others and waits for them.
func bareLoop(b *testing.B, n, parallel int, program string) {
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	for range parallel {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				p, err := os.StartProcess(program, []string{program}, &os.ProcAttr{})
				if err == nil {
					_, err = p.Wait()
				}
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// familyCPU is the time that this process, its living children and all that these have waited for have used so far; 0
// where the system does not tell. On a busy machine it says more than the clock.
func familyCPU() time.Duration {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	self := os.Getpid()
	ticks := 0
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if parent, _ := strconv.Atoi(f[1]); parent != self && pid != self {
			continue
		}
		for _, field := range f[11:15] { // utime, stime, and those of the children waited for
			n, _ := strconv.Atoi(field)
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

type benchRun struct {
	b        *testing.B
	d        driver.Driver
	slots    int
	template *v1.Template
	fence    atomic.Uint64
	left     atomic.Int64
	done     chan struct{}
	running  atomic.Int64
}

func newBenchRun(b *testing.B, slots int, program string) *benchRun {
	r := &benchRun{b: b, slots: slots, done: make(chan struct{}, 1), template: &v1.Template{
		Spec: &v1.StageSpec{Name: "bench", Instances: 1, Command: []string{program}}, GraceMs: 10_000}}
	opt := options(b.TempDir())
	opt.Shim = []string{os.Args[0], "shim"}
	r.d = newDriver(b, opt)
	if _, err := r.d.Open(context.Background(), r.event); err != nil {
		b.Fatal(err)
	}
	return r
}

// attempts runs n attempts; each end starts the next one in its slot.
func (r *benchRun) attempts(n int) {
	r.left.Store(int64(n))
	r.running.Store(int64(r.slots))
	for slot := range r.slots {
		r.next(uint64(slot + 1))
	}
	<-r.done
}

func (r *benchRun) next(slot uint64) {
	if r.left.Add(-1) >= 0 {
		r.d.Start(driver.Task{Slot: slot, Fence: r.fence.Add(1), JobUID: 1, Attempt: 1, Template: r.template})
		return
	}
	if r.running.Add(-1) == 0 {
		r.done <- struct{}{}
	}
}

func (r *benchRun) event(e driver.Event) {
	switch {
	case e.Released:
		if r.running.Add(-1) == 0 {
			r.done <- struct{}{}
		}
	case e.Outcome.Phase == v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED:
		r.next(e.Slot)
	case e.Outcome.IsFinal():
		r.b.Errorf("attempt ended %+v", e.Outcome)
		r.next(e.Slot)
	}
}

func (r *benchRun) close() {
	r.running.Store(int64(r.slots))
	for slot := range r.slots {
		r.d.Release(uint64(slot+1), "the benchmark is over")
	}
	<-r.done
	if err := r.d.Close(); err != nil {
		r.b.Error(err)
	}
}
