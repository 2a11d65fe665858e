package place_test

import (
	"fmt"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/place"
)

// Place decides and books; Give takes back; Explain tells why nothing fits.
func ExampleFleet() {
	fleet := place.NewFleet(place.Options{})
	for _, id := range []model.NodeID{"n1", "n2"} {
		fleet.Put(id, place.Node{
			Capacity:   model.Resources{model.CPU: 2000, model.Memory: 4 << 30},
			Attributes: map[string]string{"os": "linux"}, Drivers: []string{"process"},
		})
	}
	shape := place.Shape{Resources: model.Resources{model.CPU: 500, model.Memory: 1 << 30}, Driver: "process"}
	stage := fleet.Stage(shape)
	for _, a := range fleet.Place(stage, place.Ask{Slots: 6}, nil) {
		fmt.Println(fleet.ID(a.Node), a.Count)
	}
	fmt.Println("three together:", fleet.Place(stage, place.Ask{Slots: 3, All: true}, nil))

	n1, _ := fleet.Index("n1")
	fleet.Give(stage, n1, place.Slots{Each: shape.Resources, Count: 1})
	for _, a := range fleet.Place(stage, place.Ask{Slots: 1}, nil) {
		fmt.Println(fleet.ID(a.Node), a.Count)
	}
	big := fleet.Stage(place.Shape{Resources: model.Resources{model.CPU: 500, model.Memory: 2112 << 20}})
	fmt.Println(fleet.Explain(big))
	// Output:
	// n1 4
	// n2 2
	// three together: []
	// n1 1
	// 0 nodes of 2 can take one; 1 node refused by cpu (needs 500m, at most 0 free), 1 node refused by memory (needs 2112Mi, at most 2Gi free); it would fit on node n2 with 64Mi less memory
}
