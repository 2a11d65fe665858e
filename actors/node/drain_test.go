package node

import (
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// What a node said before it had heard of the last drain tells nothing of that.
func TestB41_OldNewsOfANodeEndNoDrain(t *testing.T) {
	until := time.Unix(1000, 0)
	for _, c := range []struct {
		drained bool
		order   uint64
		pending bool
	}{
		{false, 4, true}, // said before the drain came
		{true, 4, true},  // it was out before
		{false, 5, false},
		{true, 5, false},
		{false, 6, false},
	} {
		o := outings{"n": {order: 5, until: until}}
		o.changed(&msg.NodeChanged{Status: &v1.NodeStatus{Info: &v1.NodeInfo{Id: "n"}, Drained: c.drained}, Order: c.order})
		if _, pending := o["n"]; pending != c.pending {
			t.Errorf("%+v: %v", c, pending)
		}
	}
}
