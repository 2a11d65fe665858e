package sim

import (
	"flag"
	"os"
	"testing"
)

var seedFlag = flag.Uint64("seed", 0, "play this seed again")

func first() uint64 { return max(*seedFlag, 1) }

var focusFlag = flag.String("focus", "", "only these faults")
var countFlag = flag.Uint64("count", 20, "so many")
var verboseFlag = flag.Bool("messages", false, "every message")

func count() uint64 {
	if *seedFlag != 0 {
		return 1
	}
	return *countFlag
}

func TestSimOne(t *testing.T) {
	for seed := first(); seed < first()+count(); seed++ {
		o := Options{Seed: seed, Focus: *focusFlag}
		if *seedFlag != 0 {
			o.Timeline, o.Messages = os.Stdout, *verboseFlag
		}
		r := Run(o)
		t.Logf("seed %d: steps %d virtual %v hash %x begun %d records %d jobs %d reigns %d", seed, r.Steps, r.Virtual, r.Hash, r.Begun, r.Records, r.Jobs, r.Reigns)
		if r.Violation != nil {
			t.Errorf("seed %d %v", seed, r.Violation)
			for _, l := range r.Tail {
				t.Log(l)
			}
			return
		}
	}
}
