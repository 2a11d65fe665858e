package replay_test

import (
	"testing"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/chaos/replay"
	"github.com/troupe-sched/troupe/chaos/sim"
	"github.com/troupe-sched/troupe/cluster/store/decisions"
)

// In the seeded world actors fail in the middle of what they do, messages come back, masters are killed, nodes vanish, and
// clocks go wrong: what the placers decided there is decided again all the same.
func TestX2_S17_DecisionsUnderFaultsAreDecidedAgain(t *testing.T) {
	segments, heard := 0, uint64(0)
	for seed := range uint64(6) {
		var recorders []*decisions.Recorder
		var dirs []string
		r := sim.Run(sim.Options{Seed: seed + 1, Steps: 6000, Record: func(env *msg.Env, _ func(any)) kit.Tap {
			dir := t.TempDir()
			rec, err := decisions.Open(decisions.Options{Dir: dir, Size: 64 << 20})
			if err != nil {
				t.Fatal(err)
			}
			recorders, dirs = append(recorders, rec), append(dirs, dir)
			return rec.Tap(env, func(any) {})
		}})
		if r.Violation != nil {
			t.Fatalf("seed %d: %v", seed+1, r.Violation)
		}
		for i, rec := range recorders {
			if err := rec.Close(); err != nil {
				t.Fatal(err)
			}
			files, err := decisions.Files(dirs[i])
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				got, err := replay.File(file, replay.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if d := got.Difference; d != nil {
					t.Fatalf("seed %d, epoch %d: message %d of it\nheard %s\nthen  %s\nnow   %s\n%v", seed+1, got.Head.Epoch, d.Number, replay.Text(&d.Heard), replay.Text(d.Then), replay.Text(d.Now), d.Failed)
				}
				segments, heard = segments+1, heard+got.Heard
			}
		}
	}
	if segments < 10 || heard < 2000 {
		t.Errorf("%d segments with %d messages: too few to show anything", segments, heard)
	}
	t.Logf("%d segments, %d messages", segments, heard)
}
