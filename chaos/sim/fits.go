package sim

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// prepareQueues draws what queues are told when the world has healed. What is promised then leaves most of the cell
// unclaimed, so that whatever fits an empty machine can run.
func (l *load) prepareQueues() {
	w := l.w
	l.final = map[string]*v1.QueueSpec{}
	for _, q := range queues {
		l.final[q] = &v1.QueueSpec{Name: q}
	}
	if !chanceOf(w.more, w.p.quotas) {
		return
	}
	for _, m := range w.machines {
		l.part += m.capacity[model.CPU] / 4
	}
	if l.part < 1000 {
		l.part = 0
		return
	}
	l.final[pick(w.more, queues...)].Quota = &v1.Quota{Cpu: strconv.FormatInt(l.part, 10) + "m"}
}

// fits reports whether the stage can run in an empty cell for sure: an instance on some machine, or all of a gang on all.
func (l *load) fits(job *v1.JobSpec, st *v1.StageSpec) bool {
	plan, problems := model.Compile(&v1.JobSpec{Name: "probe", Queue: job.Queue, Kind: job.Kind, Labels: job.Labels, Stages: []*v1.StageSpec{{
		Name: "s", Command: []string{"x"}, Instances: st.Instances, Resources: st.Resources, Constraints: st.Constraints,
		Spreads: st.Spreads, AntiAffinity: st.AntiAffinity, Affinity: st.Affinity, Ports: st.Ports, Devices: st.Devices,
		Pool: st.Pool, Tolerations: st.Tolerations, Gang: st.Gang,
	}}})
	if len(problems) > 0 {
		panic("the world asks for what is not valid: " + problems[0].String())
	}
	s := &plan.Stages[0]
	for _, a := range s.Affinity {
		if a.Weight == 0 && !selects(a, job) {
			return false // it depends on others
		}
	}
	byRack, node := map[string]int64{}, int64(0)
	for _, m := range l.w.machines {
		n := min(m.roomFor(s), most(s, job, "node"))
		byRack[m.info.Attributes["rack"]] += n
		node = max(node, min(n, most(s, job, "rack")))
	}
	var sum, rack int64
	for _, n := range byRack { //order: sums
		n = min(n, most(s, job, "rack"))
		sum += n
		rack = max(rack, n)
	}
	for _, a := range s.Affinity {
		switch {
		case a.Weight != 0:
		case a.On == model.NodeAttribute: // all beside each other
			sum = min(sum, node)
		default:
			sum = min(sum, rack)
		}
	}
	if !s.Gang {
		return sum > 0
	}
	return sum >= int64(s.Instances) && (l.part == 0 || int64(s.Instances)*s.Resources[model.CPU] <= l.part)
}

// most is how many slots of a stage one domain may have.
func most(s *model.StagePlan, job *v1.JobSpec, on string) int64 {
	n := int64(model.MaxInstances)
	for _, r := range s.Spreads {
		if r.On == on && r.Max > 0 {
			n = min(n, r.Max)
		}
	}
	for _, a := range s.AntiAffinity {
		if a.On == on && a.Weight == 0 && selects(a, job) {
			n = 1
		}
	}
	return n
}

// selects reports whether an affinity means the slots of a job.
func selects(a model.Affinity, job *v1.JobSpec) bool {
	if a.Queue != model.AnyQueue && a.Queue != job.GetQueue() {
		return false
	}
	for _, l := range a.Labels {
		if v, has := job.GetLabels()[l.Name]; !has || v != l.Value {
			return false
		}
	}
	return true
}

// roomFor is how many slots of a stage the machine can hold when it is empty.
func (m *machine) roomFor(s *model.StagePlan) int64 {
	if !m.admits(s) {
		return 0
	}
	n := int64(model.MaxInstances)
	for i, each := range s.Resources {
		if each > 0 {
			n = min(n, m.capacity[i]/each)
		}
	}
	x := s.Extra
	if x == nil {
		return n
	}
	for _, c := range x.Custom {
		n = min(n, m.info.Custom[c.Name]/c.N)
	}
	free := int64(0)
	if m.info.PortFrom > 0 {
		free = int64(m.info.PortTo-m.info.PortFrom) + 1
	}
	dynamic := int64(0)
	for _, p := range x.Ports {
		switch {
		case p.Number == 0:
			dynamic++
		case p.Number >= m.info.PortFrom && p.Number <= m.info.PortTo:
			return 0 // those are for dynamic ports alone
		default:
			n = min(n, 1)
		}
	}
	if dynamic > 0 {
		n = min(n, free/dynamic)
	}
	if d := x.Devices; d.Count > 0 {
		n = min(n, m.devicesFor(d))
	}
	return n
}

// devicesFor is how many slots the devices of an empty machine suffice for.
func (m *machine) devicesFor(d model.DeviceNeed) (n int64) {
	byModel := map[string]int64{}
	for _, dev := range m.info.Devices {
		if dev.Kind == d.Kind && (len(d.Models) == 0 || slices.Contains(d.Models, dev.Model)) {
			byModel[dev.Model]++
		}
	}
	for _, count := range byModel { //order: sums
		if d.Milli < model.WholeDevice {
			n += count * int64(model.WholeDevice/d.Milli)
		} else {
			n += count / int64(d.Count)
		}
	}
	return n
}

// admits reports whether the machine is of the kind that a stage asks for.
func (m *machine) admits(s *model.StagePlan) bool {
	pool := m.info.Attributes["pool"]
	if pool == "" {
		pool = model.DefaultPool
	}
	if s.Pool != model.AnyPool && s.Pool != pool {
		return false
	}
	for _, t := range m.info.Taints {
		if t.GetEffect() != model.TaintAvoid && !model.Tolerates(s.Tolerations, t) {
			return false
		}
	}
	for _, c := range s.Constraints {
		if !m.meets(c) {
			return false
		}
	}
	return true
}

// domain is the value of an attribute of the machine.
func (m *machine) domain(attribute string) string {
	if attribute == model.NodeAttribute {
		return m.id
	}
	return m.info.Attributes[attribute]
}

// meets reads a constraint in the plainest way, for the few values that machines of this world have.
func (m *machine) meets(c model.Constraint) bool {
	v := m.domain(c.Attribute)
	if v == "" {
		return c.Op == model.OpNotEqual
	}
	switch c.Op {
	case model.OpEqual, model.OpIn:
		return slices.Contains(c.Values, v)
	case model.OpNotEqual:
		return !slices.Contains(c.Values, v)
	case model.OpExists:
		return true
	case model.OpMatches:
		return regexp.MustCompile("^(?:" + c.Values[0] + ")$").MatchString(v)
	case model.OpVersion:
		for _, bound := range strings.Split(c.Values[0], ",") {
			if !withinBound(v, strings.TrimSpace(bound)) {
				return false
			}
		}
		return true
	}
	x, _ := strconv.Atoi(v)
	y, _ := strconv.Atoi(c.Values[0])
	return c.Op == model.OpLess && x < y || c.Op == model.OpGreaterEqual && x >= y
}

// withinBound reads "<2" and ">=1.20".
func withinBound(v, bound string) bool {
	less, isLess := strings.CutPrefix(bound, "<")
	if isLess {
		return slices.Compare(numbers(v), numbers(less)) < 0
	}
	return slices.Compare(numbers(v), numbers(strings.TrimPrefix(bound, ">="))) >= 0
}

func numbers(version string) (list []int) {
	for _, part := range strings.Split(version, ".") {
		n, _ := strconv.Atoi(part)
		list = append(list, n)
	}
	return list
}
