package place

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/troupe-sched/troupe/actors/model"
)

// TestF23_PossibleIsWhatAnEmptyFleetTakes holds Possible against placing in a fleet of the same nodes in which nothing is
// held: the most that fits there is the most that is possible, whatever is held in the other.
func TestF23_PossibleIsWhatAnEmptyFleetTakes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		full, empty := NewFleet(Options{}), NewFleet(Options{})
		for i := range rapid.IntRange(1, 5).Draw(t, "nodes") {
			id, what := model.NodeID(fmt.Sprintf("n%d", i)), drawPossibleNode(t)
			full.Put(id, what)
			empty.Put(id, what)
		}
		if rapid.Bool().Draw(t, "one shut") {
			full.SetSchedulable("n0", false)
			empty.SetSchedulable("n0", false)
		}
		shape := drawPossibleShape(t)
		s, e := full.Stage(shape), empty.Stage(shape)
		full.Place(s, Ask{Slots: rapid.IntRange(0, 20).Draw(t, "held")}, nil)
		most := 0
		for _, a := range empty.Place(e, Ask{Slots: 5000}, nil) {
			most += a.Count
		}
		if most > 0 && !full.Possible(s, most) {
			t.Fatalf("%d slots fit an empty fleet, and are said to be impossible", most)
		}
		if full.Possible(s, most+1) {
			t.Fatalf("%d slots fit an empty fleet, and one more is said to be possible", most)
		}
	})
}

func drawPossibleNode(t *rapid.T) Node {
	n := Node{
		Capacity:   model.Resources{model.CPU: rapid.Int64Range(0, 5000).Draw(t, "cpu"), model.Memory: rapid.Int64Range(0, 5000).Draw(t, "memory")},
		Attributes: map[string]string{"rack": rapid.SampledFrom([]string{"a", "b"}).Draw(t, "rack")},
		Custom:     map[string]int64{"licence": rapid.Int64Range(0, 5).Draw(t, "licence")},
	}
	if rapid.Bool().Draw(t, "ports") {
		n.PortFrom, n.PortTo = 20_000, 20_000+rapid.Int32Range(0, 9).Draw(t, "to")
	}
	for range rapid.IntRange(0, 4).Draw(t, "devices") {
		n.Devices = append(n.Devices, Device{Kind: "gpu", Model: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "model")})
	}
	return n
}

func drawPossibleShape(t *rapid.T) Shape {
	shape := Shape{Resources: model.Resources{model.CPU: rapid.Int64Range(20, 3000).Draw(t, "need"), model.Memory: rapid.Int64Range(0, 2000).Draw(t, "need memory")}}
	shape.Pool = model.AnyPool
	if rapid.Bool().Draw(t, "constrained") {
		shape.Constraints = []model.Constraint{{Attribute: "rack", Values: []string{"a"}}}
	}
	x := &model.Extra{}
	switch rapid.IntRange(0, 5).Draw(t, "extra") {
	case 0:
		return shape
	case 1:
		x.Custom = []model.Amount{{Name: "licence", N: rapid.Int64Range(1, 3).Draw(t, "licences")}}
	case 2:
		x.Ports = []model.PortNeed{{Name: "a"}, {Name: "b"}}
	case 3:
		x.Ports = []model.PortNeed{{Name: "a", Number: rapid.SampledFrom([]int32{80, 20_003}).Draw(t, "port")}}
	case 4:
		x.Devices = model.DeviceNeed{Kind: "gpu", Count: rapid.Int32Range(1, 3).Draw(t, "count"), Milli: model.WholeDevice}
	case 5:
		x.Devices = model.DeviceNeed{Kind: "gpu", Count: 1, Milli: rapid.Int32Range(100, 999).Draw(t, "milli"), Models: []string{"x"}}
	}
	shape.Extra = x
	return shape
}
