package placer_test

import (
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
)

// ask is a demand of one job, number uid, as its queue says it.
func (b *bench) ask(job string, uid model.UID, target uint64, change func(*msg.Demand)) {
	m := &msg.Demand{
		Stage: model.StageID{Job: uid}, ID: model.JobID{Queue: "q", Name: job}, Priority: model.Priority{Band: model.Batch, Rank: 5}, Target: target,
		Plan: &model.StagePlan{Driver: "process", Resources: model.Resources{100, 1 << 20}},
	}
	if change != nil {
		change(m)
	}
	b.sys.Tell(b.placer, m)
	b.run()
}

func cpu(milli int64) func(*msg.Demand) {
	return func(m *msg.Demand) { m.Plan.Resources[model.CPU] = milli }
}

func (b *bench) holds(job string, slots int, cpu int64) {
	b.t.Helper()
	if b.total(job) != slots || b.taken[job][model.CPU] != cpu {
		b.t.Fatalf("%s got %d slots of %d in all, not %d of %d", job, b.total(job), b.taken[job][model.CPU], slots, cpu)
	}
}

// A stage that waits for more than any node has gets slots as soon as it wants less, of the new size.
func TestB8_ResourcesChangedWhileItWaits(t *testing.T) {
	b := newBench(t)
	b.node("a", 10) // 1000 in all
	b.ask("j", 1, 3, cpu(2000))
	b.holds("j", 0, 0)
	b.ask("j", 1, 3, cpu(300))
	b.holds("j", 3, 900)
	b.ask("k", 2, 5, nil)
	b.holds("k", 1, 100)
}

// A stage that holds slots gets new ones of the new size; those that it holds stay what they are, on the books, too.
func TestB8_ResourcesChangedWhileItHoldsSlots(t *testing.T) {
	b := newBench(t)
	b.node("a", 10)
	b.ask("j", 1, 4, nil)
	b.holds("j", 4, 400)
	b.ask("j", 1, 4, cpu(200))
	b.holds("j", 4, 400)
	b.ask("j", 1, 6, cpu(200))
	b.holds("j", 6, 800)
	b.ask("k", 2, 9, nil)
	b.holds("k", 2, 200)
	// Two of the old slots and one of the new come back: room for two of 100 and one of 200.
	b.ask("j", 1, 3, cpu(200))
	for each, n := range map[int64]int{100: 2, 200: 1} {
		b.sys.Tell(b.placer, &msg.Freed{Node: "a", Stage: model.StageID{Job: 1}, Each: model.Resources{each, 1 << 20}, Count: n})
	}
	b.run()
	b.holds("k", 6, 600)
}

// Of two stages that wait, the one goes first whose rank is better by now.
func TestB8_PriorityChangedWhileItWaits(t *testing.T) {
	b := newBench(t)
	b.node("a", 4)
	b.ask("holder", 1, 4, func(m *msg.Demand) { m.Priority.Band = model.Production })
	b.ask("x", 2, 4, nil)
	b.ask("y", 3, 4, func(m *msg.Demand) { m.Priority.Rank = 6 })
	free := func(n int) {
		b.ask("holder", 1, uint64(4-n), func(m *msg.Demand) { m.Priority.Band = model.Production })
		b.sys.Tell(b.placer, &msg.Freed{Node: "a", Stage: model.StageID{Job: 1}, Each: model.Resources{100, 1 << 20}, Count: 1})
		b.run()
	}
	free(1)
	b.holds("x", 1, 100)
	b.holds("y", 0, 0)
	b.ask("y", 3, 4, func(m *msg.Demand) { m.Priority.Rank = 5 })
	b.ask("x", 2, 4, func(m *msg.Demand) { m.Priority.Rank = 6 })
	b.sys.Tell(b.placer, &msg.Freed{Node: "a", Stage: model.StageID{Job: 2}, Each: model.Resources{100, 1 << 20}, Count: 1})
	b.run()
	b.holds("y", 1, 100)
	free(2)
	b.holds("x", 1, 100)
	b.holds("y", 2, 200)
}

// Rules count from the moment that they are said, for what waits and for new slots of what holds some.
func TestB8_RulesChanged(t *testing.T) {
	b := newBench(t)
	b.node("a", 10)
	b.node("b", 10)
	on := func(node string) func(*msg.Demand) {
		return func(m *msg.Demand) {
			m.Plan.Constraints = []model.Constraint{{Attribute: model.NodeAttribute, Op: model.OpEqual, Values: []string{node}}}
		}
	}
	b.ask("j", 1, 2, on("c"))
	b.holds("j", 0, 0)
	b.ask("j", 1, 2, on("b"))
	if b.granted["b/j"] != 2 {
		t.Fatalf("waiting for another node: %v", b.granted)
	}
	b.ask("j", 1, 5, on("a"))
	if b.granted["b/j"] != 2 || b.granted["a/j"] != 3 {
		t.Fatalf("holding slots elsewhere: %v", b.granted)
	}
	b.ask("j", 1, 7, func(m *msg.Demand) { m.Plan.Pool = "gold" })
	b.holds("j", 5, 500)
}
