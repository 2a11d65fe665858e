package trace

import (
	"context"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/policy/backfill"
	"github.com/troupe-sched/troupe/chaos/trace/plain"
	"github.com/troupe-sched/troupe/chaos/trace/swf"
)

// starts plays rigid jobs through the actors, and says when each began.
func starts(t testing.TB, jobs []swf.Rigid, procs int64, policy string) []time.Duration {
	t.Helper()
	named, err := ParsePolicy(policy)
	if err != nil {
		t.Fatal(err)
	}
	p, err := begin(SWF(jobs, procs), Options{Policy: named, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer p.world.close()
	if err := p.play(context.Background()); err != nil {
		t.Fatal(err)
	}
	list := make([]time.Duration, len(jobs))
	for i := range list {
		list[i] = p.rec.triesOf(&p.rec.jobs[i])[0].begun
	}
	return list
}

// The actors start rigid jobs at the very times at which the player by the book does. With one exception: the book knows of
// a run whose predicted time is over at this very moment whether it goes on, and a cell does not. Where predictions are
// whole seconds, as those of EASY++ are, that shows in some workloads.
func TestX3_F23_F24_ParallelJobsStartAsByTheBook(t *testing.T) {
	for _, name := range backfill.PolicyNames() {
		policy, err := backfill.PolicyNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		differ := 0
		for seed := range uint64(12) {
			procs := int64(8) << (seed % 4)
			jobs := plain.MakeRigid(seed, 150, procs, 0.9+0.1*float64(seed%4))
			for i := range jobs {
				if jobs[i].Stated == 0 { // the cell is patient with what nobody can tell, the book is not
					jobs[i].Stated = max(2*jobs[i].Run, 60)
				}
			}
			want := plain.PlayRigid(jobs, procs, plain.Options{Policy: policy})
			got := starts(t, jobs, procs, name)
			for i := range jobs {
				if got[i].Milliseconds() == want.Start[i] {
					continue
				}
				if differ++; name != "easy++" || differ > 2 {
					t.Errorf("%s, seed %d: job %d %+v starts at %v, by the book at %v", name, seed, i, jobs[i], got[i], time.Duration(want.Start[i])*time.Millisecond)
				}
				break
			}
		}
	}
}
