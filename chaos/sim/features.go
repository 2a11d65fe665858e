package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/proto"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// equip gives a machine what rules and extras are about.
func (m *machine) equip() {
	r, p := m.w.more, &m.w.p
	if p.rules > 0 {
		m.info.Attributes["zone"] = fmt.Sprintf("z%d", r.IntN(3))
		m.info.Attributes["os"] = pick(r, "1.18", "1.20.3", "2.1")
		m.info.Attributes["cores"] = pick(r, "4", "8", "16")
		if m.number > 0 && r.IntN(4) == 0 {
			m.info.Attributes["pool"] = "gold"
		}
		if m.number > 0 && r.IntN(6) == 0 {
			m.info.Taints = []*v1.Taint{{Key: "dedicated", Value: pick(r, "x", "y"), Effect: pick(r, "no_place", "avoid")}}
		}
		if r.IntN(2) == 0 {
			m.info.Packages = []string{"model-v1"}
		}
	}
	if p.extras > 0 {
		drawExtras(r, m.info)
	}
	m.home = m.info
	m.bad = p.theme != Plain && r.IntN(8) == 0
}

// drawExtras draws ports, devices and custom units of a machine.
func drawExtras(r *rand.Rand, info *v1.NodeInfo) {
	info.Devices, info.Custom, info.PortFrom, info.PortTo = nil, nil, 0, 0
	for range r.IntN(4) * r.IntN(2) {
		info.Devices = append(info.Devices, &v1.Device{Kind: "gpu", Model: pick(r, "a", "b")})
	}
	if r.IntN(3) > 0 {
		info.Custom = map[string]int64{"licence": int64(1 + r.IntN(3))}
	}
	if r.IntN(4) > 0 {
		info.PortFrom, info.PortTo = 20_000, 20_000+int32(pick(r, 1, 3, 7))
	}
}

// alter draws what the machine has when it comes back: other devices, other labels, more or less of both.
func (m *machine) alter() {
	w := m.w
	if w.part != faults || !chanceOf(w.more, w.p.upset) {
		return
	}
	info := proto.CloneOf(m.home)
	if w.p.extras > 0 && w.more.IntN(2) == 0 {
		drawExtras(w.more, info)
	}
	if w.p.rules > 0 && w.more.IntN(2) == 0 {
		info.Attributes["zone"] = fmt.Sprintf("z%d", w.more.IntN(3))
		info.Packages = nil
	}
	m.info, m.altered = info, true
	w.say("agent", "%s comes back with devices %v, custom %v, ports %d to %d, zone %s", m.id, info.Devices, info.Custom, info.PortFrom, info.PortTo, info.Attributes["zone"])
}

// restore gives the machine back what it had at first.
func (m *machine) restore() {
	if m.info == m.home {
		return
	}
	m.info = m.home
	m.w.soon(func() {
		m.die()
		m.restart(0)
	})
}

// enrichJob draws what a job asks for beyond resources, by the theme of the run.
func (l *load) enrichJob(spec *v1.JobSpec) {
	r, p := l.w.more, &l.w.p
	if p.theme == Plain {
		return
	}
	spec.Labels["app"] = pick(r, "a", "b", "c")
	if r.IntN(3) == 0 {
		spec.Owner = pick(r, "ann", "bob")
	}
	if chanceOf(r, p.quotas/4) { // what lives on what others do not use
		spec.Kind, spec.Band = "service", pick(r, "free", "batch")
	} else if chanceOf(r, p.urgent) {
		spec.Band = pick(r, "production", "batch", "free", "free")
		spec.Rank = int32(r.IntN(3))
	}
}

