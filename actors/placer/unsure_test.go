package placer_test

import (
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
)

// begun is a placer whose master has just begun: two machines of four cores hold four slots of job 1, and the queues have
// told what they are promised. Job 1 is of queue web, whose quota it leaves one core of.
func begun(t *testing.T) *cell {
	c := newCell(t)
	c.share("web", model.QueuePlan{Quota: cores(5)})
	c.share("ml", model.QueuePlan{Quota: cores(3)})
	held := model.StageID{Job: 1}
	c.plans[held] = &model.StagePlan{Name: "s", Resources: model.Resources{1000}}
	for _, id := range []model.NodeID{"n1", "n2"} {
		c.machine(id, 4)
		c.held[id][held], c.free[id] = 2, 2000
		c.views[id](nil)
	}
	c.pass(100 * time.Millisecond)
	return c
}

func TestF25_F31_NothingIsGrantedBeforeItIsKnownWhoseSlotsAreHeld(t *testing.T) {
	c := begun(t)
	c.ask("web", 2, production, 4, 1, nil)
	c.pass(time.Second)
	if n := c.of(2); n != 0 {
		t.Fatalf("%d slots granted while nobody had said whose the held ones are", n)
	}
	c.ask("web", 1, production, 4, 1, nil)
	c.pass(time.Second)
	if n := c.of(2); n != 1 {
		t.Fatalf("%d slots granted, want the one that quota leaves", n)
	}
}

func TestF25_F31_WaitingForTheOwnersOfSlotsEnds(t *testing.T) {
	c := begun(t)
	c.ask("web", 2, production, 4, 1, nil)
	c.pass(10 * time.Second)
	if n := c.of(2); n != 4 {
		t.Fatalf("%d slots granted after the time in which owners speak, want 4", n)
	}
}

func TestF25_F31_NothingIsGrantedBeforeNodesHaveSaidWhatTheyHold(t *testing.T) {
	c := newCell(t)
	c.share("web", model.QueuePlan{Quota: cores(2)})
	c.sys.Tell(c.placer, &msg.NodesAwaited{Nodes: 1})
	c.machine("n1", 4)
	c.ask("web", 2, production, 2, 1, nil)
	c.pass(time.Minute)
	if n := c.of(2); n != 0 {
		t.Fatalf("%d slots granted while a node had yet to say what it holds", n)
	}
	c.sys.Tell(c.placer, &msg.NodesAwaited{})
	c.pass(time.Second)
	if n := c.of(2); n != 2 {
		t.Fatalf("%d slots granted when all nodes had spoken, want 2", n)
	}
}
