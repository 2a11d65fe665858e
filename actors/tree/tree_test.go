package tree_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/node/nodetest"
	"github.com/troupe-sched/troupe/actors/tree"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestB57_B13_TheTableIsTheTree(t *testing.T) {
	w := newWorld(t, 1, 0, nil)
	var want, live []string
	for _, e := range tree.Table {
		want = append(want, e.Name)
	}
	for _, n := range w.sys.Tree().Children {
		live = append(live, n.Name)
	}
	slices.Sort(want)
	if !slices.Equal(live, want) {
		t.Errorf("the table has %v, the tree %v", want, live)
	}
	refs := reflect.ValueOf(w.env.Refs)
	seen := map[string]bool{}
	for i := range refs.NumField() {
		ref, _ := refs.Field(i).Interface().(kit.Ref)
		if ref == nil || seen[ref.Id] {
			t.Errorf("no actor of its own is known as %s", refs.Type().Field(i).Name)
			continue
		}
		seen[ref.Id] = true
	}
	if len(seen) != len(tree.Table) {
		t.Errorf("%d addresses for %d actors", len(seen), len(tree.Table))
	}
}

func TestB57_StopsInReverseOrderOfTheTable(t *testing.T) {
	w := newWorld(t, 1, 0, nil)
	w.sys.Kill()
	guest := kit.Spec{Name: "guest", New: func() kit.Behavior { return quiet{} }}
	w.begin(func(c *tree.Config) { c.Guests = []kit.Spec{guest} })
	w.pass(time.Second)
	var stopped []string
	w.step.OnTrace(func(tr kit.Trace) {
		name, top := strings.CutPrefix(tr.Actor, "m/cell/")
		if _, stopping := tr.Message.(kit.Stopping); stopping && top && !strings.Contains(name, "/") {
			stopped = append(stopped, name)
		}
	})
	if err := w.sys.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Second)
	var want []string
	for _, e := range slices.Backward(tree.Table) {
		want = append(want, e.Name)
	}
	want = append([]string{"guest"}, want...)
	if !slices.Equal(stopped, want) || !errors.Is(w.sys.Err(), kit.ErrEnded) {
		t.Errorf("stopped %v, want %v; the system says %v", stopped, want, w.sys.Err())
	}
}

type quiet struct{}

func (quiet) Receive(*kit.Context, any) {}

// A journal that fails takes the master down; another one goes on from what is durable.
func TestB57_B46_F30_AFailedJournalEndsTheMasterAndNothingElse(t *testing.T) {
	w := newWorld(t, 1, 2, func(*v1.Launch) nodetest.Outcome { return nodetest.Outcome{After: 5 * time.Second} })
	w.submit(&v1.JobSpec{Name: "j", Stages: []*v1.StageSpec{stage("s", 4)}})
	w.within(10*time.Second, func() bool { return w.fleet.Running() == 4 })
	failed := false
	w.step.OnFate(func(actor string, _ any) kit.Fate {
		if kind(actor) == "journal" && !failed {
			failed = true
			return kit.DiesBefore
		}
		return kit.Lives
	})
	asker := w.sys.Port("asker", func(any, kit.Ref) {})
	w.sys.TellFrom(asker, w.env.Refs.Gateway, request(&v1.CellStatusRequest{}))
	if !w.within(time.Minute, func() bool { return w.sys.Err() != nil }) || w.fleet.Running() != 4 {
		t.Fatalf("the system goes on without its journal: %v; %d of 4 attempts run", w.sys.Err(), w.fleet.Running())
	}
	w.pass(10 * time.Second) // the attempts end while there is no master
	w.begin(nil)
	if s := w.wait("j"); s.Phase != "succeeded" || w.fleet.Begun() != 4 || len(w.fleet.Wrong()) > 0 {
		t.Errorf("%v after %d attempts; %v", s, w.fleet.Begun(), w.fleet.Wrong())
	}
}

func TestB57_WhatFailsTooOftenEndsTheMaster(t *testing.T) {
	w := newWorld(t, 1, 1, nil)
	w.pass(time.Second)
	failures := 0
	w.step.OnFate(func(actor string, _ any) kit.Fate {
		if kind(actor) == "name" || actor == "m/cell/names" {
			failures++
			return kit.DiesBefore
		}
		return kit.Lives
	})
	asker := w.sys.Port("asker", func(any, kit.Ref) {})
	w.sys.TellFrom(asker, w.env.Refs.Gateway, request(&v1.LookupRequest{Name: "web.default"}))
	if !w.within(time.Minute, func() bool { return w.sys.Err() != nil }) || failures < 3 {
		t.Fatalf("names has failed %d times, the system says %v", failures, w.sys.Err())
	}
}