// enrich draws what a stage asks for beyond resources.
func (l *load) enrich(spec *v1.JobSpec, st *v1.StageSpec, sc *script) {
	r, p := l.w.more, &l.w.p
	if p.theme == Plain {
		return
	}
	if r.IntN(2) == 0 { // what users say is right, or wrong by far
		st.Duration = max(sc.takes*time.Duration(pick(r, 1, 1, 1, 4))/time.Duration(pick(r, 1, 1, 1, 4)), time.Millisecond).String()
	}
	if chanceOf(r, p.urgent) {
		st.Resources.Cpu = pick(r, "100m", "250m", "400m", "400m")
		st.MaxUnavailable = pick(r, "", "", "1", "2", "50%")
		if spec.Kind != "service" && spec.Band != "production" {
			sc.takes, sc.slow = sc.takes*time.Duration(pick(r, 1, 1, 5)), 0 // what is in the way of what comes
		}
	}
	if chanceOf(r, p.quotas/2) && spec.Kind == "service" {
		st.Resources.Cpu, st.Instances, st.MaxUnavailable = "400m", int64(pick(r, 4, 8, 12)), pick(r, "", "50%")
		sc.forever = true
	}
	if chanceOf(r, p.rules) {
		l.drawRule(spec, st)
	}
	if chanceOf(r, p.rules) {
		l.drawWish(spec, st)
	}
	if chanceOf(r, p.extras) {
		l.drawNeed(st)
	}
	if chanceOf(r, p.gangs) {
		st.Gang, st.Parallel = &v1.Gang{Hold: pick(r, "1s", "3s", "10s")}, 0
		st.Instances = int64(pick(r, 2, 2, 3, 4, 5))
		if r.IntN(4) == 0 { // all of them beside each other: whether that fits depends on where the first goes
			st.Affinity = []*v1.Affinity{{Labels: map[string]string{"app": spec.Labels["app"]}, On: pick(r, "node", "rack")}}
		}
		for _, a := range st.Affinity {
			if a.On == "zone" {
				a.On = "rack" // racks are made of nodes; how zones cut them is another matter
			}
		}
		for _, rule := range st.Spreads {
			rule.MaxSkew = 0
			if rule.On == "zone" {
				rule.On = "rack"
			}
		}
	}
}

// drawRule draws something that must hold.
func (l *load) drawRule(spec *v1.JobSpec, st *v1.StageSpec) {
	r := l.w.more
	app := map[string]string{"app": pick(r, "a", "b", "c")}
	own := map[string]string{"app": spec.Labels["app"]}
	switch r.IntN(9) {
	case 0:
		st.Constraints = append(st.Constraints, l.drawConstraint())
	case 1:
		st.AntiAffinity = []*v1.Affinity{{Labels: app, On: pick(r, "node", "rack"), Queue: pick(r, "", "*")}}
	case 2:
		st.AntiAffinity = []*v1.Affinity{{Labels: own, On: "node"}}
	case 3:
		st.Affinity = []*v1.Affinity{{Labels: own, On: pick(r, "node", "rack", "zone")}}
	case 4:
		st.Affinity = []*v1.Affinity{{Labels: app, On: pick(r, "node", "rack"), Queue: "*"}}
	case 5:
		st.Spread = ""
		st.Spreads = []*v1.Spread{{On: pick(r, "node", "rack"), Max: int64(1 + r.IntN(3))}}
	case 6:
		st.Spread = ""
		st.Spreads = []*v1.Spread{{On: pick(r, "node", "rack", "zone"), MaxSkew: int32(1 + r.IntN(2)), Max: int64(r.IntN(4))}}
	case 7:
		st.Pool = pick(r, "gold", "*", "*")
	case 8:
		st.Tolerations = []*v1.Toleration{{Key: "dedicated", Value: pick(r, "", "x")}, {Key: "upkeep"}}
	}
}

func (l *load) drawConstraint() *v1.Constraint {
	r := l.w.more
	return pick(r,
		&v1.Constraint{Attribute: "zone", Op: "in", Values: []string{"z0", pick(r, "z1", "z2")}},
		&v1.Constraint{Attribute: "zone", Op: "!=", Value: pick(r, "z0", "z1")},
		&v1.Constraint{Attribute: "pool", Op: "exists"},
		&v1.Constraint{Attribute: "cores", Op: ">=", Value: pick(r, "4", "8", "16")},
		&v1.Constraint{Attribute: "cores", Op: "<", Value: "16"},
		&v1.Constraint{Attribute: "os", Op: "version", Value: pick(r, ">=1.20, <2", ">=1.19", "<1.20")},
		&v1.Constraint{Attribute: "rack", Op: "matches", Value: "r[01]"},
		&v1.Constraint{Attribute: "node", Op: "!=", Value: "n0"},
	)
}

