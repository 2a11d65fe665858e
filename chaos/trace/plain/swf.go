package plain

import (
	"cmp"
	"math"
	"slices"

	"github.com/troupe-sched/troupe/actors/policy/backfill"
	"github.com/troupe-sched/troupe/chaos/trace/swf"
)

// Options are how rigid jobs wait for one pool of processors.
type Options struct {
	backfill.Policy
	// Clairvoyant predicts every run exactly, as nobody can.
	Clairvoyant bool
}

// Schedule is what became of each job, by its place in the list. Times are milliseconds.
type Schedule struct {
	Submit, Start, Run []int64
	Procs              []int64
	Pool               int64
	// Delayed counts passes in which work that went ahead made the reservation of the head later. There must be none.
	Delayed int
}

// job is one job on its way. Times are milliseconds.
type job struct {
	swf.Rigid
	index       int
	submit, run int64
	stated      int64 // backfill.Never if nothing is
	predicted   int64
	first       int64 // predicted at submission, or anew while it waited
	corrections int
	start       int64
}

func (j *job) expected() int64 { return backfill.After(j.start, j.predicted) }

// player is the whole state.
type player struct {
	Options
	pool    int64
	now     int64
	waiting []*job // by submission
	running []*job // by start
	past    map[int64][]int64
	out     *Schedule
}

// PlayRigid plays jobs on a pool of identical processors. At one time everything happens in this order: predictions that
// are outlived are corrected; jobs that have used all that they stated end together, with one pass after them; submissions,
// with a pass after each; and the other ends, with a pass after each. Studies let a pass count on what is expected to end
// at that very time. This order, which a cell can keep too, comes to the same.
func PlayRigid(jobs []swf.Rigid, pool int64, o Options) *Schedule {
	p := &player{Options: o, pool: pool, past: map[int64][]int64{}, out: &Schedule{Pool: pool}}
	var coming []*job
	for i, r := range jobs {
		j := &job{Rigid: r, index: i, submit: r.Submit * 1000, run: r.Run * 1000, stated: backfill.Never, start: -1}
		if r.Stated > 0 {
			j.stated = r.Stated * 1000
		}
		coming = append(coming, j)
		p.out.Submit, p.out.Run = append(p.out.Submit, j.submit), append(p.out.Run, j.run)
		p.out.Procs = append(p.out.Procs, r.Procs)
	}
	p.out.Start = make([]int64, len(jobs))
	slices.SortStableFunc(coming, func(a, b *job) int { return cmp.Compare(a.submit, b.submit) })
	for len(coming) > 0 || len(p.running) > 0 {
		p.now = math.MaxInt64
		if len(coming) > 0 {
			p.now = coming[0].submit
		}
		for _, j := range p.running {
			p.now = min(p.now, j.start+j.run, j.expected())
		}
		p.correct()
		if p.endAtLimit() {
			p.pass()
		}
		for len(coming) > 0 && coming[0].submit == p.now {
			p.submit(coming[0])
			coming = coming[1:]
		}
		for p.endFirst() {
			p.pass()
		}
	}
	return p.out
}

// correct predicts anew what has outlived its prediction.
func (p *player) correct() {
	for _, j := range p.running {
		for j.expected() <= p.now && j.start+j.run > p.now {
			j.predicted = p.Correction.Correct(j.first, j.predicted, j.stated, j.corrections)
			j.corrections++
		}
	}
}

func (p *player) submit(j *job) {
	p.predict(j)
	p.waiting = append(p.waiting, j)
	p.pass()
}

// endAtLimit ends the jobs whose time has come with all that they stated, or as foreseen, and reports whether there were
// any.
func (p *player) endAtLimit() bool {
	before := len(p.running)
	for _, j := range slices.Clone(p.running) {
		if j.start+j.run <= p.now && (j.run == j.stated || p.Clairvoyant) {
			p.end(j)
		}
	}
	return len(p.running) < before
}

// endFirst ends the job whose time has come that started first, and reports whether there was one.
func (p *player) endFirst() bool {
	for _, j := range p.running {
		if j.start+j.run <= p.now {
			p.end(j)
			return true
		}
	}
	return false
}

func (p *player) end(j *job) {
	p.running = slices.DeleteFunc(p.running, func(r *job) bool { return r == j })
	p.past[j.User] = append(p.past[j.User], j.run)
	if p.Method.Renews() {
		for _, w := range p.waiting {
			if w.User == j.User {
				p.predict(w)
			}
		}
	}
}

