package place_test

import (
	"fmt"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/place"
)

// Decide, carry out, decide again: Place changes nothing by itself.
func ExampleFleet() {
	fleet := place.NewFleet()
	for _, id := range []model.NodeID{"n1", "n2"} {
		fleet.Put(id, model.Resources{model.CPU: 2000, model.Memory: 4 << 30}, map[string]string{"os": "linux"}, []string{"process"})
	}
	shape := place.Shape{Resources: model.Resources{model.CPU: 500, model.Memory: 1 << 30}, Driver: "process"}
	class := fleet.Class(shape)
	defer fleet.Release(class)

	for _, a := range fleet.Place(class, 6, nil, nil) {
		fmt.Println(fleet.ID(a.Node), a.Count)
		fleet.Take(a.Node, shape.Resources, a.Count)
	}
	fmt.Println("left:", fleet.Place(class, 6, nil, nil))

	n1, _ := fleet.Index("n1")
	fleet.Give(n1, shape.Resources, 1)
	for _, a := range fleet.Place(class, 1, nil, nil) {
		fmt.Println(fleet.ID(a.Node), a.Count)
	}
	big := fleet.Class(place.Shape{Resources: model.Resources{model.CPU: 500, model.Memory: 2112 << 20}})
	defer fleet.Release(big)
	fmt.Println(fleet.Explain(big))
	// Output:
	// n1 4
	// n2 2
	// left: [{1 2}]
	// n1 1
	// 0 nodes of 2 can take one; 2 nodes refused by memory (needs 2112Mi, at most 2Gi free); it would fit on node n2 with 64Mi less memory
}
