package place

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/troupe-sched/troupe/actors/model"
)

// Shape is all that matters of a slot for where it may go.
type Shape struct {
	Resources model.Resources
	// Extra is what it needs beyond Resources; nil for most.
	Extra  *model.Extra
	Driver string
	model.Rules
	// Queue and Labels of the job, the labels sorted by name: affinities select by them.
	Queue  string
	Labels []model.Label
	// Band matters to the mix of priorities on a node.
	Band model.Band
}

// ShapeOf is the shape of a stage's slots.
func ShapeOf(plan *model.StagePlan, queue string, labels []model.Label, band model.Band) Shape {
	return Shape{
		Resources: plan.Resources, Extra: plan.Extra, Driver: plan.Driver, Rules: plan.Rules,
		Queue: queue, Labels: labels, Band: band,
	}
}

// Slots are equal slots on one node.
type Slots struct {
	Each model.Resources
	// Extra is what each needs beyond that; nil for most.
	Extra *model.Extra
	Count int
	// Devices of each slot; nil without devices.
	Devices [][]model.DeviceShare
}

// key writes down what the class of a shape depends on: all that one node alone decides. What depends on where other
// slots are belongs to the stage. Shapes that differ only in the order of rules give equal keys.
func (s *Shape) key() string {
	var k keyWriter
	for _, amount := range s.Resources {
		k.number(max(amount, 0))
	}
	k.text(s.Driver, s.poolName(), s.Score.By)
	k.number(int64(s.Band))
	k.constraints(s.Constraints)
	k.constraints(s.Prefer)
	for _, t := range sortedBy(s.Tolerations, func(a, b model.Toleration) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Value, b.Value))
	}) {
		k.text(t.Key, t.Value)
	}
	k.end()
	k.text(s.Packages...)
	k.end()
	for _, d := range s.Data {
		k.text(string(d.Node))
		k.number(d.Bytes)
	}
	k.end()
	k.amounts(s.Score.Weights)
	k.extra(s.Extra)
	k.spread(s)
	return string(k.b)
}

// poolName is the pool of a shape, the default one written out.
func (s *Shape) poolName() string { return cmp.Or(s.Pool, model.DefaultPool) }

// keyWriter writes values so that different lists of values are different texts.
type keyWriter struct{ b []byte }

func (k *keyWriter) number(n int64) { k.b = append(strconv.AppendInt(k.b, n, 10), ' ') }

func (k *keyWriter) text(list ...string) {
	for _, s := range list {
		k.b = strconv.AppendQuote(k.b, s)
	}
}

func (k *keyWriter) end() { k.b = append(k.b, ';') }

func (k *keyWriter) constraints(list []model.Constraint) {
	list = slices.Clone(list)
	for i, c := range list {
		if c.Op == model.OpIn {
			list[i].Values = slices.Sorted(slices.Values(c.Values))
		}
	}
	slices.SortFunc(list, func(a, b model.Constraint) int {
		return cmp.Or(cmp.Compare(a.Attribute, b.Attribute), cmp.Compare(a.Op, b.Op), slices.Compare(a.Values, b.Values), cmp.Compare(a.Weight, b.Weight))
	})
	for _, c := range list {
		k.text(c.Attribute)
		k.number(int64(c.Op))
		k.number(int64(c.Weight))
		k.text(c.Values...)
		k.end()
	}
	k.end()
}

func (k *keyWriter) amounts(list []model.Amount) {
	for _, a := range list {
		k.text(a.Name)
		k.number(a.N)
	}
	k.end()
}

func (k *keyWriter) extra(e *model.Extra) {
	if e == nil {
		return
	}
	k.amounts(e.Custom)
	for _, p := range e.Ports {
		k.number(int64(p.Number))
	}
	k.text(e.Devices.Kind)
	k.number(int64(e.Devices.Count))
	k.number(int64(e.Devices.Milli))
	k.text(e.Devices.Models...)
}

// spread writes the attribute over which a class counts its nodes with room.
func (k *keyWriter) spread(s *Shape) {
	k.end()
	k.text(s.Spread)
	for _, r := range s.Spreads {
		k.text(r.On)
		k.number(int64(r.Weight))
	}
}

func sortedBy[T any](list []T, less func(a, b T) int) []T {
	list = slices.Clone(list)
	slices.SortFunc(list, less)
	return list
}

// clone is a shape that shares no memory that its owner may change.
func (s *Shape) clone() Shape {
	c := *s
	for i, amount := range c.Resources {
		c.Resources[i] = min(max(amount, 0), model.MaxAmount)
	}
	c.Constraints, c.Prefer = cloneConstraints(s.Constraints), cloneConstraints(s.Prefer)
	c.Labels, c.Data = slices.Clone(s.Labels), slices.Clone(s.Data)
	return c
}

func cloneConstraints(list []model.Constraint) []model.Constraint {
	list = slices.Clone(list)
	for i := range list {
		list[i].Values = slices.Clone(list[i].Values)
	}
	return list
}
