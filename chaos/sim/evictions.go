package sim

import (
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// evictLag is how long after a decision its eviction may become durable.
const evictLag = time.Minute

// emptied is what is durable of who wants a node to be empty.
type emptied struct {
	drained bool
	// until is when it was last to be emptied; zero if never.
	until time.Time
	// taints that are there, and those that were, with the time in which they went.
	taints []*v1.Taint
	gone   []goneTaint
}

type goneTaint struct {
	*v1.Taint
	at time.Time
}

// nodeDrained and nodeTainted note who wants a node to be empty.
func (t *truth) nodeDrained(e *v1.NodeDrained) {
	n := t.emptiedOf(e.GetNode())
	if n.drained {
		n.until = t.w.st.Now()
	}
	n.drained = e.GetDrained() && e.GetEvict()
	t.w.say("journal", "%s is drained %v, emptied %v", e.GetNode(), e.GetDrained(), n.drained)
}

func (t *truth) nodeTainted(e *v1.NodeTainted) {
	n := t.emptiedOf(e.GetNode())
	for _, old := range n.taints {
		n.gone = append(n.gone, goneTaint{old, t.w.st.Now()})
	}
	n.taints = e.GetTaints()
	t.w.say("journal", "%s has taints %v", e.GetNode(), n.taints)
}

func (t *truth) emptiedOf(node string) *emptied {
	n := t.nodes[node]
	if n == nil {
		n = &emptied{}
		t.nodes[node] = n
	}
	return n
}

// wanted reports whether a stage was to leave a node, by one rule, not longer ago than a decision may take.
func (n *emptied) wanted(rule string, plan *model.StagePlan, now time.Time) bool {
	late := now.Add(-evictLag)
	if rule == msg.RuleMaintenance {
		return n.drained || n.until.After(late)
	}
	moves := func(x *v1.Taint) bool {
		return x.GetEffect() == model.TaintEvict && !model.Tolerates(plan.Tolerations, x)
	}
	for _, x := range n.taints {
		if moves(x) {
			return true
		}
	}
	for _, x := range n.gone {
		if x.at.After(late) && moves(x.Taint) {
			return true
		}
	}
	return false
}

// evicted looks at what was ended for somebody else.
func (t *truth) evicted(e *v1.InstancesEvicted) {
	j := t.living(e.GetUid(), "an eviction")
	if j == nil {
		return
	}
	plan := &j.plan.Stages[e.GetStage()]
	for _, x := range e.GetEvictions() {
		t.w.say("journal", "job %d stage %d instance %d is evicted from %s by %s for %q: %s", j.uid, e.GetStage(), x.GetIndex(), x.GetNode(), x.GetRule(), x.GetFor(), x.GetReason())
		t.out[x.GetFence()] = true
		j.stages[e.GetStage()].evicted[x.GetIndex()]++
		switch x.GetRule() {
		case msg.RulePriority:
			t.checkLower(j, x)
		case msg.RuleQuota:
			t.checkBorrower(j, x)
		case msg.RuleMaintenance, msg.RuleTaint:
			t.w.did(MovedAway)
			if !t.emptiedOf(x.GetNode()).wanted(x.GetRule(), plan, t.w.st.Now()) {
				t.w.fail(MovedAway, "job %d stage %d is evicted from %s by the rule %s, and nobody wants it away", j.uid, e.GetStage(), x.GetNode(), x.GetRule())
			}
		default:
			t.w.fail(VictimsLower, "job %d is evicted by a rule %q", j.uid, x.GetRule())
		}
	}
	t.checkDisruption(j, e.GetStage(), plan)
}

// checkLower: a victim of priority is strictly lower than a job of the name for which it goes, and of a band that may be
// evicted at all.
func (t *truth) checkLower(j *job, x *v1.Eviction) {
	t.w.did(VictimsLower)
	p := j.plan.Priority
	lower := false
	winners := t.called[x.GetFor()]
	for _, o := range winners {
		lower = lower || o.plan != nil && o.plan.Priority.Compare(p) < 0
	}
	if p.Band < model.Batch || !lower {
		t.w.fail(VictimsLower, "job %d of priority %v/%d is evicted by priority for %s, which is not higher", j.uid, p.Band, p.Rank, x.GetFor())
	}
	if len(winners) != 1 {
		return // which of them it was cannot be told
	}
	t.w.did(NoCycle)
	t.beaten[pair{winners[0].uid, j.uid}] = true
	if t.beaten[pair{j.uid, winners[0].uid}] {
		t.w.fail(NoCycle, "jobs %d and %d have evicted each other by priority", j.uid, winners[0].uid)
	}
}

// checkBorrower: what goes for a quota is of another queue, and may be evicted.
func (t *truth) checkBorrower(j *job, x *v1.Eviction) {
	t.w.did(VictimsLower)
	for _, o := range t.called[x.GetFor()] {
		if o.queue != j.queue && j.plan.Priority.Band >= model.Batch {
			return
		}
	}
	t.w.fail(VictimsLower, "job %d of queue %s and band %v is evicted for the quota of %s", j.uid, j.queue, j.plan.Priority.Band, x.GetFor())
}

// adrift forgets which evicted attempts of a machine are on their way out: its node is taken for lost, so their job counts
// them as gone, and has them elsewhere, though the machine may still be there.
func (t *truth) adrift(node string) {
	for _, m := range t.w.machines {
		if m.id != node {
			continue
		}
		for _, s := range m.slots { //order: each for itself
			if t.out[s.task.Fence] {
				t.gone[s.task.Fence] = true
			}
		}
	}
}

// checkDisruption counts what of a stage is on its way out. It is exact as long as the placer has its memory, and the job
// gives nothing back for other reasons that is still wanted: for nodes that it avoids, or as the part of a gang.
func (t *truth) checkDisruption(j *job, stage uint32, plan *model.StagePlan) {
	w := t.w
	if w.p.focus != Calm && w.p.focus != Agents || len(j.stages[stage].failures) > 0 || plan.Gang {
		return
	}
	var leaving uint64
	for _, m := range w.machines {
		for _, s := range m.slots { //order: counts
			if s.task.JobUID == j.uid && s.task.Stage == stage && t.out[s.task.Fence] && !t.gone[s.task.Fence] {
				leaving++
			}
		}
	}
	w.did(DisruptionBound)
	if leaving > plan.MaxUnavailable {
		w.fail(DisruptionBound, "%d slots of job %d stage %d are being evicted at once, at most %d may be", leaving, j.uid, stage, plan.MaxUnavailable)
	}
}

// checkFailure: what was stopped to make room for others has not failed.
func (t *truth) checkFailure(at place, f *v1.InstanceFailure) {
	if !t.out[f.GetFence()] {
		return
	}
	t.w.did(EvictionIsNoFailure)
	if a := t.attempts[f.GetFence()]; a == nil || a.phase == v1.AttemptPhase_ATTEMPT_PHASE_STOPPED {
		t.w.fail(EvictionIsNoFailure, "%v: attempt %d was evicted, and is counted as failed: %s", at, f.GetFence(), f.GetReason())
	}
}

// pair is a job that has evicted another.
type pair struct{ winner, victim uint64 }

// asked is where a job was asked to give up slots.
type asked struct {
	uid   uint64
	stage uint32
	node  string
}
