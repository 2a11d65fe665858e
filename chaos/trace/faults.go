package trace

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/tree"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// FaultsOptions of one batch job on machines some of which fail.
type FaultsOptions struct {
	Seed uint64
	// Nodes there are, each with room for Slots instances at once; Instances of the job, which take Each in the mean, one
	// third more or less.
	Nodes, Slots, Instances int
	Each                    time.Duration
	// Down, Failing and Slow are how many nodes go silent for good, fail every attempt from then on, or take twice to
	// SlowMost times as long. Each falls ill at a moment drawn from the first half of the run without faults.
	Down, Failing, Slow, SlowMost int
}

// FaultsRun is what became of the job.
type FaultsRun struct {
	// Took is the time from submit to end, Ideal that of machines that are always full and never fail.
	Took, Ideal time.Duration
	// Phase in which the job ended; Done instances of all; Attempts that began, of which Failed and Lost.
	Phase                        string
	Done, Attempts, Failed, Lost uint64
}

// retriesOfFaults is how often an instance is tried: often enough that no chance makes the job fail.
const retriesOfFaults = 20

// RunFaults plays it through the production actors in virtual time.
func RunFaults(ctx context.Context, o FaultsOptions) (*FaultsRun, error) {
	if sick := o.Down + o.Failing + o.Slow; o.Nodes < 1 || o.Slots < 1 || o.Instances < 1 || o.Each <= 0 || sick >= o.Nodes {
		return nil, fmt.Errorf("trace: %d nodes of %d slots, %d of them ill, and %d instances of %v make no run", o.Nodes, o.Slots, sick, o.Instances, o.Each)
	}
	w, err := newWorld(o.Seed, birth, model.NewState(), 1, o.Instances, func(c *tree.Config) {
		sound := msg.DefaultLimits()
		c.Limits.Heartbeat, c.Limits.Suspect, c.Limits.Lost = sound.Heartbeat, sound.Suspect, sound.Lost
	})
	if err != nil {
		return nil, err
	}
	defer w.close()
	r := &faultsRun{world: w, o: o, began: map[uint64]bool{}}
	r.out.Ideal = time.Duration((o.Instances+o.Nodes*o.Slots-1)/(o.Nodes*o.Slots)) * o.Each
	r.watch()
	if err := w.join(r.machines()); err != nil {
		return nil, err
	}
	r.fallIll()
	return r.play(ctx)
}

// faultsRun is one play.
type faultsRun struct {
	*world
	o     FaultsOptions
	out   FaultsRun
	began map[uint64]bool // fences
}

func (r *faultsRun) machines() []*v1.NodeInfo {
	list := make([]*v1.NodeInfo, r.o.Nodes)
	for i := range list {
		list[i] = &v1.NodeInfo{
			Id: fmt.Sprintf("n%03d", i), CpuMilli: int64(r.o.Slots) * 1000, MemoryBytes: int64(r.o.Slots) << 30, Drivers: []string{"process"},
			Attributes: map[string]string{"rack": fmt.Sprintf("r%d", i/20)},
		}
	}
	return list
}

func (r *faultsRun) watch() {
	f := r.fleet
	f.length = func(_ *v1.Template, l *v1.Launch) time.Duration {
		// Of the instance and not of the attempt, so that all runs of one seed have the same work.
		draw := rand.New(rand.NewPCG(r.o.Seed, l.GetIndex()))
		return r.o.Each*2/3 + time.Duration(draw.Int64N(int64(r.o.Each)*2/3))
	}
	f.began = func(_ *agent, s *slot) {
		if fence := s.launch.GetFence(); !r.began[fence] {
			r.began[fence] = true
			r.out.Attempts++
		}
	}
	f.ended = func(_ *agent, _ *slot, phase v1.AttemptPhase, _ string) {
		if phase == v1.AttemptPhase_ATTEMPT_PHASE_FAILED {
			r.out.Failed++
		}
	}
}

// fallIll draws which machines fall ill, how and when.
func (r *faultsRun) fallIll() {
	draw := rand.New(rand.NewPCG(r.o.Seed, 0x6661_756c_7473))
	order := draw.Perm(r.o.Nodes)
	for i := range r.o.Down + r.o.Failing + r.o.Slow {
		a := r.fleet.list[order[i]]
		after := time.Duration(draw.Int64N(int64(r.out.Ideal) / 2))
		var ill ailment
		switch {
		case i < r.o.Down:
			ill.down = true
		case i < r.o.Down+r.o.Failing:
			ill.fails = time.Second
		default:
			ill.slower = 2 + draw.IntN(max(r.o.SlowMost-1, 1))
		}
		r.step.AfterFunc(after, func() {
			a.ailment = ill
			if ill.down {
				for _, s := range a.slots { //order: counted
					if s.running {
						r.out.Lost++
					}
				}
			}
		})
	}
}

const faultsJob = "faults"

func (r *faultsRun) play(ctx context.Context) (*FaultsRun, error) {
	start := r.step.Now()
	_, err := r.call(&v1.SubmitRequest{Job: &v1.JobSpec{Name: faultsJob, Stages: []*v1.StageSpec{{
		Name: "work", Instances: int64(r.o.Instances), Command: []string{"work"}, Resources: &v1.Resources{Cpu: "1", Memory: "1Gi"},
		Retry: &v1.Retry{Attempts: retriesOfFaults, Backoff: "1s", BackoffMax: "10s"},
	}}}})
	if err != nil {
		return nil, err
	}
	for deadline := start.Add(100 * r.out.Ideal); r.step.Now().Before(deadline); {
		at, some := r.fleet.next()
		if tick := r.step.Now().Add(time.Second); !some || tick.Before(at) {
			at, some = tick, false
		}
		if err := r.until(at); err != nil {
			return nil, err
		}
		for next, more := r.fleet.next(); some && more && !next.After(at); next, more = r.fleet.next() {
			r.fleet.endNext()
			if err := r.settle(); err != nil {
				return nil, err
			}
		}
		if over, err := r.over(start); err != nil || over {
			return &r.out, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, fmt.Errorf("trace: the job has not ended after a hundred times its ideal time %v", r.out.Ideal)
}

// over asks, once nothing of the job runs or a second has passed, whether it has ended.
func (r *faultsRun) over(start time.Time) (bool, error) {
	if len(r.began) < r.o.Instances {
		return false, nil
	}
	answer, err := r.call(&v1.JobRef{Name: faultsJob})
	if err != nil {
		return false, err
	}
	s, ok := answer.(*v1.JobStatus)
	if !ok {
		return false, fmt.Errorf("trace: the status is a %T", answer)
	}
	r.out.Took, r.out.Phase, r.out.Done = r.step.Now().Sub(start), s.GetPhase(), s.GetCounts().GetDone()
	return s.GetEndedUnixMs() != 0, nil
}
