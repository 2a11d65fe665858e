package placer

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/backfill"
	"github.com/troupe-sched/troupe/actors/policy/place"
)

// level is all that waits at one priority. Its lines are served in one merged order: each step takes the line whose
// first demand goes first. So a step costs the logarithm of the lines, and a line that does not fit is left out of the
// rest of the pass with all that stands in it.
type level struct {
	priority model.Priority
	lines    map[lineID]*line
	open     openLines
	// turns is how many the demand that was served last has had: who comes new starts there, and who was kept away does
	// not catch up.
	turns uint64
	// changesAt is when ranks change by themselves, because orders age.
	changesAt int64
	// mixed says that queues of different orders meet.
	mixed bool
	// stale says that ranks in open may have fallen.
	stale bool
}

// lineID tells lines apart: what fits one demand of a line fits all.
type lineID struct {
	queue *queue
	room  place.Line
	// alone is the stage whose room is not that of its class; zero for most.
	alone model.StageID
}

// line is the demands of one kind that wait, a heap by rank.
type line struct {
	id      lineID
	level   *level
	waiting []*demand
	// tried is the version of the room for which nothing more was found to fit.
	tried uint64
	// full is the version of the room for which there was none: more can only be had by evicting.
	full uint64
	// timed counts those of which it is known how long they run.
	timed int
	// rank is what the line stood at in level.open; it may have risen since.
	rank rank
}

// rank orders what waits in one level; the least goes first.
type rank struct {
	// part is 0 for a gang of which a part is held already: until the rest has come it is of no use.
	part uint8
	// share is what the queue holds, where queues of different orders meet; else 0.
	share int64
	key   backfill.Key
}

func (r rank) compare(o rank) int {
	return cmp.Or(cmp.Compare(r.part, o.part), cmp.Compare(r.share, o.share), r.key.Compare(o.key))
}

func compareStages(x, y model.StageID) int {
	return cmp.Or(cmp.Compare(x.Job, y.Job), cmp.Compare(x.Stage, y.Stage))
}

// level finds or makes the level of a priority.
func (a *Actor) level(p model.Priority) *level {
	i, found := slices.BinarySearchFunc(a.levels, p, func(l *level, p model.Priority) int { return l.priority.Compare(p) })
	if !found {
		a.levels = slices.Insert(a.levels, i, &level{priority: p, lines: map[lineID]*line{}, changesAt: backfill.Never})
	}
	return a.levels[i]
}

// join puts a demand in its line.
func (a *Actor) join(d *demand, now int64) {
	l := a.level(d.Priority)
	id := d.lineID()
	ln := l.lines[id]
	if ln == nil {
		ln = &line{id: id, level: l}
		l.lines[id] = ln
	}
	d.turns = max(d.turns, l.turns)
	if d.since == 0 {
		d.since = now
	}
	d.part = a.cell(d)
	d.rank = d.rankAt(now)
	d.line = ln
	heap.Push(ln, d)
	if d.duration != backfill.Never {
		ln.timed++
	}
	ln.tried, ln.full = 0, 0 // what has come may fit where the others do not
	l.changesAt = min(l.changesAt, d.queue.order.ChangesAt(now))
}

// leave takes a demand out of its line.
func (d *demand) leave() {
	ln := d.line
	if d.at >= 0 {
		heap.Remove(ln, d.at)
	}
	if d.line = nil; d.duration != backfill.Never {
		ln.timed--
	}
	if len(ln.waiting) == 0 {
		delete(ln.level.lines, ln.id)
	}
}

// aside takes a demand out of the heap of its line, back puts it in again.
func (ln *line) aside(d *demand) {
	heap.Remove(ln, d.at)
	d.at = -1
}

func (ln *line) back(d *demand) {
	heap.Push(ln, d)
	ln.level.lines[ln.id] = ln
}

// rankAt is the rank of a demand by its queue's order.
func (d *demand) rankAt(now int64) rank {
	w := d.waiting()
	r := rank{part: 1, key: d.queue.order.Key(&w, now)}
	if d.Plan.Gang && d.held > 0 {
		r.part = 0
	}
	return r
}

// waiting is what orders see of a demand. Serials are those of submission, so equals go by age.
func (d *demand) waiting() backfill.Waiting {
	w := backfill.Waiting{Serial: uint64(d.Stage.Job)<<stageBits | uint64(d.Stage.Stage), Turns: d.turns, Duration: d.duration, Share: d.part}
	if d.queue.order.Ages() {
		w.Since = d.since
	}
	return w
}

// stageBits hold the number of any stage.
const stageBits = 10

