package trace

import (
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
)

// A job ends well whatever becomes of a tenth of its machines, and machines that fail are left.
func TestF13_B44_JobOutlivesItsMachines(t *testing.T) {
	o := FaultsOptions{Seed: 1, Nodes: 20, Slots: 4, Instances: 800, Each: 20 * time.Second, SlowMost: 3}
	sound, err := RunFaults(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if sound.Phase != model.PhaseSucceeded || sound.Attempts != 800 || sound.Failed+sound.Lost != 0 {
		t.Fatalf("without faults: %+v", sound)
	}
	o.Down, o.Failing, o.Slow = 1, 1, 1
	ill, err := RunFaults(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if ill.Phase != model.PhaseSucceeded || ill.Done != 800 || ill.Failed == 0 || ill.Lost == 0 {
		t.Errorf("with faults: %+v", ill)
	}
	if ill.Failed > 100 {
		t.Errorf("%d attempts failed on the one machine that fails them all: it was not left", ill.Failed)
	}
	t.Logf("without faults %+v, with faults %+v", sound, ill)
}
