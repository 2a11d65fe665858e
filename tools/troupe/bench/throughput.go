package bench

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/node/hollow"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// ThroughputOptions of one batch job on hollow nodes.
type ThroughputOptions struct {
	Instances int64
	Nodes     int
	// SlotsPerNode is how many instances fit on one node.
	SlotsPerNode int64
	// Memory keeps the journal in memory; else it is badger on disk, synced on every write.
	Memory bool
}

// Throughput is what a run has shown.
type Throughput struct {
	Instances      int64   `json:"instances"`
	Nodes          int     `json:"nodes"`
	Slots          int64   `json:"slots"`
	Journal        string  `json:"journal"`
	Seconds        float64 `json:"seconds"`
	InstancesPerS  float64 `json:"instances_per_s"`
	PeakRSSBytes   int64   `json:"peak_rss_bytes"`
	JournalBytes   int64   `json:"journal_bytes"`
	JournalRecords int64   `json:"journal_records"`
	// AppendsPerS is what the same journal does alone, one record of the run's mean size after another.
	AppendsPerS float64 `json:"bare_appends_per_s"`
}

// RunThroughput runs one batch job through the real actors and a durable journal, with agents that run nothing.
func RunThroughput(ctx context.Context, o ThroughputOptions) (*Throughput, error) {
	dir, err := os.MkdirTemp("", "troupe-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	opts := actors.Options{Name: "bench", Dir: dir}
	if o.Memory {
		opts.Dir = ""
	}
	count := &counter{}
	opts.Journal = count.wrap(opts)
	var cell *actors.Cell
	fleet := hollow.New(hollow.Options{
		Nodes: o.Nodes, Info: &v1.NodeInfo{CpuMilli: o.SlotsPerNode * 100, MemoryBytes: o.SlotsPerNode << 26, Drivers: []string{"process"}},
		Deliver: func(m *v1.FromAgent) { cell.Deliver(m) },
	})
	opts.Fabric = fleet
	if cell, err = actors.Open(ctx, opts); err != nil {
		return nil, err
	}
	defer cell.Close(context.WithoutCancel(ctx))
	fleet.Start()
	if err := nodesFresh(ctx, cell, o.Nodes); err != nil {
		return nil, err
	}
	start := time.Now()
	job := &v1.JobSpec{Name: "throughput", Stages: []*v1.StageSpec{{
		Name: "all", Instances: o.Instances, Command: []string{"true"}, Resources: &v1.Resources{Cpu: "100m", Memory: "64Mi"},
	}}}
	if _, err := cell.Submit(ctx, &v1.SubmitRequest{Job: job}); err != nil {
		return nil, err
	}
	status, err := cell.Wait(ctx, &v1.JobRef{Queue: "default", Name: job.Name})
	if err != nil {
		return nil, err
	}
	seconds := time.Since(start).Seconds()
	if status.GetPhase() != "succeeded" || fleet.Ran() != uint64(o.Instances) {
		return nil, fmt.Errorf("bench: the job is %s after %d attempts of %d instances", status.GetPhase(), fleet.Ran(), o.Instances)
	}
	t := &Throughput{
		Instances: o.Instances, Nodes: o.Nodes, Slots: o.SlotsPerNode * int64(o.Nodes), Journal: "badger", Seconds: seconds,
		InstancesPerS: float64(o.Instances) / seconds, PeakRSSBytes: peakRSS(),
		JournalBytes: count.bytes.Load(), JournalRecords: count.records.Load(),
	}
	if o.Memory {
		t.Journal = "memory"
	}
	t.AppendsPerS, err = bareAppends(ctx, t, o.Memory)
	return t, err
}

// nodesFresh waits until all nodes have joined.
func nodesFresh(ctx context.Context, cell *actors.Cell, n int) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := cell.CellStatus(ctx, &v1.CellStatusRequest{})
		if err != nil {
			return err
		}
		if int(s.GetNodesFresh()) == n {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("bench: %d of %d nodes have joined: %w", s.GetNodesFresh(), n, ctx.Err())
		}
	}
}

// bareAppends measures the journal's store alone, in the same run: the floor under every commit.
func bareAppends(ctx context.Context, t *Throughput, memory bool) (float64, error) {
	dir, err := os.MkdirTemp("", "troupe-bench-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	opts := actors.Options{Dir: dir}
	if memory {
		opts.Dir = ""
	}
	stores, err := actors.OpenStores(opts)(ctx)
	if err != nil {
		return 0, err
	}
	defer stores.Shut()
	record := make([]byte, max(t.JournalBytes/max(t.JournalRecords, 1), 1))
	const appends = 500
	done := make(chan error, 1)
	start := time.Now()
	for seq := uint64(1); seq <= appends; seq++ {
		stores.Log.Append(seq, record, func(err error) { done <- err })
		if err := <-done; err != nil {
			return 0, err
		}
	}
	return appends / time.Since(start).Seconds(), nil
}

// counter counts what is appended to a log.
type counter struct{ bytes, records atomic.Int64 }

func (c *counter) wrap(opts actors.Options) func(context.Context) (actors.Stores, error) {
	open := actors.OpenStores(opts)
	return func(ctx context.Context) (actors.Stores, error) {
		s, err := open(ctx)
		if err == nil {
			s.Log = &countedLog{s.Log, c}
		}
		return s, err
	}
}

type countedLog struct {
	journal.Log
	c *counter
}

func (l *countedLog) Append(seq uint64, data []byte, done func(error)) {
	l.c.bytes.Add(int64(len(data)))
	l.c.records.Add(1)
	l.Log.Append(seq, data, done)
}
