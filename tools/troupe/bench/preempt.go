package bench

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/node/hollow"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// PreemptOptions of a full cell into which production work comes.
type PreemptOptions struct {
	Nodes int
	// SlotsPerNode is how many instances fit on one node; batch jobs fill them all.
	SlotsPerNode int64
	// Wave is how many production instances come; each evicts one of a batch job.
	Wave int64
	// Jobs is of how many batch jobs the cell is full, and of how many the wave consists.
	Jobs int64
	// Memory keeps the journal in memory; else it is badger on disk, synced on every write.
	Memory bool
}

// Preempt is what a run has shown.
type Preempt struct {
	Nodes   int    `json:"nodes"`
	Slots   int64  `json:"slots"`
	Wave    int64  `json:"wave"`
	Jobs    int64  `json:"jobs"`
	Journal string `json:"journal"`
	// FillSeconds is how long it took to fill the empty cell.
	FillSeconds float64 `json:"fill_seconds"`
	// Seconds are from the first submission of the wave until the last of its instances was launched.
	Seconds      float64 `json:"seconds"`
	Evicted      uint64  `json:"evicted"`
	EvictedPerS  float64 `json:"evicted_per_s"`
	PeakRSSBytes int64   `json:"peak_rss_bytes"`
}

// RunPreempt fills a cell with batch work that does not end, and lets production work come that has to evict it, through
// the real actors and a durable journal, with agents that run nothing.
func RunPreempt(ctx context.Context, o PreemptOptions) (*Preempt, error) {
	if o.Wave > int64(o.Nodes)*o.SlotsPerNode {
		return nil, fmt.Errorf("bench: a wave of %d does not fit into %d slots", o.Wave, int64(o.Nodes)*o.SlotsPerNode)
	}
	dir, err := os.MkdirTemp("", "troupe-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	opts := actors.Options{Name: "bench", Dir: dir}
	p := &Preempt{Nodes: o.Nodes, Slots: int64(o.Nodes) * o.SlotsPerNode, Wave: o.Wave, Jobs: o.Jobs, Journal: "badger"}
	if o.Memory {
		opts.Dir, p.Journal = "", "memory"
	}
	var cell *actors.Cell
	count := &launches{full: make(chan struct{}), done: make(chan struct{}), slots: p.Slots, wave: o.Wave}
	fleet := hollow.New(hollow.Options{
		Nodes:   o.Nodes,
		Info:    &v1.NodeInfo{CpuMilli: o.SlotsPerNode * 100, MemoryBytes: o.SlotsPerNode << 26, Drivers: []string{"process"}},
		Deliver: func(m *v1.FromAgent) { cell.Deliver(m) }, Outcome: count.launched,
	})
	opts.Fabric = fleet
	if cell, err = actors.Open(ctx, opts); err != nil {
		return nil, err
	}
	defer cell.Close(context.WithoutCancel(ctx))
	if err := join(ctx, cell, fleet, o.Nodes); err != nil {
		return nil, err
	}
	if p.FillSeconds, err = wave(ctx, cell, "fill", "batch", o.Jobs, p.Slots, count.full); err != nil {
		return nil, err
	}
	count.first.Store(uint64(o.Jobs) + 1) // uids are given in the order of submission, from 1 on
	if p.Seconds, err = wave(ctx, cell, "wave", "production", o.Jobs, o.Wave, count.done); err != nil {
		return nil, err
	}
	s, err := cell.CellStatus(ctx, &v1.CellStatusRequest{})
	if err != nil {
		return nil, err
	}
	p.Evicted = s.GetPacking().GetEvictions()["priority"]
	p.EvictedPerS, p.PeakRSSBytes = float64(p.Evicted)/p.Seconds, peakRSS()
	return p, nil
}

// join lets all nodes join. On a busy machine some may find the mailbox for their Hello full: they say it again.
func join(ctx context.Context, cell *actors.Cell, fleet *hollow.Fleet, n int) error {
	for {
		fleet.Start()
		some, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := nodesFresh(some, cell, n)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// wave submits so many equal jobs and waits until done is closed.
func wave(ctx context.Context, cell *actors.Cell, name, band string, jobs, instances int64, done chan struct{}) (seconds float64, err error) {
	start := time.Now()
	for i := range jobs {
		n := instances/jobs + min(max(instances%jobs-i, 0), 1)
		if n == 0 {
			continue
		}
		job := &v1.JobSpec{Name: fmt.Sprintf("%s-%d", name, i), Band: band, Stages: []*v1.StageSpec{{
			Name: "all", Instances: n, Command: []string{"sleep"}, Resources: &v1.Resources{Cpu: "100m", Memory: "64Mi"},
		}}}
		if _, err := cell.Submit(ctx, &v1.SubmitRequest{Job: job}); err != nil {
			return 0, err
		}
	}
	select {
	case <-done:
		return time.Since(start).Seconds(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("bench: %s of %d instances has not begun: %w", name, instances, ctx.Err())
	}
}

// launches counts what agents are told to begin; nothing ends by itself.
type launches struct {
	full, done  chan struct{}
	slots, wave int64
	first       atomic.Uint64 // uid of the wave's first job, 0 before
	filled, won atomic.Int64
}

func (c *launches) launched(l *v1.Launch) (v1.AttemptPhase, []byte, bool) {
	switch first := c.first.Load(); {
	case first == 0:
		if c.filled.Add(1) == c.slots {
			close(c.full)
		}
	case l.GetJobUid() >= first:
		if c.won.Add(1) == c.wave {
			close(c.done)
		}
	}
	return 0, nil, true
}
