package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// What an owner has waiting is predicted anew when a run of that owner has ended; nobody else's is, and what comes to the
// same is not said again.
func TestF24_WhatWaitsIsPredictedAnewFromTheNewestRuns(t *testing.T) {
	b := newBench(t)
	told := map[string][]time.Duration{}
	b.env.Refs.Placer = b.sys.Port("predictions", func(m any, _ kit.Ref) {
		if d, ok := m.(*msg.Demand); ok && d.Target > 0 {
			told[d.ID.Name] = append(told[d.ID.Name], d.Predicted)
		}
	})
	uids := map[string]model.UID{}
	wants := func(name, owner, kind string) *model.Plan {
		stage := &v1.StageSpec{Name: "s", Command: []string{"true"}, Duration: "1h"}
		p, problems := model.Compile(&v1.JobSpec{Name: name, Owner: owner, Kind: kind, Stages: []*v1.StageSpec{stage}})
		if problems != nil {
			t.Fatal(problems)
		}
		uids[name] = b.admit(p, "")
		b.tell("default", &msg.Want{
			ID: p.ID, UID: uids[name], Priority: p.Priority, Job: b.jobRef, Plan: p, Stages: []msg.StageWant{{Target: 1, Plan: &p.Stages[0]}},
		})
		b.settle()
		return p
	}
	ran := func(name string, d time.Duration) {
		p := wants(name, "ann", "batch")
		b.tell("default", &msg.JobEnded{
			Summary: &v1.JobSummary{Queue: "default", Name: p.ID.Name, Uid: uint64(uids[name]), Phase: model.PhaseSucceeded, EndedUnixMs: 1},
			Runs:    []msg.StageRun{{Stage: 0, Mean: d}},
		})
		b.settle()
	}
	wants("waits", "ann", "batch")
	wants("other", "bob", "batch")
	wants("web", "ann", "service")
	for i, d := range []time.Duration{time.Minute, 3 * time.Minute, 2 * time.Minute, 2 * time.Minute} {
		ran(fmt.Sprintf("run-%d", i), d)
	}
	// One run teaches nothing, two have a mean, and so has a third that leaves it where it was: nothing new is said then.
	if got := fmt.Sprint(told["waits"]); got != "[1h0m0s 2m0s]" {
		t.Errorf("the placer was told %s", got)
	}
	if len(told["other"]) != 1 || len(told["web"]) != 1 {
		t.Errorf("of others it was told %v and %v", told["other"], told["web"])
	}
}
