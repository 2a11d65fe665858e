package chaos

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-sched/troupe/chaos/load"
	"github.com/troupe-sched/troupe/chaos/nemesis"
	"github.com/troupe-sched/troupe/chaos/report"
	"github.com/troupe-sched/troupe/cluster/api"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// servicesLast is how much longer than the run services go on if nobody can stop them.
const servicesLast = 10 * time.Minute

// RunLive does a scenario to a cell that is there already, such as one for staging, which cell reaches. Only faults that
// the cell can be asked for are possible: resign, leader-stall, and partition and kill of any node, which its agent does to
// itself; all end by themselves. The shape of the scenario's cell counts for nothing. Its witnesses are those that can be
// heard from afar, the answers of the cell: what they do not tell is shown as not checked.
//
// The jobs of the run are in the default queue under names of their own, and are stopped in the end.
func RunLive(ctx context.Context, cell api.Cell, o Options) (*report.Report, error) {
	if err := nemesis.CheckLive(o.Scenario); err != nil {
		return nil, fmt.Errorf("chaos: scenario %s: %w", o.Scenario.Name, err)
	}
	r := &run{o: o, begun: time.Now(), asks: cell, watch: newWatch(o.Scenario), prefix: "chaos-" + strings.ToLower(rand.Text()[:6]) + "-"}
	if r.o.Tell == nil {
		r.o.Tell = func(string) {}
	}
	err := r.live(ctx)
	if err != nil {
		r.stopped = err
	}
	made := r.report()
	if !made.Passed && err == nil {
		err = ErrBroken
	}
	return made, err
}

// live plays the scenario and hears what the cell says.
func (r *run) live(ctx context.Context) error {
	s, e := r.o.Scenario, &r.evidence
	length := s.Duration.Std() + s.Quiet.Std()
	r.load = load.New(r.asks, s.Load, load.Files{Prefix: r.prefix, Lasts: length + servicesLast})
	opening, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	defer func() {
		tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyWithin)
		defer cancel()
		r.stopAll(tidy)
	}()
	if err := r.load.Begin(opening); err != nil {
		return fmt.Errorf("chaos: %w", err)
	}
	r.fences(ctx)
	r.start = time.Now()
	defer r.watch.run(ctx, r.asks, nil)()
	r.o.Tell(fmt.Sprintf("services run; faults and work for %v", s.Duration))
	playing, cancelPlay := context.WithDeadline(ctx, r.start.Add(s.Duration.Std()))
	defer cancelPlay()
	struck := make(chan []nemesis.Strike)
	go func() { struck <- nemesis.RunLive(ctx, r.asks, r.o.Seed, r.start, s.Plan(r.o.Seed)) }()
	r.load.Run(playing)
	<-playing.Done() // also when there is no work
	r.strikes = <-struck
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.o.Tell("the last fault is over; the cell comes to rest")
	r.rest(ctx)
	e.RestartsAllowed = s.Restarts
	e.Acks, _ = r.load.Acks()
	_, e.History = r.load.Operations()
	r.answers(ctx)
	r.fences(ctx)
	r.accepted()
	return nil
}

// fences notes the attempts of the services that the cell says run: those that were not there before have begun since.
func (r *run) fences(ctx context.Context) {
	status, err := r.asks.JobStatus(ctx, &v1.JobRef{Queue: api.DefaultQueue, Name: r.prefix + load.ServiceName})
	if err != nil {
		return // that they run was seen, and is seen again in the end
	}
	for _, i := range status.GetInstances() {
		r.saw(load.Attempt{
			Node: i.GetNode(), Stage: i.GetStage(), UID: status.GetUid(), Index: i.GetIndex(), Fence: i.GetFence(), Number: int(i.GetAttempt()),
			Begun: time.UnixMilli(i.GetStartedUnixMs()), Begins: 1,
		})
	}
}

// accepted notes the attempts whose results the cell has, which are their fences.
func (r *run) accepted() {
	for _, ack := range r.evidence.Acks {
		for _, result := range r.evidence.Results[ack.Job] {
			if fence, err := strconv.ParseUint(string(result.GetData()), 10, 64); err == nil {
				r.saw(load.Attempt{UID: ack.UID, Index: result.GetIndex(), Fence: fence, Begins: 1, Ends: 1})
			}
		}
	}
}

// saw notes an attempt once.
func (r *run) saw(a load.Attempt) {
	for _, known := range r.evidence.Attempts {
		if known.Fence == a.Fence {
			return
		}
	}
	r.evidence.Attempts = append(r.evidence.Attempts, a)
}
