package placer_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/backfill"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestB6_F22_B17_TheLowestIsEvictedAndNeverAnEqual(t *testing.T) {
	c := newCell(t)
	c.machine("a", 10)
	c.ask("q", 1, batch, 6, 1, nil)
	c.ask("q", 2, free, 4, 1, nil)
	c.pass(time.Second)
	c.ask("q", 3, production, 5, 1, nil)
	c.pass(time.Second)
	if c.of(3) != 5 || c.of(2) != 0 || c.of(1) != 5 {
		t.Fatalf("production holds %d of 5, batch %d, free %d", c.of(3), c.of(1), c.of(2))
	}
	for _, e := range c.evicts {
		if e.Rule != msg.RulePriority || e.For.Name != "j3" || !strings.HasSuffix(e.Reason, " < production/0") {
			t.Errorf("evicted by %+v", e)
		}
	}
	evicted := len(c.evicts)
	c.ask("q", 4, production, 6, 1, nil)
	c.ask("q", 5, model.Priority{Band: model.Monitoring}, 6, 1, nil)
	c.pass(time.Minute)
	if c.of(3) != 5 || c.of(1) != 0 || c.of(4)+c.of(5) != 5 || c.of(5) != 5 {
		t.Errorf("after more: %d %d %d %d, evictions %d then %d", c.of(1), c.of(3), c.of(4), c.of(5), evicted, len(c.evicts))
	}
	if c.refused > 0 {
		t.Errorf("%d slots were refused", c.refused)
	}
}

func TestB41_NoMoreAreDownAtOnceThanTheLimitSays(t *testing.T) {
	c := newCell(t)
	c.machine("a", 4)
	c.ask("q", 1, batch, 4, 1, func(d *msg.Demand) { d.Plan.MaxUnavailable = 2 })
	c.pass(time.Second)
	c.ask("q", 2, production, 4, 1, nil)
	c.pass(5 * time.Minute)
	if c.of(1) != 2 || c.of(2) != 2 {
		t.Errorf("%d of the four are left, %d have come", c.of(1), c.of(2))
	}
}

// What a job does not hear is said again after the deadline, and no room is kept for ever.
func TestB6_AnEvictionThatIsLostIsRepeated(t *testing.T) {
	c := newCell(t)
	c.machine("a", 4)
	c.ask("q", 1, batch, 4, 1, nil)
	c.pass(time.Second)
	c.deaf = true
	c.ask("q", 2, production, 2, 1, nil)
	c.pass(20 * time.Second)
	if c.of(2) != 0 {
		t.Fatal("granted without room")
	}
	c.deaf = false
	c.pass(time.Minute)
	if c.of(2) != 2 || c.of(1) != 2 {
		t.Errorf("%d and %d slots are held after the deadline", c.of(1), c.of(2))
	}
	c.deaf = true
	c.ask("q", 2, production, 4, 1, nil) // and now the winner goes before it has won
	c.pass(time.Second)
	c.ask("q", 2, production, 2, 1, nil)
	c.pass(time.Minute)
	c.deaf = false
	c.give("a", model.StageID{Job: 1}, 1, 1)
	c.pass(time.Minute)
	if c.of(1) != 2 || c.of(2) != 2 {
		t.Errorf("what was kept is not given back: %d and %d", c.of(1), c.of(2))
	}
}

func TestB6_F23_AGangIsPlacedAtOnceOrNotAtAll(t *testing.T) {
	c := newCell(t)
	c.machine("a", 4)
	c.machine("b", 4)
	c.ask("q", 1, batch, 3, 1, nil)
	c.pass(time.Second)
	gang := func(d *msg.Demand) { d.Plan.Gang, d.Plan.GangHold = true, 30*time.Second }
	c.ask("q", 2, batch, 6, 1, gang)
	c.ask("q", 3, free, 1, 1, nil)
	c.pass(5 * time.Second)
	if c.of(2) != 0 || c.of(3) != 1 {
		t.Fatalf("%d of a gang of six on five free cores, %d beside it", c.of(2), c.of(3))
	}
	c.give("a", model.StageID{Job: 1}, 3, 0)
	c.ask("q", 1, batch, 0, 1, nil)
	c.pass(time.Minute)
	if c.of(2) != 6 {
		t.Errorf("%d of the gang", c.of(2))
	}
	c.ask("q", 4, production, 8, 1, gang)
	c.pass(time.Minute)
	if c.of(4) != 8 || c.of(2)+c.of(3) != 0 {
		t.Errorf("a gang of production holds %d, others %d", c.of(4), c.of(2)+c.of(3))
	}
}

