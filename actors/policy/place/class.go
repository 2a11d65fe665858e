package place

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/troupe-sched/troupe/actors/model"
)

// class is what stages share whose slots no single node could tell apart.
type class struct {
	id    int32
	shape Shape
	key   string
	uses  int
	need  model.Resources
	extra *model.Extra
	// standing and room are its filters, more those that look at the slots of a stage.
	standing, room []filter
	attributes     []*attribute
	scoring        scoring
	scoredBy       uint64 // the state of f.devices that scoring was made for
	// passes are the nodes that pass the standing filters, maybe those among them believed to have room: one that has
	// lost its room is dropped when it is met, one that gained comes back from the list of changes.
	passes, maybe []uint64
	liked         []uint64 // those that passed and that preferences, packages or data speak for
	count         int      // of maybe
	read          uint64   // changes taken in
	known         bool     // all nodes were looked at since changes were missed
	used          uint64   // when it was used last, by the clock of the classes
	best          []scored
	cache         []scored // by node, of classes that look at all nodes
	domains       []*domains
}

// scored is a candidate remembered, with its score if the node is still at that version.
type scored struct {
	node    NodeIndex
	version uint32
	score   int64
}

// domains counts the nodes of a class by the values of an attribute.
type domains struct {
	attribute    *attribute
	of           []int32 // by node: the number of the value under which it is counted
	passes, room []int32 // by number
	changes      uint64  // of passes
	regained     uint64  // how often a value got room again
}

type classes struct {
	byKey  map[string]*class
	lastID int32
	// known are the classes that know nodes; clock counts their uses, budget bounds the bytes of what they know.
	known  []*class
	clock  uint64
	budget int
}

// maxKnown is the budget: beyond it the class that was used longest ago forgets, and looks at all nodes again when it is
// asked.
const maxKnown = 256 << 20

// join finds or makes the class of a shape. It is undone by leave.
func (cs *classes) join(f *Fleet, shape *Shape) *class {
	key := shape.key()
	if c := cs.byKey[key]; c != nil && !f.options.NoClasses {
		c.uses++
		return c
	}
	cs.lastID++
	c := &class{id: cs.lastID, shape: *shape, key: key, uses: 1, need: shape.Resources, extra: shape.Extra, room: room(shape)}
	c.standing, c.attributes = f.standing(shape)
	c.scoring, c.scoredBy = f.scoringOf(shape), f.devices.epoch
	c.attributes = append(c.attributes, c.scoring.attributes...)
	for _, r := range spreadRules(shape) {
		a := f.attribute(r.On)
		c.attributes = append(c.attributes, a)
		c.domains = append(c.domains, &domains{attribute: a})
	}
	cs.byKey[key] = c
	return c
}

func (cs *classes) leave(f *Fleet, c *class) {
	if c.uses--; c.uses > 0 {
		return
	}
	for _, a := range c.attributes {
		f.dropAttribute(a)
	}
	if cs.byKey[c.key] == c {
		delete(cs.byKey, c.key)
	}
	cs.known = slices.DeleteFunc(cs.known, func(o *class) bool { return o == c })
}

// learn makes a class the last of those that know nodes, and lets others forget beyond the budget.
func (cs *classes) learn(c *class) {
	if cs.use(c); !slices.Contains(cs.known, c) {
		cs.known = append(cs.known, c)
	}
	bytes := 0
	for _, o := range cs.known {
		bytes += o.bytes()
	}
	if bytes <= cs.budget {
		return
	}
	slices.SortFunc(cs.known, func(a, b *class) int { return cmp.Compare(b.used, a.used) })
	for last := len(cs.known) - 1; last > 0 && bytes > cs.budget; last-- {
		bytes -= cs.known[last].bytes()
		cs.known[last].unlearn()
		cs.known = cs.known[:last]
	}
}

func (cs *classes) use(c *class) {
	cs.clock++
	c.used = cs.clock
}

// Unlearn lets all classes forget what they know of nodes, so that its memory can go. They look at all nodes again when
// they are asked; what is decided does not change.
func (f *Fleet) Unlearn() {
	for _, c := range f.classes.known {
		c.unlearn()
	}
	f.classes.known = nil
}

// bytes is about what a class takes for what it knows.
func (c *class) bytes() int {
	n := 24*len(c.passes) + 16*len(c.cache)
	for _, d := range c.domains {
		n += 4*len(d.of) + 8*len(d.passes)
	}
	return n
}

// unlearn forgets all nodes.
func (c *class) unlearn() {
	c.passes, c.maybe, c.liked, c.best, c.cache, c.count, c.known = nil, nil, nil, nil, nil, 0, false
	for _, d := range c.domains {
		d.of, d.passes, d.room = nil, nil, nil
		d.changes++
		d.regained++
	}
}

func (c *class) has(n NodeIndex) bool { return c.maybe[n>>6]&(1<<(n&63)) != 0 }

// add believes that a node has room.
func (c *class) add(n NodeIndex) {
	if c.has(n) {
		return
	}
	c.maybe[n>>6] |= 1 << (n & 63)
	c.count++
	for _, d := range c.domains {
		if d.room[d.of[n]]++; d.room[d.of[n]] == 1 {
			d.regained++
		}
	}
}

// drop believes that it has none.
func (c *class) drop(n NodeIndex) {
	if !c.has(n) {
		return
	}
	c.maybe[n>>6] &^= 1 << (n & 63)
	c.count--
	for _, d := range c.domains {
		d.room[d.of[n]]--
	}
}

