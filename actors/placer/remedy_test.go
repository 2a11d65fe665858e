package placer_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func gang(d *msg.Demand) { d.Plan.Gang = true }

// says checks why something waits and what it is told would help.
func says(t *testing.T, e *v1.StageExplain, why string, remedies ...string) {
	t.Helper()
	if e.WaitsFor != why || !slices.Equal(e.Remedies, remedies) {
		t.Fatalf("waits for %q, told %q; want %q, %q", e.WaitsFor, e.Remedies, why, remedies)
	}
}

func TestX4_F25_WhatIsToldToHelpAgainstALimitHelps(t *testing.T) {
	c := newCell(t)
	c.machine("a", 8)
	c.share("web", model.QueuePlan{Quota: cores(5)})
	c.share("ml", model.QueuePlan{Quota: cores(3)})
	c.ask("web", 1, production, 4, 1, nil)
	c.pass(time.Second)
	c.ask("web", 2, production, 3, 1, gang)
	c.ask("etl", 3, production, 1, 1, nil)
	c.pass(time.Second)
	says(t, c.explain(2), "quota", "the quota of queue web is 2 cores higher")
	says(t, c.explain(3), "quota", "queue etl gets a quota of 1 core")
	c.share("ml", model.QueuePlan{})
	c.share("web", model.QueuePlan{Quota: cores(7)})
	c.share("etl", model.QueuePlan{Quota: cores(1)})
	c.pass(time.Second)
	if c.of(2) != 3 || c.of(3) != 1 {
		t.Fatalf("as told, and %d and %d slots are held", c.of(2), c.of(3))
	}
}

func TestX4_F26_WhatOthersWouldHaveToReturnIsToldToThoseWhoWouldGetIt(t *testing.T) {
	c := newCell(t)
	c.machine("a", 8)
	c.share("web", model.QueuePlan{Quota: cores(5), Max: cores(5)})
	c.share("ml", model.QueuePlan{Quota: cores(3)})
	c.ask("ml", 1, batch, 8, 1, nil)
	c.pass(time.Second)
	c.ask("etl", 2, production, 1, 1, nil) // it has no quota: what ml returns would be lent again, and not to it
	c.pass(time.Second)
	says(t, c.explain(2), "quota", "queue etl gets a quota of 1 core, and for room: it would fit on node a with 1 of cpu freed there")
	c.ask("web", 3, batch, 7, 1, nil)
	c.pass(time.Minute)
	says(t, c.explain(3), "max", "the maximum of queue web is 1 core higher, and for room: it would fit on node a with 1 of cpu freed there")
}

// What several resources lack is one remedy, and who waits for a master that has just begun needs none.
func TestX4_F31_OneRemedyForAllThatLacks(t *testing.T) {
	c := newCell(t)
	c.machine("a", 8)
	c.share("web", model.QueuePlan{Quota: []model.Amount{{Name: "cpu", N: 8000}, {Name: "memory", N: 1 << 30}}})
	c.ask("etl", 1, production, 1, 2, func(d *msg.Demand) { d.Plan.Resources[model.Memory] = 1 << 20 })
	c.pass(time.Second)
	says(t, c.explain(1), "quota", "queue etl gets a quota of 2 cores and 1Mi memory, and for room: it would fit on node a with 1Mi more memory there")
	c.sys.Tell(c.placer, &msg.NodesAwaited{Nodes: 1})
	c.pass(time.Second)
	if e := c.explain(1); e.WaitsFor != "starting" || len(e.Remedies) > 0 || !strings.Contains(e.Summary, "the master has begun lately") {
		t.Fatalf("explained: %v", e)
	}
}

func TestX4_B41_WhoWouldEvictHearsThatALimitForbidsIt(t *testing.T) {
	c := newCell(t)
	c.machine("a", 4)
	c.ask("q", 1, batch, 5, 1, func(d *msg.Demand) { d.Plan.MaxUnavailable = 1 })
	c.pass(time.Second)
	c.ask("q", 2, production, 1, 1, nil)
	c.pass(time.Second)
	const why = "; stage s of q/j1 could make room, but may lose no more now (max_unavailable)"
	if e := c.explain(2); !strings.HasSuffix(e.Summary, why) {
		t.Fatalf("explained: %v", e)
	}
	if e := c.explain(1); strings.Contains(e.Summary, "max_unavailable") {
		t.Fatalf("explained: %v", e)
	}
	c.ask("q", 1, batch, 5, 1, func(d *msg.Demand) { d.Plan.MaxUnavailable = 2 })
	c.pass(time.Second)
	if c.of(2) != 1 {
		t.Fatalf("as told, and %d slots are held", c.of(2))
	}
}

func TestX4_AGangIsToldWhatAllOfItLacks(t *testing.T) {
	c := newCell(t)
	c.machine("a", 4)
	c.machine("b", 4)
	c.ask("q", 1, production, 1, 2, nil)
	c.pass(time.Second)
	c.ask("q", 2, production, 2, 3, gang)
	c.ask("q", 3, production, 3, 3, gang)
	c.pass(time.Second)
	says(t, c.explain(2), "gang", "room for 1 of its 2 slots is there now: it starts when there is room for 1 more at the same time")
	says(t, c.explain(3), "gang",
		"the nodes that it may use hold at most 2 of its 3 slots at one time even when nothing else is there: fewer or smaller instances, or more nodes")
	c.machine("c", 4)
	c.pass(time.Second)
	if c.of(2) != 2 || c.of(3) != 0 {
		t.Fatalf("with room for one more %d and %d slots are held", c.of(2), c.of(3))
	}
	c.machine("d", 4)
	c.machine("e", 4)
	c.machine("f", 4)
	c.pass(time.Second)
	if c.of(3) != 3 {
		t.Fatalf("with enough nodes %d slots are held", c.of(3))
	}
}
