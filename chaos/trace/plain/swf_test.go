package plain

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-sched/troupe/actors/policy/backfill"
	"github.com/troupe-sched/troupe/chaos/trace/swf"
)

func named(t *testing.T, name string) backfill.Policy {
	t.Helper()
	p, err := backfill.PolicyNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestF23_WorkedExample is small enough to be drawn: ten processors; 1 and 2 run, 3 has to wait for both, 4 fits beside
// and ends in time, 5 would end too late, 6 takes only what 3 leaves over.
func TestF23_WorkedExample(t *testing.T) {
	jobs := []swf.Rigid{
		{ID: 1, Submit: 0, Run: 10, Procs: 4, Stated: 10},
		{ID: 2, Submit: 0, Run: 20, Procs: 3, Stated: 20},
		{ID: 3, Submit: 1, Run: 5, Procs: 9, Stated: 5},
		{ID: 4, Submit: 2, Run: 18, Procs: 1, Stated: 18},
		{ID: 5, Submit: 3, Run: 18, Procs: 2, Stated: 18},
		{ID: 6, Submit: 4, Run: 30, Procs: 1, Stated: 30},
	}
	for name, want := range map[string][]int64{
		"fcfs":      {0, 0, 20, 20, 25, 25},
		"easy":      {0, 0, 20, 2, 25, 4},
		"easy-sjbf": {0, 0, 20, 2, 25, 4},
	} {
		s := PlayRigid(jobs, 10, Options{Policy: named(t, name)})
		for i := range want {
			if s.Start[i] != want[i]*1000 {
				t.Errorf("%s: job %d starts at %d ms, want %d s", name, i+1, s.Start[i], want[i])
			}
		}
	}
}

// TestF24_NothingOverlapsNothingIsDelayed checks schedules of drawn workloads with every policy: no job before its time,
// never more processors than there are, and no reservation made later by what went ahead.
func TestF24_NothingOverlapsNothingIsDelayed(t *testing.T) {
	for seed := range uint64(30) {
		pool := int64(4) << (seed % 6)
		jobs := MakeRigid(seed, 150, pool, 0.6+float64(seed%5)/5)
		for _, name := range backfill.PolicyNames() {
			s := PlayRigid(jobs, pool, Options{Policy: named(t, name)})
			if s.Delayed > 0 {
				t.Errorf("seed %d: %s: %d passes delayed a reservation", seed, name, s.Delayed)
			}
			for i, at := range s.Start {
				if at < s.Submit[i] {
					t.Fatalf("seed %d: %s: job %d starts before it comes", seed, name, i)
				}
				used := int64(0)
				for k, start := range s.Start {
					if start <= at && at < start+s.Run[k] {
						used += s.Procs[k]
					}
				}
				if used > pool {
					t.Fatalf("seed %d: %s: %d of %d processors at %d", seed, name, used, pool, at)
				}
			}
		}
	}
}

// TestF23_ReservationsOverNodesAreTheClassicRuleOnOne plays with the timeline, the calendar, the predictor and the keys of
// actors/policy/backfill, as the placer does, and gets the same schedules.
func TestF23_ReservationsOverNodesAreTheClassicRuleOnOne(t *testing.T) {
	policies := []backfill.Policy{
		{Name: "shortest", Order: backfill.Shortest, Method: backfill.Learned},
		{Name: "smallest", Order: backfill.Smallest, Fill: backfill.ShortestFirst, Method: backfill.Recent, Correction: backfill.Stepwise},
	}
	for _, name := range backfill.PolicyNames() {
		policies = append(policies, named(t, name))
	}
	for seed := range uint64(40) {
		pool := int64(1) << (1 + seed%7)
		jobs := MakeRigid(seed, 120, pool, 0.7+float64(seed%4)/3)
		for _, p := range policies {
			want := PlayRigid(jobs, pool, Options{Policy: p})
			got := newOneNode(jobs, pool, p).play()
			if !slices.Equal(got, want.Start) {
				i := slices.IndexFunc(jobs, func(j swf.Rigid) bool { return got[j.ID-1] != want.Start[j.ID-1] })
				t.Fatalf("seed %d: %s: job %d starts at %d, want %d", seed, p.Name, i, got[i], want.Start[i])
			}
		}
	}
}

// oneNode is a cell of one node whose placer is a loop.
type oneNode struct {
	backfill.Policy
	jobs      []swf.Rigid
	pool      int64
	free      int64
	now       int64
	waiting   []int
	running   []int
	predicted []int64
	first     []int64
	corrected []int
	start     []int64
	timeline  backfill.Timeline
	calendar  backfill.Calendar
	predictor *backfill.Predictor
}

func newOneNode(jobs []swf.Rigid, pool int64, p backfill.Policy) *oneNode {
	n := len(jobs)
	return &oneNode{
		Policy: p, jobs: jobs, pool: pool, free: pool, predicted: make([]int64, n), first: make([]int64, n),
		corrected: make([]int, n), start: make([]int64, n), predictor: backfill.NewPredictor(1000),
	}
}

func (o *oneNode) owner(i int) string { return fmt.Sprint(o.jobs[i].User) }

func (o *oneNode) stated(i int) int64 {
	if o.jobs[i].Stated == 0 {
		return backfill.Never
	}
	return o.jobs[i].Stated * 1000
}

func (o *oneNode) end(i int) int64 { return o.start[i] + o.jobs[i].Run*1000 }

func (o *oneNode) expected(i int) int64 { return backfill.After(o.start[i], o.predicted[i]) }

// play handles what happens at one time in the order of PlayRigid.
func (o *oneNode) play() []int64 {
	for next := 0; next < len(o.jobs) || len(o.running) > 0; {
		o.now = backfill.Never
		if next < len(o.jobs) {
			o.now = o.jobs[next].Submit * 1000
		}
		for _, i := range o.running {
			o.now = min(o.now, o.end(i), o.expected(i))
		}
		for _, i := range o.running {
			for o.expected(i) <= o.now && o.end(i) > o.now {
				o.predicted[i] = o.Correction.Correct(o.first[i], o.predicted[i], o.stated(i), o.corrected[i])
				o.corrected[i]++
				o.timeline.Move(0, uint64(i), o.expected(i))
			}
		}
		atLimit := slices.Clone(o.running)
		atLimit = slices.DeleteFunc(atLimit, func(i int) bool { return o.end(i) > o.now || o.jobs[i].Run != o.jobs[i].Stated })
		for _, i := range atLimit {
			o.ends(i)
		}
		if len(atLimit) > 0 {
			o.pass()
		}
		for ; next < len(o.jobs) && o.jobs[next].Submit*1000 == o.now; next++ {
			o.predict(next)
			o.waiting = append(o.waiting, next)
			o.pass()
		}
		for {
			k := slices.IndexFunc(o.running, func(i int) bool { return o.end(i) <= o.now })
			if k < 0 {
				break
			}
			o.ends(o.running[k])
			o.pass()
		}
	}
	return o.start
}

func (o *oneNode) predict(i int) {
	o.predicted[i] = o.predictor.Predict(o.Method, o.owner(i), o.stated(i))
	o.first[i] = o.predicted[i]
}

func (o *oneNode) ends(i int) {
	o.running = slices.DeleteFunc(o.running, func(r int) bool { return r == i })
	o.free += o.jobs[i].Procs
	o.timeline.Remove(0, uint64(i))
	o.predictor.Learn(o.owner(i), o.jobs[i].Run*1000)
	if o.Method.Renews() {
		for _, w := range o.waiting {
			if o.jobs[w].User == o.jobs[i].User {
				o.predict(w)
			}
		}
	}
}

func (o *oneNode) key(i int) (own, fill backfill.Key) {
	w := backfill.Waiting{
		Since: o.jobs[i].Submit * 1000, Serial: uint64(i), Duration: o.predicted[i],
		Share: backfill.Share(backfill.Amount{o.jobs[i].Procs}, backfill.Amount{o.pool}, 1),
	}
	own = o.Order.Key(&w, o.now)
	return own, o.Fill.Key(&w, own)
}

func (o *oneNode) pass() {
	o.calendar.Reset()
	slices.SortFunc(o.waiting, func(a, b int) int {
		x, _ := o.key(a)
		y, _ := o.key(b)
		return x.Compare(y)
	})
	for len(o.waiting) > 0 && o.tries(o.waiting[0]) {
	}
	if len(o.waiting) == 0 || o.Fill == backfill.None {
		return
	}
	head := o.waiting[0]
	_, ok := o.calendar.Reserve(&o.timeline, backfill.Need{Each: backfill.Amount{o.jobs[head].Procs}, Count: 1}, o.now,
		slices.Values([]int32{0}), func(int32) backfill.Amount { return backfill.Amount{o.free} })
	behind := slices.Clone(o.waiting[1:])
	if o.Fill == backfill.ShortestFirst {
		slices.SortStableFunc(behind, func(a, b int) int {
			_, x := o.key(a)
			_, y := o.key(b)
			return x.Compare(y)
		})
	}
	for _, i := range behind {
		if ok || o.predicted[i] < backfill.Never {
			o.tries(i)
		}
	}
}

// tries starts a job if there is room for it.
func (o *oneNode) tries(i int) bool {
	each := backfill.Amount{o.jobs[i].Procs}
	end := backfill.After(o.now, o.predicted[i])
	room := o.calendar.Room(0, backfill.Amount{o.free}, end)
	if !each.Fits(&room) {
		return false
	}
	o.calendar.Start(0, each, 1, end)
	o.timeline.Add(0, uint64(i), each, end)
	o.free -= o.jobs[i].Procs
	o.start[i] = o.now
	o.running = append(o.running, i)
	o.waiting = slices.DeleteFunc(o.waiting, func(w int) bool { return w == i })
	return true
}

// TestX3_MadeWorkloadsHaveTheFormOfLogs writes drawn jobs as a log and reads them again, and checks that they are what
// such logs are made of.
func TestX3_MadeWorkloadsHaveTheFormOfLogs(t *testing.T) {
	short, unstated, outlived := 0, 0, 0
	for seed := range uint64(20) {
		pool := int64(2) << (seed % 8)
		jobs := MakeRigid(seed, 200, pool, 0.8)
		var text strings.Builder
		if err := swf.Write(&text, pool, jobs); err != nil {
			t.Fatal(err)
		}
		log, err := swf.Read(strings.NewReader(text.String()))
		if err != nil {
			t.Fatal(err)
		}
		again, left := log.Rigid(log.Procs)
		if log.Procs != pool || left != 0 || !slices.Equal(again, jobs) {
			t.Fatalf("seed %d: read back %d jobs for %d processors, %d left out", seed, len(again), log.Procs, left)
		}
		for i, j := range jobs {
			if i > 0 && j.Submit < jobs[i-1].Submit {
				t.Fatalf("seed %d: job %d comes before the one ahead of it", seed, i)
			}
			if j.Run < 10 {
				short++
			}
			if j.Stated == 0 {
				unstated++
			} else if j.Run == j.Stated {
				outlived++
			}
		}
	}
	if short < 100 || unstated < 100 || outlived < 20 {
		t.Errorf("%d short, %d unstated, %d cut off: logs have more of these", short, unstated, outlived)
	}
}
