//go:build planted

package sim

import (
	"cmp"
	"flag"
	"runtime"
	"sync"
	"testing"

	"github.com/troupe-sched/troupe/actors/kit/plant"
)

// enough is how many seeds may pass before a planted bug must have been found.
var enough = flag.Uint64("enough", 10_000, "seeds in which a planted bug must be found")

// whereFlag is for the search for a better place.
var whereFlag = flag.String("where", "", "look for planted bugs with this focus")

// TestX1_TheWorldFindsPlantedBugs plants one bug after another into the production actors: for each there must be a seed
// in which the world says that something broke. It prints how many seeds that took, and what was found.
func TestX1_TheWorldFindsPlantedBugs(t *testing.T) {
	for _, bug := range plant.All() {
		t.Run(bug.String(), func(t *testing.T) {
			where, from := cmp.Or(*whereFlag, focusOn(bug)), uint64(1)
			for from <= *enough {
				r := firstBroken(bug, where, from)
				if r == nil {
					break
				}
				if sound := Run(Options{Seed: r.Seed, Focus: where}); sound.Violation != nil {
					t.Logf("seed %d finds something without the bug: %v", r.Seed, sound.Violation)
					from = r.Seed + 1
					continue
				}
				t.Logf("found by seed %d of %s: %v", r.Seed, where, r.Violation)
				return
			}
			t.Errorf("not found in %d seeds", *enough)
		})
	}
}

// firstBroken plays seeds on all processors, with a bug planted, until one breaks; the least one of those is returned.
func firstBroken(bug plant.Bug, where string, from uint64) (first *Result) {
	plant.Plant(bug)
	defer plant.Plant(plant.None)
	var lock sync.Mutex
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for {
				lock.Lock()
				seed := from
				from++
				over := first != nil || seed > *enough
				lock.Unlock()
				if over {
					return
				}
				r := Run(Options{Seed: seed, Focus: where})
				lock.Lock()
				if r.Violation != nil && (first == nil || r.Seed < first.Seed) {
					first = &r
				}
				lock.Unlock()
			}
		})
	}
	wait.Wait()
	return first
}

// focusOn says where a bug is looked for: where it hurts most, and runs are short.
func focusOn(bug plant.Bug) string {
	switch bug {
	case plant.EqualEvicted, plant.ClaimNeverEnds, plant.DisruptionUnbounded, plant.EvictionIsFailure:
		return Preempt + "/" + Alone
	case plant.LoanNotReturned, plant.MaximumForgotten:
		return Calm + "/" + Quota + "/" + Alone
	case plant.GangInPart:
		return Gang + "/" + Alone
	case plant.ExtrasUnbooked:
		return Rules + "/" + Alone
	case plant.OwnSnapshotTaken, plant.TakenBeforeTheEnd, plant.TrimBehindOwn, plant.LeaseForever, plant.LeaseFromAnswer,
		plant.ReadsUnsure, plant.FullForever, plant.FullBelieved, plant.IsolationIgnored, plant.LosersRest, plant.StrangerIgnored:
		return Masters + "/" + Plain
	case plant.ForeignRefused, plant.NewerKept, plant.TwinWelcomed:
		return Odd + "/" + Plain
	case plant.BeatsIgnored:
		return Calm + "/" + Plain + "/" + Several
	case plant.LossUntold:
		return Agents + "/" + Plain
	case plant.AdmissionOff:
		return Hosts + "/" + Plain
	case plant.EpochUnchecked:
		return Hosts + "/" + Plain + "/" + Alone
	}
	return Plain + "/" + Alone
}
