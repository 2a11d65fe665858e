package place

import (
	"fmt"

	"pgregory.net/rapid"

	"github.com/troupe-sched/troupe/actors/model"
)

// actions are what may happen in a world, place among them.
func (w *world) actions(place func(*rapid.T, *ledgerStage)) map[string]func(*rapid.T) {
	node := func(t *rapid.T) *ledgerNode {
		if len(w.live()) == 0 {
			t.Skip("no node")
		}
		return rapid.SampledFrom(w.live()).Draw(t, "of")
	}
	stage := func(t *rapid.T) *ledgerStage {
		if len(w.stages) == 0 {
			t.Skip("no stage")
		}
		return rapid.SampledFrom(w.stages).Draw(t, "stage")
	}
	return map[string]func(*rapid.T){
		"unlearn": func(*rapid.T) { w.fleets[0].Unlearn() },
		"put": func(t *rapid.T) {
			w.put(model.NodeID(fmt.Sprint("n", rapid.IntRange(0, 11).Draw(t, "node"))), drawNode(t))
		},
		"put2": func(t *rapid.T) {
			w.put(model.NodeID(fmt.Sprint("n", rapid.IntRange(0, 11).Draw(t, "node"))), drawNode(t))
		},
		"remove": func(t *rapid.T) { w.remove(node(t)) },
		"open": func(t *rapid.T) {
			n := node(t)
			n.closed = rapid.IntRange(0, 2).Draw(t, "closed") == 0
			for _, f := range w.fleets {
				f.SetSchedulable(n.id, !n.closed)
			}
		},
		"stage": func(t *rapid.T) {
			if len(w.stages) < 8 {
				w.stage(drawShape(t))
			}
		},
		"change": func(t *rapid.T) {
			s := stage(t)
			s.shape = drawShape(t)
			for i, f := range w.fleets {
				f.Change(s.in[i], s.shape)
			}
		},
		"end": func(t *rapid.T) { w.end(stage(t)) },
		"avoid": func(t *rapid.T) {
			s := stage(t)
			s.avoid = []model.NodeID{node(t).id}
			for i, f := range w.fleets {
				f.SetAvoid(s.in[i], s.avoid)
			}
		},
		"withhold": func(t *rapid.T) {
			w.hold(node(t), stage(t), model.Resources{rapid.Int64Range(0, 9).Draw(t, "kept"), rapid.Int64Range(0, 9).Draw(t, "kept memory"), 0, 0}, rapid.Bool().Draw(t, "soft"))
		},
		"give": func(t *rapid.T) {
			if len(w.slots) == 0 {
				t.Skip("no slot")
			}
			w.give(rapid.IntRange(0, len(w.slots)-1).Draw(t, "slot"))
		},
		"place":   func(t *rapid.T) { place(t, stage(t)) },
		"place2":  func(t *rapid.T) { place(t, stage(t)) },
		"explain": func(t *rapid.T) { w.explain(t, stage(t)) },
	}
}

// maybe is a draw that is mostly nothing, so that most nodes and slots are plain.
func maybe(t *rapid.T, what string) bool { return rapid.IntRange(0, 3).Draw(t, what) == 0 }

func drawNode(t *rapid.T) Node {
	n := Node{Attributes: map[string]string{}, Custom: map[string]int64{}}
	for i := range n.Capacity {
		n.Capacity[i] = rapid.Int64Range(0, 24).Draw(t, model.ResourceNames[i])
	}
	for _, list := range [][]string{{"rack", "a", "b", "c"}, {"zone", "y", "z"}, {"generation", "1", "2.5", "10", "old"}, {"kernel", "5.4", "5.9", "6", "x"}} {
		if rapid.IntRange(0, 4).Draw(t, "has "+list[0]) > 0 {
			n.Attributes[list[0]] = rapid.SampledFrom(list[1:]).Draw(t, list[0])
		}
	}
	if maybe(t, "pool") {
		n.Attributes["pool"] = rapid.SampledFrom([]string{"default", "gpu"}).Draw(t, "of pool")
	}
	n.Drivers = rapid.SampledFrom([][]string{{"process"}, {"func", "process"}, {}}).Draw(t, "drivers")
	if maybe(t, "taint") {
		n.Taints = []Taint{{"k", rapid.SampledFrom([]string{"", "v"}).Draw(t, "taint value"), rapid.SampledFrom([]string{"no_place", "avoid", "evict"}).Draw(t, "effect")}}
	}
	n.Maintenance = rapid.IntRange(0, 9).Draw(t, "maintenance") == 0
	for range rapid.IntRange(0, 4).Draw(t, "devices") {
		n.Devices = append(n.Devices, Device{rapid.SampledFrom([]string{"gpu", "fpga"}).Draw(t, "kind"), rapid.SampledFrom([]string{"A", "B"}).Draw(t, "model")})
	}
	if maybe(t, "licence") {
		n.Custom["licence"] = rapid.Int64Range(1, 4).Draw(t, "licences")
	}
	if maybe(t, "ports") {
		n.PortFrom, n.PortTo = 100, 100+rapid.Int32Range(0, 3).Draw(t, "ports more")
	}
	return n
}

