package job_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// evict asks for slots of stage 0 on a node, as the placer does.
func (m *machine) evict(n int) { m.b.tell(m.asks(n)) }

// asks is what the placer says: a grace of ten seconds, and thirty more, are waited for.
func (m *machine) asks(n int) *msg.Evict {
	return &msg.Evict{
		Stage: model.StageID{Job: m.b.uid}, Node: m.id, Count: n, For: model.JobID{Queue: "web", Name: "api"},
		Rule: msg.RulePriority, Reason: "batch/0 < production/0",
		Serial: m.b.env.IDs.Slot(), Until: m.b.step.Now().Add(40 * time.Second),
	}
}

// gone are the slots that the node has been given back since the last time.
func (m *machine) gone() []model.SlotID {
	l := slices.Concat(m.released, m.yielded)
	m.released, m.yielded = nil, nil
	return l
}

func TestB39_B6_TheYoungestAttemptIsEvictedAndWaitsAgain(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 2)))
	n := b.on("n")
	n.grant(0, 1)
	n.grant(0, 1)
	old, young := n.launched[0], n.launched[1]
	b.log.slow = true
	n.evict(1)
	if len(n.gone()) > 0 {
		t.Fatal("a slot was given back before its eviction was durable")
	}
	b.log.slow = false
	b.log.answer()
	b.settle()
	if got := n.yielded; len(got) != 1 || got[0] != young.Slot || n.reason != "evicted (priority) for web/api: batch/0 < production/0" {
		t.Fatalf("gave back %v (%s), want %v", got, n.reason, young.Slot)
	}
	s := b.status()
	if e := s.Evictions; s.Evicted != 1 || len(e) != 1 || e[0].Index != young.Index || e[0].Fence != uint64(young.Fence) ||
		e[0].Node != "n" || e[0].Rule != "priority" || e[0].For != "web/api" || e[0].Reason != "batch/0 < production/0" || e[0].TimeUnixNano == 0 {
		t.Fatalf("%v", s)
	}
	n.report(stopped, young)
	n.freed(young.Slot)
	if s := b.status(); s.Counts.FailedAttempts != 0 || s.Counts.Waiting != 1 || s.Counts.Running != 1 || b.target(0) != 2 {
		t.Fatalf("%v, target %d", s.Counts, b.target(0))
	}
	n.take()
	b.on("m").grant(0, 1)
	if l := b.on("m").last(); l.Index != young.Index || l.Attempt != 1 || l.Fence <= young.Fence {
		t.Fatalf("launched %+v", l)
	}
	n.report(succeeded, old)
	b.on("m").report(succeeded, b.on("m").last())
	if s := b.phase("succeeded"); s.Evicted != 1 || s.Counts.FailedAttempts != 0 {
		t.Fatalf("%v", s)
	}
}

// Idle slots go first, then those of the youngest attempts, never more than asked for, and none of another node.
func TestB17_B39_VictimsAreThoseThatLoseLeast(t *testing.T) {
	for seed := range uint64(30) {
		b := newBench(t)
		r := rand.New(rand.NewPCG(seed, 1))
		b.submit(stages(stage("s", 40)), func(s *v1.JobSpec) { s.Stages[0].Instances = 12 })
		n, m := b.on("n"), b.on("m")
		for range 12 {
			[]*machine{n, m}[r.IntN(2)].grant(0, 1)
		}
		busy := map[model.SlotID]model.Fence{} // on n; 0 for idle
		for _, l := range n.launched {
			busy[l.Slot] = l.Fence
		}
		for _, l := range n.take() {
			if r.IntN(3) == 0 {
				n.report(failed, l) // and waits for its backoff, which leaves the slot idle
				busy[l.Slot] = 0
			}
		}
		count := r.IntN(8)
		n.evict(count)
		var want []model.Fence
		for left := busy; count > 0 && len(left) > 0; count-- { // the oracle: look at all for each
			var worst model.SlotID
			for id, f := range left {
				if w, chosen := left[worst]; !chosen || f == 0 && w != 0 || f > w && w != 0 {
					worst = id
				}
			}
			want = append(want, left[worst])
			delete(left, worst)
		}
		var got []model.Fence
		gone := n.gone()
		for _, id := range gone {
			f := model.Fence(0)
			for _, e := range b.status().Evictions {
				for fence := range fencesOf(n, id) {
					if uint64(fence) == e.Fence {
						f = fence
					}
				}
			}
			got = append(got, f)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || len(m.gone()) > 0 {
			t.Fatalf("seed %d: gave back %v with fences %v, want %v", seed, gone, got, want)
		}
	}
}

// fencesOf are the attempts that were launched in a slot.
func fencesOf(m *machine, id model.SlotID) map[model.Fence]bool {
	all := map[model.Fence]bool{}
	for _, l := range m.all {
		if l.Slot == id {
			all[l.Fence] = true
		}
	}
	return all
}

// Slots of another stage on the same node are not what was asked for.
func TestB39_OnlyThatStageIsEvicted(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 1), stage("t", 2)))
	n := b.on("n")
	n.grant(0, 1)
	n.grant(1, 2)
	first := n.launched[0]
	n.evict(3)
	if got := n.gone(); !slices.Equal(got, []model.SlotID{first.Slot}) {
		t.Fatalf("gave back %v, want %v", got, first.Slot)
	}
}

