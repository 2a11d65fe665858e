package queue_test

import (
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestF25_F31_ThePlacerHearsWhatAQueueIsPromised(t *testing.T) {
	b := newBench(t)
	b.set(&v1.QueueSpec{Name: "q", Quota: &v1.Quota{Cpu: "8", Custom: map[string]int64{"gpu": 4000}}, Order: "fifo", Backfill: "none"})
	told := func() {
		t.Helper()
		p := b.shares["q"]
		if p == nil || len(p.Quota) != 2 || p.Quota[0] != (model.Amount{Name: "cpu", N: 8000}) || p.Order != model.OrderFIFO || p.Backfill != model.BackfillNone {
			t.Fatalf("the placer was told %+v", p)
		}
	}
	told()
	clear(b.shares)
	b.sys.Tell(b.env.Refs.Queues, &msg.DemandRequest{}) // the placer has restarted
	b.settle()
	told()
	clear(b.shares)
	b.crash("test/top/queues/q~")
	b.tell("q", &msg.GetQueue{}) // it fails over this one
	b.settle()
	told()
	if b.ask(&msg.ToQueue{Name: "q", Message: &msg.RemoveQueue{Name: "q"}}); b.shares["q"] != nil {
		t.Errorf("a queue that is removed is promised %+v", b.shares["q"])
	}
}

func TestF26_B12_AQueueTellsWhatThePlacerSaysThatItUses(t *testing.T) {
	b := newBench(t)
	b.set(&v1.QueueSpec{Name: "q", Quota: &v1.Quota{Cpu: "8", Memory: "1Gi"}})
	if s := b.status("q"); s.Quota.GetCpuMilli() != 8000 || s.Quota.GetMemoryBytes() != 1<<30 || s.Used != nil {
		t.Errorf("before the placer has said anything: %v", s)
	}
	b.tell("q", &msg.QueueUse{
		Used: &v1.Amounts{CpuMilli: 9000}, Waiting: &v1.Amounts{CpuMilli: 500}, Lent: &v1.Amounts{}, Borrowed: &v1.Amounts{CpuMilli: 1000},
		Allowed: &v1.Amounts{CpuMilli: 12_000},
	})
	b.pass(time.Second)
	if s := b.status("q"); s.Used.GetCpuMilli() != 9000 || s.Borrowed.GetCpuMilli() != 1000 || s.Allowed.GetCpuMilli() != 12_000 || s.Waiting.GetCpuMilli() != 500 {
		t.Errorf("status: %v", s)
	}
	for _, s := range b.ask(&msg.ListQueues{}).(*v1.ListQueuesReply).Queues {
		if s.GetSpec().GetName() == "q" && s.Borrowed.GetCpuMilli() != 1000 {
			t.Errorf("listed: %v", s)
		}
	}
}

func TestB53_B44_DemandsCarryLabelsDurationsAndWhatToAvoid(t *testing.T) {
	b := newBench(t)
	p, problems := model.Compile(&v1.JobSpec{Name: "a", Labels: map[string]string{"tier": "web", "app": "x"}, Stages: []*v1.StageSpec{
		{Name: "s", Instances: 3, Command: []string{"true"}, Duration: "10m"},
	}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	uid := b.admit(p, "")
	b.tell("default", &msg.Want{ID: p.ID, UID: uid, Priority: p.Priority, Job: b.jobRef, Plan: p, Stages: []msg.StageWant{
		{Target: 3, Plan: &p.Stages[0], Avoid: []model.NodeID{"bad"}},
	}})
	b.settle()
	d := b.last[model.StageID{Job: uid}]
	if d == nil || len(d.Labels) != 2 || d.Labels[0].Name != "app" || d.Estimate != 10*time.Minute || d.Predicted != 10*time.Minute || len(d.Avoid) != 1 {
		t.Errorf("the placer was told %+v", d)
	}
}
