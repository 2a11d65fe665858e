package plain

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/troupe-sched/troupe/chaos/trace/swf"
)

// stated are the round times that users ask for, in seconds.
var stated = []int64{60, 300, 600, 900, 1800, 3600, 7200, 4 * 3600, 8 * 3600, 12 * 3600, 24 * 3600}

// user has habits, as people in logs do.
type user struct {
	run   float64 // typical length, seconds
	procs int64   // typical size
	slack float64 // by how much more is stated than typical
	fails float64 // part of the runs that end at once
	quiet float64 // part of the runs of which nothing is stated
}

// MakeRigid draws n jobs for a pool of processors that keep it busy for load of the time, if there is room: users come in
// sessions and send a few alike jobs one after another, of sizes that are mostly powers of two, of lengths from seconds to
// hours, and state round times that are much too long. Some jobs fail at once, some run into their limit, and some state
// nothing.
func MakeRigid(seed uint64, n int, pool int64, load float64) []swf.Rigid {
	r := rand.New(rand.NewPCG(seed, 0x5f))
	users := make([]user, 3+r.IntN(10))
	for i := range users {
		users[i] = user{
			run:   math.Exp(r.Float64() * math.Log(4*3600)),
			procs: int64(1) << r.IntN(max(int(math.Log2(float64(pool))), 1)),
			slack: 1 + 8*r.Float64(),
			fails: 0.4 * r.Float64(),
		}
		if r.IntN(5) == 0 {
			users[i].quiet = r.Float64()
		}
	}
	jobs := make([]swf.Rigid, 0, n)
	area := 0.0
	for len(jobs) < n {
		u := r.IntN(len(users))
		came := r.Float64()
		for range 1 + r.IntN(8) {
			j := users[u].job(r, pool)
			j.ID, j.User = int64(len(jobs)+1), int64(u+1)
			j.Submit = int64(came * 1e6) // to be stretched
			came += r.ExpFloat64() * 0.5 / float64(n)
			jobs = append(jobs, j)
			area += float64(j.Run * j.Procs)
		}
	}
	jobs = jobs[:n]
	span := area / float64(pool) / max(load, 0.01)
	for i := range jobs {
		jobs[i].Submit = int64(float64(jobs[i].Submit) / 1e6 * span)
	}
	slices.SortStableFunc(jobs, func(a, b swf.Rigid) int { return cmp.Compare(a.Submit, b.Submit) })
	for i := range jobs {
		jobs[i].ID = int64(i + 1)
	}
	return jobs
}

func (u *user) job(r *rand.Rand, pool int64) swf.Rigid {
	run := int64(u.run * math.Exp(r.NormFloat64()/2))
	j := swf.Rigid{Run: run, Procs: min(max(u.procs<<r.IntN(3)>>1, 1), pool)}
	switch r.IntN(10) {
	case 0:
		j.Procs = 1 + r.Int64N(pool)
	case 1:
		j.Procs = 1
	}
	asked := int64(u.run * u.slack)
	i, _ := slices.BinarySearch(stated, asked)
	j.Stated = stated[min(i, len(stated)-1)]
	if r.Float64() < u.fails {
		j.Run = r.Int64N(10)
	}
	j.Run = min(j.Run, j.Stated)
	if r.Float64() < u.quiet {
		j.Stated = 0
	}
	return j
}
