package place

import (
	"reflect"
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
)

// TestX4_ExplainSaysWhoRefusesAndWhatWouldHelp reads the explanations as a user does.
func TestX4_ExplainSaysWhoRefusesAndWhatWouldHelp(t *testing.T) {
	const gi = 1 << 30
	linux := model.Constraint{Attribute: "os", Op: model.OpEqual, Values: []string{"linux"}}
	node := func(f *Fleet, id string, cpu, memory int64, os string) {
		f.Put(model.NodeID(id), model.Resources{cpu, memory, 0, 0}, map[string]string{"os": os}, []string{"process"})
	}
	for _, tt := range []struct {
		name  string
		build func(*Fleet)
		shape Shape
		want  string
	}{
		{"no nodes", func(f *Fleet) {}, slot(1), "0 nodes of 0 can take one; there is no node: start an agent"},
		{"fits", func(f *Fleet) { node(f, "n0", 1000, gi, "linux"); node(f, "n1", 100, gi, "linux") }, slot(1000),
			"1 node of 2 can take one; 1 node refused by cpu (needs 1, at most 100m free; 1 too small even when empty)"},
		{"a little less memory", func(f *Fleet) {
			node(f, "n0", 4000, 2*gi, "linux")
			node(f, "n1", 4000, 4*gi, "linux")
			f.SetHeld("n1", model.Resources{0, 4*gi - 2*gi - 960<<20, 0, 0})
		}, Shape{Resources: model.Resources{1000, 3 * gi, 0, 0}},
			"0 nodes of 2 can take one; 2 nodes refused by memory (needs 3Gi, at most 3008Mi free; 1 too small even when empty); " +
				"it would fit on node n1 with 64Mi less memory"},
		{"two resources short", func(f *Fleet) { node(f, "n0", 500, gi, "linux") }, Shape{Resources: model.Resources{750, 2 * gi, 0, 0}},
			"0 nodes of 1 can take one; 1 node refused by cpu (needs 750m, at most 500m free; 1 too small even when empty); " +
				"it would fit on node n0 with 250m less cpu and with 1Gi less memory"},
		{"full", func(f *Fleet) {
			node(f, "n0", 2000, gi, "linux")
			f.SetHeld("n0", model.Resources{2000, 0, 0, 0})
		}, slot(500), "0 nodes of 1 can take one; 1 node refused by cpu (needs 500m, at most 0 free); " +
			"it would fit on node n0 with 500m of cpu freed there"},
		{"no disk at all", func(f *Fleet) { node(f, "n0", 2000, gi, "linux") }, Shape{Resources: model.Resources{1, 0, gi, 0}},
			"0 nodes of 1 can take one; 1 node refused by disk (needs 1Gi, at most 0 free; 1 too small even when empty); " +
				"it would fit on node n0 with 1Gi more disk there"},
		{"standing filters", func(f *Fleet) {
			for _, id := range []string{"n0", "n1", "n2"} {
				node(f, id, 4000, gi, "linux")
				f.SetSchedulable(model.NodeID(id), false)
			}
			node(f, "n3", 4000, gi, "darwin")
			node(f, "n4", 4000, gi, "darwin")
			f.Put("n5", model.Resources{4000, gi, 0, 0}, map[string]string{"os": "darwin"}, nil)
		}, Shape{Resources: model.Resources{1000, 0, 0, 0}, Driver: "process", Constraints: []model.Constraint{linux}},
			"0 nodes of 6 can take one; 3 nodes refused by schedulable (drained, or not heard of), " +
				"2 nodes refused by constraint (not os = linux), 1 node refused by driver (no driver process); " +
				"it would fit on node n0 if it took new work"},
		{"constraint", func(f *Fleet) {
			node(f, "n0", 500, gi, "linux")
			f.SetSchedulable("n0", false)
			node(f, "n1", 4000, gi, "darwin")
		}, Shape{Resources: model.Resources{1000, 0, 0, 0}, Driver: "process", Constraints: []model.Constraint{linux}},
			"0 nodes of 2 can take one; 1 node refused by schedulable (drained, or not heard of), " +
				"1 node refused by constraint (not os = linux); it would fit on node n1 without the constraint os = linux"},
		{"driver", func(f *Fleet) { node(f, "n0", 500, gi, "linux") }, Shape{Resources: model.Resources{1, 0, 0, 0}, Driver: "func"},
			"0 nodes of 1 can take one; 1 node refused by driver (no driver func); it would fit on node n0 with driver func there"},
	} {
		f := NewFleet()
		tt.build(f)
		if got := f.Explain(f.Class(tt.shape)).String(); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

// TestX4_TheLeastChangeOfEachResource: each is told by itself, with the node that would take the slot.
func TestX4_TheLeastChangeOfEachResource(t *testing.T) {
	f := NewFleet()
	f.Put("n0", model.Resources{1000, 100, 0, 0}, nil, nil)
	f.Put("n1", model.Resources{900, 50, 0, 0}, nil, nil) // short of both
	f.Put("n2", model.Resources{2000, 80, 0, 0}, nil, nil)
	f.Put("n3", model.Resources{700, 200, 0, 0}, nil, nil)
	f.Put("n4", model.Resources{2000, 99, 0, 0}, nil, nil)
	f.SetSchedulable("n4", false)
	e := f.Explain(f.Class(Shape{Resources: model.Resources{1000, 120, 0, 0}}))
	want := []Change{{"memory", 20, 0}, {"cpu", 300, 3}}
	if !reflect.DeepEqual(e.Changes, want) || e.Closest != 0 || e.Fit != 0 || e.Nodes != 5 {
		t.Errorf("got %+v", e)
	}
	if e.Remedy != "it would fit on node n0 with 20 less memory" {
		t.Errorf("got %s", e.Remedy)
	}
}

// TestX4_TheClosestNode: a node that only lacks room is closer than one that must not take the slot, and one where a
// smaller slot would do is closer than one where nothing is left.
func TestX4_TheClosestNode(t *testing.T) {
	for _, tt := range []struct {
		name  string
		build func(*Fleet)
		want  string
	}{
		{"room before rules", func(f *Fleet) {
			f.Put("n0", model.Resources{1000, 1000, 0, 0}, nil, nil)
			f.SetSchedulable("n0", false)
			f.Put("n1", model.Resources{1000, 1, 0, 0}, nil, nil)
		}, "it would fit on node n1 with 999 less memory"},
		{"less before none", func(f *Fleet) {
			f.Put("n0", model.Resources{1000, 1000, 0, 0}, nil, nil)
			f.SetHeld("n0", model.Resources{1000, 0, 0, 0})
			f.Put("n1", model.Resources{100, 100, 0, 0}, nil, nil)
		}, "it would fit on node n1 with 900m less cpu and with 900 less memory"},
		{"first of equals", func(f *Fleet) {
			f.Put("n0", model.Resources{1000, 900, 0, 0}, nil, nil)
			f.Put("n1", model.Resources{1000, 900, 0, 0}, nil, nil)
		}, "it would fit on node n0 with 100 less memory"},
	} {
		f := NewFleet()
		tt.build(f)
		if got := f.Explain(f.Class(Shape{Resources: model.Resources{1000, 1000, 0, 0}})).Remedy; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