func TestF25_F26_F27_QuotaIsLentAndTakenBack(t *testing.T) {
	c := newCell(t)
	c.machine("a", 12)
	c.share("owner", model.QueuePlan{Quota: cores(8)})
	c.share("other", model.QueuePlan{Quota: cores(4)})
	c.ask("other", 1, batch, 20, 1, nil)
	c.pass(2 * time.Second)
	if c.of(1) != 12 {
		t.Fatalf("%d of 12 are lent", c.of(1))
	}
	if u := c.uses["other"]; u.Borrowed.GetCpuMilli() != 8000 || c.uses["owner"].Lent.GetCpuMilli() != 8000 {
		t.Errorf("uses: %+v and %+v", u, c.uses["owner"])
	}
	c.ask("other", 2, production, 4, 1, nil) // firm work does not borrow
	c.pass(2 * time.Second)
	if c.of(2) != 4 || c.of(1) != 8 {
		t.Fatalf("production within the quota holds %d, batch %d", c.of(2), c.of(1))
	}
	c.ask("owner", 3, free, 8, 1, nil) // of the lowest rank, and within its quota
	c.pass(time.Minute)
	if c.of(3) != 8 || c.of(1) != 0 || c.of(2) != 4 {
		t.Fatalf("the owner holds %d of 8, the others %d and %d", c.of(3), c.of(1), c.of(2))
	}
	byRule := map[string]int{}
	for _, e := range c.evicts {
		byRule[e.Rule] += e.Count
		if e.Rule == msg.RuleQuota && e.Reason != "queue other holds more than its own, and queue owner wants its quota" {
			t.Errorf("taken back because %s", e.Reason)
		}
	}
	if byRule[msg.RuleQuota] != 8 || byRule[msg.RulePriority] != 4 {
		t.Errorf("evicted: %v", byRule)
	}
	var ledger *v1.LedgerReply
	asker := c.sys.Port("asker", func(m any, _ kit.Ref) { ledger = m.(*v1.LedgerReply) })
	c.sys.TellFrom(asker, c.placer, &msg.GetLedger{Request: &v1.LedgerRequest{Queue: "owner"}})
	c.pass(time.Second)
	if len(ledger.GetLoans()) == 0 || ledger.Loans[0].Lender != "owner" || ledger.Loans[0].Borrower != "other" || ledger.Loans[0].ReturnedUnixMs == 0 {
		t.Errorf("ledger: %v", ledger)
	}
	e := c.explain(1)
	if e.WaitsFor != "quota" && e.WaitsFor != "room" || len(e.Remedies) == 0 {
		t.Errorf("explained: %v", e)
	}
}

// When nobody is promised anything any more, what was lent is lent no more.
func TestF26_LoansEndWithTheLastQuota(t *testing.T) {
	c := newCell(t)
	c.machine("a", 12)
	c.share("owner", model.QueuePlan{Quota: cores(8)})
	c.ask("other", 1, batch, 12, 1, nil)
	c.pass(2 * time.Second)
	c.share("owner", model.QueuePlan{})
	c.pass(2 * time.Second)
	var ledger *v1.LedgerReply
	asker := c.sys.Port("asker", func(m any, _ kit.Ref) { ledger = m.(*v1.LedgerReply) })
	c.sys.TellFrom(asker, c.placer, &msg.GetLedger{Request: &v1.LedgerRequest{}})
	c.pass(time.Second)
	if len(ledger.GetLoans()) != 1 || ledger.Loans[0].ReturnedUnixMs == 0 || ledger.Loans[0].Amount != 8000 {
		t.Errorf("ledger: %v", ledger)
	}
	if u := c.uses["other"]; u.Borrowed.GetCpuMilli() != 0 || c.of(1) != 12 {
		t.Errorf("other holds %d and borrows %v", c.of(1), u.Borrowed)
	}
}

func TestX4_AWorkThatWaitsForQuotaIsToldWhoWouldHaveToReturnIt(t *testing.T) {
	c := newCell(t)
	c.machine("a", 40)
	c.share("web", model.QueuePlan{Quota: cores(10), Max: cores(30)})
	c.share("etl", model.QueuePlan{Quota: cores(30), Max: cores(30)})
	c.ask("web", 1, batch, 22, 1, nil)
	c.ask("etl", 2, batch, 18, 1, nil)
	c.pass(2 * time.Second)
	c.ask("web", 3, production, 20, 12, nil)
	c.pass(2 * time.Second)
	e := c.explain(3)
	if e.WaitsFor != "quota" && e.WaitsFor != "max" || !strings.Contains(e.Summary, "queue") || len(e.Remedies) == 0 {
		t.Errorf("explained: %v", e)
	}
}

// explain asks why a job is where it is.
func (c *cell) explain(uid model.UID) *v1.StageExplain {
	c.t.Helper()
	var reply *v1.ExplainReply
	stage := model.StageID{Job: uid}
	asker := c.sys.Port(fmt.Sprintf("explain-%d", uid), func(m any, _ kit.Ref) { reply, _ = m.(*v1.ExplainReply) })
	c.sys.TellFrom(asker, c.placer, &msg.ExplainStages{
		UID: uid, Stages: []msg.StageWant{{Plan: c.plans[stage]}},
		Reply: &v1.ExplainReply{Stages: []*v1.StageExplain{{Stage: "s", WantedSlots: c.plans[stage].Instances, HeldSlots: uint64(c.of(uid))}}},
	})
	c.pass(time.Millisecond)
	if reply == nil {
		c.t.Fatal("no answer")
	}
	return reply.Stages[0]
}

