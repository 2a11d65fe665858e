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
	d.rank = d.rankAt(now)
	d.line = ln
	heap.Push(ln, d)
	ln.tried = 0 // what has come may fit where the others do not
	l.changesAt = min(l.changesAt, d.queue.order.ChangesAt(now))
}

// leave takes a demand out of its line.
func (d *demand) leave() {
	ln := d.line
	heap.Remove(ln, d.at)
	d.line = nil
	if len(ln.waiting) == 0 {
		delete(ln.level.lines, ln.id)
	}
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

// reopen gathers the lines that may be served in this pass: those in which more may fit than was found before.
func (l *level) reopen(room uint64, now int64) {
	if now >= l.changesAt {
		l.rerank(now)
	}
	l.open = l.open[:0]
	for _, ln := range l.lines { //order: a heap by ranks that all differ
		if ln.tried != room {
			ln.rank = ln.waiting[0].rank
			l.open = append(l.open, ln)
		}
	}
	heap.Init(&l.open)
}

// rerank gives all that waits the ranks of now.
func (l *level) rerank(now int64) {
	l.changesAt = backfill.Never
	for _, ln := range l.lines { //order: each for itself
		for _, d := range ln.waiting {
			d.rank = d.rankAt(now)
			l.changesAt = min(l.changesAt, d.queue.order.ChangesAt(now))
		}
		heap.Init(ln)
	}
}

// shut takes the line whose turn it is out of the rest of the pass.
func (l *level) shut() { heap.Pop(&l.open) }

// next is the line whose turn it is; nil when none is left.
func (l *level) next() *line {
	for len(l.open) > 0 {
		ln := l.open[0]
		if len(ln.waiting) == 0 {
			heap.Pop(&l.open)
			continue
		}
		if r := ln.waiting[0].rank; r != ln.rank {
			ln.rank = r
			heap.Fix(&l.open, 0)
			continue
		}
		return ln
	}
	return nil
}