// served moves a demand behind those that have had fewer turns.
func (d *demand) served(now int64) {
	l := d.line.level
	d.turns = max(d.turns, l.turns) + 1
	l.turns = d.turns - 1
	d.rank = d.rankAt(now)
	heap.Fix(d.line, d.at)
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (ln *line) Len() int           { return len(ln.waiting) }
func (ln *line) Less(i, j int) bool { return ln.waiting[i].rank.compare(ln.waiting[j].rank) < 0 }
func (ln *line) Swap(i, j int) {
	w := ln.waiting
	w[i], w[j] = w[j], w[i]
	w[i].at, w[j].at = i, j
}

func (ln *line) Push(x any) {
	d := x.(*demand)
	d.at = len(ln.waiting)
	ln.waiting = append(ln.waiting, d)
}

func (ln *line) Pop() any {
	last := len(ln.waiting) - 1
	d := ln.waiting[last]
	ln.waiting[last] = nil
	ln.waiting = ln.waiting[:last]
	return d
}

// openLines is the lines of a level that may be served in one pass, a heap by the ranks that they had when they were
// put in. A rank only rises while a line is in it, so who comes up with an old one is put back with the new one.
type openLines []*line

func (o openLines) Len() int           { return len(o) }
func (o openLines) Less(i, j int) bool { return o[i].rank.compare(o[j].rank) < 0 }
func (o openLines) Swap(i, j int)      { o[i], o[j] = o[j], o[i] }
func (o *openLines) Push(x any)        { *o = append(*o, x.(*line)) }
func (o *openLines) Pop() any {
	last := len(*o) - 1
	ln := (*o)[last]
	(*o)[last] = nil
	*o = (*o)[:last]
	return ln
}

// reopen gathers the lines that may be served in this turn: those in which more may fit than was found before.
func (l *level) reopen(a *Actor, now int64) {
	if now >= l.changesAt {
		l.rerank(now)
	}
	l.open, l.mixed = l.open[:0], false
	var order *queue
	for _, ln := range l.lines { //order: a heap by ranks that all differ
		if ln.tried != a.room || ln.id.queue.fill == backfill.None || ln.waiting[0].picky() {
			l.open = append(l.open, ln)
		}
		if order == nil {
			order = ln.id.queue
		}
		l.mixed = l.mixed || order.order != ln.id.queue.order
	}
	l.reheap(a)
}

// reheap puts the lines into order anew; after refill ranks may have fallen.
func (l *level) reheap(a *Actor) {
	l.stale = false
	l.open = slices.DeleteFunc(l.open, func(ln *line) bool { return len(ln.waiting) == 0 })
	for _, ln := range l.open {
		ln.rank = l.rank(a, ln)
	}
	heap.Init(&l.open)
}

// rank is where a line stands. Queues of different orders take turns by what they hold of what they may hold.
func (l *level) rank(a *Actor, ln *line) rank {
	r := ln.waiting[0].rank
	if l.mixed {
		r.share = a.part(ln.id.queue)
	}
	return r
}

// refill orders what may fill the room beside a reservation as its queue says, and reports whether that differs.
func (l *level) refill() (differs bool) {
	for _, ln := range l.lines { //order: each for itself
		if ln.id.queue.fill != backfill.ShortestFirst {
			continue
		}
		differs = true
		for _, d := range ln.waiting {
			w := d.waiting()
			d.rank.key = ln.id.queue.fill.Key(&w, d.rank.key)
		}
		heap.Init(ln)
	}
	l.stale = l.stale || differs
	return differs
}

// rerank gives all that waits the ranks of now.
func (l *level) rerank(now int64) {
	l.changesAt = backfill.Never
	for _, ln := range l.lines { //order: each for itself
		l.changesAt = min(l.changesAt, ln.id.queue.order.ChangesAt(now))
		for _, d := range ln.waiting {
			d.rank = d.rankAt(now)
		}
		heap.Init(ln)
	}
}

// shut takes the line whose turn it is out of the rest of the pass.
func (l *level) shut() { heap.Pop(&l.open) }

// next is the line whose turn it is; nil when none is left.
func (l *level) next(a *Actor) *line {
	if l.stale {
		l.reheap(a)
	}
	for len(l.open) > 0 {
		ln := l.open[0]
		if len(ln.waiting) == 0 {
			heap.Pop(&l.open)
			continue
		}
		if r := l.rank(a, ln); r != ln.rank {
			ln.rank = r
			heap.Fix(&l.open, 0)
			continue
		}
		return ln
	}
	return nil
}
