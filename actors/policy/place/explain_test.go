package place

import (
	"fmt"
	"slices"
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
)

const gi = int64(1) << 30

// told is a small cell for explanations.
func told(f *Fleet, id string, cpu, memory int64, os string, more ...func(*Node)) {
	n := Node{Capacity: model.Resources{cpu, memory, 0, 0}, Attributes: map[string]string{"os": os}, Drivers: []string{"process"}}
	for _, change := range more {
		change(&n)
	}
	f.Put(model.NodeID(id), n)
}

func slot(cpu int64) Shape {
	return Shape{Resources: model.Resources{model.CPU: cpu, model.Memory: 1 << 20}, Driver: "process"}
}

func hold1(f *Fleet, id string, r model.Resources) {
	n, _ := f.Index(model.NodeID(id))
	f.Take(f.Stage(Shape{}), n, Slots{Each: r, Count: 1})
}

// TestX4_ExplainSaysWhoRefusesAndWhatWouldHelp reads the explanations as a user does.
func TestX4_ExplainSaysWhoRefusesAndWhatWouldHelp(t *testing.T) {
	linux := model.Constraint{Attribute: "os", Op: model.OpEqual, Values: []string{"linux"}}
	for _, tt := range []struct {
		name  string
		build func(*Fleet)
		shape Shape
		want  string
	}{
		{"no nodes", func(f *Fleet) {}, slot(1), "0 nodes of 0 can take one; there is no node: start an agent"},
		{"fits", func(f *Fleet) { told(f, "n0", 1000, gi, "linux"); told(f, "n1", 100, gi, "linux") }, slot(1000),
			"1 node of 2 can take one; 1 node refused by cpu (needs 1, at most 100m free; 1 too small even when empty)"},
		{"a little less memory", func(f *Fleet) {
			told(f, "n0", 4000, 2*gi, "linux")
			told(f, "n1", 4000, 4*gi, "linux")
			hold1(f, "n1", model.Resources{0, 4*gi - 2*gi - 960<<20, 0, 0})
		}, Shape{Resources: model.Resources{1000, 3 * gi, 0, 0}},
			"0 nodes of 2 can take one; 2 nodes refused by memory (needs 3Gi, at most 3008Mi free; 1 too small even when empty); " +
				"it would fit on node n1 with 64Mi less memory; 1 more node like it"},
		{"two resources short", func(f *Fleet) { told(f, "n0", 500, gi, "linux") }, Shape{Resources: model.Resources{750, 2 * gi, 0, 0}},
			"0 nodes of 1 can take one; 1 node refused by cpu (needs 750m, at most 500m free; 1 too small even when empty); " +
				"it would fit on node n0 with 250m less cpu and with 1Gi less memory"},
		{"full", func(f *Fleet) {
			told(f, "n0", 2000, gi, "linux")
			hold1(f, "n0", model.Resources{2000, 0, 0, 0})
		}, slot(500), "0 nodes of 1 can take one; 1 node refused by cpu (needs 500m, at most 0 free); " +
			"it would fit on node n0 with 500m of cpu freed there"},
		{"no disk at all", func(f *Fleet) { told(f, "n0", 2000, gi, "linux") }, Shape{Resources: model.Resources{1, 0, gi, 0}},
			"0 nodes of 1 can take one; 1 node refused by disk (needs 1Gi, at most 0 free; 1 too small even when empty); " +
				"it would fit on node n0 with 1Gi more disk there"},
		{"maintenance", func(f *Fleet) {
			for i := range 3 {
				told(f, fmt.Sprint("n", i), 4000, gi, "linux", func(n *Node) { n.Maintenance = i > 0 })
			}
			hold1(f, "n0", model.Resources{4000, 0, 0, 0})
		}, slot(500), "0 nodes of 3 can take one; 2 nodes refused by maintenance (in maintenance), 1 node refused by cpu (needs 500m, at most 0 free); " +
			"it would fit on node n0 with 500m of cpu freed there"},
		{"pool", func(f *Fleet) {
			told(f, "n0", 4000, gi, "linux", func(n *Node) { n.Attributes["pool"] = "gpu" })
		}, slot(500), "0 nodes of 1 can take one; 1 node refused by pool (not of pool default); it would fit on node n0 with pool gpu allowed"},
		{"taint", func(f *Fleet) {
			told(f, "n0", 4000, gi, "linux", func(n *Node) { n.Taints = []Taint{{"old", "", "avoid"}, {"team", "db", "no_place"}} })
		}, slot(500), "0 nodes of 1 can take one; 1 node refused by taint (tainted team=db); it would fit on node n0 with the taint team=db tolerated"},
		{"model", func(f *Fleet) {
			told(f, "n0", 4000, gi, "linux", func(n *Node) { n.Devices = []Device{{"gpu", "V100"}} })
		}, Shape{Resources: model.Resources{1, 0, 0, 0}, Extra: &model.Extra{Devices: model.DeviceNeed{Kind: "gpu", Count: 1, Milli: 500, Models: []string{"T4"}}}},
			"0 nodes of 1 can take one; 1 node refused by device (needs 500m of one gpu of model T4, none there); it would fit on node n0 with model V100 allowed"},
		{"constraint or driver", func(f *Fleet) {
			told(f, "n0", 4000, gi, "darwin")
			told(f, "n1", 4000, gi, "linux", func(n *Node) { n.Drivers = nil })
		}, Shape{Resources: model.Resources{1000, 0, 0, 0}, Driver: "process", Rules: model.Rules{Constraints: []model.Constraint{linux}}},
			"0 nodes of 2 can take one; 1 node refused by driver (no driver process), 1 node refused by constraint (not os = linux); " +
				"it would fit on node n0 without the constraint os = linux"},
	} {
		f := NewFleet(Options{})
		tt.build(f)
		if got := f.Explain(f.Stage(tt.shape)).String(); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

// TestX4_RemediesGoFromSmallToLarge: each is told once, none that contains another, and every filter has one.
func TestX4_RemediesGoFromSmallToLarge(t *testing.T) {
	f := NewFleet(Options{Filters: []Filter{onlyEven{}}})
	told(f, "n0", 1000, 100, "linux")
	told(f, "n2", 900, 50, "linux") // short of both
	told(f, "n4", 2000, 80, "linux")
	told(f, "n6", 700, 200, "linux")
	told(f, "n8", 2000, 200, "linux", func(n *Node) { n.Maintenance = true })
	told(f, "n10", 2000, 200, "linux", func(n *Node) { n.Maintenance = true })
	told(f, "n11", 2000, 200, "linux")
	told(f, "n12", 2000, 200, "linux")
	apart := Shape{Resources: model.Resources{1, 1, 0, 0}, Queue: "q", Labels: []model.Label{{Name: "app", Value: "db"}}}
	n12, _ := f.Index("n12")
	f.Take(f.Stage(apart), n12, Slots{Count: 1})
	s := Shape{Resources: model.Resources{1000, 120, 0, 0}, Queue: "q"}
	s.AntiAffinity = []model.Affinity{{Labels: apart.Labels}}
	want := []string{
		"it would fit on node n0 with 20 less memory; 1 more node like it",
		"it would fit on node n6 with 300m less cpu",
		"it would fit on node n8 when it leaves maintenance; 1 more node like it",
		"it would fit on node n11 on an even node",
		`it would fit on node n12 if no job with app=db of queue "q" ran on the same node`,
	}
	e := f.Explain(f.Stage(s))
	if !slices.Equal(e.Remedies, want) || e.Remedy != want[0] || e.Closest != 0 || e.Fit != 0 || e.Nodes != 8 {
		t.Errorf("got %q\n%+v", e.Remedies, e)
	}
}

// TestX4_RemediesNameWhatIsThere: what is closed for maintenance is in maintenance; nobody is told to wait for devices that a
// node has not, nor of its own slots twice.
func TestX4_RemediesNameWhatIsThere(t *testing.T) {
	gpu := func(need model.DeviceNeed) Shape {
		return Shape{Resources: model.Resources{1, 0, 0, 0}, Extra: &model.Extra{Devices: need}}
	}
	self := slot(1)
	self.Queue, self.Labels = "q", []model.Label{{Name: "app", Value: "db"}}
	self.AntiAffinity = []model.Affinity{{Labels: self.Labels}}
	for _, tt := range []struct {
		name  string
		shape Shape
		take  Shape // held already
		node  func(*Node)
		want  string
	}{
		{"maintenance", slot(1), slot(0), func(n *Node) { n.Maintenance = true }, "when it leaves maintenance"},
		{"other kind", gpu(model.DeviceNeed{Kind: "fpga", Count: 1, Milli: 1000}), slot(0), nil, "with 1 fpga there"},
		{"too few", gpu(model.DeviceNeed{Kind: "gpu", Count: 3, Milli: 1000}), slot(0), nil, "with 1 more gpu there, all of one model"},
		{"held", gpu(model.DeviceNeed{Kind: "gpu", Count: 2, Milli: 1000}), gpu(model.DeviceNeed{Kind: "gpu", Count: 1, Milli: 100}), nil, "when 2 gpu are free there"},
		{"other model, held", gpu(model.DeviceNeed{Kind: "gpu", Count: 2, Milli: 1000, Models: []string{"T4"}}), gpu(model.DeviceNeed{Kind: "gpu", Count: 1, Milli: 100}), nil,
			"with model V100 allowed when 2 gpu of model V100 are free there"},
		{"self", self, self, nil, `if no job with app=db of queue "q" ran on the same node`},
	} {
		f := NewFleet(Options{})
		told(f, "n0", 4000, gi, "linux", func(n *Node) {
			n.Devices = []Device{{"gpu", "V100"}, {"gpu", "V100"}}
			if tt.node != nil {
				tt.node(n)
			}
		})
		f.SetSchedulable("n0", tt.name != "maintenance")
		held, stage := f.Stage(tt.take), f.Stage(tt.shape)
		if tt.name == "self" {
			held = stage
		}
		if got := f.Place(held, Ask{Slots: 1}, nil); len(got) == 0 && tt.node == nil {
			t.Fatalf("%s: nothing held", tt.name)
		}
		if e := f.Explain(stage); e.Remedy != "it would fit on node n0 "+tt.want {
			t.Errorf("%s: %q, want ... %q", tt.name, e.Remedy, tt.want)
		}
	}
}

// onlyEven is a filter as a program that embeds the cell writes it.
type onlyEven struct{}

func (onlyEven) Name() string { return "even" }
func (onlyEven) Admits(v View, _ *Shape) bool {
	return (v.ID()[len(v.ID())-1]-'0')%2 == 0
}
func (onlyEven) Refusal(View, *Shape) (string, string) { return "odd", "on an even node" }

// preferLast is a score as such a program writes it.
type preferLast struct{}

func (preferLast) Name() string { return "last" }
func (preferLast) Rate(v View, _ *Shape) int64 {
	return int64(v.ID()[1]-'0') * 1000
}

// TestS9_ProgramsAddFiltersAndScores: they take part in decisions like those that are built in.
func TestS9_ProgramsAddFiltersAndScores(t *testing.T) {
	f := NewFleet(Options{Filters: []Filter{onlyEven{}}, Scores: []Score{preferLast{}}})
	for i := range 8 {
		told(f, fmt.Sprint("n", i), 1000, gi, "linux")
	}
	s := slot(1000)
	s.Score.By = "last"
	stage := f.Stage(s)
	var order []model.NodeID
	for range 5 {
		for _, a := range f.Place(stage, Ask{Slots: 1}, nil) {
			order = append(order, f.ID(a.Node))
		}
	}
	if fmt.Sprint(order) != "[n6 n4 n2 n0]" {
		t.Errorf("got %v", order)
	}
	n6, _ := f.Index("n6")
	if got := f.Scores(stage, []NodeIndex{n6}); len(got) != 1 || got[0].Parts[0].Name != "last" || got[0].Parts[0].Score != 6000*1000/MaxScore {
		t.Errorf("got %+v", got)
	}
}
