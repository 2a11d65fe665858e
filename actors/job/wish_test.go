package job_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
)

// crossing is a placer and a node whose messages reach the job in any order that can be: what the node says in the order
// in which it says it, what the placer says whenever, and again.
type crossing struct {
	n       *machine
	r       *rand.Rand
	grants  []*msg.Granted // not delivered yet, in order
	evicts  []*msg.Evict   // all that were asked for
	unheard int            // of them, the first so many have been delivered
	placed  int            // slots that the placer believes to be held, without those it has asked for
	asked   int
	given   []model.SlotID
	freed   int // of those given, the first so many are told to be free
}

// step does one thing that can happen, and none if nothing is left and no more is to begin.
func (c *crossing) step(begin bool) bool {
	var can []func()
	if begin {
		can = append(can, c.reserve, c.ask)
	}
	if len(c.grants) > 0 {
		can = append(can, func() { c.n.say(c.grants[0]); c.grants = c.grants[1:] })
	}
	if c.unheard < len(c.evicts) {
		can = append(can, func() { c.n.b.tell(c.evicts[c.unheard]); c.unheard++ })
	}
	if c.freed < len(c.given) {
		can = append(can, func() { c.n.freed(c.given[c.freed]); c.freed++ })
	}
	if len(can) == 0 {
		return false
	}
	if c.unheard > 0 && c.r.IntN(3) == 0 { // said again
		can = []func(){func() { c.n.b.tell(c.evicts[c.r.IntN(c.unheard)]) }}
	}
	can[c.r.IntN(len(can))]()
	c.given = append(c.given, c.n.gone()...)
	return true
}

func (c *crossing) reserve() {
	g := &msg.Granted{Node: c.n.id, NodeRef: c.n.ref, Stage: model.StageID{Job: c.n.b.uid}}
	for range 1 + c.r.IntN(3) {
		g.Slots = append(g.Slots, c.n.b.env.IDs.Slot())
	}
	g.Order = c.n.b.env.IDs.Order()
	c.grants, c.placed = append(c.grants, g), c.placed+len(g.Slots)
}

func (c *crossing) ask() {
	if c.placed > 0 {
		e := c.n.asks(1 + c.r.IntN(c.placed))
		c.evicts, c.placed, c.asked = append(c.evicts, e), c.placed-e.Count, c.asked+e.Count
	}
}

// In whatever order demands, grants and frees come, and however often a demand is heard: in the end as many slots are given
// up as were asked for, without a wait, and never more than were asked for until then.
func TestB39_B42_ExactlyWhatWasAskedForIsGivenUpInAnyOrder(t *testing.T) {
	short := 0
	for seed := range uint64(60) {
		b := newBench(t)
		b.submit(stages(stage("s", 200)))
		c := &crossing{n: b.on("n"), r: rand.New(rand.NewPCG(seed, 7))}
		c.n.grant(0, 1) // so that the job has its actor
		c.placed = 1
		for i := 0; c.step(i < 40); i++ {
			heard := 0
			for _, e := range c.evicts[:c.unheard] {
				heard += e.Count
			}
			if len(c.given) > heard {
				t.Fatalf("seed %d: %d slots were given up, %d asked for", seed, len(c.given), heard)
			}
			if len(c.given) < heard {
				short++
			}
		}
		all := slices.Clone(c.given)
		slices.Sort(all)
		if len(c.given) != c.asked || len(slices.Compact(all)) != c.asked {
			t.Fatalf("seed %d: %d slots were given up, asked for were %d", seed, len(c.given), c.asked)
		}
		if s := b.status(); s.Counts.FailedAttempts != 0 || b.failed() {
			t.Fatalf("seed %d: %v\n%s", seed, s, b.logs.String())
		}
	}
	if short == 0 {
		t.Error("no demand has ever come before the slots that it meant")
	}
}

// A demand means slots that were reserved before it, for as long as somebody waits for them.
func TestB39_B42_ADemandCostsNoLaterSlots(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 9)))
	n := b.on("n")
	n.grant(0, 1)
	e := n.asks(3) // two that the node has refused meanwhile
	b.tell(e)
	if got := n.gone(); len(got) != 1 {
		t.Fatalf("gave back %v", got)
	}
	n.grant(0, 3)
	b.tell(e)
	if got := n.gone(); len(got) != 0 {
		t.Fatalf("gave back %v, which came later", got)
	}
	late := n.asks(2)
	b.pass(time.Minute)
	b.tell(late)
	if got := n.gone(); len(got) != 0 {
		t.Fatalf("gave back %v to somebody who waits no more", got)
	}
}

// What an actor gave up before it failed it does not know: it gives nothing for demands from before, and all for new ones.
func TestB39_B42_W6_AfterACrashOldDemandsCostNothingMore(t *testing.T) {
	b, n, _, on, _ := begun(t, 4)
	e := n.asks(1)
	b.tell(e)
	young := n.gone()
	if len(young) != 1 {
		t.Fatalf("gave back %v", young)
	}
	b.crash(&msg.GetJob{})
	b.tell(e) // while it does not know what it holds
	b.claimed(2)
	var held []msg.HeldSlot
	for _, l := range on {
		h := n.held(l, running)
		h.Releasing = l.Slot == young[0]
		held = append(held, h)
	}
	n.inventory(held...)
	b.on("m").inventory()
	n.gone()
	b.tell(e)
	if got := n.gone(); len(got) != 0 {
		t.Fatalf("gave back %v for what it had given before", got)
	}
	n.evict(1)
	if got := n.gone(); len(got) != 1 || got[0] == young[0] {
		t.Fatalf("gave back %v for a new demand", got)
	}
}
