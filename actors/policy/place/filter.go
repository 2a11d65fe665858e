package place

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/troupe-sched/troupe/actors/model"
)

// filter decides whether a node may take one slot of a stage, and can say why not. A filter is a plain value.
type filter interface {
	// name is the stable word for it.
	name() string
	admits(f *Fleet, s *Stage, n NodeIndex) bool
	// refusal says why it refuses these nodes, all of which it refuses.
	refusal(f *Fleet, s *Stage, nodes []NodeIndex) string
	// remedy is the smallest change that would make it admit n, as an ending of "it would fit on n …".
	remedy(f *Fleet, s *Stage, n NodeIndex) string
}

// standing are the filters of a shape that look at what a node is, in the order in which they are told.
func (f *Fleet) standing(shape *Shape) ([]filter, []*attribute) {
	var held []*attribute
	hold := func(name string) *attribute {
		a := f.attribute(name)
		held = append(held, a)
		return a
	}
	list := []filter{openFilter{}, upkeepFilter{}}
	if pool := shape.poolName(); pool != model.AnyPool {
		list = append(list, poolFilter{pool, newVerdict(hold(model.PoolAttribute).column, func(v string, has bool) bool { return has && v == pool })})
	}
	if driver := shape.Driver; driver != "" {
		list = append(list, driverFilter{driver, newVerdict(f.drivers, func(v []string, has bool) bool { return has && slices.Contains(v, driver) })})
	}
	for _, c := range shape.Constraints {
		list = append(list, constraintFilter{c, newVerdict(hold(c.Attribute).column, asks(c))})
	}
	return append(list, taintFilter{shape.Tolerations, newVerdict(f.taints, func(v []Taint, _ bool) bool {
		return len(kept(v, shape.Tolerations)) == 0
	})}), held
}

// alwaysUp is how many of the first filters a node passes that is up.
const alwaysUp = 2

// openFilter refuses nodes that take no new slots. That those in maintenance do not is told by the next filter.
type openFilter struct{}

func (openFilter) name() string { return "schedulable" }
func (openFilter) admits(f *Fleet, _ *Stage, n NodeIndex) bool {
	return !f.nodes[n].closed || f.nodes[n].Maintenance
}
func (openFilter) refusal(*Fleet, *Stage, []NodeIndex) string { return "drained, or not heard of" }
func (openFilter) remedy(*Fleet, *Stage, NodeIndex) string {
	return "when it is heard of and not drained"
}

// upkeepFilter refuses nodes in maintenance.
type upkeepFilter struct{}

func (upkeepFilter) name() string                                { return "maintenance" }
func (upkeepFilter) admits(f *Fleet, _ *Stage, n NodeIndex) bool { return !f.nodes[n].Maintenance }
func (upkeepFilter) refusal(*Fleet, *Stage, []NodeIndex) string  { return "in maintenance" }
func (upkeepFilter) remedy(*Fleet, *Stage, NodeIndex) string     { return "when it leaves maintenance" }

// poolFilter refuses nodes of other pools.
type poolFilter struct {
	pool string
	*verdict[string]
}

func (poolFilter) name() string                                  { return "pool" }
func (p poolFilter) admits(_ *Fleet, _ *Stage, n NodeIndex) bool { return p.holds(n) }
func (p poolFilter) refusal(*Fleet, *Stage, []NodeIndex) string  { return "not of pool " + p.pool }
func (p poolFilter) remedy(f *Fleet, _ *Stage, n NodeIndex) string {
	pool, _ := f.valueOf(n, model.PoolAttribute)
	return "with pool " + pool + " allowed"
}

// driverFilter refuses nodes that do not run the driver.
type driverFilter struct {
	driver string
	*verdict[[]string]
}

func (driverFilter) name() string                                  { return "driver" }
func (d driverFilter) admits(_ *Fleet, _ *Stage, n NodeIndex) bool { return d.holds(n) }
func (d driverFilter) refusal(*Fleet, *Stage, []NodeIndex) string  { return "no driver " + d.driver }
func (d driverFilter) remedy(*Fleet, *Stage, NodeIndex) string {
	return "with driver " + d.driver + " there"
}

// constraintFilter refuses nodes whose attribute is not as wanted. A node that lacks the attribute meets "!=" alone.
type constraintFilter struct {
	constraint model.Constraint
	*verdict[string]
}

