package place

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/troupe-sched/troupe/actors/model"
)

// brute is placement as one would write it first: for every slot a scan of all nodes. It reads the columns, and
// shares nothing else with the real one.
func brute(f *Fleet, s Shape, n int, heldByNode func(NodeIndex) int) []Assignment {
	var out []Assignment
	placed := map[NodeIndex]int{}
	for range n {
		best, bestCount, bestLeft := NoNode, 0, int64(0)
		for i := range f.ids {
			node := NodeIndex(i)
			if !f.live[node] || !bruteAdmits(f, s, node) {
				continue
			}
			left, fits := bruteLeft(f, s, node, placed[node])
			if !fits {
				continue
			}
			count := 0
			if s.Spread != "" {
				count = bruteCount(f, s, node, placed, heldByNode)
			}
			if best == NoNode || count < bestCount || count == bestCount && left < bestLeft {
				best, bestCount, bestLeft = node, count, left
			}
		}
		if best == NoNode {
			break
		}
		if placed[best]++; placed[best] == 1 {
			out = append(out, Assignment{Node: best})
		}
	}
	for i := range out {
		out[i].Count = placed[out[i].Node]
	}
	return out
}

func bruteAdmits(f *Fleet, s Shape, n NodeIndex) bool {
	if !f.open[n] || s.Driver != "" && !slices.Contains(f.drivers[n], s.Driver) {
		return false
	}
	for _, c := range s.Constraints {
		value, has := f.attributes[n][c.Attribute]
		if c.Attribute == "node" {
			value, has = string(f.ids[n]), true
		}
		in := has && slices.Contains(c.Values, value)
		if c.Op == model.OpExists && !has || (c.Op == model.OpEqual || c.Op == model.OpIn) && !in || c.Op == model.OpNotEqual && in {
			return false
		}
	}
	return true
}

// bruteLeft is what one more slot would leave, in parts of 8192 of the capacity, when placed slots are there already.
func bruteLeft(f *Fleet, s Shape, n NodeIndex, placed int) (left int64, fits bool) {
	for i, need := range s.Resources {
		rest := f.capacity[n][i] - f.held[n][i] - need*int64(placed+1)
		if need > 0 && rest < 0 {
			return 0, false
		}
		if f.capacity[n][i] > 0 && rest > 0 {
			left += rest * 8192 / f.capacity[n][i]
		}
	}
	return left, true
}

func bruteCount(f *Fleet, s Shape, n NodeIndex, placed map[NodeIndex]int, heldByNode func(NodeIndex) int) int {
	value := func(n NodeIndex) string {
		if s.Spread == "node" {
			return string(f.ids[n])
		}
		return f.attributes[n][s.Spread]
	}
	count := 0
	for i := range f.ids {
		if o := NodeIndex(i); f.live[o] && value(o) == value(n) {
			count += placed[o] + heldByNode(o)
		}
	}
	return count
}

// bruteExplain counts by the first filter that refuses.
func bruteExplain(f *Fleet, s Shape) (fit int, refusals map[string]int) {
	refusals = map[string]int{}
	for i := range f.ids {
		n := NodeIndex(i)
		if !f.live[n] {
			continue
		}
		first := ""
		for _, part := range []struct {
			name  string
			shape Shape
		}{{"schedulable", Shape{}}, {"driver", Shape{Driver: s.Driver}}, {"constraint", Shape{Constraints: s.Constraints}}} {
			if first == "" && !bruteAdmits(f, part.shape, n) {
				first = part.name
			}
		}
		for d, name := range model.ResourceNames {
			if first == "" && s.Resources[d] > 0 && f.capacity[n][d]-f.held[n][d] < s.Resources[d] {
				first = name
			}
		}
		if first == "" {
			fit++
		} else {
			refusals[first]++
		}
	}
	return fit, refusals
}

// world draws operations on a fleet, and compares every decision with the scan's.
type world struct {
	fleet   *Fleet
	classes []ClassID
	stages  map[ClassID]map[NodeIndex]int // what was taken by Place, by class
}

func (w *world) node(t *rapid.T) model.NodeID {
	return model.NodeID(fmt.Sprintf("n%d", rapid.IntRange(0, 11).Draw(t, "node")))
}

func resources(t *rapid.T, most int64) model.Resources {
	var r model.Resources
	for i := range r {
		r[i] = rapid.Int64Range(0, most).Draw(t, model.ResourceNames[i])
	}
	return r
}

func drawShape(t *rapid.T) Shape {
	s := Shape{
		Resources: resources(t, 4),
		Driver:    rapid.SampledFrom([]string{"", "process", "func"}).Draw(t, "driver"),
		Spread:    rapid.SampledFrom([]string{"", "node", "rack", "zone"}).Draw(t, "spread"),
	}
	s.Resources[model.CPU]++
	for range rapid.IntRange(0, 2).Draw(t, "constraints") {
		c := model.Constraint{
			Attribute: rapid.SampledFrom([]string{"rack", "zone", "node"}).Draw(t, "attribute"),
			Op:        model.Op(rapid.IntRange(0, 3).Draw(t, "op")),
		}
		for range rapid.IntRange(1, 2).Draw(t, "values") {
			c.Values = append(c.Values, rapid.SampledFrom([]string{"a", "b", "n1", "n2"}).Draw(t, "value"))
		}
		if c.Op == model.OpEqual || c.Op == model.OpNotEqual {
			c.Values = c.Values[:1]
		}
		s.Constraints = append(s.Constraints, c)
	}
	return s
}

