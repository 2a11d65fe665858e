package preempt_test

import (
	"fmt"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/preempt"
)

func ExamplePlanner_Plan() {
	batch, free := model.Priority{Band: model.Batch}, model.Priority{Band: model.Free}
	groups := []preempt.Group{
		{Priority: batch, Each: []int64{4000}, Evictable: 2, Serial: 1},
		{Priority: free, Each: []int64{1000}, Evictable: 3, Serial: 2},
		{Priority: free, Each: []int64{1000}, Evictable: 1, Serial: 3},
	}
	var planner preempt.Planner
	for _, need := range []int64{2000, 4000, 6000, 20_000} {
		victims, cost, fits := planner.Plan([]int64{12_000}, []int64{0}, []int64{need}, groups)
		fmt.Println(need, fits, victims, cost.Victims())
	}
	// Output:
	// 2000 true [{2 1} {1 1}] 2
	// 4000 true [{2 1} {1 3}] 4
	// 6000 true [{0 1} {2 1} {1 1}] 3
	// 20000 false [] 0
}

func ExampleIndex_Find() {
	x := preempt.NewIndex(1) // one dimension: milli-cores
	x.SetNode(0, []int64{4000}, true)
	x.SetNode(1, []int64{4000}, true)
	batch := x.AddStage(preempt.Stage{Priority: model.Priority{Band: model.Batch}, Each: []int64{4000}, Evictable: preempt.NoLimit})
	free := x.AddStage(preempt.Stage{Priority: model.Priority{Band: model.Free}, Each: []int64{1000}, Evictable: 3})
	x.Put(0, batch, 1, 1)
	x.Put(1, free, 4, 2)
	for _, need := range []int64{2000, 4000} { // no more than three of free may be evicted
		claim := &preempt.Claim{Priority: model.Priority{Band: model.Production}, Need: []int64{need}, Slots: 1}
		for _, choice := range x.Find(claim, nil) {
			fmt.Println(need, "on node", choice.Node, "for", choice.Victims)
		}
	}
	// Output:
	// 2000 on node 1 for [{1 2}]
	// 4000 on node 0 for [{0 1}]
}
