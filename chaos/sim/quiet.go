package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// checkQuiet compares all views of the world once nothing moves but services.
func (w *world) checkQuiet() {
	if w.broken != nil {
		return
	}
	before := w.alive()
	known := map[uint64]bool{}
	for _, uid := range w.truth.uids {
		j := w.truth.jobs[uid]
		if j.phase != "" {
			continue
		}
		s, err := fetch[*v1.JobStatus](w, &v1.JobRef{Queue: j.queue, Name: j.name})
		if err != nil {
			w.fail(AttemptsKnown, "no status of job %d: %v", uid, err)
			return
		}
		for _, i := range s.GetInstances() {
			known[i.GetFence()] = true
		}
		w.checkService(j, s)
	}
	w.did(AttemptsKnown)
	after := w.alive()
	for _, fence := range sortedKeys(before) {
		if !known[fence] && after[fence] {
			w.fail(AttemptsKnown, "attempt %d of %v runs and no job knows it", fence, w.truth.attempts[fence].place)
		}
	}
	for _, fence := range sortedKeys(known) {
		if w.steady() && !after[fence] {
			w.fail(AttemptsKnown, "attempt %d is known to its job and does not run", fence)
		}
	}
	w.checkViews()
}

// alive are the fences of all attempts that run.
func (w *world) alive() map[uint64]bool {
	running := map[uint64]bool{}
	for _, m := range w.machines {
		for _, s := range m.slots { //order: fills a map
			if s.outcome == nil {
				running[s.task.Fence] = true
			}
		}
	}
	return running
}

// checkService looks whether all instances of a service run, or will again soon.
func (w *world) checkService(j *job, s *v1.JobStatus) {
	if !j.isService() || j.work == nil || !j.work.possible || s.GetPhase() == "stopping" || j.spec.GetTimeLimit() != "" {
		return
	}
	for _, sc := range j.work.stages {
		if !sc.forever || sc.failing > 0 {
			return
		}
	}
	w.did(ServicesRun)
	if c := s.GetCounts(); c.GetRunning() != c.GetWanted() && w.roomy() {
		w.fail(ServicesRun, "service %d runs %d of %d instances", j.uid, c.GetRunning(), c.GetWanted())
	}
}

// roomy reports whether all services that live fit side by side with ease, so that none has to wait for room.
func (w *world) roomy() bool {
	var need model.Resources
	for _, uid := range w.truth.uids {
		j := w.truth.jobs[uid]
		if j.phase != "" {
			continue
		}
		plan, _ := model.Compile(j.spec)
		for i := range plan.Stages {
			for range plan.Stages[i].Instances {
				need = need.Add(plan.Stages[i].Resources)
			}
			if !plain(&plan.Stages[i]) || !w.everywhere(&plan.Stages[i]) {
				return false
			}
		}
	}
	for _, m := range w.machines {
		for i := range need {
			if need[i]*2 > m.capacity[i] {
				return false
			}
		}
	}
	return true
}

// viewsTries is how often views are compared before they are said to differ: what services do moves them now and then.
const viewsTries = 6

// checkViews compares what placer, nodes and machines hold.
func (w *world) checkViews() {
	w.did(ViewsAgree)
	w.must(ViewsAgree, w.differ)
	w.did(AccountsAgree)
	w.must(AccountsAgree, w.accountsDiffer)
}

// must asks again and again in what two things differ, until they do not.
func (w *world) must(c Check, differ func() string) {
	text := ""
	for range viewsTries {
		if text = differ(); text == "" || w.broken != nil {
			return
		}
		w.runFor(5*time.Second, stepsMax, nil)
	}
	w.fail(c, "%s", text)
}