// gather looks at all nodes, one filter after the other.
func (c *class) gather(f *Fleet) {
	c.extend(f)
	clear(c.liked)
	clear(c.maybe)
	c.count, c.best = 0, c.best[:0]
	for _, d := range c.domains {
		clear(d.passes)
		clear(d.room)
		d.changes++
	}
	pass := slices.Grow(f.scratch.set[:0], len(c.passes))[:len(c.passes)]
	f.scratch.set = pass
	clear(pass)
	for n := range f.rows {
		if f.rows[n].up {
			pass[n>>6] |= 1 << (n & 63)
		}
	}
	for _, x := range c.standing[alwaysUp:] {
		x.(sifter).sift(pass)
	}
	clear(c.passes)
	for w, word := range pass {
		for ; word != 0; word &= word - 1 {
			c.enter(f, NodeIndex(w<<6+bits.TrailingZeros64(word)))
		}
	}
	c.read, c.known = f.changes.end(), true
	f.classes.learn(c)
}

// sifter is a filter that asks all nodes at once.
type sifter interface{ sift(set []uint64) }

// extend makes room for nodes and values that are new.
func (c *class) extend(f *Fleet) {
	for words := (len(f.ids) + 63) / 64; len(c.passes) < words; {
		c.passes, c.maybe, c.liked = append(c.passes, 0), append(c.maybe, 0), append(c.liked, 0)
	}
	for c.cache != nil && len(c.cache) < len(f.ids) {
		c.cache = append(c.cache, scored{node: NoNode})
	}
	for _, d := range c.domains {
		for len(d.of) < len(f.ids) {
			d.of = append(d.of, 0)
		}
		for len(d.passes) < d.attribute.size() {
			d.passes, d.room = append(d.passes, 0), append(d.room, 0)
		}
	}
}

// meet asks the standing filters about a node that is not counted, and counts it.
func (c *class) meet(f *Fleet, n NodeIndex) {
	if !f.rows[n].up {
		return
	}
	for _, x := range c.standing[alwaysUp:] {
		if !x.admits(f, nil, n) {
			return
		}
	}
	c.enter(f, n)
}

// enter counts a node that passes.
func (c *class) enter(f *Fleet, n NodeIndex) {
	c.passes[n>>6] |= 1 << (n & 63)
	if c.scoring.likes(f, n) {
		c.liked[n>>6] |= 1 << (n & 63)
	}
	for _, d := range c.domains {
		d.of[n] = d.attribute.ids[n]
		d.passes[d.of[n]]++
		d.changes++
	}
	if fits(&c.need, &f.rows[n].free) {
		c.add(n)
	}
}

// forget takes a node out of all counts.
func (c *class) forget(n NodeIndex) {
	if !c.passed(n) {
		return
	}
	c.drop(n)
	c.passes[n>>6] &^= 1 << (n & 63)
	c.liked[n>>6] &^= 1 << (n & 63)
	c.best = slices.DeleteFunc(c.best, func(b scored) bool { return b.node == n })
	for _, d := range c.domains {
		d.passes[d.of[n]]--
		d.changes++
	}
}

func (c *class) passed(n NodeIndex) bool { return c.passes[n>>6]&(1<<(n&63)) != 0 }

// catchUp takes in all changes.
func (c *class) catchUp(f *Fleet) {
	end := f.changes.end()
	if c.known && c.read == end {
		return
	}
	if !c.known || c.read < f.deep && c.read < f.changes.base {
		c.gather(f)
		return
	}
	c.extend(f)
	if c.read < f.changes.base || end-c.read > uint64(len(f.ids)/2+16) && c.read >= f.deep {
		c.regain(f)
		return
	}
	for _, change := range f.changes.tail[c.read-f.changes.base:] {
		n := change.node()
		if change.deep() {
			c.forget(n)
			c.meet(f, n)
		} else if c.passed(n) && fits(&c.need, &f.rows[n].free) {
			c.add(n)
		}
	}
	c.read = end
}

// regain looks at all nodes that pass the standing filters, which none has changed since.
func (c *class) regain(f *Fleet) {
	for w, word := range c.passes {
		for word &^= c.maybe[w]; word != 0; word &= word - 1 {
			if n := NodeIndex(w<<6 + bits.TrailingZeros64(word)); fits(&c.need, &f.rows[n].free) {
				c.add(n)
			}
		}
	}
	c.read = f.changes.end()
}

// next is the first node at or after n that is believed to have room, and is liked if that is asked for, going round;
// NoNode if there is none.
func (c *class) next(n NodeIndex, liked bool) NodeIndex {
	if c.count == 0 {
		return NoNode
	}
	w := int(n >> 6)
	word := c.word(w, liked) &^ (1<<(n&63) - 1)
	for range len(c.maybe) + 1 {
		if word != 0 {
			return NodeIndex(w<<6 + bits.TrailingZeros64(word))
		}
		if w++; w == len(c.maybe) {
			w = 0
		}
		word = c.word(w, liked)
	}
	return NoNode
}

func (c *class) word(w int, liked bool) uint64 {
	if liked {
		return c.maybe[w] & c.liked[w]
	}
	return c.maybe[w]
}

// fits reports whether a slot fits into what is free. A node that holds too much of one resource can still give others.
func fits(need, free *model.Resources) bool {
	for i := range need {
		if need[i] > free[i] && need[i] > 0 {
			return false
		}
	}
	return true
}

// Classes is how many classes there are.
func (f *Fleet) Classes() int { return len(f.classes.byKey) }
