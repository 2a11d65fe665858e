package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-sched/troupe/actors"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// ProcessOptions of a run of real processes.
type ProcessOptions struct {
	Instances int64
	// Slots is how many run at once.
	Slots int64
	// Rounds is how often cell and bare loop take turns; each figure is the median of its rounds.
	Rounds  int
	Command []string
	// Shim is the command under which processes run; see actors.AgentOptions.
	Shim []string
}

// Process is what a run has shown.
type Process struct {
	Instances    int64   `json:"instances"`
	Slots        int64   `json:"slots"`
	AttemptsPerS float64 `json:"attempts_per_s"`
	// BarePerS is fork, exec and wait of the same program with nothing around it, as many at once.
	BarePerS float64 `json:"bare_per_s"`
	// BareSerialPerS is the same, one at a time.
	BareSerialPerS float64 `json:"bare_serial_per_s"`
	Ratio          float64 `json:"ratio"`
	RatioSerial    float64 `json:"ratio_serial"`
	PeakRSSBytes   int64   `json:"peak_rss_bytes"`
}

// RunProcess runs real processes through a whole cell — master, durable journal, agent, shims — and beside it the bare
// loop of the same program, in turns.
func RunProcess(ctx context.Context, o ProcessOptions) (*Process, error) {
	dir, err := os.MkdirTemp("", "troupe-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cell, err := actors.Open(ctx, actors.Options{Name: "bench", Dir: filepath.Join(dir, "master"), Agent: &actors.AgentOptions{
		NodeID: "bench", Dir: filepath.Join(dir, "agent"), Shim: o.Shim, CPUMilli: o.Slots * 100, MemoryBytes: o.Slots << 26, StopAll: true,
	}})
	if err != nil {
		return nil, err
	}
	defer cell.Close(context.WithoutCancel(ctx))
	if err := nodesFresh(ctx, cell, 1); err != nil {
		return nil, err
	}
	var through, bare, serial []float64
	for round := range o.Rounds {
		for _, m := range []struct {
			into *[]float64
			run  func() (float64, error)
		}{
			{&through, func() (float64, error) { return cellRound(ctx, cell, o, round) }},
			{&bare, func() (float64, error) { return bareRound(ctx, o, o.Slots) }},
			{&serial, func() (float64, error) { return bareRound(ctx, o, 1) }},
		} {
			rate, err := m.run()
			if err != nil {
				return nil, err
			}
			*m.into = append(*m.into, rate)
		}
	}
	p := &Process{
		Instances: o.Instances, Slots: o.Slots, AttemptsPerS: median(through), BarePerS: median(bare), BareSerialPerS: median(serial),
		PeakRSSBytes: peakRSS(),
	}
	p.Ratio, p.RatioSerial = p.AttemptsPerS/p.BarePerS, p.AttemptsPerS/p.BareSerialPerS
	return p, nil
}

func cellRound(ctx context.Context, cell *actors.Cell, o ProcessOptions, round int) (float64, error) {
	job := &v1.JobSpec{Name: fmt.Sprintf("round-%d", round), Stages: []*v1.StageSpec{{
		Name: "all", Instances: o.Instances, Command: o.Command, Resources: &v1.Resources{Cpu: "100m", Memory: "64Mi"},
	}}}
	start := time.Now()
	if _, err := cell.Submit(ctx, &v1.SubmitRequest{Job: job}); err != nil {
		return 0, err
	}
	status, err := cell.Wait(ctx, &v1.JobRef{Name: job.Name})
	if err != nil {
		return 0, err
	}
	if status.GetPhase() != "succeeded" {
		return 0, fmt.Errorf("bench: the job is %s: %s", status.GetPhase(), status.GetReason())
	}
	return float64(o.Instances) / time.Since(start).Seconds(), nil
}

// bareRound is fork, exec and wait, so many at once.
func bareRound(ctx context.Context, o ProcessOptions, parallel int64) (float64, error) {
	var left atomic.Int64
	left.Store(o.Instances)
	errs := make(chan error, parallel)
	var wait sync.WaitGroup
	start := time.Now()
	for range parallel {
		wait.Go(func() {
			for left.Add(-1) >= 0 {
				if err := exec.CommandContext(ctx, o.Command[0], o.Command[1:]...).Run(); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wait.Wait()
	select {
	case err := <-errs:
		return 0, fmt.Errorf("bench: bare loop: %w", err)
	default:
	}
	return float64(o.Instances) / time.Since(start).Seconds(), nil
}
