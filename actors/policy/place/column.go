package place

import (
	"slices"
	"strings"

	"github.com/troupe-sched/troupe/actors/model"
)

// column is one property of all nodes with its different values numbered from 1; 0 is a node that has no value. What a
// filter thinks of a value it needs to find out once, not once a node. Numbers of values that no node has any more are
// given out again.
type column[T any] struct {
	ids    []int32 // by node
	values []T     // by number; the first is no value
	uses   []int32
	vacant []int32
	index  map[string]int32
	key    func(T) string
	// epoch counts the times that a number got a new meaning.
	epoch uint64
}

func newColumn[T any](key func(T) string) *column[T] {
	var none T
	return &column[T]{values: []T{none}, uses: []int32{0}, index: map[string]int32{}, key: key}
}

// set gives a node a value, and reports whether it is another one than before.
func (c *column[T]) set(n NodeIndex, value T, has bool) bool {
	for len(c.ids) <= int(n) {
		c.ids = append(c.ids, 0)
	}
	id := int32(0)
	if has {
		id = c.number(value)
	}
	old := c.ids[n]
	if id > 0 {
		c.uses[id]++
	}
	c.ids[n] = id
	if old > 0 {
		if c.uses[old]--; c.uses[old] == 0 {
			delete(c.index, c.key(c.values[old]))
			c.vacant = append(c.vacant, old)
		}
	}
	return id != old
}

func (c *column[T]) number(value T) int32 {
	key := c.key(value)
	if id, known := c.index[key]; known {
		return id
	}
	c.epoch++
	id := int32(len(c.values))
	if last := len(c.vacant) - 1; last >= 0 {
		id = c.vacant[last]
		c.vacant = c.vacant[:last]
		c.values[id] = value
	} else {
		c.values, c.uses = append(c.values, value), append(c.uses, 0)
	}
	c.index[key] = id
	return id
}

// size is how many numbers there are, with the 0.
func (c *column[T]) size() int { return len(c.values) }

// verdict is what one question thinks of every value of a column.
type verdict[T any] struct {
	col   *column[T]
	ask   func(value T, has bool) bool
	epoch uint64
	table []bool
}

func newVerdict[T any](col *column[T], ask func(T, bool) bool) *verdict[T] {
	v := &verdict[T]{col: col, ask: ask}
	v.refresh()
	return v
}

// refresh asks again about values that are new.
func (v *verdict[T]) refresh() {
	if v.epoch == v.col.epoch && len(v.table) == v.col.size() {
		return
	}
	v.table = slices.Grow(v.table[:0], v.col.size())[:v.col.size()]
	for id, value := range v.col.values {
		v.table[id] = v.ask(value, id > 0)
	}
	v.epoch = v.col.epoch
}

func (v *verdict[T]) holds(n NodeIndex) bool {
	if v.epoch != v.col.epoch {
		v.refresh()
	}
	return v.table[v.col.ids[n]]
}

// sift clears the bits of nodes for which the question has another answer.
func (v *verdict[T]) sift(set []uint64) {
	v.refresh()
	for n, id := range v.col.ids {
		if !v.table[id] {
			set[n>>6] &^= 1 << (n & 63)
		}
	}
}

// attributeColumns are the columns of the attributes that anybody asks about.
type attributeColumns struct {
	byName map[string]*attribute
}

// attribute is one of them, with the nodes of each value, and how many classes and rules hold it.
type attribute struct {
	*column[string]
	name    string
	members [][]NodeIndex // by number of the value
	uses    int
}

// set gives a node a value, and moves it to the members of that.
func (a *attribute) set(n NodeIndex, value string, has bool) {
	old, known := int32(0), int(n) < len(a.ids)
	if known {
		old = a.ids[n]
	}
	if !a.column.set(n, value, has) && known {
		return
	}
	for len(a.members) < a.size() {
		a.members = append(a.members, nil)
	}
	if known {
		list := a.members[old]
		i := slices.Index(list, n)
		list[i] = list[len(list)-1]
		a.members[old] = list[:len(list)-1]
	}
	id := a.ids[n]
	a.members[id] = append(a.members[id], n)
}

// keptColumns bounds the columns that are kept although nobody holds them.
const keptColumns = 64

// attribute finds or makes the column of an attribute. Each call is undone by dropAttribute.
func (f *Fleet) attribute(name string) *attribute {
	a := f.attributes.byName[name]
	if a == nil {
		a = &attribute{column: newColumn(func(s string) string { return s }), name: name}
		for i := range f.ids {
			value, has := f.valueOf(NodeIndex(i), name)
			a.set(NodeIndex(i), value, has)
		}
		f.attributes.byName[name] = a
	}
	a.uses++
	return a
}

func (f *Fleet) dropAttribute(a *attribute) {
	if a == nil {
		return
	}
	if a.uses--; a.uses == 0 && len(f.attributes.byName) > keptColumns {
		delete(f.attributes.byName, a.name)
	}
}

// valueOf is the value of an attribute of a node; every node has the attribute "node", its own name.
func (f *Fleet) valueOf(n NodeIndex, name string) (string, bool) {
	if !f.rows[n].live {
		return "", false
	}
	switch value, has := f.nodes[n].Attributes[name]; {
	case name == model.NodeAttribute:
		return string(f.ids[n]), true
	case has:
		return value, true
	case name == model.PoolAttribute:
		return model.DefaultPool, true
	}
	return "", false
}

func joined(list []string) string { return strings.Join(list, "\x00") }