func (constraintFilter) name() string                                  { return "constraint" }
func (c constraintFilter) admits(_ *Fleet, _ *Stage, n NodeIndex) bool { return c.holds(n) }
func (c constraintFilter) refusal(*Fleet, *Stage, []NodeIndex) string {
	return "not " + c.constraint.String()
}
func (c constraintFilter) remedy(*Fleet, *Stage, NodeIndex) string {
	return "without the constraint " + c.constraint.String()
}

// taintFilter refuses nodes with a taint that is not tolerated, of an effect that keeps slots away.
type taintFilter struct {
	tolerations []model.Toleration
	*verdict[[]Taint]
}

func (taintFilter) name() string                                  { return "taint" }
func (t taintFilter) admits(_ *Fleet, _ *Stage, n NodeIndex) bool { return t.holds(n) }
func (t taintFilter) refusal(f *Fleet, _ *Stage, nodes []NodeIndex) string {
	return "tainted " + taintText(kept(f.nodes[nodes[0]].Taints, t.tolerations))
}
func (t taintFilter) remedy(f *Fleet, _ *Stage, n NodeIndex) string {
	return "with the taint " + taintText(kept(f.nodes[n].Taints, t.tolerations)) + " tolerated"
}

// kept are the taints that keep slots away, but for those that are tolerated.
func kept(taints []Taint, tolerations []model.Toleration) []Taint {
	return slices.DeleteFunc(slices.Clone(taints), func(t Taint) bool { return t.Effect == model.TaintAvoid || tolerated(t, tolerations) })
}

func tolerated(t Taint, list []model.Toleration) bool {
	return slices.ContainsFunc(list, func(o model.Toleration) bool { return o.Key == t.Key && (o.Value == "" || o.Value == t.Value) })
}

