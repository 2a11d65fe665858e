package queue

import (
	"cmp"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
)

// renewMax bounds the jobs of one owner that are predicted anew when a run of that owner has ended: those that came first.
const renewMax = 256

// stand puts a job among those of its owner that wait, or takes it out when it holds slots, has ended, or wants nothing: as
// its queue knows, which hears of it soon.
func (a *Actor) stand(e *entry) {
	waits := e.live && e.want != nil && e.want.Plan != nil && !e.want.Plan.Service && e.summary.GetCounts().GetSlots() == 0
	if waits == e.waits || e.want == nil || e.want.Plan == nil {
		return
	}
	e.waits = waits
	owner := e.want.Plan.Owner
	list := a.owners[owner]
	i, _ := slices.BinarySearchFunc(list, e.uid, func(o *entry, uid model.UID) int { return cmp.Compare(o.uid, uid) })
	if waits {
		list = slices.Insert(list, i, e)
	} else {
		list = slices.Delete(list, i, i+1)
	}
	if a.owners[owner] = list; len(list) == 0 {
		delete(a.owners, owner)
	}
}

// renew tells the placer what is expected now of an owner's jobs that are like one of which a run has ended: that what is
// known newest counts for work that waits is worth more than a better method (see policy/backfill).
func (a *Actor) renew(ctx *kit.Context, owner, past string) {
	list := a.owners[owner]
	for _, e := range list[:min(len(list), renewMax)] {
		for _, s := range e.want.Stages {
			target, told := e.allowed[s.Stage]
			if told && target > 0 && target < untold && pastOf(e.want.Plan, s.Plan) == past && a.predict(e.want.Plan, s.Plan) != e.predicted[s.Stage] {
				ctx.Tell(a.env.Refs.Placer, a.demandOf(e, s, target))
			}
		}
	}
}

// remember notes what the placer is told.
func (e *entry) remember(s msg.StageWant, predicted time.Duration) {
	if e.predicted == nil {
		e.predicted = map[uint32]time.Duration{}
	}
	e.predicted[s.Stage] = predicted
}