// Small work comes without end, and the large demand starts nevertheless.
func TestF23_B15_TheLargeIsNotStarvedByTheSmall(t *testing.T) {
	for _, gang := range []bool{false, true} {
		c := newCell(t)
		c.machine("a", 4)
		c.machine("b", 4)
		rng := rand.New(rand.NewPCG(1, 2))
		uid := model.UID(1000)
		large := func() bool { return c.of(7) > 0 }
		for step := 0; step < 400 && !large(); step++ {
			if step == 20 {
				c.ask("q", 7, batch, map[bool]uint64{true: 8, false: 1}[gang], map[bool]int64{true: 1, false: 4}[gang], func(d *msg.Demand) { d.Plan.Gang = gang })
			}
			uid++
			c.ask("q", uid, batch, 1, 1, nil)
			c.pass(500 * time.Millisecond)
			id := []model.NodeID{"a", "b"}[rng.IntN(2)]
			if list := sortedStages(c.held[id]); len(list) > 0 && step > 8 {
				c.give(id, list[0], 1, 0)
				c.ask("q", list[0].Job, batch, 0, 1, nil)
			}
		}
		if !large() {
			t.Errorf("gang %v: still waits after 400 small ones", gang)
		}
	}
}

// With known ends the hole in front of the large demand is filled by what ends in time, and by nothing else.
func TestF23_ShortWorkFillsTheHoleBesideAReservation(t *testing.T) {
	c := newCell(t)
	c.share("q", model.QueuePlan{Order: model.OrderFIFO})
	c.machine("a", 4)
	lasts := func(d time.Duration) func(*msg.Demand) { return func(m *msg.Demand) { m.Estimate = d } }
	c.ask("q", 1, batch, 1, 3, lasts(10*time.Minute))
	c.pass(time.Second)
	c.ask("q", 2, batch, 1, 4, lasts(time.Minute)) // starts when 1 ends
	c.ask("q", 3, batch, 1, 1, lasts(20*time.Minute))
	c.ask("q", 4, batch, 1, 1, lasts(5*time.Minute))
	c.pass(time.Second)
	if c.of(3) != 0 || c.of(4) != 1 {
		t.Fatalf("long %d, short %d", c.of(3), c.of(4))
	}
	if e := c.explain(2); e.ExpectedUnixMs != 600_000 {
		t.Errorf("expected at %d", e.ExpectedUnixMs)
	}
	c.give("a", model.StageID{Job: 4}, 1, 0)
	c.ask("q", 4, batch, 0, 1, nil)
	c.pass(9 * time.Minute)
	if c.of(3) != 0 {
		t.Fatal("long work has gone ahead")
	}
	c.give("a", model.StageID{Job: 1}, 1, 0)
	c.ask("q", 1, batch, 0, 1, nil)
	c.pass(time.Second)
	if c.of(2) != 1 {
		t.Error("the first in line does not start")
	}
}

func TestF23_TheOrdersOfQueuesAreThoseOfThePolicy(t *testing.T) {
	for order, name := range backfill.OrderNames {
		if got := model.QueueOrder(order).String(); got != name {
			t.Errorf("order %d is %s here and %s there", order, got, name)
		}
	}
	for fill, name := range backfill.FillNames {
		if got := model.Backfilling(fill).String(); got != name {
			t.Errorf("backfill %d is %s here and %s there", fill, got, name)
		}
	}
}

func TestB8_NodesAreEmptiedForMaintenanceAndTaints(t *testing.T) {
	c := newCell(t)
	c.machine("a", 4)
	c.machine("b", 4)
	c.ask("q", 1, production, 4, 1, func(d *msg.Demand) { d.Plan.MaxUnavailable = 1 })
	c.ask("q", 2, batch, 2, 1, func(d *msg.Demand) { d.Plan.Tolerations = []model.Toleration{{Key: "hot"}} })
	c.pass(time.Second)
	c.views["a"](func(v *msg.NodeView) { v.Open, v.Evict = false, true })
	c.pass(time.Minute)
	if n := len(sortedStages(c.held["a"])); n != 0 && c.free["b"] > 0 {
		t.Fatalf("node a still holds %v", c.held["a"])
	}
	for _, e := range c.evicts {
		if e.Stage.Job == 1 && (e.Rule != msg.RuleMaintenance || e.Count > 1) {
			t.Errorf("evicted by %+v", e)
		}
	}
	c.evicts = nil
	c.views["a"](nil)
	c.pass(time.Second)
	c.views["b"](func(v *msg.NodeView) { v.Taints = []*v1.Taint{{Key: "hot", Effect: model.TaintEvict}} })
	c.pass(time.Minute)
	if n := c.held["b"][model.StageID{Job: 1}]; n > 0 && c.free["a"] > 0 {
		t.Errorf("%d slots stay on a tainted node", n)
	}
	for _, e := range c.evicts {
		if (e.Rule == msg.RuleTaint) != (e.Stage.Job == 1) {
			t.Errorf("evicted by %+v", e)
		}
	}
}
