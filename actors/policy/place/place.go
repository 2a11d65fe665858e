package place

import (
	"math/bits"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/spread"
)

// Ask is what Place is asked for.
type Ask struct {
	// Slots is how many more are wanted.
	Slots int
	// Short says that they end before what is kept softly is needed.
	Short bool
	// All places all of them or none.
	All bool
}

// Assignment is a decision: so many slots go to a node.
type Assignment struct {
	Node  NodeIndex
	Count int
	// Devices of each slot; nil if it needs none.
	Devices [][]model.DeviceShare
}

// Slots are the slots of an assignment.
func (s *Stage) Slots(a Assignment) Slots {
	return Slots{Each: s.shape.Resources, Extra: s.shape.Extra, Count: a.Count, Devices: a.Devices}
}

const (
	// scanned is the number of nodes up to which all are looked at; scannedFew is that of nodes believed to have room in
	// a larger fleet.
	scanned, scannedFew = 256, 32
	// drawn is how many nodes are drawn by chance for a slot, and remembered how many of the best are kept.
	drawn, remembered = 8, 4
	// inARow is how many neighbours are drawn at once: they lie side by side in memory.
	inARow = 8
	// drawnMost bounds the draws while drawn nodes turn out to have no room.
	drawnMost = 4 * drawn
)

// scratch is memory that decisions use again. It carries nothing from one to the next.
type scratch struct {
	placed []int32  // by node: 1 + place among the answers of this call
	set    []uint64 // of nodes
	list   spread.List
	nodes  []spread.Node
}

// Place chooses nodes for slots of a stage, books them, and appends its choice to out: as many as fit, or all or none if
// they are asked for together, each node once. One slot after another goes to the node that is best then.
func (f *Fleet) Place(s *Stage, ask Ask, out []Assignment) []Assignment {
	first := len(out)
	if out = f.place(s, ask, out); ask.All && len(out) == first {
		out = f.together(s, ask, out)
	}
	return out
}

func (f *Fleet) place(s *Stage, ask Ask, out []Assignment) []Assignment {
	c := s.class
	first, left := len(out), min(ask.Slots, model.MaxInstances)
	if left <= 0 || len(f.ids) == 0 {
		return out
	}
	c.extend(f)
	f.rescore(c)
	f.classes.use(c)
	for len(f.scratch.placed) < len(f.ids) {
		f.scratch.placed = append(f.scratch.placed, 0)
	}
	// Where nothing depends on where the slots are, a node stays the best until the second best is better.
	alone := len(s.rules)+len(s.even)+len(s.raters) == 0
	if f.listed(s, c, left) {
		out, left = f.placeList(s, c, ask.Short, left, first, out)
	}
	for left > 0 {
		k := f.choose(s, c, ask.Short)
		n := k.best.node
		if n == NoNode {
			break
		}
		var a *Assignment
		out, a = f.answer(out, first, n)
		for {
			f.book(s, n, a)
			left--
			if left == 0 || !alone || !f.feasible(s, c, n, ask.Short) || k.second.before(f.rate(s, c, n)) {
				break
			}
		}
	}
	for _, a := range out[first:] {
		f.scratch.placed[a.Node] = 0
	}
	if ask.All && left > 0 {
		for _, a := range out[first:] {
			f.Give(s, a.Node, s.Slots(a))
		}
		out = out[:first]
	}
	return out
}

// answer is the assignment of a node among the answers of one call, made if need be.
func (f *Fleet) answer(out []Assignment, first int, n NodeIndex) ([]Assignment, *Assignment) {
	if f.scratch.placed[n] == 0 {
		out = append(out, Assignment{Node: n})
		f.scratch.placed[n] = int32(len(out) - first)
	}
	return out, &out[first+int(f.scratch.placed[n])-1]
}

// book takes one slot on a node.
func (f *Fleet) book(s *Stage, n NodeIndex, a *Assignment) {
	slots := Slots{Each: s.shape.Resources, Extra: s.shape.Extra, Count: 1}
	if s.shape.Extra != nil && s.shape.Extra.Devices.Count > 0 {
		devices := f.devicesFor(s, n)
		slots.Devices = [][]model.DeviceShare{devices}
		a.Devices = append(a.Devices, devices)
	}
	f.Take(s, n, slots)
	a.Count++
}

// candidate is a node that can take a slot. Less crowd is better, then more score, then the lower index.
type candidate struct {
	node  NodeIndex
	crowd int64
	score int64
}

// before reports whether x is better than y; nothing is worse than no node.
func (x candidate) before(y candidate) bool {
	switch {
	case x.node == NoNode || y.node == NoNode:
		return x.node != NoNode
	case x.crowd != y.crowd:
		return x.crowd < y.crowd
	case x.score != y.score:
		return x.score > y.score
	}
	return x.node < y.node
}

// choice is the two best nodes of those looked at.
type choice struct {
	best, second candidate
	found        int
}

func nothing() choice {
	return choice{best: candidate{node: NoNode}, second: candidate{node: NoNode}}
}

// see takes a candidate in.
func (k *choice) see(x candidate) {
	k.found++
	switch {
	case x.node == k.best.node:
	case x.before(k.best):
		k.best, k.second = x, k.best
	case x.before(k.second):
		k.second = x
	}
}

