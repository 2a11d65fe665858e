package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/chaos/pause"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// probePoll is how often a probe is looked at.
	probePoll = 20 * time.Millisecond
	// askMax bounds one question of the prober.
	askMax = 5 * time.Second
)

// prober submits one small job after another and notes when each has ended.
type prober struct {
	*run
	warm chan struct{}

	mu sync.Mutex
	// ends of probes, and how many of them came before the fault.
	ends   []time.Time
	before int
}

// probeAll probes until ctx ends.
func (p *prober) probeAll(ctx context.Context) {
	if p.o.Probe == nil {
		close(p.warm)
		return
	}
	for n := 0; ctx.Err() == nil; n++ {
		next := time.Now().Add(p.o.Every)
		if !p.probe(ctx, fmt.Sprintf("drill-%s-%d", p.out.ID, n)) {
			return
		}
		p.mu.Lock()
		p.ends = append(p.ends, time.Now())
		p.mu.Unlock()
		if n+1 == warmUp {
			close(p.warm)
		}
		if pause.For(ctx, time.Until(next)) != nil {
			return
		}
	}
}

// probe submits one job, as often as it takes, and waits for its end.
func (p *prober) probe(ctx context.Context, name string) bool {
	// One that is left behind, because this program ended, ends by itself, but later than any drill.
	limit := p.o.For + 2*p.o.Settle
	job := &v1.JobSpec{Queue: p.o.Queue, Name: name, TimeLimit: limit.String(), Labels: map[string]string{"drill": p.out.ID}, Stages: []*v1.StageSpec{proto.CloneOf(p.o.Probe)}}
	ask := func(call func(context.Context) error) bool {
		one, cancel := context.WithTimeout(ctx, askMax)
		defer cancel()
		return call(one) == nil
	}
	submitted := func(ctx context.Context) error {
		_, err := p.cell.Submit(ctx, &v1.SubmitRequest{Job: job, Key: name})
		return err
	}
	ended := func(ctx context.Context) error {
		s, err := p.cell.JobStatus(ctx, &v1.JobRef{Queue: p.o.Queue, Name: name})
		if err == nil && s.GetEndedUnixMs() == 0 {
			err = errRunning
		}
		if gone(err) {
			err = nil // it has been forgotten since
		}
		return err
	}
	for _, step := range []func(context.Context) error{submitted, ended} {
		for !ask(step) {
			if pause.For(ctx, probePoll) != nil {
				return false
			}
		}
	}
	return true
}

var errRunning = errors.New("drill: the probe has not ended")

// begun notes that the fault begins.
func (p *prober) begun() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = len(p.ends)
}

// cool lets some more probes come to their end, if they do in time.
func (p *prober) cool(ctx context.Context, most time.Duration) {
	if p.o.Probe == nil {
		return
	}
	count := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.ends)
	}
	want := count() + coolDown
	for begun := time.Now(); count() < want && time.Since(begun) < most && pause.For(ctx, probePoll) == nil; {
	}
}

func (p *prober) report(r *Report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Probes = len(p.ends)
	var usual []time.Duration
	for i := 1; i < len(p.ends); i++ {
		gap := p.ends[i].Sub(p.ends[i-1])
		if i < p.before {
			usual = append(usual, gap)
		} else {
			r.GapMs = max(r.GapMs, float64(gap.Microseconds())/1000)
		}
	}
	if len(usual) > 0 {
		slices.Sort(usual)
		r.UsualMs = float64(usual[len(usual)/2].Microseconds()) / 1000
	}
}