func drawShape(t *rapid.T) Shape {
	s := Shape{Driver: rapid.SampledFrom([]string{"", "process"}).Draw(t, "driver"), Queue: rapid.SampledFrom([]string{"q", "r"}).Draw(t, "queue")}
	for i := range s.Resources {
		s.Resources[i] = rapid.Int64Range(0, 4).Draw(t, "need")
	}
	s.Resources[model.CPU]++
	if maybe(t, "labelled") {
		s.Labels = []model.Label{{Name: "app", Value: rapid.SampledFrom([]string{"web", "db"}).Draw(t, "app")}}
	}
	s.Extra = drawExtra(t)
	s.Pool = rapid.SampledFrom([]string{"", "", "", "gpu", "*"}).Draw(t, "of pool")
	if maybe(t, "tolerates") {
		s.Tolerations = []model.Toleration{{Key: "k", Value: rapid.SampledFrom([]string{"", "v"}).Draw(t, "value")}}
	}
	for range rapid.IntRange(0, 2).Draw(t, "constraints") {
		s.Constraints = append(s.Constraints, drawConstraint(t))
	}
	s.Spread = rapid.SampledFrom([]string{"", "", "", "node", "rack", "zone"}).Draw(t, "spread")
	if maybe(t, "rules") {
		s.Spreads = []model.SpreadRule{{
			On: rapid.SampledFrom([]string{"rack", "node"}).Draw(t, "on"), MaxSkew: rapid.Int32Range(0, 2).Draw(t, "skew"),
			Max: rapid.Int64Range(0, 2).Draw(t, "max"), Weight: rapid.SampledFrom([]int32{0, 50, 100}).Draw(t, "weight"),
		}}
	}
	affinity := func(what string) []model.Affinity {
		if !maybe(t, what) {
			return nil
		}
		return []model.Affinity{{
			Labels: []model.Label{{Name: "app", Value: rapid.SampledFrom([]string{"web", "db"}).Draw(t, "beside")}},
			On:     rapid.SampledFrom([]string{"", "rack"}).Draw(t, "domain"), Queue: rapid.SampledFrom([]string{"", "*"}).Draw(t, "of"),
			Weight: rapid.SampledFrom([]int32{0, 0, 40}).Draw(t, "wish"),
		}}
	}
	s.Affinity, s.AntiAffinity = affinity("affinity"), affinity("anti-affinity")
	return s
}

func drawExtra(t *rapid.T) *model.Extra {
	if !maybe(t, "extra") {
		return nil
	}
	e := &model.Extra{}
	if maybe(t, "custom") {
		e.Custom = []model.Amount{{Name: "licence", N: rapid.Int64Range(1, 2).Draw(t, "units")}}
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "ports") {
		e.Ports = append(e.Ports, model.PortNeed{Name: fmt.Sprint("p", i), Number: rapid.SampledFrom([]int32{0, 80 + int32(i), 101 + int32(i)}).Draw(t, "number")})
	}
	if maybe(t, "device") {
		e.Devices = model.DeviceNeed{Kind: rapid.SampledFrom([]string{"gpu", "fpga"}).Draw(t, "kind"), Count: rapid.Int32Range(1, 2).Draw(t, "count"), Milli: 1000}
		if e.Devices.Count == 1 {
			e.Devices.Milli = rapid.SampledFrom([]int32{250, 500, 1000}).Draw(t, "milli")
		}
		e.Devices.Models = rapid.SampledFrom([][]string{nil, {"A"}, {"A", "B"}}).Draw(t, "models")
	}
	return e
}

func drawConstraint(t *rapid.T) model.Constraint {
	return rapid.SampledFrom([]model.Constraint{
		{Attribute: "rack", Op: model.OpEqual, Values: []string{"a"}},
		{Attribute: "zone", Op: model.OpNotEqual, Values: []string{"y"}},
		{Attribute: "rack", Op: model.OpIn, Values: []string{"b", "a"}},
		{Attribute: "generation", Op: model.OpExists},
		{Attribute: "generation", Op: model.OpLess, Values: []string{"3"}},
		{Attribute: "generation", Op: model.OpLessEqual, Values: []string{"2.50"}},
		{Attribute: "generation", Op: model.OpGreater, Values: []string{"1"}},
		{Attribute: "generation", Op: model.OpGreaterEqual, Values: []string{"10.0"}},
		{Attribute: "kernel", Op: model.OpVersion, Values: []string{">= 5.4"}},
		{Attribute: "kernel", Op: model.OpVersion, Values: []string{"<= 5.9"}},
		{Attribute: "rack", Op: model.OpMatches, Values: []string{"[bc]"}},
		{Attribute: "node", Op: model.OpNotEqual, Values: []string{"n1"}},
		{Attribute: "pool", Op: model.OpEqual, Values: []string{"default"}},
	}).Draw(t, "constraint")
}
