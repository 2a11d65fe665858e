package agent

import (
	"flag"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
)

var more = flag.Uint64("more", 1, "so many times the usual number of seeds")

// settles runs the world without faults until all work is done, and checks that nothing is left behind.
func (w *world) settles() {
	w.t.Helper()
	w.faults, w.master.stops, w.master.releases, w.store.full = faults{}, 0, 0, false
	for range 240 {
		w.run(time.Second)
		if w.master.finished() {
			w.run(3 * time.Second)
			w.clean()
			return
		}
	}
	w.fatalf("work does not end: %d of %d done, slots %d, waiting %v, ledger %s", len(w.master.done), w.master.instances,
		len(w.master.slots), w.master.waiting, w.holds())
}

func (w *world) clean() {
	w.t.Helper()
	b := w.store.durable()
	if len(b.slots)+len(b.ends) > 0 || len(w.driver.slots) > 0 || w.agent.rig.Slots() != nil {
		w.fatalf("left behind: ledger %s and %d ends, driver %d, rig %v", w.holds(), len(b.ends), len(w.driver.slots), w.agent.rig.Slots())
	}
	if len(b.released) > w.limits().Released {
		w.fatalf("%d released slots are remembered", len(b.released))
	}
	for fence, n := range w.driver.runs {
		if n != 1 {
			w.fatalf("attempt %d was begun %d times", fence, n)
		}
	}
	if w.master.digests == 0 {
		w.fatalf("no digest was ever compared")
	}
}

func TestB29_F10_AgentRunsWhatTheMasterWants(t *testing.T) {
	w := newWorld(t, 1, faults{})
	w.master.wants(20)
	w.boots()
	w.settles()
	if len(w.driver.runs) != 20 || w.master.lost > 0 {
		t.Fatalf("%d attempts for 20 instances, %d lost", len(w.driver.runs), w.master.lost)
	}
	if w.counts[CountSession] > 2 { // one of its own accord, one for a master not heard of before
		t.Fatalf("%d sessions", w.counts[CountSession])
	}
}

// Messages are lost, doubled, late and out of order; attempts are stopped on the way.
func TestS4_F13_F33_LossyLink(t *testing.T) {
	for seed := range seeds(t, 40) {
		w := newWorld(t, seed, faults{drop: 100, double: 100, delay: 100})
		w.master.stops, w.master.releases = 50, 50
		w.master.wants(12)
		w.boots()
		w.run(20 * time.Second)
		w.settles()
	}
}

// The agent is killed at every step of a run, and comes back over the same ledger and driver: what ran goes on, nothing
// runs twice, no end is lost.
func TestB46_F31_KilledAtEveryStep(t *testing.T) {
	const until = 700
	stride := uint64(1)
	if testing.Short() {
		stride = 17
	}
	for cut := uint64(1); cut < until; cut += stride {
		w := newWorld(t, 3, faults{})
		w.master.stops, w.master.releases = 20, 50
		w.master.wants(12)
		w.boots()
		w.steps(cut)
		w.dies()
		w.boots()
		w.settles()
		if w.counts[CountStranger] > 0 {
			w.fatalf("cut %d: stranger", cut)
		}
	}
}

// Kills again and again, with a lossy link and a disk that fails.
func TestB46_F13_KilledManyTimes(t *testing.T) {
	for seed := range seeds(t, 40) {
		w := newWorld(t, seed, faults{drop: 50, double: 50, delay: 50, full: 20})
		w.master.stops, w.master.releases = 20, 20
		w.master.wants(12)
		w.boots()
		for range 15 {
			w.steps(uint64(w.rng.IntN(400)))
			w.dies()
			w.boots()
		}
		w.settles()
	}
}

// Any actor of the agent may crash; it comes back alone and nothing is lost.
func TestW6_F13_ActorsCrash(t *testing.T) {
	crashes := map[string]int{}
	for seed := range seeds(t, 40) {
		w := newWorld(t, seed, faults{panics: 20, drop: 20})
		w.master.template.Spec.After = []string{"before"}
		w.master.stops, w.master.releases = 50, 50
		w.boots()
		for range 10 {
			w.run(5 * time.Second)
			w.master.wants(6)
			w.run(time.Duration(w.rng.IntN(1500)) * time.Millisecond)
			if w.chance(300) && w.mayCrash() {
				w.counts["panic attempts"]++
				w.sys.Tell(w.agent.top, (*notice)(nil)) // attempts has no port that could fail
			}
		}
		for at, n := range w.counts {
			crashes[at] += n
		}
		w.settles()
	}
	for _, at := range []string{"uplink", "store", "stop", "release", "inputs", "attempts"} {
		if crashes["panic "+at] == 0 {
			t.Errorf("nothing ever crashed in %s: %v", at, crashes)
		}
	}
}

// Any actor may crash before, while or after it handles any message, also with writes under way.
func TestW6_F13_ActorsCrashAtAnyMessage(t *testing.T) {
	crashes := map[string]int{}
	for seed := range seeds(t, 40) {
		w := newWorld(t, seed, faults{drop: 20})
		w.master.template.Spec.After = []string{"before"}
		w.master.stops, w.master.releases = 50, 50
		w.boots()
		healed := false
		w.st.OnFate(func(actor string, message any) kit.Fate {
			name := path.Base(actor)
			if name == "agent" { // the top: when it fails the process ends
				return kit.Lives
			}
			if healed || !w.chance(30) || !w.mayCrash() {
				return kit.Lives
			}
			if strings.Contains(name, "~") {
				name = "slot"
			}
			crashes[name]++
			return kit.Fate(w.rng.IntN(4) - 1)
		})
		for range 10 {
			w.master.wants(4)
			w.run(5 * time.Second)
		}
		healed = true
		w.settles()
	}
	for _, name := range []string{"ledger", "attempts", "link", "slot"} {
		if crashes[name] == 0 {
			t.Errorf("%s never crashed: %v", name, crashes)
		}
	}
}

// seeds are the first n, or -more times as many.
func seeds(t *testing.T, n uint64) func(func(uint64) bool) {
	if testing.Short() {
		n /= 4
	}
	n *= *more
	return func(yield func(uint64) bool) {
		for seed := uint64(1); seed <= n && !t.Failed() && yield(seed); seed++ {
		}
	}
}
