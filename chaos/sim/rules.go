package sim

import (
	"github.com/troupe-sched/troupe/actors/model"
)

// arrived looks at a slot that has come to life on a machine. What belongs to the machine alone holds always; what is
// decided over all machines holds exactly where nothing fails, because then what lives there is part of what the placer
// knows.
func (m *machine) arrived(s *slot) {
	m.checkExtra(s)
	w := m.w
	j := w.truth.jobs[s.task.JobUID]
	if w.p.focus != Calm || j == nil || j.plan == nil {
		return
	}
	m.checkRules(s, j)
	if !j.plan.Stages[s.task.Stage].Gang { // those come to life long after they are granted
		w.checkMax(j)
		w.checkFirm(j)
	}
}

// checkExtra looks whether what a new slot was given is there, and nobody else's.
func (m *machine) checkExtra(s *slot) {
	w, x := m.w, s.extra
	if x == nil {
		return
	}
	ports, units, milli := map[int32]int{}, map[string]int64{}, map[int32]int32{}
	for _, o := range m.slots { //order: sums
		if o.extra == nil {
			continue
		}
		for _, n := range o.extra.Ports { //order: sums
			ports[n]++
		}
		for name, n := range o.extra.Custom { //order: sums
			units[name] += n
		}
		for _, d := range o.extra.Devices {
			milli[d.Index] += d.Milli
		}
	}
	for _, name := range sortedKeys(x.Ports) {
		w.did(PortsUnique)
		if n := x.Ports[name]; ports[n] > 1 || n == 0 {
			w.fail(PortsUnique, "port %d of %s is held by %d slots, one of them of job %d stage %d", n, m.id, ports[n], s.task.JobUID, s.task.Stage)
		}
	}
	if m.altered {
		return // what was admitted before is held, and may begin now
	}
	for _, name := range sortedKeys(x.Custom) {
		w.did(DevicesHeld)
		if has := m.info.Custom[name]; units[name] > has {
			w.fail(DevicesHeld, "%s has %d %s, and its slots hold %d", m.id, has, name, units[name])
		}
	}
	for _, d := range x.Devices {
		w.did(DevicesHeld)
		if int(d.Index) >= len(m.info.Devices) || milli[d.Index] > model.WholeDevice {
			w.fail(DevicesHeld, "device %d of %s (of %d) is held by %d thousandths", d.Index, m.id, len(m.info.Devices), milli[d.Index])
		}
	}
}

// checkRules holds a new slot against all others in its domains: anti-affinity of both sides, and limits of domains.
func (m *machine) checkRules(s *slot, j *job) {
	w := m.w
	plan := &j.plan.Stages[s.task.Stage]
	for _, r := range plan.Spreads {
		if r.Max == 0 {
			continue
		}
		w.did(RulesHold)
		if n := w.slotsIn(r.On, m.domain(r.On), s.task.JobUID, s.task.Stage); n > r.Max {
			w.fail(RulesHold, "job %d stage %d has %d slots in %s %s, at most %d may be", j.uid, s.task.Stage, n, r.On, m.domain(r.On), r.Max)
		}
	}
	for _, other := range w.machines {
		for _, id := range sortedKeys(other.slots) {
			o := other.slots[id]
			oj := w.truth.jobs[o.task.JobUID]
			if o == s || oj == nil || oj.plan == nil {
				continue
			}
			w.checkApart(m, j, plan, other, oj)
			w.checkApart(other, oj, &oj.plan.Stages[o.task.Stage], m, j)
		}
	}
}

// checkApart looks whether a slot of a stage bears one of another job.
func (w *world) checkApart(m *machine, j *job, plan *model.StagePlan, other *machine, o *job) {
	for _, a := range plan.AntiAffinity {
		if a.Weight != 0 || !selects(a, o.spec) {
			continue
		}
		w.did(RulesHold)
		if at := m.domain(a.On); at != "" && at == other.domain(a.On) {
			w.fail(RulesHold, "slots of job %d and job %d are in %s %s, and job %d does not bear that", j.uid, o.uid, a.On, at, j.uid)
		}
	}
}

// slotsIn counts the slots of a stage in a domain.
func (w *world) slotsIn(on, value string, uid uint64, stage uint32) (n int64) {
	for _, m := range w.machines {
		if m.domain(on) != value {
			continue
		}
		for _, s := range m.slots { //order: counts
			if s.task.JobUID == uid && s.task.Stage == stage {
				n++
			}
		}
	}
	return n
}
