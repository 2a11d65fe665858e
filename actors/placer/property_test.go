package placer_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
)

// After any sequence of events a new placer, which knows nothing but what nodes hold and queues demand, grants and evicts
// nothing more: what was granted step by step is what a full recomputation gives. On the way nodes refuse nothing, no
// victim is of a band that is never evicted, none by priority is of an equal or higher one, and evictions come to an end.
func TestF35_F36_B6_B33_StepByStepIsAsGoodAsAllAtOnce(t *testing.T) {
	for seed := range uint64(150) {
		c := newCell(t)
		rng := rand.New(rand.NewPCG(seed, 35))
		queues := []string{"p", "q", "r"}
		if seed%2 == 1 {
			for _, q := range queues[:2] {
				c.share(q, model.QueuePlan{Quota: cores(3 + rng.Int64N(6)), Order: model.QueueOrder(rng.IntN(2))})
			}
		}
		for i := range 1 + rng.IntN(4) {
			c.machine(model.NodeID(fmt.Sprintf("n%d", i)), 4+rng.Int64N(6))
		}
		for range 60 {
			c.happen(rng, queues)
			c.pass(time.Duration(rng.IntN(2000)) * time.Millisecond)
		}
		c.pass(10 * time.Minute)
		c.sound(seed)
		before, evicted, reserved := c.all(), len(c.evicts), map[model.UID]bool{}
		for uid := range before {
			e := c.explain(uid)
			reserved[uid] = e.WaitsFor == "reservation"
		}
		c.crash = true
		c.sys.Tell(c.placer, &msg.Reserved{}) // it fails over this one
		for _, again := range []func(){c.demandAll, c.demandAll} {
			again()
			c.pass(10 * time.Minute)
		}
		c.pass(10 * time.Second)
		after := c.all()
		for uid, n := range before {
			// A new placer has not seen anybody stand first for long, so what was kept free it may grant.
			if after[uid] < n || after[uid] > n && !reserved[uid] {
				t.Fatalf("seed %d: %v before and %v after", seed, before, after)
			}
		}
		if len(c.evicts) != evicted {
			t.Fatalf("seed %d: %d evictions more", seed, len(c.evicts)-evicted)
		}
	}
}

// Nodes that refuse what they could take cost time and nothing else: in the end everything is where it would be.
func TestB34_B33_RefusalsLoseNothing(t *testing.T) {
	for seed := range uint64(40) {
		c := newCell(t)
		rng := rand.New(rand.NewPCG(seed, 34))
		for i := range 3 {
			c.machine(model.NodeID(fmt.Sprintf("n%d", i)), 6)
		}
		c.stubborn = rng
		for range 40 {
			c.happen(rng, []string{"p", "q", "r"})
			c.pass(time.Duration(rng.IntN(2000)) * time.Millisecond)
		}
		c.stubborn = nil
		c.pass(10 * time.Minute)
		refused := c.refused
		c.refused = 0
		c.sound(seed)
		wanted, held, left := int64(0), int64(0), int64(0)
		for id, d := range c.last {
			wanted += int64(d.Target) * d.Plan.Resources[model.CPU]
			held += int64(c.of(id.Job)) * d.Plan.Resources[model.CPU]
		}
		for _, free := range c.free {
			left = max(left, free)
		}
		if refused == 0 || held < wanted && left >= 3000 {
			t.Fatalf("seed %d: %d refused; of %d wanted %d are held, and a node has %d free", seed, refused, wanted, held, left)
		}
	}
}

// happen lets a stage want more, less, or something end.
func (c *cell) happen(rng *rand.Rand, queues []string) {
	uid := model.UID(1 + rng.IntN(12))
	stage := model.StageID{Job: uid}
	old := c.last[stage]
	switch {
	case old == nil:
		p := model.Priority{Band: model.Band(1 + rng.IntN(3)), Rank: int32(rng.IntN(2))}
		c.ask(queues[rng.IntN(3)], uid, p, uint64(1+rng.IntN(8)), 1+rng.Int64N(3), func(d *msg.Demand) {
			if rng.IntN(3) == 0 {
				d.Plan.MaxUnavailable = 1
			}
		})
	case rng.IntN(2) == 0:
		d := *old
		d.Target = uint64(rng.IntN(8))
		c.last[stage] = &d
		c.sys.Tell(c.placer, &d)
		for _, id := range slices.Sorted(maps.Keys(c.held)) { // a job gives back what it does not want
			if over := c.of(uid) - int(d.Target); over > 0 {
				c.give(id, stage, over, 0)
			}
		}
	default:
		for _, id := range slices.Sorted(maps.Keys(c.held)) {
			if c.held[id][stage] > 0 {
				c.give(id, stage, 1, 0)
				return
			}
		}
	}
}

// demandAll says what queues say to a new placer.
func (c *cell) demandAll() {
	for _, s := range c.shares {
		c.sys.Tell(c.placer, s)
	}
	for _, id := range slices.SortedFunc(maps.Keys(c.last), func(x, y model.StageID) int { return int(x.Job) - int(y.Job) }) {
		c.sys.Tell(c.placer, c.last[id])
	}
}

func (c *cell) all() map[model.UID]int {
	all := map[model.UID]int{}
	for id := range c.last {
		all[id.Job] = c.of(id.Job)
	}
	return all
}

// sound checks what must hold of every cell.
func (c *cell) sound(seed uint64) {
	c.t.Helper()
	if c.refused > 0 {
		c.t.Fatalf("seed %d: %d slots were refused", seed, c.refused)
	}
	byName := map[string]*msg.Demand{}
	for _, d := range c.last {
		byName[d.ID.Name] = d
	}
	for _, e := range c.evicts {
		victim, winner := c.last[e.Stage], byName[e.For.Name]
		if victim.Priority.Band <= model.Production || (e.Rule == msg.RulePriority && victim.Priority.Compare(winner.Priority) <= 0) {
			c.t.Fatalf("seed %d: %v evicted for %v by %s", seed, victim.Priority, winner.Priority, e.Rule)
		}
	}
	for id, free := range c.free {
		if free < 0 {
			c.t.Fatalf("seed %d: node %s holds %d more than it has", seed, id, -free)
		}
	}
}
