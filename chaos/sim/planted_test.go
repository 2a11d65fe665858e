//go:build planted

package sim

import (
	"flag"
	"testing"

	"github.com/troupe-sched/troupe/actors/kit/plant"
)

// enough is how many seeds may pass before a planted bug must have been found.
var enough = flag.Uint64("enough", 2000, "seeds in which a planted bug must be found")

// TestX1_TheWorldFindsPlantedBugs plants one bug after another into the production actors: for each there must be a seed
// in which the world says that something broke. It prints how many seeds that took, and what was found.
func TestX1_TheWorldFindsPlantedBugs(t *testing.T) {
	for _, bug := range plant.All() {
		t.Run(bug.String(), func(t *testing.T) {
			for seed := uint64(1); seed <= *enough; seed++ {
				where := focusOn(bug)
				r := runWith(bug, where, seed)
				if r.Violation == nil {
					continue
				}
				if sound := runWith(plant.None, where, seed); sound.Violation != nil {
					t.Logf("seed %d finds something without the bug: %v", seed, sound.Violation)
					continue
				}
				t.Logf("found by seed %d: %v", seed, r.Violation)
				return
			}
			t.Errorf("not found in %d seeds", *enough)
		})
	}
}

func runWith(bug plant.Bug, where string, seed uint64) Result {
	plant.Plant(bug)
	defer plant.Plant(plant.None)
	return Run(Options{Seed: seed, Focus: where})
}

// focusOn says where a bug is looked for; those that have to do with no theme are found in plain runs, which are short.
func focusOn(bug plant.Bug) string {
	switch bug {
	case plant.EqualEvicted, plant.ClaimNeverEnds, plant.DisruptionUnbounded, plant.EvictionIsFailure:
		return Preempt
	case plant.LoanNotReturned, plant.MaximumForgotten:
		return Quota
	case plant.GangInPart:
		return Gang
	case plant.ExtrasUnbooked:
		return Rules
	}
	return Plain
}
