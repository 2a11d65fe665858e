package queue_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// What a queue says of its jobs together is what it says of each, whatever has become of them.
func TestB12_TheCountsOfAQueueAreThoseOfItsJobs(t *testing.T) {
	b := newBench(t)
	rng := rand.New(rand.NewPCG(1, 2))
	type live struct {
		p   *model.Plan
		uid model.UID
	}
	var jobs []live
	for i := range 200 {
		switch k := rng.IntN(4); {
		case k == 0 || len(jobs) == 0:
			p := plan(t, "default", fmt.Sprintf("j%d", rng.IntN(40)), 1+rng.Int64N(9))
			if !slices.ContainsFunc(jobs, func(l live) bool { return l.p.ID == p.ID }) {
				jobs = append(jobs, live{p, b.admit(p, "")})
			}
		case k == 1:
			n := rng.IntN(len(jobs))
			b.end(jobs[n].p, jobs[n].uid)
			jobs = append(jobs[:n], jobs[n+1:]...)
		default:
			l := jobs[rng.IntN(len(jobs))]
			b.tell("default", &msg.JobChanged{Summary: &v1.JobSummary{Queue: "default", Name: l.p.ID.Name, Uid: uint64(l.uid), Counts: &v1.Counts{
				Wanted: rng.Uint64N(9), Waiting: rng.Uint64N(9), Running: rng.Uint64N(9), Done: rng.Uint64N(9), Dead: rng.Uint64N(9),
				FailedAttempts: rng.Uint64N(9), Slots: rng.Uint64N(9),
			}}})
			b.settle()
		}
		if i == 100 {
			b.crash("test/top/queues/default~")
			b.tell("default", &msg.DemandRequest{}) // it does not survive that
			b.pass(time.Second)
		}
		listed := b.ask(&msg.ListJobs{Request: &v1.ListJobsRequest{Limit: 1000, Ended: true}}).(*v1.ListJobsReply)
		want, alive, ended := &v1.Counts{}, uint64(0), uint64(0)
		for _, j := range listed.Jobs {
			if j.EndedUnixMs > 0 {
				ended++
				continue
			}
			alive++
			c := j.GetCounts()
			want.Wanted, want.Waiting, want.Running = want.Wanted+c.GetWanted(), want.Waiting+c.GetWaiting(), want.Running+c.GetRunning()
			want.Done, want.Dead, want.Slots = want.Done+c.GetDone(), want.Dead+c.GetDead(), want.Slots+c.GetSlots()
			want.FailedAttempts += c.GetFailedAttempts()
		}
		if s := b.status("default"); !proto.Equal(s.Counts, want) || s.LiveJobs != alive || s.EndedJobs != ended || alive != uint64(len(jobs)) {
			t.Fatalf("after %d steps the queue says %v, its jobs %v; %d live, %d ended", i, s, want, alive, ended)
		}
	}
}
