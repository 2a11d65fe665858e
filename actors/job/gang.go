package job

import (
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/kit/plant"
)

// gang is how far a stage is whose instances start together or not at all. The placer places all of it in one decision;
// what nodes refuse of that leaves a part, which is held for so long and then given back whole.
type gang struct {
	// since is when the part was first held; zero if none is.
	since time.Time
	// rest is until when nothing is wanted, after a part was given back; tries counts how often in a row.
	rest  time.Time
	tries int
}

// restMax bounds the doublings of the rest, which begins at a second.
const restMax = 5

// apart reports whether a stage is a gang of which nothing runs or has run, and that is not all there.
func (a *Actor) apart(st *stage) bool {
	return st.plan.Gang && len(st.running)+len(st.settling) == 0 && a.hard.Counts(st.number).Done == 0 && st.held < a.useful(st)
}

// hold keeps the part of a gang until the rest comes or its time is over. It returns whether nothing may be launched.
func (a *Actor) hold(ctx *kit.Context, st *stage) bool {
	g, now := &st.gang, ctx.Now()
	if now.Before(g.rest) {
		return true
	}
	g.rest = time.Time{} // it is wanted again
	switch {
	case !a.apart(st) || plant.Is(plant.GangInPart):
		g.since, g.tries = time.Time{}, 0
		return false
	case st.held == 0:
		g.since = time.Time{}
	case g.since.IsZero():
		g.since = now
	case now.Sub(g.since) >= st.plan.GangHold:
		for sl := st.takeIdle(); sl != nil; sl = st.takeIdle() {
			a.yield(ctx, sl)
		}
		// Every gang rests for its own time: two that have parts of each other's room do not meet again and again.
		offset := time.Duration(uint64(a.uid())%16) * (time.Second / 8)
		g.since, g.rest = time.Time{}, now.Add(time.Second<<min(g.tries, restMax)+offset)
		g.tries++
	}
	return true
}

// wakes is when hold has something to do; zero if nothing.
func (g *gang) wakes(st *stage) time.Time {
	if !g.rest.IsZero() || g.since.IsZero() {
		return g.rest
	}
	return g.since.Add(st.plan.GangHold)
}

// explain says for what a gang waits; empty if for nothing.
func (g *gang) explain(st *stage, now time.Time) string {
	switch {
	case !g.rest.IsZero():
		return fmt.Sprintf("the gang could not be placed together and is tried again in %s", g.rest.Sub(now).Round(time.Millisecond))
	case !g.since.IsZero():
		return fmt.Sprintf("%d slots of the gang are held; they go back in %s unless the rest comes",
			st.held, st.plan.GangHold-now.Sub(g.since).Round(time.Millisecond))
	}
	return ""
}
