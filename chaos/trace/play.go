package trace

import (
	"context"
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/tree"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Options of a play.
type Options struct {
	Policy Policy
	// Seed of the order in which actors get their turns at one moment.
	Seed uint64
	// Progress hears now and then how far the play is; nil if nobody wants to know.
	Progress func(Progress)
	// Change completes the configuration of the master; nil for the default.
	Change func(*tree.Config)
}

// Progress of a play.
type Progress struct {
	// Arrived of Jobs, Running and Waiting instances.
	Arrived, Jobs    int
	Running, Waiting uint64
	// At is the workload's time.
	At time.Duration
}

const (
	// patience is how long, in the workload's time, work may wait when nothing arrives or ends any more: what the
	// scheduler does by itself it does within minutes.
	patience = time.Hour
	// tellEvery is how many events lie between two tellings of progress.
	tellEvery = 256
)

// player is one play.
type player struct {
	w       *Workload
	o       Options
	world   *world
	rec     *recorder
	arrived int
	told    int
}

// Play plays a workload to its end: until nothing arrives or ends any more, and nothing that waits begins.
func Play(ctx context.Context, w *Workload, o Options) (*Report, error) {
	p, err := begin(w, o)
	if err != nil {
		return nil, err
	}
	defer p.world.close()
	if err := p.play(ctx); err != nil {
		return nil, err
	}
	return p.report()
}

// begin starts a master, with the queues and the machines of a workload.
func begin(w *Workload, o Options) (*player, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	rec := newRecorder(w.Nodes, birth)
	if err := rec.compile(w); err != nil {
		return nil, err
	}
	world, err := newWorld(o.Seed, birth, model.NewState(), len(w.Jobs), len(rec.tries), o.Change)
	if err != nil {
		return nil, err
	}
	world.watch(rec)
	for _, q := range w.queues(o.Policy) {
		if _, err := world.call(q); err != nil {
			return nil, err
		}
	}
	return &player{w: w, o: o, world: world, rec: rec}, world.join(w.Nodes)
}

func (p *player) play(ctx context.Context) error {
	if p.w.Once {
		return p.once(ctx)
	}
	return p.inTime(ctx)
}

// watch lets a recorder hear of every attempt, and say how long each runs.
func (w *world) watch(r *recorder) {
	w.fleet.length, w.fleet.began = r.length, r.began
	w.fleet.ended = func(a *agent, s *slot, phase v1.AttemptPhase, _ string) { r.ended(a, s, phase, w.step.Now()) }
}

// inTime plays arrivals and ends in the order of their times. At one moment first the actors do what they have set timers
// for, then attempts end whose time was known to be over, all together; then jobs arrive and other attempts end, one by
// one, and the actors come to rest after each. This is the order of events in studies of backfilling, as far as a cell can
// keep it: there a pass may count on what is to end at that very moment.
func (p *player) inTime(ctx context.Context) error {
	for {
		at, ok := p.next()
		if !ok {
			more, err := p.wait()
			if err != nil || !more {
				return err
			}
			continue
		}
		if err := p.world.until(at); err != nil {
			return err
		}
		if err := p.limits(at); err != nil {
			return err
		}
		for ; p.arrived < len(p.w.Jobs) && !p.at(p.arrived).After(at); p.arrived++ {
			if err := p.submit(p.arrived); err != nil {
				return err
			}
			if err := p.step(ctx); err != nil {
				return err
			}
		}
		if err := p.ends(ctx, at); err != nil {
			return err
		}
	}
}

// limits lets the attempts end that end now at their stated limit: their slots are free at one time.
func (p *player) limits(now time.Time) error {
	f := p.world.fleet
	for at, more := f.next(); more && !at.After(now) && f.ends[0].limit; at, more = f.next() {
		if err := p.end(); err != nil {
			return err
		}
	}
	f.hurry()
	return p.world.settle()
}

// end lets one attempt end. The machines are slower than the master here: its slot comes back when all know of the end.
func (p *player) end() error {
	p.world.fleet.slow = true
	p.world.fleet.endNext()
	return p.world.settle()
}

// ends lets the attempts end that end by now, one by one.
func (p *player) ends(ctx context.Context, now time.Time) error {
	f := p.world.fleet
	for at, more := f.next(); more && !at.After(now); at, more = f.next() {
		if err := p.end(); err != nil {
			return err
		}
		f.hurry()
		if err := p.world.settle(); err != nil {
			return err
		}
		if err := p.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// once tries the jobs one by one and withdraws what finds no place.
func (p *player) once(ctx context.Context) error {
	for ; p.arrived < len(p.w.Jobs); p.arrived++ {
		if err := p.world.until(birth.Add(p.w.Jobs[p.arrived].At)); err != nil {
			return err
		}
		if err := p.submit(p.arrived); err != nil {
			return err
		}
		if j := &p.rec.jobs[p.arrived]; p.rec.triesOf(j)[j.count-1].begun < 0 {
			p.rec.withdraw(p.arrived)
			id := jobID(p.w.Jobs[p.arrived].Spec)
			if _, err := p.world.call(&v1.StopRequest{Queue: id.Queue, Name: id.Name, Reason: "there was no room"}); err != nil {
				return err
			}
		}
		p.rec.tally()
		if err := p.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// at is when a job arrives.
func (p *player) at(i int) time.Time { return birth.Add(p.w.Jobs[i].At) }

// next is when something arrives or ends next.
func (p *player) next() (time.Time, bool) {
	at, ok := p.world.fleet.next()
	if p.arrived < len(p.w.Jobs) {
		if arrival := p.at(p.arrived); !ok || arrival.Before(at) {
			return arrival, true
		}
	}
	return at, ok
}

// wait gives the actors time when nothing arrives or ends any more. It reports whether something will end now.
func (p *player) wait() (more bool, err error) {
	until := p.world.step.Now().Add(patience)
	for p.rec.waiting > 0 && p.world.step.Step(until) {
		if _, more = p.world.fleet.next(); more {
			return true, p.world.settle()
		}
	}
	return false, p.world.settle()
}

func (p *player) submit(i int) error {
	p.rec.arrive(i)
	spec := p.w.Jobs[i].Spec
	answer, err := p.world.call(&v1.SubmitRequest{Job: spec})
	if err != nil {
		return fmt.Errorf("trace: job %s: %w", jobID(spec), err)
	}
	if r, ok := answer.(*v1.SubmitReply); !ok || !r.GetCreated() {
		return fmt.Errorf("trace: job %s was answered %v", jobID(spec), answer)
	}
	return nil
}

// step follows every event.
func (p *player) step(ctx context.Context) error {
	p.rec.sample(p.world.step.Now(), p.world.fleet.list)
	if p.told++; p.told%tellEvery == 0 {
		if p.o.Progress != nil {
			p.o.Progress(Progress{
				Arrived: p.arrived, Jobs: len(p.w.Jobs), Running: uint64(len(p.rec.running)), Waiting: p.rec.waiting,
				At: p.rec.since(p.world.step.Now()),
			})
		}
		return ctx.Err()
	}
	return nil
}

// report asks the cell what it has counted, and adds what was seen.
func (p *player) report() (*Report, error) {
	answer, err := p.world.call(&v1.CellStatusRequest{})
	if err != nil {
		return nil, err
	}
	r := p.rec.report(p.world.step.Now())
	if s, ok := answer.(*v1.CellStatus); ok {
		for rule, n := range s.GetPacking().GetEvictions() { //order: into a map
			r.Evictions[rule] = n
		}
	}
	r.Packing = p.rec.packing(p.world.fleet.list)
	r.Seed, r.Nodes, r.Left, r.Steps = p.o.Seed, len(p.w.Nodes), p.w.Left, p.world.step.Steps()
	return r, nil
}
