package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/cluster/fabric"
	"github.com/troupe-sched/troupe/cluster/natsd"
	"github.com/troupe-sched/troupe/cluster/store/jetstreamlog"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
	"github.com/troupe-sched/troupe/node/hollow"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// RebuildOptions of a change of master over hollow agents with running attempts.
type RebuildOptions struct {
	// Nodes are the sizes of cells, measured one after the other; Attempts are those that run in the largest one, shared out
	// so that each node of every size has as many.
	Nodes    []int
	Attempts int
	// Jobs that they belong to.
	Jobs int
	// Storms adds a reconnect of all agents at once, under the new master.
	Storms bool
}

// Rebuild is what a run has shown: the largest size, and all of them when there are several.
type Rebuild struct {
	RebuildRun
	Curve []RebuildRun `json:"curve,omitempty"`
}

// RebuildRun is one change of master. Times are in seconds from the moment at which the new master begins to read the
// journal; its predecessor has just ended.
type RebuildRun struct {
	Nodes    int    `json:"nodes"`
	Attempts int    `json:"attempts"`
	Jobs     int    `json:"jobs"`
	Journal  string `json:"journal"`
	// HardS until it has recovered what is durable and its actors run; SyncedS until every node has said what it holds;
	// ViewS until the placer's view has every slot again; CompleteS until every job knows every attempt of its own, too.
	HardS     float64 `json:"hard_s"`
	SyncedS   float64 `json:"synced_s"`
	ViewS     float64 `json:"view_s"`
	CompleteS float64 `json:"complete_s"`
	// Messages between master and agents until then, and the most in a tenth of a second, as a rate.
	Messages    uint64  `json:"messages"`
	PeakPerS    uint64  `json:"peak_messages_per_s"`
	PeakMailbox uint64  `json:"peak_mailbox"`
	InMailbox   string  `json:"peak_mailbox_of"`
	CPUS        float64 `json:"cpu_s"`
	// Lost are attempts that were given up, Started those that were launched anew: both must be 0.
	Lost    uint64 `json:"attempts_lost"`
	Started uint64 `json:"attempts_started"`
	// StormS until all sessions are open again after all agents have begun a new one at once; StormPeakPerS its rate.
	StormS        float64 `json:"storm_s,omitempty"`
	StormPeakPerS uint64  `json:"storm_peak_messages_per_s,omitempty"`
	// PeriodMs is how often agents report at that size.
	PeriodMs     int64 `json:"report_period_ms"`
	PeakRSSBytes int64 `json:"peak_rss_bytes"`
}

// RunRebuild lets masters change in cells of several sizes.
func RunRebuild(ctx context.Context, o RebuildOptions) (*Rebuild, error) {
	if len(o.Nodes) == 0 || o.Attempts < 1 || o.Jobs < 1 {
		return nil, errors.New("bench: rebuild needs nodes, attempts and jobs")
	}
	largest := 0
	for _, n := range o.Nodes {
		if n < 1 || n > o.Attempts {
			return nil, fmt.Errorf("bench: %d nodes for %d attempts: each needs one at least", n, o.Attempts)
		}
		largest = max(largest, n)
	}
	r := &Rebuild{}
	for _, n := range o.Nodes {
		run, err := rebuildOnce(ctx, n, o.Attempts/largest*n, o)
		if err != nil {
			return nil, fmt.Errorf("bench: rebuild of %d nodes: %w", n, err)
		}
		if n == largest {
			r.RebuildRun = *run
		}
		r.Curve = append(r.Curve, *run)
	}
	if len(r.Curve) == 1 {
		r.Curve = nil
	}
	return r, nil
}

// rebuilding is one cell: a NATS server with the journal in JetStream, the agents behind one connection, and masters that
// come one after the other.
type rebuilding struct {
	run    *RebuildRun
	server *natsd.Server
	dir    string
	fleet  *hollow.Fleet
	link   *fleetLink
}

// reign is one master with its end of the link to the agents.
type reign struct {
	cell atomic.Pointer[actors.Cell]
	end  *fabric.Master
}

const rebuildCell = "bench"