// accountsDiffer says in what the accounts of queues differ from what their slots hold on the machines, if they do.
func (w *world) accountsDiffer() string {
	list, err := fetch[*v1.ListQueuesReply](w, &v1.ListQueuesRequest{})
	if err != nil {
		return fmt.Sprintf("no list of queues: %v", err)
	}
	if !w.steady() {
		return ""
	}
	for _, q := range list.GetQueues() {
		name, used := q.GetSpec().GetName(), q.GetUsed()
		said := map[string]int64{"cpu": used.GetCpuMilli(), "memory": used.GetMemoryBytes()}
		for unit, n := range used.GetCustom() { //order: fills a map
			said[unit] = n
		}
		for _, what := range sortedKeys(said) {
			if is := w.heldBy(name, what, false); is != said[what] {
				return fmt.Sprintf("queue %s is said to use %d %s, its slots hold %d", name, said[what], what, is)
			}
		}
	}
	return ""
}

// unitsHeld is what the slots of a machine hold beyond plain resources, as a node tells it.
func (m *machine) unitsHeld() map[string]int64 {
	held := map[string]int64{}
	for _, s := range m.slots { //order: sums
		if s.extra == nil {
			continue
		}
		for name, n := range s.extra.Custom { //order: sums
			held[name] += n
		}
		for _, d := range s.extra.Devices {
			if int(d.Index) < len(m.info.Devices) { // else it was taken out
				held[m.info.Devices[d.Index].Kind] += int64(d.Milli)
			}
		}
		if n := len(s.extra.Ports); n > 0 {
			held[model.PortUnit] += int64(n)
		}
	}
	return held
}

// freeWithin is how long the last thing that is kept on a machine may be kept once nothing runs or waits.
const freeWithin = 2 * time.Minute

// checkFree looks whether all of every machine is free when every job has ended: a job that needs the whole of it must run.
func (w *world) checkFree() {
	if w.broken != nil {
		return
	}
	for _, q := range queues {
		w.insist(&v1.QueueSpec{Name: q})
	}
	for i, m := range w.machines {
		job := &v1.JobSpec{Name: fmt.Sprintf("free%d", i), Stages: []*v1.StageSpec{{
			Name: "s", Command: []string{"work"}, Pool: model.AnyPool, Tolerations: []*v1.Toleration{{Key: "dedicated"}},
			Resources:   &v1.Resources{Cpu: fmt.Sprintf("%dm", m.capacity[model.CPU]), Memory: fmt.Sprint(m.capacity[model.Memory])},
			Constraints: []*v1.Constraint{{Attribute: model.NodeAttribute, Value: m.id}},
		}}}
		w.insist(&v1.SubmitRequest{Job: job, Key: job.Name})
		w.did(NothingWithheld)
	}
	if w.runFor(freeWithin, stepsMax, w.allOver) {
		w.runFor(w.settling(), stepsMax, nil)
		return
	}
	for _, uid := range w.truth.uids {
		if j := w.truth.jobs[uid]; j.phase == "" {
			w.fail(NothingWithheld, "job %d needs the whole of an empty machine and has not run within %v: %s", uid, freeWithin, w.explain(j))
		}
	}
}

// differ says in what the views differ, if they do.
func (w *world) differ() string {
	status, err := fetch[*v1.CellStatus](w, &v1.CellStatusRequest{})
	nodes, err2 := fetch[*v1.ListNodesReply](w, &v1.ListNodesRequest{})
	if err != nil || err2 != nil {
		return fmt.Sprintf("no status of the cell: %v %v", err, err2)
	}
	var cpu, memory int64
	var sum uint64
	for _, n := range nodes.GetNodes() {
		if n.GetLiveness() != "fresh" {
			return fmt.Sprintf("node %s is %s though its agent lives", n.GetInfo().GetId(), n.GetLiveness())
		}
		cpu += n.GetCpuMilliHeld()
		memory += n.GetMemoryBytesHeld()
		sum += n.GetSlots()
		for _, m := range w.machines {
			if held := m.unitsHeld(); m.id == n.GetInfo().GetId() && w.steady() && !maps.Equal(held, n.GetCustomHeld()) {
				return fmt.Sprintf("node %s holds %v, and its machine %v", m.id, n.GetCustomHeld(), held)
			}
		}
	}
	if len(nodes.GetNodes()) != len(w.machines) {
		return fmt.Sprintf("%d of %d nodes are listed", len(nodes.GetNodes()), len(w.machines))
	}
	if status.GetCpuMilliHeld() != cpu || status.GetMemoryBytesHeld() != memory {
		return fmt.Sprintf("the placer believes %d milli-CPU and %d bytes to be held, the nodes hold %d and %d",
			status.GetCpuMilliHeld(), status.GetMemoryBytesHeld(), cpu, memory)
	}
	slots := 0
	for _, m := range w.machines {
		slots += len(m.slots)
	}
	if w.steady() && sum != uint64(slots) {
		return fmt.Sprintf("the nodes hold %d slots, the machines %d", sum, slots)
	}
	return ""
}

