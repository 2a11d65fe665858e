//go:build planted

package sim

import (
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/kit/plant"
)

// TestX1_ShrunkRunsBreakTheSame plants bugs that need faults and shrinks a run that finds each.
func TestX1_ShrunkRunsBreakTheSame(t *testing.T) {
	for _, bug := range []plant.Bug{plant.KeyForgotten, plant.EpochUnchecked} {
		t.Run(bug.String(), func(t *testing.T) {
			plant.Plant(bug)
			defer plant.Plant(plant.None)
			seed := uint64(1)
			for ; seed < *enough; seed++ {
				if r := Run(Options{Seed: seed, Focus: Plain}); r.Violation != nil {
					break
				}
			}
			small, err := Shrink(t.Context(), Options{Seed: seed, Focus: Plain}, ShrinkOptions{Within: 30 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("seed %d: %d of %d faults, %d of %d jobs, %d of %d agents after %d runs: %+v: %v", seed, len(small.Schedule.Faults), small.FromFaults,
				len(small.Schedule.Jobs), small.FromJobs, small.Schedule.Agents, small.FromAgents, small.Runs, small.Schedule, small.Result.Violation)
			if small.Result.Violation == nil || len(small.Schedule.Faults) > 5 || len(small.Schedule.Jobs) > 8 {
				t.Errorf("the shrunk run has %d faults and %d jobs, and ends with %v", len(small.Schedule.Faults), len(small.Schedule.Jobs), small.Result.Violation)
			}
			again := Run(Options{Seed: seed, Focus: Plain, Schedule: &small.Schedule})
			if again.Hash != small.Result.Hash {
				t.Error("the shrunk run is another one when it is played again")
			}
		})
	}
}
