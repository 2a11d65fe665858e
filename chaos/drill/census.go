package drill

import (
	"context"
	"fmt"
	"slices"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// jobsMax and attemptsMax bound what a census looks at: enough to see a restart, little enough to ask for.
	jobsMax, attemptsMax = 2_000, 50_000
)

// census is which attempts run.
type census struct {
	runs map[place]uint64 // fences
	jobs map[jobName]*v1.JobStatus
}

// place is where an attempt belongs.
type place struct {
	job   jobName
	uid   uint64
	stage string
	index uint64
}

type jobName struct{ queue, name string }

func (p place) String() string {
	return fmt.Sprintf("%s/%s/%s/%d", p.job.queue, p.job.name, p.stage, p.index)
}

// takeCensus asks for all jobs that live, and for the attempts of each.
func takeCensus(ctx context.Context, c Cell) (*census, error) {
	all := &census{runs: map[place]uint64{}, jobs: map[jobName]*v1.JobStatus{}}
	for after := ""; ; {
		page, err := c.ListJobs(ctx, &v1.ListJobsRequest{After: after})
		if err != nil {
			return nil, err
		}
		for _, j := range page.GetJobs() {
			if len(all.jobs) >= jobsMax || len(all.runs) >= attemptsMax {
				return all, nil
			}
			if err := all.add(ctx, c, jobName{j.GetQueue(), j.GetName()}); err != nil {
				return nil, err
			}
		}
		if after = page.GetNext(); after == "" {
			return all, nil
		}
	}
}

func (c *census) add(ctx context.Context, cell Cell, name jobName) error {
	s, err := cell.JobStatus(ctx, &v1.JobRef{Queue: name.queue, Name: name.name})
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	c.jobs[name] = s
	for _, i := range s.GetInstances() {
		c.runs[place{name, s.GetUid(), i.GetStage(), i.GetIndex()}] = i.GetFence()
	}
	return nil
}

// compare says what became of the attempts of the first census. An attempt has been started anew if its instance runs under
// another fence, or if it does not run and has not come to its end.
func (c *census) compare(after *census, r *Report) {
	missing := map[jobName][]place{}
	for p, fence := range c.runs { //order: counted
		switch now, runs := after.runs[p]; {
		case runs && now == fence:
			r.Same++
		case runs:
			r.restarted(p)
		default:
			missing[p.job] = append(missing[p.job], p)
		}
	}
	for name, places := range missing { //order: counted
		was, is := c.jobs[name], after.jobs[name]
		if is == nil || is.GetUid() != was.GetUid() || is.GetEndedUnixMs() != 0 {
			r.Ended += len(places) // the job is over, and with it they
			continue
		}
		done := is.GetCounts().GetDone() - was.GetCounts().GetDone()
		ended := int(min(done, uint64(len(places))))
		r.Ended += ended
		for _, p := range places[ended:] {
			r.restarted(p)
		}
	}
	slices.Sort(r.Which)
}

func (r *Report) restarted(p place) {
	r.Restarted++
	if len(r.Which) < whichMax {
		r.Which = append(r.Which, p.String())
	}
}
