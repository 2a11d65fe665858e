// Package loss decides when silent nodes count as lost. Whether a node is dead or out of reach cannot be told from here,
// so a lost node is a bet: that running its work twice costs less than waiting. One node is lost at once when its time is
// over. Many at a time are lost at a bounded rate, so that a mistake stays small and a recovery is no storm. And when a
// great share falls silent together the likeliest thing that has broken is this side of the wire: then nothing is lost,
// until they are heard again, an operator says that they are gone, or patience ends.
//
// Not safe for concurrent use. No clock: every question carries the time.
package loss

import (
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/actors/model"
)

// Rules of one cell.
type Rules struct {
	// Rate is nodes a minute; 0 means a tenth of all, at least one.
	Rate int
	// Share of all nodes, in percent, that may be silent at once before that is taken for isolation; 0, and 100 and more,
	// mean that it never is.
	Share int
	// Patience is how long isolation is believed in.
	Patience time.Duration
	// Grace is how long nodes have to be heard when isolation is over: not all speak at the same moment.
	Grace time.Duration
}

const (
	// isolationMin is the smallest number of silent nodes that is taken for isolation.
	isolationMin = 3
	// burstMin nodes at least are lost at once before the rate bounds them.
	burstMin = 3
	// recent is how long a node that was lost still counts as a sign of isolation.
	recent = time.Minute
)

// Judge knows the silent nodes.
type Judge struct {
	rules Rules
	nodes int
	// silent are those not heard of for a while, with whether their time is over.
	silent map[model.NodeID]bool
	line   []model.NodeID // those whose time is over, the first to be lost first
	lately []verdict      // by time
	// credit is time saved up: each loss costs a minute divided by the rate.
	credit time.Duration
	asked  time.Time
	// since is when isolation began; zero if there is none.
	since time.Time
	// until is when the grace after isolation ends.
	until time.Time
}

type verdict struct {
	node model.NodeID
	at   time.Time
}

// New makes the judge of a cell in which no node is silent.
func New(r Rules) *Judge { return &Judge{rules: r, silent: map[model.NodeID]bool{}, credit: -1} }

// Nodes says how many nodes the cell has, silent and lost ones included.
func (j *Judge) Nodes(n int) { j.nodes = n }

// Silent says that a node was not heard of for a while. It may be said again; of a node that was lost within the last
// minute it is an echo.
func (j *Judge) Silent(id model.NodeID) {
	if _, known := j.silent[id]; !known && !j.lost(id) {
		j.silent[id] = false
	}
}

// Overdue says that it was not heard of for so long that it may count as lost. It may be said again, as Silent may.
func (j *Judge) Overdue(id model.NodeID) {
	if !j.silent[id] && !j.lost(id) {
		j.silent[id] = true
		j.line = append(j.line, id)
	}
}

// Heard says that a node has been heard of.
func (j *Judge) Heard(id model.NodeID) {
	j.drop(id)
	j.lately = slices.DeleteFunc(j.lately, func(v verdict) bool { return v.node == id })
}

func (j *Judge) drop(id model.NodeID) {
	if j.silent[id] {
		j.line = slices.DeleteFunc(j.line, func(o model.NodeID) bool { return o == id })
	}
	delete(j.silent, id)
}

func (j *Judge) lost(id model.NodeID) bool {
	return slices.ContainsFunc(j.lately, func(v verdict) bool { return v.node == id })
}

// Verdicts are the nodes that count as lost from now on, in the order in which their time was over.
func (j *Judge) Verdicts(now time.Time) []model.NodeID {
	j.pass(now)
	if j.Isolated(now) || now.Before(j.until) {
		return nil
	}
	n := min(len(j.line), int(j.credit/j.cost()))
	out := slices.Clone(j.line[:n])
	j.credit -= time.Duration(n) * j.cost()
	for _, id := range out {
		delete(j.silent, id)
		j.lately = append(j.lately, verdict{id, now})
	}
	j.line = slices.Delete(j.line, 0, n)
	return out
}

// Believe takes an operator's word that nodes are gone, and returns those that were silent: they count as lost from now on,
// past rate and isolation. Of all it is asked with nil.
func (j *Judge) Believe(ids []model.NodeID) []model.NodeID {
	if ids == nil {
		for id := range j.silent { //order: sorted below
			ids = append(ids, id)
		}
		slices.Sort(ids)
	}
	var out []model.NodeID
	for _, id := range ids {
		if _, silent := j.silent[id]; silent {
			j.drop(id)
			out = append(out, id)
		}
	}
	return out
}

// pass takes in the time that has passed.
func (j *Judge) pass(now time.Time) {
	full := time.Duration(j.burst()) * j.cost()
	switch {
	case j.credit < 0:
		j.credit = full
	case now.After(j.asked):
		j.credit = min(full, j.credit+now.Sub(j.asked))
	}
	j.credit = min(j.credit, full) // the cell may have shrunk
	j.asked = now
	old := 0
	for old < len(j.lately) && now.Sub(j.lately[old].at) > recent {
		old++
	}
	j.lately = slices.Delete(j.lately, 0, old)
	switch many := j.many(); {
	case !many && !j.since.IsZero():
		j.since, j.until = time.Time{}, now.Add(j.rules.Grace)
	case !many:
	case j.since.IsZero():
		j.since = now
	}
}

// many reports whether so many are silent, or were lost just now, that it is likely this side that is cut off.
func (j *Judge) many() bool {
	n := len(j.silent) + len(j.lately)
	return j.rules.Share > 0 && j.rules.Share < 100 && n >= isolationMin && n*100 > j.rules.Share*j.nodes
}

// Isolated reports whether so many nodes are silent that no more are lost, as of the last Verdicts.
func (j *Judge) Isolated(now time.Time) bool {
	return !plant.Is(plant.IsolationIgnored) && !j.since.IsZero() && now.Sub(j.since) <= j.rules.Patience
}

// Missing is how many nodes are silent, or were lost within the last minute.
func (j *Judge) Missing() int { return len(j.silent) + len(j.lately) }

// Waiting is how many wait to be lost: their time is over.
func (j *Judge) Waiting() int { return len(j.line) }

// Knows reports whether a node is silent.
func (j *Judge) Knows(id model.NodeID) bool { _, ok := j.silent[id]; return ok }

// Back says that a node has been heard of that was late, or that nobody had heard yet. What has kept it silent may have kept
// others, which will be heard in a moment: they have a grace.
func (j *Judge) Back(now time.Time) {
	if until := now.Add(j.rules.Grace); until.After(j.until) {
		j.until = until
	}
}

// Late reports whether the time of a node is over, and it is not lost yet.
func (j *Judge) Late(id model.NodeID) bool { return j.silent[id] }

func (j *Judge) rate() int {
	if j.rules.Rate > 0 {
		return j.rules.Rate
	}
	return max(1, j.nodes/10)
}

func (j *Judge) burst() int { return max(burstMin, j.nodes/50) }

// cost of one loss.
func (j *Judge) cost() time.Duration { return max(time.Minute/time.Duration(j.rate()), 1) }
