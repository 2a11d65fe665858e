package nemesis

import (
	"testing"

	"github.com/troupe-sched/troupe/chaos/scenario"
)

func TestEveryFaultOfAScenarioCanBeDone(t *testing.T) {
	kinds := scenario.Kinds()
	for name := range kinds {
		if acts[name].do == nil {
			t.Errorf("%s cannot be done", name)
		}
	}
	if len(acts) != len(kinds) {
		t.Errorf("%d faults can be done, %d can be named", len(acts), len(kinds))
	}
}