// drawWish draws something that is better if it holds.
func (l *load) drawWish(spec *v1.JobSpec, st *v1.StageSpec) {
	r := l.w.more
	app := map[string]string{"app": pick(r, "a", "b", "c")}
	weight := int32(1 + r.IntN(100))
	switch r.IntN(6) {
	case 0:
		c := l.drawConstraint()
		c.Weight = weight * int32(pick(r, 1, -1))
		st.Prefer = []*v1.Constraint{c}
	case 1:
		st.Affinity = append(st.Affinity, &v1.Affinity{Labels: app, On: "rack", Weight: weight, Queue: pick(r, "", "*")})
	case 2:
		st.AntiAffinity = append(st.AntiAffinity, &v1.Affinity{Labels: app, Weight: weight})
	case 3:
		st.Packages = []string{"model-v1"}
	case 4:
		st.Data = map[string]string{"n0": "2Gi", "n1": "512Mi"}
	case 5:
		st.Score = &v1.Score{By: pick(r, "hybrid", "bestfit", "epvm", "fragmentation"), Weights: map[string]int32{"mix": weight}}
	}
}

// drawNeed draws ports, devices and custom units.
func (l *load) drawNeed(st *v1.StageSpec) {
	r := l.w.more
	switch r.IntN(6) {
	case 0:
		st.Ports = []*v1.Port{{Name: "web", Number: int32(pick(r, 8080, 8081))}}
	case 1:
		st.Ports = []*v1.Port{{Name: "a"}, {Name: "b"}}
	case 2:
		st.Ports = []*v1.Port{{Name: "a"}, {Name: "fix", Number: int32(pick(r, 20_000, 20_001, 8080))}}
	case 3:
		st.Devices = &v1.Devices{Count: int32(1 + r.IntN(2)), Models: pick(r, nil, []string{"a"}, []string{"a", "b"})}
	case 4:
		st.Devices = &v1.Devices{Share: pick(r, "250m", "500m"), Models: pick(r, nil, []string{"b"})}
	case 5:
		st.Resources.Custom = map[string]int64{"licence": int64(1 + r.IntN(2))}
	}
}

// drawQueue draws what a queue is told by an operator.
func (c *clients) drawQueue(spec *v1.QueueSpec) {
	r, p := c.w.more, &c.w.p
	if p.theme == Plain {
		return
	}
	if spec.MaxSlots > 0 && r.IntN(2) == 0 {
		spec.MaxSlots = 0
	}
	spec.Order = pick(r, "", "fair", "fifo", "shortest", "smallest")
	spec.Backfill = pick(r, "", "easy", "shortest", "none")
	if r.IntN(4) == 0 {
		spec.Score = &v1.Score{By: pick(r, "hybrid", "bestfit", "epvm", "fragmentation")}
	}
	if chanceOf(r, p.quotas) {
		spec.Quota = drawAmounts(r)
	}
	if chanceOf(r, p.quotas/2) {
		spec.Max = drawAmounts(r)
	}
}

func drawAmounts(r *rand.Rand) *v1.Quota {
	q := &v1.Quota{Cpu: pick(r, "", "500m", "1", "2", "4")}
	if q.Cpu == "" || r.IntN(3) == 0 {
		q.Memory = pick(r, "64Mi", "256Mi", "1Gi")
	}
	if r.IntN(4) == 0 {
		q.Custom = map[string]int64{pick(r, "gpu", "licence"): int64(pick(r, 1, 500, 2000))}
	}
	return q
}

// taint asks that a machine be tainted.
func (c *clients) taint(m *machine, done func()) {
	r := c.w.more
	var taints []*v1.Taint
	if r.IntN(3) > 0 {
		taints = append(taints, &v1.Taint{Key: "upkeep", Effect: pick(r, "no_place", "avoid", "evict")})
	}
	c.w.say("client", "asks that %s be tainted %v", m.id, taints)
	c.ask(&v1.TaintRequest{Id: m.id, Taints: taints}, callWait, func(any, error) { done() })
}
