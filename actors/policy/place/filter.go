package place

import (
	"fmt"
	"slices"

	"github.com/troupe-sched/troupe/actors/model"
)

// filter decides whether a node may take one slot of a class, and can say why not. A filter is a plain value.
type filter interface {
	// name is the stable word for it.
	name() string
	admits(f *Fleet, n NodeIndex) bool
	// refusal says why it refuses these nodes, all of which it refuses.
	refusal(f *Fleet, nodes []NodeIndex) string
	// remedy is the smallest change that would make it admit n, as an ending of "it would fit on n …".
	remedy(f *Fleet, n NodeIndex) string
}

// openFilter refuses nodes that take no new slots.
type openFilter struct{}

func (openFilter) name() string                        { return "schedulable" }
func (openFilter) admits(f *Fleet, n NodeIndex) bool   { return f.open[n] }
func (openFilter) refusal(*Fleet, []NodeIndex) string  { return "drained, or not heard of" }
func (openFilter) remedy(f *Fleet, n NodeIndex) string { return "if it took new work" }

// driverFilter refuses nodes that do not run the driver.
type driverFilter struct{ driver string }

func (d driverFilter) name() string { return "driver" }

func (d driverFilter) admits(f *Fleet, n NodeIndex) bool {
	return d.driver == "" || slices.Contains(f.drivers[n], d.driver)
}

func (d driverFilter) refusal(*Fleet, []NodeIndex) string { return "no driver " + d.driver }
func (d driverFilter) remedy(f *Fleet, n NodeIndex) string {
	return "with driver " + d.driver + " there"
}

// constraintFilter refuses nodes whose attribute is not as wanted. A node that lacks the attribute meets "!=".
type constraintFilter struct{ constraint model.Constraint }

func (c constraintFilter) name() string { return "constraint" }

func (c constraintFilter) admits(f *Fleet, n NodeIndex) bool {
	value, has := f.attribute(n, c.constraint.Attribute)
	switch c.constraint.Op {
	case model.OpEqual, model.OpIn:
		return has && slices.Contains(c.constraint.Values, value)
	case model.OpNotEqual:
		return !has || !slices.Contains(c.constraint.Values, value)
	case model.OpExists:
		return has
	}
	return false
}

func (c constraintFilter) refusal(*Fleet, []NodeIndex) string { return "not " + c.constraint.String() }

func (c constraintFilter) remedy(f *Fleet, n NodeIndex) string {
	return "without the constraint " + c.constraint.String()
}

// roomFilter refuses nodes with too little of one resource left.
type roomFilter struct {
	dimension int
	need      int64
}

func (r roomFilter) name() string { return model.ResourceNames[r.dimension] }

func (r roomFilter) admits(f *Fleet, n NodeIndex) bool {
	return f.capacity[n][r.dimension]-f.held[n][r.dimension] >= r.need
}

// short is how much n lacks.
func (r roomFilter) short(f *Fleet, n NodeIndex) int64 {
	return r.need - (f.capacity[n][r.dimension] - f.held[n][r.dimension])
}

func (r roomFilter) refusal(f *Fleet, nodes []NodeIndex) string {
	small, most := 0, int64(0)
	for _, n := range nodes {
		if f.capacity[n][r.dimension] < r.need {
			small++
		}
		most = max(most, f.capacity[n][r.dimension]-f.held[n][r.dimension])
	}
	text := fmt.Sprintf("needs %s, at most %s free", r.amount(r.need), r.amount(most))
	if small > 0 {
		text += fmt.Sprintf("; %d too small even when empty", small)
	}
	return text
}

func (r roomFilter) remedy(f *Fleet, n NodeIndex) string {
	short := r.short(f, n)
	switch {
	case short < r.need:
		return fmt.Sprintf("with %s less %s", r.amount(short), r.name())
	case f.capacity[n][r.dimension] >= r.need:
		return fmt.Sprintf("with %s of %s freed there", r.amount(short), r.name())
	}
	return fmt.Sprintf("with %s more %s there", r.amount(short), r.name())
}

func (r roomFilter) amount(n int64) string { return model.FormatAmount(r.dimension, n) }
