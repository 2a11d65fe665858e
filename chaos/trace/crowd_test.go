package trace

import (
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// A machine with room for more slots than a node may have takes as many as it may, and the rest when those have ended.
func TestS27_ANodeTakesAsManySlotsAsItMay(t *testing.T) {
	w := &Workload{Nodes: []*v1.NodeInfo{{Id: "n", CpuMilli: 4000 * 1000, MemoryBytes: 4000 << 30, Drivers: []string{"process"}}}}
	w.Jobs = []Job{{Run: time.Minute, Spec: batch("many", 3000, "1m")}, {At: time.Second, Run: time.Minute, Spec: batch("more", 10, "1m")}}
	r := play(t, w, Options{})
	if most := r.Resources[0].Peak * 4000; most != model.MaxSlots || r.All.Ended != 3010 {
		t.Errorf("at most %v at once, %d have ended", most, r.All.Ended)
	}
}