func TestB39_AnAttemptMayEndWhileItIsEvicted(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 2)))
	n := b.on("n")
	n.grant(0, 1)
	l := n.last()
	b.log.slow = true
	n.evict(1)
	n.report(succeeded, l)
	b.log.slow = false
	b.log.answer()
	b.settle()
	if got := n.gone(); !slices.Equal(got, []model.SlotID{l.Slot}) || len(n.launched) != 1 {
		t.Fatalf("gave back %v, launched %v: the slot was promised away", got, n.launched)
	}
	if s := b.status(); s.Counts.Done != 1 || s.Evicted != 1 || b.failed() {
		t.Fatalf("%v\n%s", s, b.logs.String())
	}
	n.freed(l.Slot)
	n.grant(0, 1)
	n.report(succeeded, n.last())
	b.phase("succeeded")
}

// What is asked for twice while it is on its way is given up twice only until the first is overdue: then it is the same.
func TestB39_B42_SlotsThatAreNotFreedAreNotAskedForInVain(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 4)))
	n := b.on("n")
	n.grant(0, 4)
	n.evict(1)
	n.evict(1)
	if got := n.gone(); len(got) != 2 {
		t.Fatalf("two demands, gave back %v", got)
	}
	b.pass(40 * time.Second) // its grace of ten seconds, and more than twenty
	n.evict(2)
	if got := n.gone(); len(got) != 0 {
		t.Fatalf("asked again for what is not freed, gave back %v, too", got)
	}
	n.evict(1)
	if got := n.gone(); len(got) != 1 {
		t.Fatalf("one more was asked for, gave back %v", got)
	}
}

// However the job goes on, everything that it was asked for goes back.
func TestB39_AnEvictionMeetsTheEndOfTheJob(t *testing.T) {
	for name, end := range map[string]func(b *bench, n *machine){
		"stop": func(b *bench, _ *machine) { b.tell(&msg.StopJob{Reason: "enough"}) },
		"lost": func(b *bench, n *machine) {
			n.say(&msg.SlotsLost{ID: id, UID: b.uid, Node: "n", Slots: []model.SlotID{n.last().Slot}, Reason: "node lost"})
		},
		"success": func(_ *bench, n *machine) { n.report(succeeded, n.launched...) },
		"death":   func(_ *bench, n *machine) { n.report(failed, n.launched...) },
	} {
		b := newBench(t)
		b.submit(stages(&v1.StageSpec{Name: "s", Instances: 2, Command: []string{"true"}, Retry: &v1.Retry{Attempts: 1}}))
		n := b.on("n")
		slots := n.grant(0, 2)
		b.log.slow = true
		n.evict(2)
		end(b, n)
		b.log.slow = false
		b.log.answer()
		b.settle()
		got := n.gone()
		slices.Sort(got)
		got = slices.Compact(got)
		want := len(slots)
		if name == "lost" {
			want--
		}
		if len(got) != want {
			t.Errorf("%s: gave back %v of %v", name, got, slots)
		}
		if b.failed() {
			t.Errorf("%s: an actor failed:\n%s", name, b.logs.String())
		}
	}
}

// An actor that fails before the eviction is durable keeps the slot; one that fails after it may have to be asked again.
func TestB39_W6_AnEvictionMeetsACrash(t *testing.T) {
	b, n, _, on, _ := begun(t, 1)
	b.crash(&msg.Evict{})
	b.claimed(2)
	n.evict(1) // it does not know yet what it holds
	n.inventory(n.held(on[0], running))
	b.on("m").inventory()
	if got := n.gone(); len(got) > 0 {
		t.Fatalf("gave back %v", got)
	}
	n.evict(1)
	b.crash(&msg.GetJob{})
	b.claimed(2)
	n.inventory(n.held(on[0], running)) // the release has not reached the node
	b.on("m").inventory()
	n.gone()
	n.evict(1)
	if got := n.gone(); !slices.Equal(got, []model.SlotID{on[0].Slot}) || b.status().Evicted != 2 {
		t.Fatalf("gave back %v: %v", got, b.status())
	}
}

func TestTheQueueHearsHowLongStagesRan(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 2), stage("never", 1, "s")))
	n := b.on("n")
	n.grant(0, 2)
	r := &msg.Reported{ID: id, UID: b.uid, Node: n.id, NodeRef: n.ref}
	for i, l := range n.launched {
		s := n.attempt(l, succeeded, "")
		s.StartedUnixNano, s.EndedUnixNano = 1e9, int64(2+2*i)*1e9
		r.Attempts = append(r.Attempts, s)
	}
	n.say(r)
	b.tell(&msg.StopJob{})
	n.freed(n.gone()...)
	if want := []msg.StageRun{{Stage: 0, Mean: 2 * time.Second}}; len(b.ended) != 1 || !slices.Equal(b.runs, want) {
		t.Fatalf("%v", b.runs)
	}
}

// What is evicted has no failure to wait for: it waits for room at once, and that is for the placer to explain.
func TestX4_B39_WhatIsEvictedDoesNotWaitToBeTriedAgain(t *testing.T) {
	b := newBench(t)
	b.submit(stages(stage("s", 1)))
	n := b.on("n")
	n.grant(0, 1)
	l := n.launched[0]
	n.evict(1)
	n.report(stopped, l)
	n.freed(l.Slot)
	b.pass(5 * time.Second)
	if e := b.ask(&msg.ExplainJob{Request: &v1.ExplainRequest{}}).(*v1.ExplainReply).Stages[0]; e.Summary != "" {
		t.Errorf("the job says %q", e.Summary)
	}
}
