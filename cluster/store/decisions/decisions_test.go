package decisions

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func open(t *testing.T, size int64) (*Recorder, string) {
	t.Helper()
	dir := t.TempDir()
	r, err := Open(Options{Dir: dir, Size: size})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r, dir
}

func env() *msg.Env {
	e := &msg.Env{Cell: "c", Host: "h", Epoch: 3}
	e.Refs.Placer, e.Refs.Queues = kit.NewRef("m/placer"), kit.NewRef("m/queues")
	return e
}

func all(t *testing.T, dir string) (heads []Head, list []Entry) {
	t.Helper()
	files, err := Files(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		first := true
		err := Read(f, func(h Head, e Entry) error {
			if first {
				heads = append(heads, h)
			}
			first = false
			list = append(list, e)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return heads, list
}

// plan is a stage that uses everything that a stage can say.
func plan(t *testing.T) *model.StagePlan {
	t.Helper()
	p, problems := model.Compile(&v1.JobSpec{Name: "j", Kind: "batch", Stages: []*v1.StageSpec{{
		Name: "s", Command: []string{"x"}, Instances: 4, Duration: "3m", Gang: &v1.Gang{Hold: "9s"}, MaxUnavailable: "50%",
		Resources:   &v1.Resources{Cpu: "1", Memory: "1Gi", Custom: map[string]int64{"license": 2}},
		Constraints: []*v1.Constraint{{Attribute: "os", Op: "=", Value: "linux"}},
		Prefer:      []*v1.Constraint{{Attribute: "zone", Op: "in", Values: []string{"a", "b"}, Weight: -5}},
		Affinity:    []*v1.Affinity{{Labels: map[string]string{"app": "db"}, On: "rack", Weight: 7}},
		Spreads:     []*v1.Spread{{On: "rack", MaxSkew: 1, Max: 3}},
		Ports:       []*v1.Port{{Name: "http"}}, Devices: &v1.Devices{Count: 1, Share: "250m"},
		Tolerations: []*v1.Toleration{{Key: "gpu"}}, Packages: []string{"jdk"}, Data: map[string]string{"n1": "2Gi"},
	}}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return &p.Stages[0]
}

func TestS17_MessagesAreReadAsTheyWere(t *testing.T) {
	r, dir := open(t, 1<<20)
	tap := r.Tap(env(), func(any) {})
	p, info := plan(t), &v1.NodeInfo{Id: "n1", CpuMilli: 7, Attributes: map[string]string{"a": "b"}}
	job, node := kit.NewRef("m/jobs/q/j"), kit.NewRef("m/nodes/n1")
	stage := model.StageID{Job: 9, Stage: 1}
	id := model.JobID{Queue: "q", Name: "j"}
	demand := func(target uint64) *msg.Demand {
		return &msg.Demand{Stage: stage, ID: id, Job: job, Priority: model.Priority{Band: model.Batch, Rank: -3}, Target: target, Plan: p,
			Labels: []model.Label{{Name: "a", Value: "b"}}, Estimate: time.Minute, Avoid: []model.NodeID{"n2"}}
	}
	evict := &msg.Evict{Serial: 5, Until: time.UnixMilli(77), Stage: stage, Node: "n1", Count: 2, For: id, Rule: "quota", Reason: "r"}
	heard := []any{
		kit.Started{Incarnation: 1}, &msg.ViewsComing{Nodes: 3}, &msg.NodesAwaited{}, demand(4), demand(2), &msg.QueueReset{Queue: "q"},
		&msg.QueueShare{Queue: "q", Plan: &model.QueuePlan{Name: "q", Quota: []model.Amount{{Name: "cpu", N: 5}}, Score: model.ScorePlan{By: "spread"}}},
		&msg.QueueShare{Queue: "gone"},
		&msg.NodeView{Node: "n1", NodeRef: node, Info: info, Open: true, Taints: []*v1.Taint{{Key: "k", Effect: "avoid"}}, Through: 8,
			Held: []msg.HeldStage{{Stage: stage, Each: model.Resources{1, 2}, Extra: p.Extra, Count: 2, Since: time.Unix(5, 6), Devices: [][]model.DeviceShare{{{Index: 1, Milli: 250}}}}}},
		&msg.NodeView{Node: "n1", NodeRef: node, Info: info, Gone: true},
		&msg.Reserved{Node: "n1", Serial: 4, Refused: 1}, &msg.Freed{Node: "n1", Stage: stage, Count: 1, Unused: 1},
		&msg.GetLedger{Request: &v1.LedgerRequest{Queue: "q"}}, &kit.Busy{Message: evict}, &kit.Lost{Message: &msg.ViewRequest{}},
		&msg.Rebuild{}, &msg.Unlearn{},
	}
	said := []any{
		&msg.ViewRequest{Through: 6}, &msg.DemandRequest{}, evict, &v1.LedgerReply{Loans: []*v1.Loan{{Lender: "a"}}},
		&msg.Reserve{Serial: 7, Stage: stage, ID: id, Job: job, Each: model.Resources{3}, Extra: p.Extra, Slots: []model.SlotID{1, 2}, Devices: [][]model.DeviceShare{{}, {{Milli: 1000}}}},
		&msg.ToQueue{Name: "q", Message: &msg.QueueUse{Used: &v1.Amounts{CpuMilli: 4}, Waiting: &v1.Amounts{}}},
	}
	kept := &msg.Kept{Stage: stage, ID: id, From: 99, Nodes: []model.NodeID{"n1"}}
	for i, m := range heard {
		tap.Heard(time.Unix(100, int64(i)), job, m)
	}
	for _, m := range said {
		tap.Said(kit.NewRef("m/placer"), node, m)
	}
	tap.Noted(kept)
	tap.Heard(time.Unix(101, 0), nil, &msg.CellFacts{Status: &v1.CellStatus{}})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	heads, got := all(t, dir)
	want := append(append(heard, said...), kept, &msg.CellFacts{Status: &v1.CellStatus{}})
	if len(got) != len(want) || len(heads) != 2 || heads[0].Epoch != 3 || heads[0].Placer != "m/placer" {
		t.Fatalf("%d entries in segments %+v; want %d entries in two, one from the start and one from the rebuild", len(got), heads, len(want))
	}
	for i, e := range got {
		if fmt.Sprintf("%T", e.Message) != fmt.Sprintf("%T", want[i]) || !alike(reflect.ValueOf(e.Message), reflect.ValueOf(want[i])) {
			t.Errorf("entry %d\ngot  %T %+v\nwant %T %+v", i, e.Message, e.Message, want[i], want[i])
		}
	}
	if a, b := got[3].Message.(*msg.Demand), got[4].Message.(*msg.Demand); a.Plan != b.Plan || a.Plan == nil {
		t.Error("two demands of one plan have two plans")
	}
	if a, b := got[8].Message.(*msg.NodeView), got[9].Message.(*msg.NodeView); a.Info != b.Info || a.Info == nil {
		t.Error("two views of one node have two infos")
	}
	if e := got[0]; e.From != "m/jobs/q/j" || !e.At.Equal(time.Unix(100, 0)) || got[len(heard)].To != "m/nodes/n1" {
		t.Errorf("%+v", e)
	}
}

// alike compares by what is printed, which follows no pointer of a message within; and such as plans by value.
func alike(a, b reflect.Value) bool {
	if a.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil() {
		if _, is := a.Interface().(interface{ ProtoReflect() }); !is {
			return alike(a.Elem(), b.Elem())
		}
	}
	if a.Kind() == reflect.Struct {
		for i := range a.NumField() {
			if a.Type().Field(i).IsExported() && !alike(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	}
	if a.Kind() == reflect.Slice {
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !alike(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	}
	if a.Kind() == reflect.Interface && !a.IsNil() && !b.IsNil() {
		return alike(a.Elem(), b.Elem())
	}
	return fmt.Sprint(a.Interface()) == fmt.Sprint(b.Interface())
}

func TestX2_TheRingIsBoundedAndAsksForANewBeginning(t *testing.T) {
	r, dir := open(t, SizeMin)
	asked := 0
	done := make(chan struct{}, 100)
	tap := r.Tap(env(), func(any) { asked++; done <- struct{}{} })
	seed := uint64(1)
	noise := func() *msg.Reserve { // that cannot be compressed
		m := &msg.Reserve{}
		for range 64 {
			seed = seed*6364136223846793005 + 1442695040888963407
			m.Slots = append(m.Slots, model.SlotID(seed))
		}
		return m
	}
	for i := range 6 {
		tap.Heard(time.Unix(int64(i), 0), nil, kit.Started{Incarnation: 1})
		for range 600 {
			tap.Said(nil, nil, noise())
		}
		r.nudge()
		if i == 0 {
			<-done // at a quarter of the ring
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if asked != 1 {
		t.Errorf("asked %d times in a moment to begin anew", asked)
	}
	size := int64(0)
	files, _ := Files(dir)
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > SizeMin || len(files) < 2 || len(files) > 5 {
		t.Errorf("%d files of %d bytes, at most %d may be", len(files), size, SizeMin)
	}
}

func TestX2_WhatCannotBeWrittenInTimeEndsTheSegment(t *testing.T) {
	r, dir := open(t, SizeMin)
	hears := &tap{recorder: r, env: env(), tell: func(any) {}}
	r.mu.Lock() // its goroutine is kept out
	r.queue = append(r.queue, event{hears, Heard, 1, nil, nil, kit.Started{Incarnation: 1}})
	for len(r.queue) < queueMax {
		r.queue = append(r.queue, event{hears, Said, 1, nil, nil, &msg.ViewRequest{}})
	}
	r.lost = 2
	r.mu.Unlock()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	_, list := all(t, dir)
	if last := list[len(list)-1]; last.Kind != Gap || last.Message != uint64(2) {
		t.Errorf("the last of %d entries is %+v", len(list), last)
	}
}

func TestX2_DamageIsFound(t *testing.T) {
	r, dir := open(t, SizeMin)
	tap := r.Tap(env(), func(any) {})
	tap.Heard(time.Unix(1, 0), nil, kit.Started{Incarnation: 1})
	for range 100 {
		tap.Said(nil, nil, &msg.ViewRequest{Through: 3})
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	files, _ := Files(dir)
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for at := len(magic) + 8; at < len(data); at += 7 {
		bad := append([]byte(nil), data...)
		bad[at] ^= 4
		if err := os.WriteFile(files[0], bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Read(files[0], func(Head, Entry) error { return nil }); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d is damaged: %v", at, err)
		}
	}
	if err := os.WriteFile(files[0], data[:len(data)-3], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Read(files[0], func(Head, Entry) error { return nil }); err != nil {
		t.Fatalf("its writer was killed: %v", err)
	}
}
