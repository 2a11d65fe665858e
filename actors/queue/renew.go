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

// owned puts a job among those of its owner, when it says for the first time what it wants.
func (a *Actor) owned(e *entry) {
	if plan := e.want.Plan; e.owner == "" && plan != nil && !plan.Service {
		e.owner = plan.Owner
		list := a.owners[e.owner]
		i, _ := slices.BinarySearchFunc(list, e.uid, func(o *entry, uid model.UID) int { return cmp.Compare(o.uid, uid) })
		a.owners[e.owner] = slices.Insert(list, i, e)
	}
}

// disown takes a job that has ended out again.
func (a *Actor) disown(e *entry) {
	list := a.owners[e.owner]
	if i := slices.Index(list, e); i >= 0 {
		list = slices.Delete(list, i, i+1)
	}
	if len(list) == 0 {
		delete(a.owners, e.owner)
		return
	}
	a.owners[e.owner] = list
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
