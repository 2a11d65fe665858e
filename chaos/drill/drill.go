// Package drill makes a part of a live cell fail for a while, as package cluster/api offers it, and reports what became of
// the work: how many attempts restarted, which must be none, and how long nothing could be placed. The fault ends by
// itself, whatever becomes of who has asked for it.
package drill

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/chaos/pause"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Cell is what a drill asks of a cell; *actors.Cell and *client.Client have it.
type Cell interface {
	Submit(ctx context.Context, req *v1.SubmitRequest) (*v1.SubmitReply, error)
	JobStatus(ctx context.Context, ref *v1.JobRef) (*v1.JobStatus, error)
	ListJobs(ctx context.Context, req *v1.ListJobsRequest) (*v1.ListJobsReply, error)
	CellStatus(ctx context.Context, req *v1.CellStatusRequest) (*v1.CellStatus, error)
	Drill(ctx context.Context, req *v1.DrillRequest) (*v1.DrillReply, error)
}

// Options of a drill.
type Options struct {
	// Kind, For, Node and Reason are those of v1.DrillRequest.
	Kind, Node, Reason string
	For                time.Duration
	// Probe is the stage of the small jobs that show whether anything can be placed; nil sends none. Queue is theirs.
	Probe *v1.StageSpec
	Queue string
	// Every is how long at least lies between two probes, Settle how long the cell has to be as before once the fault is
	// over; 250 ms and two minutes if 0.
	Every, Settle time.Duration
	// Say hears what goes on, line by line; nil for nobody.
	Say func(string)
}

// Report says what became of the work.
type Report struct {
	ID     string  `json:"id"`
	Kind   string  `json:"kind"`
	Target string  `json:"target"`
	ForS   float64 `json:"for_s"`
	// Master and epoch that led before and after.
	MasterBefore string `json:"master_before"`
	MasterAfter  string `json:"master_after"`
	EpochBefore  uint64 `json:"epoch_before"`
	EpochAfter   uint64 `json:"epoch_after"`
	// Attempts that ran before: so many of them still run, have ended, were started anew. Which, at most twenty.
	Attempts  int      `json:"attempts"`
	Same      int      `json:"same"`
	Ended     int      `json:"ended"`
	Restarted int      `json:"restarted"`
	Which     []string `json:"which,omitempty"`
	// Probes that came to their end; Usual is the median time between two before the fault, Gap the longest during it and
	// after, in which nothing could be placed.
	Probes  int     `json:"probes"`
	UsualMs float64 `json:"usual_ms"`
	GapMs   float64 `json:"gap_ms"`
	// BackS is how long after the end of the fault everything was as before; negative if it was not in time.
	BackS float64 `json:"back_s"`
}

const (
	// warmUp is how many probes there are before the fault, coolDown after it.
	warmUp, coolDown = 8, 4
	defaultEvery     = 250 * time.Millisecond
	defaultSettle    = 2 * time.Minute
	lookEvery        = 250 * time.Millisecond
	whichMax         = 20
)

// Run lets a drill happen and waits until the cell is as before. It fails if the drill cannot begin or ctx ends; what went
// wrong in it is in the report.
func Run(ctx context.Context, c Cell, o Options) (*Report, error) {
	if o.Every <= 0 {
		o.Every = defaultEvery
	}
	if o.Settle <= 0 {
		o.Settle = defaultSettle
	}
	if o.Say == nil {
		o.Say = func(string) {}
	}
	d := &run{cell: c, o: o, out: Report{ID: strings.ToLower(rand.Text()[:6]), Kind: o.Kind, ForS: o.For.Seconds()}}
	return d.run(ctx)
}

type run struct {
	cell   Cell
	o      Options
	out    Report
	before *v1.CellStatus
}

func (d *run) run(ctx context.Context) (*Report, error) {
	census, err := takeCensus(ctx, d.cell)
	if err != nil {
		return nil, fmt.Errorf("drill: before it: %w", err)
	}
	if d.before, err = d.cell.CellStatus(ctx, &v1.CellStatusRequest{}); err != nil {
		return nil, fmt.Errorf("drill: before it: %w", err)
	}
	d.out.MasterBefore, d.out.EpochBefore, d.out.Attempts = d.before.GetMaster(), d.before.GetEpoch(), len(census.runs)
	d.o.Say(fmt.Sprintf("%d attempts run on %d nodes; master %s, epoch %d", len(census.runs), d.before.GetNodesFresh(), d.out.MasterBefore, d.out.EpochBefore))

	probing, cancel := context.WithCancel(ctx)
	p := &prober{run: d, warm: make(chan struct{})}
	done := make(chan struct{})
	go func() { defer close(done); p.probeAll(probing) }()
	stop := func() { cancel(); <-done }
	defer stop()
	if err := d.warm(ctx, p); err != nil {
		return nil, err
	}
	reply, err := d.cell.Drill(ctx, &v1.DrillRequest{Kind: d.o.Kind, ForMs: d.o.For.Milliseconds(), Node: d.o.Node, Reason: d.o.Reason})
	if err != nil {
		return nil, fmt.Errorf("drill: %w", err)
	}
	p.begun()
	d.out.Target = reply.GetTarget()
	d.o.Say(fmt.Sprintf("%s of %s for %v", d.o.Kind, d.out.Target, d.o.For))
	if err := pause.For(ctx, d.o.For); err != nil {
		return nil, err
	}
	d.o.Say("the fault is over; waiting until all is as before")
	if err := d.back(ctx); err != nil {
		return nil, err
	}
	p.cool(ctx, d.o.Settle)
	stop()
	p.report(&d.out)
	return d.compare(ctx, census)
}

// warm waits for the first probes: without them nothing could be said of placing.
func (d *run) warm(ctx context.Context, p *prober) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d.o.Settle, fmt.Errorf(
		"drill: %d small jobs have not come to their end within %v, so no fault was begun; see why they wait (troupe job explain), or send none", warmUp, d.o.Settle))
	defer cancel()
	select {
	case <-p.warm:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// back waits until the cell is as before.
func (d *run) back(ctx context.Context) error {
	over := time.Now()
	for {
		s, err := d.cell.CellStatus(ctx, &v1.CellStatusRequest{})
		if err == nil && s.GetNodesFresh() >= d.before.GetNodesFresh() && (s.GetState() == "" || s.GetState() == "normal") {
			d.out.BackS, d.out.MasterAfter, d.out.EpochAfter = time.Since(over).Seconds(), s.GetMaster(), s.GetEpoch()
			return nil
		}
		if time.Since(over) > d.o.Settle {
			d.out.BackS = -1
			d.o.Say(fmt.Sprintf("it is not as before after %v: %v %v", d.o.Settle, s.GetState(), err))
			return nil
		}
		if err := pause.For(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// compare takes a second census.
func (d *run) compare(ctx context.Context, before *census) (*Report, error) {
	for begun := time.Now(); ; {
		after, err := takeCensus(ctx, d.cell)
		if err == nil {
			before.compare(after, &d.out)
			return &d.out, nil
		}
		if ctx.Err() != nil || time.Since(begun) > d.o.Settle {
			return nil, fmt.Errorf("drill: after it: %w", err)
		}
		if err := pause.For(ctx, lookEvery); err != nil {
			return nil, err
		}
	}
}

// gone reports whether a job is not known any more.
func gone(err error) bool { return errors.Is(err, model.NotFound("")) }
