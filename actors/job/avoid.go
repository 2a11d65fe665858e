package job

import (
	"container/heap"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
)

const (
	// lookMax bounds the instances that are looked at for one slot, and the slots for one instance.
	lookMax = 64
	// patienceBeats is how many heartbeats an instance waits for a slot on another node before any will do.
	patienceBeats = 60
)

// retry takes an instance out of the line of retries that is due and does not avoid the slot.
func (s *stage) retry(sl *slot, now time.Time) (uint64, bool) {
	best := -1
	for i := range s.retries[:min(len(s.retries), lookMax)] {
		r := s.retries[i]
		if !r.due.After(now) && (best < 0 || s.retries.Less(i, best)) && !s.avoid.Avoids(r.index, sl.node, sl.granted, now) {
			best = i
		}
		if best == 0 || i == 0 && r.due.After(now) {
			break // the first is the one that is due first
		}
	}
	if best < 0 {
		return 0, false
	}
	index := s.retries[best].index
	heap.Remove(&s.retries, best)
	s.leaveLine(index)
	return index, true
}

// due counts the retries that are due, up to a bound.
func (s *stage) due(now time.Time) (n int) {
	for _, r := range s.retries[:min(len(s.retries), lookMax)] {
		if !r.due.After(now) {
			n++
		}
	}
	return n
}

// moveOn gives slots back that are idle because those who wait avoid their nodes, as soon as the placer knows of it.
func (a *Actor) moveOn(ctx *kit.Context, st *stage, idle []*slot) {
	due := 0
	if len(idle) > 0 && st.avoid.Failed() {
		due = st.due(ctx.Now())
	}
	for _, sl := range idle {
		bad := st.avoid.Bad(sl.node, sl.granted, ctx.Now())
		if !bad && due == 0 || !st.avoid.Heard(sl.node, ctx.Now()) {
			st.idle = append(st.idle, sl)
			continue
		}
		if !bad {
			due--
		}
		st.avoid.Yield(sl.node, a.env.IDs.Order())
		a.yield(ctx, sl)
	}
}

// patience ends avoidance that has left instances without a slot for too long.
func (a *Actor) patience(ctx *kit.Context) {
	for _, st := range a.stages {
		st.avoid.Expire(ctx.Now())
		if st.avoid.Waiting() && len(st.retries) > 0 && ctx.Now().Sub(st.retries[0].due) > patienceBeats*a.env.Heartbeat {
			st.avoid.Clear()
		}
	}
}