func rebuildOnce(ctx context.Context, nodes, attempts int, o RebuildOptions) (run *RebuildRun, err error) {
	b := &rebuilding{run: &RebuildRun{Nodes: nodes, Attempts: attempts, Jobs: min(o.Jobs, attempts), Journal: "jetstream"}}
	if b.dir, err = os.MkdirTemp("", "troupe-bench-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(b.dir)
	b.server, err = natsd.Start(natsd.Options{Dir: filepath.Join(b.dir, "nats"), Name: "bench"})
	if err != nil {
		return nil, err
	}
	defer b.server.Close()
	if b.link, err = newFleetLink(b.server); err != nil {
		return nil, err
	}
	defer b.link.close()
	perNode := int64((attempts + nodes - 1) / nodes)
	b.fleet = hollow.New(hollow.Options{
		Nodes: nodes, Info: &v1.NodeInfo{CpuMilli: perNode * 100, MemoryBytes: perNode << 26, Drivers: []string{"process"}},
		Deliver: b.link.send,
		Outcome: func(*v1.Launch) (v1.AttemptPhase, []byte, bool) { return 0, nil, true },
	})
	if err := b.link.attach(b.fleet); err != nil {
		return nil, err
	}
	first, err := b.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer first.close()
	running, stop := context.WithCancel(ctx)
	defer stop()
	b.fleet.Start()
	go b.fleet.Run(running)
	if err := b.fill(ctx, first.cell.Load()); err != nil {
		return nil, err
	}
	second, err := b.takeOver(ctx, first)
	if second != nil {
		defer second.close()
	}
	if err == nil && o.Storms {
		err = b.storm(ctx, second.cell.Load())
	}
	b.run.PeakRSSBytes = peakRSS()
	return b.run, err
}

// begin opens a master. Snapshots are kept in memory: the journal alone is what a new machine would find.
func (b *rebuilding) begin(ctx context.Context) (r *reign, err error) {
	r = &reign{}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	r.end, err = fabric.OpenMaster(fabric.MasterConfig{
		Cell: rebuildCell, Log: slog.New(slog.DiscardHandler),
		Dial: func(purpose string) (*nats.Conn, error) { return b.server.Connect("bench-" + purpose) },
		Deliver: func(m *v1.FromAgent) {
			if cell := r.cell.Load(); cell != nil {
				cell.Deliver(m)
			}
		},
	})
	if err != nil {
		return r, err
	}
	cell, err := actors.Open(ctx, actors.Options{Name: rebuildCell, Fabric: r.end, Journal: func(ctx context.Context) (actors.Stores, error) {
		nc, err := b.server.Connect("bench-journal")
		if err != nil {
			return actors.Stores{}, err
		}
		log, err := jetstreamlog.Open(ctx, nc, jetstreamlog.Options{Cell: rebuildCell})
		return actors.Stores{Log: log, Snapshots: memlog.NewSnapshots(), Close: func() error { nc.Close(); return nil }}, err
	}})
	if err == nil {
		r.cell.Store(cell)
	}
	return r, err
}

// fill runs the attempts.
func (b *rebuilding) fill(ctx context.Context, cell *actors.Cell) error {
	if err := nodesFresh(ctx, cell, b.run.Nodes); err != nil {
		return err
	}
	left := b.run.Attempts
	for i := range b.run.Jobs {
		n := left / (b.run.Jobs - i)
		left -= n
		job := &v1.JobSpec{Name: fmt.Sprintf("job-%d", i), Stages: []*v1.StageSpec{{
			Name: "all", Instances: int64(n), Command: []string{"true"}, Resources: &v1.Resources{Cpu: "100m", Memory: "64Mi"},
		}}}
		if _, err := cell.Submit(ctx, &v1.SubmitRequest{Job: job}); err != nil {
			return err
		}
	}
	return b.poll(ctx, cell, "the attempts run", func(*v1.CellStatus) (bool, error) {
		if b.fleet.Ran() < uint64(b.run.Attempts) {
			return false, nil // launches are under way: a master that ends now leaves them to the next
		}
		return b.running(ctx, cell)
	})
}

// running reports whether the jobs know of all attempts.
func (b *rebuilding) running(ctx context.Context, cell *actors.Cell) (bool, error) {
	n := uint64(0)
	for after := ""; ; {
		page, err := cell.ListJobs(ctx, &v1.ListJobsRequest{Queue: "default", After: after})
		if err != nil {
			return false, err
		}
		for _, j := range page.GetJobs() {
			n += j.GetCounts().GetRunning()
		}
		if after = page.GetNext(); after == "" {
			return n == uint64(b.run.Attempts), nil
		}
	}
}

// takeOver ends a master, and lets another one begin.
func (b *rebuilding) takeOver(ctx context.Context, first *reign) (*reign, error) {
	first.close()
	b.link.reset()
	b.run.PeakMailbox, b.run.InMailbox = 0, "" // what filling the cell has led to is another matter
	cpu, start := cpuSeconds(), time.Now()
	r, err := b.begin(ctx)
	if err != nil {
		return nil, err
	}
	b.run.HardS = time.Since(start).Seconds()
	var status *v1.CellStatus
	err = b.poll(ctx, r.cell.Load(), "the soft state is complete", func(s *v1.CellStatus) (bool, error) {
		status = s
		now := time.Since(start).Seconds()
		if b.run.SyncedS == 0 && s.GetNodesFresh() == uint64(b.run.Nodes) && s.GetNodesAwaited() == 0 && s.GetState() != "settling" {
			b.run.SyncedS = now
		}
		if b.run.ViewS == 0 && s.GetCpuMilliHeld() == 100*int64(b.run.Attempts) {
			b.run.ViewS = now
		}
		if b.run.SyncedS == 0 || b.run.ViewS == 0 {
			return false, nil
		}
		all, err := b.running(ctx, r.cell.Load())
		b.run.CompleteS = time.Since(start).Seconds()
		return all, err
	})
	b.run.CPUS = cpuSeconds() - cpu
	b.run.Messages, b.run.PeakPerS = b.link.figures()
	b.run.Lost, b.run.Started = status.GetAttemptsLost(), status.GetAttemptsStarted()
	if err == nil && b.run.Lost+b.run.Started > 0 {
		err = fmt.Errorf("%d attempts were lost and %d started by a change of master", b.run.Lost, b.run.Started)
	}
	return r, err
}

// storm lets all agents begin a new session at once.
func (b *rebuilding) storm(ctx context.Context, cell *actors.Cell) error {
	b.link.reset()
	start := time.Now()
	b.fleet.Renew()
	err := b.poll(ctx, cell, "all agents are back", func(s *v1.CellStatus) (bool, error) {
		return b.fleet.Open() == b.run.Nodes && s.GetNodesFresh() == uint64(b.run.Nodes), nil
	})
	b.run.StormS = time.Since(start).Seconds()
	_, b.run.StormPeakPerS = b.link.figures()
	b.run.PeriodMs = b.link.period()
	return err
}

// poll asks for the status of the cell until done says that it is right, and notes how full mailboxes are.
func (b *rebuilding) poll(ctx context.Context, cell *actors.Cell, what string, done func(*v1.CellStatus) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		s, err := cell.CellStatus(ctx, &v1.CellStatusRequest{})
		if err == nil {
			var ok bool
			if ok, err = done(s); ok && err == nil {
				return nil
			}
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		if i%8 == 0 { // a tree of thousands takes some milliseconds
			if t, err := cell.CellTree(ctx, &v1.CellTreeRequest{}); err == nil {
				b.mailboxes(t.GetRoot())
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("never: %s: %w; the cell is %v", what, ctx.Err(), s)
		}
	}
}

// mailboxes notes the fullest mailbox of the actors that exist once.
func (b *rebuilding) mailboxes(n *v1.TreeNode) {
	for _, c := range n.GetChildren() {
		if c.GetMailbox() > b.run.PeakMailbox {
			b.run.PeakMailbox, b.run.InMailbox = c.GetMailbox(), c.GetName()
		}
	}
}

// close ends a master as a kill would: what it says on its way out nobody hears.
func (r *reign) close() {
	if r.end != nil {
		r.end.Close()
	}
	if cell := r.cell.Load(); cell != nil {
		_ = cell.Close(context.Background())
	}
}
