package queue

import v1 "github.com/troupe-sched/troupe/protos/v1"

// tally sums the counts of jobs as they change, so that no status has to look at each of them.
type tally struct{ wanted, waiting, running, done, dead, failed, slots uint64 }

func (t *tally) add(c *v1.Counts) {
	t.wanted += c.GetWanted()
	t.waiting += c.GetWaiting()
	t.running += c.GetRunning()
	t.done += c.GetDone()
	t.dead += c.GetDead()
	t.failed += c.GetFailedAttempts()
	t.slots += c.GetSlots()
}

func (t *tally) sub(c *v1.Counts) {
	t.wanted -= c.GetWanted()
	t.waiting -= c.GetWaiting()
	t.running -= c.GetRunning()
	t.done -= c.GetDone()
	t.dead -= c.GetDead()
	t.failed -= c.GetFailedAttempts()
	t.slots -= c.GetSlots()
}

func (t *tally) proto() *v1.Counts {
	return &v1.Counts{
		Wanted: t.wanted, Waiting: t.waiting, Running: t.running, Done: t.done, Dead: t.dead, FailedAttempts: t.failed, Slots: t.slots,
	}
}
