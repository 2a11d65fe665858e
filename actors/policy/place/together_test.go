package place

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/troupe-sched/troupe/actors/model"
)

// TestB16_AGangGoesBesideItselfWhereThereIsRoom: a gang whose slots want each other on one rack, or one node, is placed
// exactly if one of them has room for all, wherever its first slot would like to go.
func TestB16_AGangGoesBesideItselfWhereThereIsRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := NewFleet(Options{})
		on := rapid.SampledFrom([]string{"rack", model.NodeAttribute}).Draw(t, "on")
		each, room := rapid.Int64Range(1, 4).Draw(t, "each"), map[string]int64{}
		for i := range rapid.IntRange(1, 8).Draw(t, "nodes") {
			id := fmt.Sprintf("n%d", i)
			rack := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "rack")
			cpu := rapid.Int64Range(0, 10).Draw(t, "cpu")
			f.Put(model.NodeID(id), Node{Capacity: model.Resources{model.CPU: cpu}, Attributes: map[string]string{"rack": rack}})
			domain := rack
			if on == model.NodeAttribute {
				domain = id
			}
			room[domain] += cpu / each
		}
		shape := Shape{Resources: model.Resources{model.CPU: each}, Queue: "q", Labels: []model.Label{{Name: "app", Value: "a"}}}
		shape.Pool = model.AnyPool
		shape.Affinity = []model.Affinity{{Labels: shape.Labels, On: on, Queue: "q"}}
		s := f.Stage(shape)
		n := rapid.IntRange(1, 8).Draw(t, "slots")
		fits := false
		for _, slots := range room { //order: any
			fits = fits || slots >= int64(n)
		}
		got, domains := 0, map[string]bool{}
		for _, a := range f.Place(s, Ask{Slots: n, All: true}, nil) {
			got += a.Count
			value, _ := f.valueOf(a.Node, on)
			domains[value] = true
		}
		if fits != (got == n) || got != s.Total() || len(domains) > 1 {
			t.Fatalf("%d of %d slots are placed in %d domains; room is %v", got, n, len(domains), room)
		}
	})
}
