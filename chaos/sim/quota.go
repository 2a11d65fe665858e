package sim

import (
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// limitsLag is how long after a change of a queue slots may come to life that were granted before.
	limitsLag = 5 * time.Second
	// owedMax is how long a queue may wait for what it is promised while others hold it.
	owedMax   = 3 * time.Minute
	owedEvery = 5 * time.Second
)

// limits of a queue, durable since.
type limits struct {
	plan  *model.QueuePlan
	since time.Time
}

// queueSet notes what a queue is promised.
func (t *truth) queueSet(spec *v1.QueueSpec) {
	plan, _ := model.CompileQueue(spec)
	t.queues[spec.GetName()] = true
	t.limits[spec.GetName()] = append(t.limits[spec.GetName()], limits{plan, t.w.st.Now()})
}

// queueUnset notes that a queue is gone.
func (t *truth) queueUnset(queue string) {
	t.limits[queue] = append(t.limits[queue], limits{&model.QueuePlan{Name: queue}, t.w.st.Now()})
}

// lately are the limits that a queue has, or had when a slot was granted that comes to life now.
func (t *truth) lately(queue string) []*model.QueuePlan {
	list := t.limits[queue]
	late := t.w.st.Now().Add(-limitsLag)
	var plans []*model.QueuePlan
	for i := range list {
		if i == len(list)-1 || list[i+1].since.After(late) {
			plans = append(plans, list[i].plan)
		}
	}
	if len(list) == 0 || list[0].since.After(late) {
		plans = append(plans, &model.QueuePlan{Name: queue}) // as it was before
	}
	return plans
}

// most is the greatest of the amounts of a name in all lists; false if one does not have it.
func greatest(lists [][]model.Amount, name string) (most int64, all bool) {
	for _, l := range lists {
		i := slices.IndexFunc(l, func(a model.Amount) bool { return a.Name == name })
		if i < 0 {
			return 0, false
		}
		most = max(most, l[i].N)
	}
	return most, len(lists) > 0
}

// heldBy sums up what slots of a queue hold on the machines, of one dimension; firm only that which is never evicted.
func (w *world) heldBy(queue, name string, firm bool) (sum int64) {
	for _, m := range w.machines {
		for _, s := range m.slots { //order: sums
			j := w.truth.jobs[s.task.JobUID]
			if j != nil && j.queue == queue && j.plan != nil && (!firm || j.plan.Priority.Band < model.Batch) {
				sum += s.amount(name)
			}
		}
	}
	return sum
}

// amount is what a slot holds of one dimension.
func (s *slot) amount(name string) (n int64) {
	if i := slices.Index(model.ResourceNames[:], name); i >= 0 {
		return s.held[i]
	}
	if s.extra == nil {
		return 0
	}
	for _, d := range s.extra.Devices {
		if d.Kind == name {
			n += int64(d.Milli)
		}
	}
	return n + s.extra.Custom[name]
}

// checkMax looks whether a queue that gets a slot is within its maximum. What its jobs were asked to give up does not count:
// the placer takes it for gone when it asks. Nor does it look where firm work of a queue evicts loose work of the same: it
// makes room on a node, and may take more of another resource than its victims leave.
func (w *world) checkMax(j *job) {
	if w.truth.within[j.queue] {
		return
	}
	var lists [][]model.Amount
	for _, p := range w.truth.lately(j.queue) {
		lists = append(lists, p.Max)
	}
	for _, a := range lists[0] {
		most, limited := greatest(lists, a.Name)
		if !limited {
			continue
		}
		w.did(QuotaMax)
		if held := w.heldBy(j.queue, a.Name, false); held > most && held-w.askedOf(j.queue, a.Name) > most {
			w.fail(QuotaMax, "queue %s gets slots of job %d and holds %d %s, its maximum is %d", j.queue, j.uid, held, a.Name, most)
		}
	}
}

// askedOf sums up what slots of a queue hold where their jobs were asked to give some up, as far as they were.
func (w *world) askedOf(queue, name string) (sum int64) {
	for _, m := range w.machines {
		left := map[asked]int{}
		for _, id := range sortedKeys(m.slots) {
			s := m.slots[id]
			at := asked{s.task.JobUID, s.task.Stage, m.id}
			if j := w.truth.jobs[s.task.JobUID]; j != nil && j.queue == queue && left[at] < w.truth.asked[at] {
				left[at]++
				sum += s.amount(name)
			}
		}
	}
	return sum
}

// checkFirm looks whether a queue that gets a slot that is never evicted holds so much of that kind that it must have
// borrowed: more than its quota and all that nobody is promised.
func (w *world) checkFirm(j *job) {
	if j.plan.Priority.Band >= model.Batch {
		return
	}
	for i, name := range model.ResourceNames[:2] {
		free, own, promised := int64(0), int64(0), false
		for _, m := range w.machines {
			free += m.capacity[i]
		}
		for _, q := range queues {
			plans := w.truth.lately(q)
			if len(plans) != 1 {
				return // it has just changed
			}
			if quota, has := greatest([][]model.Amount{plans[0].Quota}, name); has {
				promised = true
				if free -= quota; q == j.queue {
					own = quota
				}
			}
		}
		if !promised {
			continue
		}
		w.did(QuotaFirm)
		if held := w.heldBy(j.queue, name, true); held > own+max(free, 0) {
			w.fail(QuotaFirm, "queue %s gets slots of job %d and holds %d %s for what is never evicted; its quota is %d, and %d are promised to nobody",
				j.queue, j.uid, held, name, own, free)
		}
	}
}