// choose finds the best node for one more slot, among all nodes where these are few, else among some. It finds none only
// if there is none.
func (f *Fleet) choose(s *Stage, c *class, short bool) choice {
	k := nothing()
	small := f.small()
	if small || c.count <= f.scannedFew || len(c.domains) > 0 || c.read < f.deep {
		c.catchUp(f)
	}
	done := false
	switch {
	case small:
		f.keepScores(c)
	case c.count <= f.scannedFew:
	case len(s.even) == 1:
		done = f.spread(s, c, short, &k)
	default:
		f.draw(s, c, short, &k)
		done = k.found > 0
	}
	if !done {
		c.catchUp(f)
		f.scan(s, c, short, &k)
	}
	return k
}

// small reports whether all nodes are looked at for each slot.
func (f *Fleet) small() bool {
	return f.options.Exact || f.options.NoChance || len(f.ids) <= f.scanned
}

// maxCached bounds the scores that classes keep of all nodes, together.
const maxCached = 4 << 20

// scan looks at all nodes that are believed to have room.
func (f *Fleet) scan(s *Stage, c *class, short bool, k *choice) {
	for w := range c.maybe {
		for word := c.maybe[w]; word != 0; word &= word - 1 {
			n := NodeIndex(w<<6 + bits.TrailingZeros64(word))
			if f.feasible(s, c, n, short) {
				k.see(f.rate(s, c, n))
			}
		}
	}
}

// keepScores lets a class that looks at all nodes keep their scores.
func (f *Fleet) keepScores(c *class) {
	if c.cache == nil && !f.options.NoCache && len(f.ids)*len(f.classes.byKey) <= maxCached {
		c.cache = make([]scored, 0, len(f.ids))
		c.extend(f)
	}
}

// draw looks at the best nodes of the last time, and at a few drawn by chance.
func (f *Fleet) draw(s *Stage, c *class, short bool, k *choice) {
	for i := 0; i < len(c.best); {
		b := &c.best[i]
		if f.feasible(s, c, b.node, short) {
			if b.version != f.rows[b.node].version || f.options.NoCache {
				*b = scored{b.node, f.rows[b.node].version, f.score(c, b.node)}
			}
			k.see(f.placed(s, b.node, b.score))
			i++
			continue
		}
		c.best[i] = c.best[len(c.best)-1]
		c.best = c.best[:len(c.best)-1]
	}
	if f.leads(s, c, short, k) && k.found > 0 {
		return
	}
	if c.scoring.wishes > 0 {
		f.sample(s, c, short, k, true)
	}
	f.sample(s, c, short, k, false)
}

// sample looks at a few nodes drawn by chance, a few neighbours at a time.
func (f *Fleet) sample(s *Stage, c *class, short bool, k *choice, liked bool) {
	n := NoNode
	for fresh, tries := 0, 0; fresh < drawn && tries < drawnMost; tries++ {
		if tries%inARow == 0 || int(n) == len(f.ids)-1 {
			n = NodeIndex(f.random(len(f.ids)))
		} else {
			n++
		}
		if n = c.next(n, liked); n == NoNode {
			return
		}
		if f.feasible(s, c, n, short) {
			x := scored{n, f.rows[n].version, f.score(c, n)}
			k.see(f.placed(s, n, x.score))
			c.remember(x)
			fresh++
		}
	}
}

// remember keeps a node among the best, in place of the worst of them.
func (c *class) remember(x scored) {
	worst := 0
	for i := range c.best {
		if c.best[i].node == x.node {
			c.best[i] = x
			return
		}
		if c.best[i].score < c.best[worst].score {
			worst = i
		}
	}
	switch {
	case len(c.best) < remembered:
		c.best = append(c.best, x)
	case c.best[worst].score < x.score:
		c.best[worst] = x
	}
}

// feasible reports whether a node that passes the standing filters can take one slot, and drops it if it has no room.
func (f *Fleet) feasible(s *Stage, c *class, n NodeIndex, short bool) bool {
	if !f.rows[n].up || !fits(&c.need, &f.rows[n].free) || c.extra != nil && !f.fitsExtra(n, c.extra) {
		c.drop(n)
		return false
	}
	for _, r := range s.rules {
		if !r.admits(f, s, n) {
			return false
		}
	}
	return f.spares(n, s, short)
}

// rate scores a node for one slot of a stage.
func (f *Fleet) rate(s *Stage, c *class, n NodeIndex) candidate {
	if c.cache == nil {
		return f.placed(s, n, f.score(c, n))
	}
	known := &c.cache[n]
	if known.node != n || known.version != f.rows[n].version {
		*known = scored{n, f.rows[n].version, f.score(c, n)}
	}
	return f.placed(s, n, known.score)
}

// placed adds to the score of a node what depends on where slots are.
func (f *Fleet) placed(s *Stage, n NodeIndex, score int64) candidate {
	x := candidate{node: n, score: score}
	for _, r := range s.raters {
		x.score += r.weight * r.rate(f, s, n)
	}
	for _, t := range s.even {
		x.crowd += int64(t.on(n))
	}
	return x
}