func (w *world) actions() map[string]func(*rapid.T) {
	anyClass := func(t *rapid.T) ClassID {
		if len(w.classes) == 0 {
			t.Skip("no class")
		}
		return rapid.SampledFrom(w.classes).Draw(t, "class")
	}
	return map[string]func(*rapid.T){
		"put": func(t *rapid.T) {
			attributes := map[string]string{}
			for _, name := range []string{"rack", "zone"} {
				if rapid.Bool().Draw(t, "has "+name) {
					attributes[name] = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, name)
				}
			}
			drivers := rapid.SampledFrom([][]string{{}, {"process"}, {"func", "process"}}).Draw(t, "drivers")
			w.fleet.Put(w.node(t), resources(t, 30), attributes, drivers)
		},
		"remove": func(t *rapid.T) {
			id := w.node(t)
			if n, known := w.fleet.Index(id); known {
				for _, held := range w.stages {
					delete(held, n)
				}
			}
			w.fleet.Remove(id)
		},
		"open":  func(t *rapid.T) { w.fleet.SetSchedulable(w.node(t), rapid.Bool().Draw(t, "open")) },
		"held":  func(t *rapid.T) { w.fleet.SetHeld(w.node(t), resources(t, 35)) },
		"class": func(t *rapid.T) { w.classes = append(w.classes, w.fleet.Class(drawShape(t))) },
		"release": func(t *rapid.T) {
			id := anyClass(t)
			w.classes = slices.Delete(w.classes, slices.Index(w.classes, id), slices.Index(w.classes, id)+1)
			w.fleet.Release(id)
			if !slices.Contains(w.classes, id) {
				delete(w.stages, id)
			}
		},
		"give": func(t *rapid.T) {
			id := anyClass(t)
			held := w.stages[id]
			for n := range w.fleet.Nodes() {
				if held[n] > 0 {
					w.fleet.Give(n, w.fleet.Shape(id).Resources, 1)
					held[n]--
					return
				}
			}
		},
		"place": func(t *rapid.T) {
			id, n := anyClass(t), rapid.IntRange(0, 40).Draw(t, "n")
			w.place(t, id, n, rapid.Bool().Draw(t, "take"))
		},
		"explain": func(t *rapid.T) { w.explain(t, anyClass(t)) },
	}
}

func (w *world) place(t *rapid.T, id ClassID, n int, take bool) {
	shape := w.fleet.Shape(id)
	if w.stages[id] == nil {
		w.stages[id] = map[NodeIndex]int{}
	}
	own := w.stages[id]
	heldByNode := func(n NodeIndex) int { return own[n] }
	got := w.fleet.Place(id, n, heldByNode, nil)
	want := brute(w.fleet, shape, n, heldByNode)
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %d slots:\n got %v\nwant %v", shape, n, got, want)
	}
	if !take {
		return
	}
	for _, a := range got {
		w.fleet.Take(a.Node, shape.Resources, a.Count)
		own[a.Node] += a.Count
	}
}

func (w *world) explain(t *rapid.T, id ClassID) {
	e := w.fleet.Explain(id)
	fit, refusals := bruteExplain(w.fleet, w.fleet.Shape(id))
	counted := map[string]int{}
	for _, r := range e.Refusals {
		counted[r.Filter] += r.Nodes
	}
	if e.Fit != fit || !reflect.DeepEqual(counted, refusals) || e.Nodes != w.fleet.Len() {
		t.Fatalf("got %+v\nwant %d fit, %v refused", e, fit, refusals)
	}
	if (e.Fit > 0) != (len(w.fleet.Place(id, 1, nil, nil)) > 0) {
		t.Fatalf("%d nodes fit, and Place disagrees", e.Fit)
	}
	if (e.Fit > 0) != (e.Remedy == "") {
		t.Fatalf("%d nodes fit, remedy %q", e.Fit, e.Remedy)
	}
	for _, c := range e.Changes { // each change alone would do
		s := w.fleet.Shape(id)
		for d, name := range model.ResourceNames {
			if name == c.Resource {
				s.Resources[d] -= c.Less
			}
		}
		if got := brute(w.fleet, s, 1, func(NodeIndex) int { return 0 }); len(got) == 0 {
			t.Fatalf("%+v would not do", c)
		}
	}
}

// TestB16_DecisionsEqualAFullScan: whatever happened before, a decision is the one that a scan of all nodes for every
// slot would make.
func TestB16_DecisionsEqualAFullScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{fleet: NewFleet(), stages: map[ClassID]map[NodeIndex]int{}}
		t.Repeat(w.actions())
	})
}
