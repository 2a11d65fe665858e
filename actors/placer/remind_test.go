package placer_test

import (
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
)

// An eviction that was not followed is said again, the same one and ever more seldom, until its slots have gone: nothing
// waits for the deadline, and no other slots are asked for.
func TestB39_B42_AnEvictionIsSaidAgainUntilItIsOver(t *testing.T) {
	c := newCell(t)
	c.machine("a", 4)
	c.ask("q", 1, batch, 4, 1, nil)
	c.pass(time.Second)
	c.deaf = true
	var said []*msg.Evict
	c.hears = func(e *msg.Evict) { said = append(said, e) }
	c.ask("q", 2, production, 2, 1, nil)
	c.pass(20 * time.Second)
	if len(said) < 3 || len(said) > 10 || c.of(2) != 0 {
		t.Fatalf("in 20 s it was said %d times", len(said))
	}
	count, serials, until := 0, map[model.SlotID]bool{}, c.step.Now().Add(20*time.Second)
	for _, e := range said {
		if !serials[e.Serial] {
			serials[e.Serial] = true
			count += e.Count
		}
		if d := e.Until.Sub(until); d < -2*time.Second || d > 2*time.Second {
			t.Errorf("it means something until %v, and the deadline is about %v", e.Until, until)
		}
	}
	if count != 2 {
		t.Fatalf("%d slots were asked for, want 2: %v", count, said)
	}
	c.deaf = false
	c.pass(17 * time.Second) // before the deadline
	if c.of(2) != 2 || c.of(1) != 2 {
		t.Fatalf("%d and %d slots are held", c.of(1), c.of(2))
	}
	said = nil
	c.pass(2 * time.Minute)
	if len(said) != 0 || c.of(1) != 2 {
		t.Errorf("what is over is said again: %v", said)
	}
}