// The side of the tasks goes on with what it holds while the side of the resources fails again and again.
func TestF1_F2_F4_WorkGoesOnWhileThePlacerFails(t *testing.T) {
	w := newWorld(t, 1, 1, func(*v1.Launch) nodetest.Outcome { return nodetest.Outcome{After: time.Second} })
	w.submit(&v1.JobSpec{Name: "j", Stages: []*v1.StageSpec{stage("s", 200)}})
	w.within(10*time.Second, func() bool { return w.fleet.Running() == 10 })
	failures, ask := 0, 0
	w.step.OnFate(func(actor string, _ any) kit.Fate {
		if actor == "m/cell/placer" && failures < 8 && w.step.Now().Sub(start) > time.Duration(failures+3)*time.Second {
			failures++
			return kit.DiesBefore
		}
		return kit.Lives
	})
	asker := w.sys.Port("asker", func(any, kit.Ref) {})
	for failures < 8 && ask < 100 {
		ask++
		w.sys.TellFrom(asker, w.env.Refs.Gateway, request(&v1.CellStatusRequest{}))
		w.pass(500 * time.Millisecond)
		if n := w.fleet.Running(); n < 9 {
			t.Fatalf("after %d failures of the placer %d of 10 slots are used", failures, n)
		}
	}
	if s := w.wait("j"); failures != 8 || s.Phase != "succeeded" || w.fleet.Begun() != 200 {
		t.Errorf("%v after %d failures of the placer and %d attempts", s, failures, w.fleet.Begun())
	}
}

// And the other way round: resources are granted to others while one job fails.
func TestF1_F2_W1_OneJobFailsAlone(t *testing.T) {
	w := newWorld(t, 1, 2, nil)
	failures := 0
	w.step.OnFate(func(actor string, m any) kit.Fate {
		if _, started := m.(kit.Started); strings.HasPrefix(actor, "m/cell/jobs/default.bad~") && !started && failures < 40 {
			failures++
			return kit.DiesBefore
		}
		return kit.Lives
	})
	w.submit(&v1.JobSpec{Name: "bad", Stages: []*v1.StageSpec{stage("s", 3)}})
	for i := range 5 {
		name := fmt.Sprintf("good%d", i)
		w.submit(&v1.JobSpec{Name: name, Stages: []*v1.StageSpec{stage("s", 3)}})
		if s := w.wait(name); s.Phase != "succeeded" {
			t.Errorf("%v", s)
		}
	}
	if s := w.wait("bad"); s.Phase != "succeeded" || failures < 40 || len(w.fleet.Wrong()) > 0 {
		t.Errorf("%v after %d failures of its actor; %v", s, failures, w.fleet.Wrong())
	}
}

func TestB46_F30_S6_MastersComeAndGoWhileWorkGoesOn(t *testing.T) {
	w := newWorld(t, 1, 3, func(l *v1.Launch) nodetest.Outcome {
		return nodetest.Outcome{After: time.Duration(300+100*l.Index%900) * time.Millisecond, Result: []byte("x")}
	})
	w.submit(&v1.JobSpec{Name: "j", Stages: []*v1.StageSpec{stage("s", 60), stage("t", 20, "s")}})
	epoch := w.env.Epoch
	for i := range 8 {
		w.pass(time.Duration(100+170*i) * time.Millisecond)
		w.sys.Kill()
		w.pass(time.Duration(50*i) * time.Millisecond)
		w.begin(nil)
		if w.env.Epoch <= epoch {
			t.Fatalf("epoch %d after %d", w.env.Epoch, epoch)
		}
		epoch = w.env.Epoch
		w.pass(1500 * time.Millisecond)
	}
	if s := w.wait("j"); s.Phase != "succeeded" || s.Counts.FailedAttempts != 0 || w.fleet.Begun() != 80 || len(w.fleet.Wrong()) > 0 {
		t.Errorf("%v after %d attempts of 80 instances; %v", s, w.fleet.Begun(), w.fleet.Wrong())
	}
	if r := w.call(&v1.ResultsRequest{Name: "j", Stage: "s"}).(*v1.ResultsReply); len(r.Results) != 60 {
		t.Errorf("%d of 60 results", len(r.Results))
	}
}

// One key makes one job, also when nobody has heard the answer.
func TestB42_B14_AKeyOutlivesTheMaster(t *testing.T) {
	w := newWorld(t, 1, 1, nil)
	job := &v1.JobSpec{Name: "j", Stages: []*v1.StageSpec{stage("s", 2)}}
	asker := w.sys.Port("asker", func(any, kit.Ref) {})
	w.sys.TellFrom(asker, w.env.Refs.Gateway, request(&v1.SubmitRequest{Job: job, Key: "key of j"}))
	w.within(time.Second, func() bool { return w.fleet.Running() > 0 })
	w.sys.Kill()
	w.begin(nil)
	if r := w.submit(job); r.Created {
		t.Errorf("the key has made a second job: %v", r)
	}
	w.wait("j")
}

func TestF30_ARecoveredStateIsThatOfTheLog(t *testing.T) {
	w := newWorld(t, 1, 2, nil)
	w.submit(&v1.JobSpec{Name: "j", Stages: []*v1.StageSpec{stage("s", 5)}})
	w.wait("j")
	state, err := journal.Recover(context.Background(), w.log.Reopen(), nil)
	if err != nil {
		t.Fatal(err)
	}
	j := state.Newest(model.JobID{Queue: "default", Name: "j"})
	if j == nil || j.Phase != model.PhaseSucceeded || !j.AllDone() || len(state.Nodes()) != 2 {
		t.Errorf("the log makes %+v and nodes %v", j, state.Nodes())
	}
}