// steady reports whether nothing that lives comes and goes by itself.
func (w *world) steady() bool {
	for _, uid := range w.truth.uids {
		if j := w.truth.jobs[uid]; j.phase == "" && j.work != nil {
			for _, sc := range j.work.stages {
				if !sc.forever || sc.failing > 0 {
					return false
				}
			}
		}
	}
	return true
}

// checkEmpty looks what is left when every job has ended.
func (w *world) checkEmpty() {
	if w.broken != nil {
		return
	}
	w.did(NothingLeft)
	for _, m := range w.machines {
		for _, id := range sortedKeys(m.slots) {
			w.fail(NothingLeft, "slot %d of %v is left on %s after the end of all jobs", id, m.slots[id].truth.place, m.id)
		}
		for _, slot := range sortedKeys(m.ledger.launched) {
			w.fail(NothingLeft, "the ledger of %s still holds slot %d", m.id, slot)
		}
		entries, _ := m.ledger.mem.Load()
		for _, e := range entries {
			if e.Key.Kind == 'e' {
				w.fail(NothingLeft, "the ledger of %s still holds the end of attempt %d, which is not settled", m.id, e.Key.A)
			}
		}
	}
	w.checkKeptResults()
	w.checkViews()
	for _, m := range w.masters {
		w.checkSystem(m.sys)
	}
	for _, m := range w.machines {
		if m.agent != nil {
			w.checkSystem(m.agent.sys)
		}
	}
}

// checkSystem looks whether anything waits in a mailbox, or was not understood.
func (w *world) checkSystem(sys *kit.System) {
	w.did(NothingUnknown)
	if n := sys.Stats().Unhandled; n > 0 {
		w.fail(NothingUnknown, "%d messages reached an actor that does not know them", n)
	}
	waiting := 0
	sys.Tree().Walk(func(_ string, n kit.Node) { waiting += n.Mailbox })
	for w.st.Idle() && waiting > 0 {
		w.fail(NothingLeft, "%d messages wait though no actor has anything to do", waiting)
		return
	}
}

// checkKeptResults asks for all results of all jobs that can be asked for.
func (w *world) checkKeptResults() {
	for _, uid := range w.truth.uids {
		j := w.truth.jobs[uid]
		if j.forgotten || w.truth.newest(j.queue, j.name) != j || w.broken != nil {
			continue
		}
		for i, st := range j.spec.GetStages() {
			var got []uint64
			for from, more := uint64(0), true; more; {
				r, err := fetch[*v1.ResultsReply](w, &v1.ResultsRequest{Queue: j.queue, Name: j.name, Stage: st.GetName(), Uid: uid, From: from})
				if err != nil {
					w.fail(ResultIsKept, "no results of job %d stage %d: %v", uid, i, err)
					return
				}
				for _, one := range r.GetResults() {
					got = append(got, one.GetIndex())
				}
				from, more = r.GetNext(), r.GetNext() != 0
			}
			var want []uint64
			for _, index := range sortedKeys(j.stages[i].done) {
				if j.stages[i].done[index] != 0 {
					want = append(want, index)
				}
			}
			w.did(ResultIsKept)
			if !slices.Equal(got, want) {
				w.fail(ResultIsKept, "job %d stage %d: results of %d instances are served, %d are durable", uid, i, len(got), len(want))
			}
		}
	}
}