// owed watches, once faults have stopped, whether queues get what they are promised.
type owed struct {
	since map[string]time.Time
	slots map[string]int
}

// watchOwed begins to watch.
func (w *world) watchOwed() {
	if w.load.part == 0 {
		return
	}
	o := &owed{since: map[string]time.Time{}, slots: map[string]int{}}
	var look func()
	look = func() {
		for _, q := range queues {
			w.lookOwed(o, q)
		}
		if w.broken == nil {
			w.after(owedEvery, look)
		}
	}
	w.after(w.settling(), look)
}

// lookOwed looks at one queue: it waits within its quota, others hold beyond theirs what could be taken, and nothing comes.
func (w *world) lookOwed(o *owed, q string) {
	slots := 0
	for _, m := range w.machines {
		for _, s := range m.slots { //order: counts
			if j := w.truth.jobs[s.task.JobUID]; j != nil && j.queue == q {
				slots++
			}
		}
	}
	each, waits := w.waiting(q)
	if waits {
		w.did(QuotaReturned)
	}
	if !waits || slots > o.slots[q] || !w.couldReturn(q, each) {
		delete(o.since, q)
	} else if o.since[q].IsZero() {
		o.since[q] = w.st.Now()
	}
	o.slots[q] = slots
	if since, is := o.since[q]; is && w.st.Now().Sub(since) > owedMax {
		w.fail(QuotaReturned, "queue %s waits since %v within its quota of %dm, holding %dm, while others hold more than is theirs", q, since.Sub(w.began), w.load.part, w.heldBy(q, "cpu", false))
	}
}

// waiting is what a slot of a plain stage needs for which a queue waits within its quota.
func (w *world) waiting(q string) (each model.Resources, waits bool) {
	quota := w.load.final[q].GetQuota()
	if quota == nil {
		return each, false
	}
	held := w.heldBy(q, "cpu", false)
	for _, uid := range w.truth.uids {
		j := w.truth.jobs[uid]
		if j.queue != q || j.phase != "" || j.stop || j.plan == nil || j.work == nil || !j.work.possible {
			continue
		}
		for i := range j.plan.Stages {
			st := &j.plan.Stages[i]
			if !plain(st) || len(st.After) > 0 || !w.everywhere(st) {
				continue
			}
			if w.liveOf(uid, uint32(i)) < min(st.Parallel, st.Instances-uint64(len(j.stages[i].done)+len(j.stages[i].dead))) &&
				held+st.Resources[model.CPU] <= w.load.part {
				return st.Resources, true
			}
		}
	}
	return each, false
}

// plain reports whether nothing but resources says where slots of a stage may go.
func plain(st *model.StagePlan) bool {
	return !st.Gang && len(st.Constraints)+len(st.Spreads)+len(st.AntiAffinity)+len(st.Affinity) == 0 && st.Extra == nil
}

// mayLose reports whether a stage misses so little that its limit lets more be evicted. One that never got what it wants may
// lose nothing by that rule.
func (w *world) mayLose(j *job, stage uint32) bool {
	plan, st := &j.plan.Stages[stage], &j.stages[stage]
	wants := min(plan.Parallel, st.instances-uint64(len(st.done)+len(st.dead)))
	return wants < w.liveOf(j.uid, stage)+plan.MaxUnavailable
}

// everywhere reports whether all machines are of the kind that a stage asks for.
func (w *world) everywhere(st *model.StagePlan) bool {
	return !slices.ContainsFunc(w.machines, func(m *machine) bool { return !m.admits(st) })
}

// liveOf counts the slots of a stage.
func (w *world) liveOf(uid uint64, stage uint32) (n uint64) {
	for _, m := range w.machines {
		for _, s := range m.slots { //order: counts
			if s.task.JobUID == uid && s.task.Stage == stage {
				n++
			}
		}
	}
	return n
}

// couldReturn reports whether other queues have borrowed so much, and some machine would have room if what may be evicted
// there went.
func (w *world) couldReturn(q string, each model.Resources) bool {
	var others, total int64
	room := false
	for _, m := range w.machines {
		total += m.capacity[model.CPU]
		left, loose := m.capacity, int64(0)
		for _, s := range m.slots { //order: sums
			j := w.truth.jobs[s.task.JobUID]
			if j == nil || j.plan == nil {
				continue
			}
			if j.queue != q {
				others += s.held[model.CPU]
			}
			if j.queue != q && j.plan.Priority.Band >= model.Batch && w.mayLose(j, s.task.Stage) {
				loose += s.held[model.CPU]
				left[model.CPU] += s.held[model.CPU]
			}
			left = left.Sub(s.held)
		}
		room = room || loose > 0 && each.Fits(left)
	}
	return room && others-(total-w.load.part) >= each[model.CPU]
}