func taintText(list []Taint) string {
	var parts []string
	for _, t := range list {
		text := t.Key
		if t.Value != "" {
			text += "=" + t.Value
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func taintsKey(list []Taint) string {
	var b strings.Builder
	for _, t := range list {
		b.WriteString(t.Key + "\x00" + t.Value + "\x00" + t.Effect + "\x00")
	}
	return b.String()
}

// room are the filters of a shape that look at what a node has left.
func room(shape *Shape) []filter {
	var list []filter
	for dimension, need := range shape.Resources {
		if need > 0 {
			list = append(list, roomFilter{dimension, need})
		}
	}
	if shape.Extra == nil {
		return list
	}
	for _, c := range shape.Extra.Custom {
		list = append(list, customFilter{c})
	}
	dynamic := int64(0)
	for _, p := range shape.Extra.Ports {
		if p.Number == 0 {
			dynamic++
			continue
		}
		list = append(list, portFilter{p.Number})
	}
	if dynamic > 0 {
		list = append(list, dynamicFilter{dynamic})
	}
	if shape.Extra.Devices.Count > 0 {
		list = append(list, deviceFilter{shape.Extra.Devices})
	}
	return list
}

// roomFilter refuses nodes with too little of one resource left.
type roomFilter struct {
	dimension int
	need      int64
}

func (r roomFilter) name() string { return model.ResourceNames[r.dimension] }

func (r roomFilter) admits(f *Fleet, _ *Stage, n NodeIndex) bool {
	return f.rows[n].free[r.dimension] >= r.need
}

// short is how much n lacks.
func (r roomFilter) short(f *Fleet, n NodeIndex) int64 { return r.need - f.rows[n].free[r.dimension] }

func (r roomFilter) refusal(f *Fleet, _ *Stage, nodes []NodeIndex) string {
	small, most := 0, int64(0)
	for _, n := range nodes {
		if f.Capacity(n)[r.dimension] < r.need {
			small++
		}
		most = max(most, f.rows[n].free[r.dimension])
	}
	text := fmt.Sprintf("needs %s, at most %s free", r.amount(r.need), r.amount(most))
	if small > 0 {
		text += fmt.Sprintf("; %d too small even when empty", small)
	}
	return text
}

func (r roomFilter) remedy(f *Fleet, _ *Stage, n NodeIndex) string {
	short := r.short(f, n)
	switch {
	case short < r.need:
		return fmt.Sprintf("with %s less %s", r.amount(short), r.name())
	case f.Capacity(n)[r.dimension] >= r.need:
		return fmt.Sprintf("with %s of %s freed there", r.amount(short), r.name())
	}
	return fmt.Sprintf("with %s more %s there", r.amount(short), r.name())
}

func (r roomFilter) amount(n int64) string { return model.FormatAmount(r.dimension, n) }

// customFilter refuses nodes with too few custom units left.
type customFilter struct{ model.Amount }

func (customFilter) name() string { return "custom" }

func (c customFilter) left(f *Fleet, n NodeIndex) int64 {
	if e := f.extras[n]; e != nil {
		if u := e.unit(c.Name); u != nil {
			return u.has - u.held
		}
	}
	return 0
}

func (c customFilter) admits(f *Fleet, _ *Stage, n NodeIndex) bool { return c.left(f, n) >= c.N }

func (c customFilter) refusal(f *Fleet, _ *Stage, nodes []NodeIndex) string {
	most := int64(0)
	for _, n := range nodes {
		most = max(most, c.left(f, n))
	}
	return fmt.Sprintf("needs %d %s, at most %d free", c.N, c.Name, most)
}

func (c customFilter) remedy(f *Fleet, _ *Stage, n NodeIndex) string {
	return fmt.Sprintf("with %d more %s there", c.N-c.left(f, n), c.Name)
}

// portFilter refuses nodes whose fixed port is taken, or dynamic.
type portFilter struct{ number int32 }

func (portFilter) name() string { return "port" }

func (p portFilter) admits(f *Fleet, _ *Stage, n NodeIndex) bool {
	return f.extras[n] == nil || f.extras[n].portFree(p.number)
}

func (p portFilter) refusal(*Fleet, *Stage, []NodeIndex) string {
	return fmt.Sprintf("port %d is taken, or within the range of dynamic ports", p.number)
}

func (p portFilter) remedy(f *Fleet, _ *Stage, n NodeIndex) string {
	if e := f.extras[n]; p.number >= e.from && p.number <= e.to {
		return fmt.Sprintf("with a port outside %d to %d", e.from, e.to)
	}
	return fmt.Sprintf("when port %d is free there", p.number)
}

// dynamicFilter refuses nodes with too few dynamic ports left.
type dynamicFilter struct{ need int64 }

func (dynamicFilter) name() string { return "port" }

func (d dynamicFilter) left(f *Fleet, n NodeIndex) int64 {
	if f.extras[n] == nil {
		return 0
	}
	return f.extras[n].dynamicLeft()
}

func (d dynamicFilter) admits(f *Fleet, _ *Stage, n NodeIndex) bool { return d.left(f, n) >= d.need }

func (d dynamicFilter) refusal(f *Fleet, _ *Stage, nodes []NodeIndex) string {
	most := int64(0)
	for _, n := range nodes {
		most = max(most, d.left(f, n))
	}
	return fmt.Sprintf("needs %s, at most %d free", plural(int(d.need), "dynamic port"), most)
}

func (d dynamicFilter) remedy(f *Fleet, _ *Stage, n NodeIndex) string {
	return fmt.Sprintf("with %s there", plural(int(d.need-max(d.left(f, n), 0)), "more dynamic port"))
}

// deviceFilter refuses nodes without enough devices of one kind and model with so much left of each.
type deviceFilter struct{ model.DeviceNeed }

func (deviceFilter) name() string { return "device" }

func (d deviceFilter) admits(f *Fleet, _ *Stage, n NodeIndex) bool {
	return f.extras[n] != nil && slices.ContainsFunc(f.extras[n].groups, func(g group) bool { return f.extras[n].fits(&g, &d.DeviceNeed) })
}

func (d deviceFilter) refusal(f *Fleet, _ *Stage, nodes []NodeIndex) string {
	return "needs " + d.text() + ", " + d.nearest(f, nodes)
}

// nearest says what the nodes have that comes closest.
func (d deviceFilter) nearest(f *Fleet, nodes []NodeIndex) string {
	devices, whole, most := 0, 0, int32(0)
	for _, n := range nodes {
		if e := f.extras[n]; e != nil {
			for i, x := range e.devices {
				if admitsDevice(&d.DeviceNeed, x) {
					devices++
					most = max(most, e.free[i])
					if e.free[i] == model.WholeDevice {
						whole++
					}
				}
			}
		}
	}
	switch {
	case devices == 0:
		return "none there"
	case d.Milli == model.WholeDevice:
		return fmt.Sprintf("%d there, %d free", devices, whole)
	}
	return fmt.Sprintf("%d there, at most %dm of one free", devices, most)
}

func (d deviceFilter) remedy(f *Fleet, _ *Stage, n NodeIndex) string {
	e := f.extras[n]
	if e == nil {
		return "with " + d.text() + " there"
	}
	any := d.DeviceNeed
	any.Models = nil
	if i := slices.IndexFunc(e.groups, func(g group) bool { return e.fits(&g, &any) }); i >= 0 {
		return "with model " + e.groups[i].Model + " allowed"
	}
	if best := e.mostLeft(&d.DeviceNeed); d.Count == 1 && best > 0 {
		return fmt.Sprintf("with %dm less of one %s", d.Milli-best, d.Kind)
	}
	has := e.largest(&d.DeviceNeed)
	if i := slices.IndexFunc(e.groups, func(g group) bool { return admitsDevice(&any, g.Device) && len(g.members) >= int(d.Count) }); has == 0 && i >= 0 {
		any.Models = []string{e.groups[i].Model}
		return "with model " + e.groups[i].Model + " allowed when " + deviceFilter{any}.text() + d.are() + " free there"
	}
	switch {
	case has >= int(d.Count):
		return "when " + d.text() + d.are() + " free there"
	case has > 0:
		return fmt.Sprintf("with %d more %s there, all of one model", int(d.Count)-has, d.Kind)
	}
	return "with " + d.text() + " there"
}

// largest is the number of devices that would do in the group that has most of them, be they free or not.
func (e *extra) largest(d *model.DeviceNeed) (most int) {
	for _, g := range e.groups {
		if admitsDevice(d, g.Device) {
			most = max(most, len(g.members))
		}
	}
	return most
}

func (d deviceFilter) are() string {
	if d.Count == 1 {
		return " is"
	}
	return " are"
}

func (d deviceFilter) text() string {
	text := fmt.Sprintf("%d %s", d.Count, d.Kind)
	if d.Milli < model.WholeDevice {
		text = fmt.Sprintf("%dm of one %s", d.Milli, d.Kind)
	}
	if len(d.Models) > 0 {
		text += " of model " + strings.Join(d.Models, " or ")
	}
	return text
}

// admitsDevice reports whether a device is of the kind and a model that will do.
func admitsDevice(d *model.DeviceNeed, x Device) bool {
	return x.Kind == cmp.Or(d.Kind, "gpu") && (len(d.Models) == 0 || slices.Contains(d.Models, x.Model))
}

// fits reports whether a group of devices can take a slot.
func (e *extra) fits(g *group, d *model.DeviceNeed) bool {
	if !admitsDevice(d, g.Device) {
		return false
	}
	enough := int32(0)
	for _, i := range g.members {
		if e.free[i] >= d.Milli {
			enough++
		}
	}
	return enough >= d.Count
}

// mostLeft is the most that is left of one device that would do.
func (e *extra) mostLeft(d *model.DeviceNeed) (most int32) {
	for i, x := range e.devices {
		if admitsDevice(d, x) {
			most = max(most, e.free[i])
		}
	}
	return most
}

// fitsExtra reports whether a node has what a slot needs beyond plain resources.
func (f *Fleet) fitsExtra(n NodeIndex, need *model.Extra) bool {
	e := f.extras[n]
	dynamic := int64(0)
	for _, p := range need.Ports {
		if p.Number == 0 {
			dynamic++
		} else if e != nil && !e.portFree(p.Number) {
			return false
		}
	}
	if e == nil {
		return dynamic == 0 && len(need.Custom) == 0 && need.Devices.Count == 0
	}
	if dynamic > 0 && e.dynamicLeft() < dynamic {
		return false
	}
	for _, c := range need.Custom {
		if u := e.unit(c.Name); u == nil || u.has-u.held < c.N {
			return false
		}
	}
	if need.Devices.Count == 0 {
		return true
	}
	for i := range e.groups {
		if e.fits(&e.groups[i], &need.Devices) {
			return true
		}
	}
	return false
}
