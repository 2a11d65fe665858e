package place

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/troupe-sched/troupe/actors/model"
)

// Shape is all that matters of a slot for where it may go.
type Shape struct {
	Resources   model.Resources
	Constraints []model.Constraint
	Driver      string
	// Spread is the attribute over whose values slots are spread; empty for none.
	Spread string
}

// ShapeOf is the shape of a stage's slots.
func ShapeOf(plan *model.StagePlan) Shape {
	return Shape{Resources: plan.Resources, Constraints: plan.Constraints, Driver: plan.Driver, Spread: plan.Spread}
}

// ClassID stands for all shapes that are equal. It holds until it was released as often as it was asked for.
type ClassID int32

// classes holds the shapes in use.
type classes struct {
	all    []*class // by ClassID; nil where vacant
	vacant []ClassID
	byKey  map[string]ClassID
	cached int    // those with candidates
	budget int    // of cached times nodes
	clock  uint64 // counts uses
}

// class is one shape, the filters that it makes, and its candidates if they are cached.
type class struct {
	shape Shape
	key   string
	uses  int
	// standing filters depend on what a node is, room on what it holds.
	standing, room []filter
	candidates     *candidates
	used           uint64 // when candidates were asked for last
}

// Class finds or makes the class of a shape. Shapes whose constraints differ only in order are equal. Each call is
// undone by one Release: classes are as many as there are callers that hold one.
func (f *Fleet) Class(shape Shape) ClassID {
	key := keyOf(shape)
	id, known := f.classes.byKey[key]
	if !known {
		id = f.classes.insert(newClass(shape, key))
	}
	f.classes.all[id].uses++
	return id
}

// Release lets go of a class.
func (f *Fleet) Release(id ClassID) {
	c := f.class(id)
	if c.uses--; c.uses > 0 {
		return
	}
	if c.candidates != nil {
		f.classes.cached--
	}
	delete(f.classes.byKey, c.key)
	f.classes.all[id] = nil
	f.classes.vacant = append(f.classes.vacant, id)
}

// Shape is the shape that a class stands for.
func (f *Fleet) Shape(id ClassID) Shape { return f.class(id).shape }

func (f *Fleet) class(id ClassID) *class {
	if id < 0 || int(id) >= len(f.classes.all) || f.classes.all[id] == nil {
		panic(fmt.Sprintf("place: class %d is not held", id))
	}
	return f.classes.all[id]
}

func (cs *classes) insert(c *class) ClassID {
	id := ClassID(len(cs.all))
	if last := len(cs.vacant) - 1; last >= 0 {
		id = cs.vacant[last]
		cs.vacant = cs.vacant[:last]
		cs.all[id] = c
	} else {
		cs.all = append(cs.all, c)
	}
	cs.byKey[c.key] = id
	return id
}

func newClass(shape Shape, key string) *class {
	c := &class{shape: cloneShape(shape), key: key, standing: []filter{openFilter{}, driverFilter{shape.Driver}}}
	for _, constraint := range c.shape.Constraints {
		c.standing = append(c.standing, constraintFilter{constraint})
	}
	for dimension, need := range c.shape.Resources {
		if need > 0 {
			c.room = append(c.room, roomFilter{dimension, need})
		}
	}
	return c
}

func cloneShape(s Shape) Shape {
	s.Constraints = slices.Clone(s.Constraints)
	for i := range s.Constraints {
		s.Constraints[i].Values = slices.Clone(s.Constraints[i].Values)
	}
	for i, amount := range s.Resources {
		s.Resources[i] = max(amount, 0)
	}
	return s
}

// keyOf writes a shape down so that equal shapes, and no others, give equal keys.
func keyOf(s Shape) string {
	s = cloneShape(s)
	for i := range s.Constraints {
		if s.Constraints[i].Op == model.OpIn {
			slices.Sort(s.Constraints[i].Values)
		}
	}
	slices.SortFunc(s.Constraints, func(a, b model.Constraint) int {
		return cmp.Or(cmp.Compare(a.Attribute, b.Attribute), cmp.Compare(a.Op, b.Op), slices.Compare(a.Values, b.Values))
	})
	var key []byte
	for _, amount := range s.Resources {
		key = append(strconv.AppendInt(key, amount, 10), ' ')
	}
	key = strconv.AppendQuote(strconv.AppendQuote(key, s.Driver), s.Spread)
	for _, c := range s.Constraints {
		key = strconv.AppendQuote(append(key, ' '), c.Attribute)
		key = strconv.AppendUint(key, uint64(c.Op), 10)
		for _, v := range c.Values {
			key = strconv.AppendQuote(key, v)
		}
	}
	return string(key)
}