// predict is the mean of the user's last two or five runs, at most what is stated.
func (p *player) predict(j *job) {
	j.predicted = max(j.stated, 1)
	past := p.past[j.User]
	switch n := map[backfill.Method]int{backfill.Recent: 2, backfill.Learned: 5}[p.Method]; {
	case p.Clairvoyant:
		j.predicted = max(j.run, 1)
	case n > 0 && len(past) >= 2:
		past = past[max(len(past)-n, 0):]
		sum := int64(0)
		for _, run := range past {
			sum += run
		}
		mean := sum / int64(len(past))
		if p.Method == backfill.Recent {
			mean = mean / 1000 * 1000 // published for whole seconds
		}
		j.predicted = max(min(mean, j.stated), 1)
	}
	j.first = j.predicted
}

// pass starts what may start now.
func (p *player) pass() {
	p.sort(p.waiting, p.Order)
	free := p.pool
	for _, j := range p.running {
		free -= j.Procs
	}
	for len(p.waiting) > 0 && p.waiting[0].Procs <= free {
		free -= p.waiting[0].Procs
		p.begin(p.waiting[0])
	}
	if len(p.waiting) == 0 || p.Fill == backfill.None {
		return
	}
	head := p.waiting[0]
	shadow := p.shadowOf(head)
	p.fill(free, head, shadow)
	if p.shadowOf(head) > shadow {
		p.out.Delayed++
	}
}

// fill starts what may go ahead of a head that has a reservation at the shadow time.
func (p *player) fill(free int64, head *job, shadow int64) {
	behind := slices.Clone(p.waiting[1:])
	if p.Fill == backfill.ShortestFirst {
		slices.SortFunc(behind, func(a, b *job) int {
			return cmp.Or(cmp.Compare(a.predicted, b.predicted), cmp.Compare(a.submit, b.submit), cmp.Compare(a.index, b.index))
		})
	}
	beside := int64(0)
	if shadow < backfill.Never {
		beside = p.free(shadow) - head.Procs
	}
	for _, j := range behind {
		switch ends := backfill.After(p.now, j.predicted); {
		case j.Procs > free:
			continue
		case ends > shadow || ends == backfill.Never:
			if j.Procs > beside {
				continue // it would be there when the head's time has come, and not beside it
			}
			beside -= j.Procs
		}
		free -= j.Procs
		p.begin(j)
	}
}

// free is how many processors will be free at a time if everything ends when it is expected to.
func (p *player) free(at int64) int64 {
	free := p.pool
	for _, j := range p.running {
		if e := j.expected(); e > at || e == backfill.Never {
			free -= j.Procs
		}
	}
	return free
}

// shadowOf is the earliest time at which a job would fit.
func (p *player) shadowOf(j *job) int64 {
	shadow := backfill.Never
	for _, r := range p.running {
		if at := max(r.expected(), p.now); at < shadow && p.free(at) >= j.Procs {
			shadow = at
		}
	}
	return shadow
}

func (p *player) begin(j *job) {
	j.start = p.now
	p.out.Start[j.index] = p.now
	p.waiting = slices.DeleteFunc(p.waiting, func(w *job) bool { return w == j })
	p.running = append(p.running, j)
}

// sort puts jobs into the queue's order.
func (p *player) sort(jobs []*job, o backfill.Order) {
	keys := make(map[*job]uint64, len(jobs))
	for _, j := range jobs {
		size := uint64(min(j.predicted, 1<<43))
		share := j.Procs * backfill.ShareUnit / p.pool
		switch o {
		case backfill.Shortest:
			size *= 1 << 10
		case backfill.Smallest:
			size *= uint64(max(share, 1))
		case backfill.Slowdown:
			size *= uint64(math.Sqrt(float64(max(share, 1) * backfill.ShareUnit)))
		default:
			size = 0
		}
		keys[j] = size / uint64(p.now/backfill.Tick-j.submit/backfill.Tick+60)
	}
	slices.SortFunc(jobs, func(a, b *job) int {
		return cmp.Or(cmp.Compare(keys[a], keys[b]), cmp.Compare(a.submit, b.submit), cmp.Compare(a.index, b.index))
	})
}
