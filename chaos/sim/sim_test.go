package sim

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

// The flags are what make sim sets.
var (
	seedFlag     = flag.Uint64("seed", 0, "play this seed again and print its timeline")
	focusFlag    = flag.String("focus", "", "only this family of faults (calm, master, masters, agents, actors, network, hosts, odd, all), this theme of the load (plain, mixed, quota, preempt, gang, rules), this cast of masters (alone, several), or some of them: calm/gang/several")
	messagesFlag = flag.Bool("messages", false, "with -seed: every message, and what the actors log")
	baseFlag     = flag.Uint64("base", 1, "draw the seeds from this; 0 draws it from the clock, so that they are fresh")
	seedsFlag    = flag.Int("seeds", 30, "how many fresh seeds")
	withinFlag   = flag.Duration("within", time.Minute, "begin no new seed after this")
)

// TestX1_S5_B16_B30_B31_B34_B39_B41_B42_B43_B44_B46_F13_F30_F31_F32_Swarm plays the kept seeds and fresh ones, or with -seed one of them again.
func TestX1_S5_B16_B30_B31_B34_B39_B41_B42_B43_B44_B46_F13_F30_F31_F32_Swarm(t *testing.T) {
	if err := CheckFocus(*focusFlag); err != nil {
		t.Fatal(err)
	}
	if *seedFlag != 0 {
		again(t)
		return
	}
	base := *baseFlag
	if base == 0 {
		base = uint64(time.Now().UnixNano()) % 1_000_000_007
	}
	s := Swarm(t.Context(), SwarmOptions{Base: base, Seeds: *seedsFlag, Within: *withinFlag, Focus: *focusFlag, Kept: *focusFlag == "", Out: os.Stdout})
	if len(s.Failed) > 0 {
		t.Errorf("%d runs broke; base %d", len(s.Failed), base)
	}
	// Few runs may well give a rare check nothing to look at.
	if idle := s.Idle(); len(idle) > 0 && s.Runs >= 2000 && *focusFlag == "" {
		t.Errorf("in %d runs nothing was shown by: %v", s.Runs, idle)
	}
}

// again plays one seed and prints what happened.
func again(t *testing.T) {
	r := Run(Options{Seed: *seedFlag, Focus: *focusFlag, Timeline: os.Stdout, Messages: *messagesFlag})
	fmt.Printf("seed %d: %d steps, %v of the world's time, trace %016x\n", r.Seed, r.Steps, r.Virtual, r.Hash)
	if r.Violation != nil {
		t.Errorf("%v\nplay it again: %s", r.Violation, r.Again())
	}
}

// TestX1_ASeedIsOneRun plays seeds of every family twice: to the byte the same, or nothing that is found could be found
// again.
func TestX1_ASeedIsOneRun(t *testing.T) {
	for _, focus := range slices.Concat(Families(), Themes(), Casts()) {
		for seed := uint64(1); seed <= 2; seed++ {
			var first, second digest
			a := Run(Options{Seed: seed, Focus: focus, Timeline: &first})
			b := Run(Options{Seed: seed, Focus: focus, Timeline: &second})
			if a.Hash != b.Hash || a.Steps != b.Steps || first != second {
				t.Errorf("seed %d of %s: %d steps with trace %x, then %d with %x", seed, focus, a.Steps, a.Hash, b.Steps, b.Hash)
			}
		}
	}
	if a, b := Run(Options{Seed: 1}), Run(Options{Seed: 2}); a.Hash == b.Hash {
		t.Error("two seeds have the same trace")
	}
}

// digest hashes what is written to it.
type digest uint64

func (d *digest) Write(p []byte) (int, error) {
	*d = (*d+1)*31 ^ digest(hashOf(string(p)))
	return len(p), nil
}
