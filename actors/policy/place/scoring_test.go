package place

import (
	"fmt"
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
)

// TestS9_F11_B18_B20_ModifiersDecideAmongEqualNodes: two hundred equal nodes, one of them better by one modifier. It is
// found in a fleet that looks at all nodes, and in one that draws a few by chance.
func TestS9_F11_B18_B20_ModifiersDecideAmongEqualNodes(t *testing.T) {
	const better = "n77"
	web := []model.Label{{Name: "app", Value: "web"}}
	for _, tt := range []struct {
		name   string
		node   func(*Node)                 // what the better node is
		beside func(f *Fleet, n NodeIndex) // what runs there
		shape  func(*Shape)                // what is asked for
		drawn  bool                        // whether draws find it, too
	}{
		{"prefer", func(n *Node) { n.Attributes["disk"] = "nvme" }, nil, func(s *Shape) {
			s.Prefer = []model.Constraint{{Attribute: "disk", Values: []string{"nvme"}, Weight: 1}}
		}, true},
		{"packages", func(n *Node) { n.Packages = []string{"a", "b"} }, nil, func(s *Shape) { s.Packages = []string{"b", "c"} }, true},
		{"data", nil, nil, func(s *Shape) { s.Data = []model.NodeBytes{{Node: better, Bytes: 5 << 30}} }, true},
		{"affinity", nil, func(f *Fleet, n NodeIndex) {
			f.Take(f.Stage(Shape{Queue: "q", Labels: web}), n, Slots{Count: 1})
		}, func(s *Shape) { s.Affinity = []model.Affinity{{Labels: web, Weight: 1}} }, true},
		{"hard affinity", nil, func(f *Fleet, n NodeIndex) {
			f.Take(f.Stage(Shape{Queue: "q", Labels: web}), n, Slots{Count: 1})
		}, func(s *Shape) { s.Affinity = []model.Affinity{{Labels: web}} }, true},
		{"mix", nil, func(f *Fleet, n NodeIndex) {
			f.Take(f.Stage(Shape{Band: model.Production}), n, Slots{Count: 1})
		}, func(s *Shape) { s.Band = model.Free }, false},
	} {
		for _, drawn := range []bool{false, true} {
			if drawn && !tt.drawn {
				continue
			}
			f := NewFleet(Options{})
			if drawn {
				f.scanned, f.scannedFew = 0, 0
			}
			for i := range 200 {
				what := Node{Capacity: model.Resources{8000, 8 * gi, 0, 0}, Attributes: map[string]string{"rack": fmt.Sprint(i % 10)}}
				if id := model.NodeID(fmt.Sprint("n", i)); id == better && tt.node != nil {
					tt.node(&what)
				}
				f.Put(model.NodeID(fmt.Sprint("n", i)), what)
			}
			n, _ := f.Index(better)
			if tt.beside != nil {
				tt.beside(f, n)
			}
			s := Shape{Resources: model.Resources{1000, gi, 0, 0}, Queue: "q", Band: model.Batch}
			tt.shape(&s)
			if got := text(f, f.Place(f.Stage(s), Ask{Slots: 1}, nil)); got != better+":1" {
				t.Errorf("%s, drawn %v: %s", tt.name, drawn, got)
			}
		}
	}
}

// TestTaintsToAvoid: a node with such a taint is used last, by work that does not tolerate it.
func TestTaintsToAvoid(t *testing.T) {
	f := NewFleet(Options{})
	for i := range 3 {
		told(f, fmt.Sprint("n", i), 2000, gi, "linux", func(n *Node) {
			if i == 0 {
				n.Taints = []Taint{{"old", "yes", model.TaintAvoid}}
			}
		})
	}
	if got := text(f, f.Place(f.Stage(slot(1000)), Ask{Slots: 5}, nil)); got != "n1:2 n2:2 n0:1" {
		t.Errorf("got %s", got)
	}
	tolerant := slot(1000)
	tolerant.Tolerations = []model.Toleration{{Key: "old"}}
	if got := text(f, f.Place(f.Stage(tolerant), Ask{Slots: 1}, nil)); got != "n0:1" {
		t.Errorf("tolerant: %s", got)
	}
}

// TestS9_WeightsAreTheUsers: a weight of nothing switches a modifier off, a preference below zero turns nodes away.
func TestS9_WeightsAreTheUsers(t *testing.T) {
	f := NewFleet(Options{})
	told(f, "n0", 2000, gi, "linux", func(n *Node) { n.Attributes["disk"] = "hdd" })
	told(f, "n1", 2000, gi, "linux", func(n *Node) { n.Packages = []string{"a"} })
	s := slot(100)
	s.Packages = []string{"a"}
	if got := text(f, f.Place(f.Stage(s), Ask{Slots: 1}, nil)); got != "n1:1" {
		t.Errorf("packages by default: %s", got)
	}
	s.Score.Weights = []model.Amount{{Name: ByPackages}}
	hates := s
	hates.Prefer = []model.Constraint{{Attribute: "disk", Values: []string{"hdd"}, Weight: -100}}
	if got := text(f, f.Place(f.Stage(hates), Ask{Slots: 1}, nil)); got != "n1:1" {
		t.Errorf("disliked: %s", got)
	}
	stage := f.Stage(s)
	scores := f.Scores(stage, []NodeIndex{0, 1, 99})
	if len(scores) != 2 || scores[0].Total < scores[1].Total || scores[0].Parts[0].Name != Hybrid || scores[0].Parts[0].Weight != weightOfScore {
		t.Errorf("%+v", scores)
	}
	for _, x := range scores {
		total := int64(0)
		for _, p := range x.Parts {
			total += p.Weight * p.Score
		}
		if diff := total - x.Total; diff > 1000 || diff < -1000 {
			t.Errorf("parts make %d, total %d", total, x.Total)
		}
	}
}

// TestDevicesByScore: best fit takes the device with the least left; fragmentation keeps whole devices for those who are
// expected to ask for them, by what it was told and by what it has learned.
func TestDevicesByScore(t *testing.T) {
	gpu := func(count, milli int32) *model.Extra {
		return &model.Extra{Devices: model.DeviceNeed{Kind: "gpu", Count: count, Milli: milli}}
	}
	for _, learned := range []bool{false, true} {
		for _, score := range []string{"", BestFit, Fragmentation, Packing} {
			o := Options{Score: score}
			if !learned {
				o.Workload = []Expected{{Devices: gpu(2, 1000).Devices, Weight: 1}, {Devices: gpu(1, 400).Devices, Weight: 1}}
			}
			f := NewFleet(o)
			for i := range 4 {
				f.Put(model.NodeID(fmt.Sprint("n", i)), Node{Capacity: model.Resources{32_000, 64 * gi, 0, 0}, Devices: []Device{{"gpu", "A"}, {"gpu", "A"}}})
			}
			part := f.Stage(Shape{Resources: model.Resources{1000, gi, 0, 0}, Extra: gpu(1, 400)})
			whole := f.Stage(Shape{Resources: model.Resources{1000, gi, 0, 0}, Extra: gpu(2, 1000)})
			f.Place(whole, Ask{Slots: 1}, nil)
			f.Place(part, Ask{Slots: 4}, nil)
			if got := f.Place(whole, Ask{Slots: 2}, nil); len(got) != 2 {
				t.Errorf("%s, learned %v: parts lie on all nodes, whole ones go to %v", score, learned, got)
			}
		}
	}
}
