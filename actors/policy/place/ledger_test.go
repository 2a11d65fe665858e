package place

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-sched/troupe/actors/model"
)

// ledger is a cell as one would write it down first: nodes, stages, and a list of every slot. Every question is answered
// by going through the lists. It shares nothing with the real one but the types.
type ledger struct {
	nodes  []*ledgerNode // by index in the fleet
	stages []*ledgerStage
	slots  []ledgerSlot
}

type ledgerNode struct {
	id     model.NodeID
	what   Node
	closed bool
	gone   bool
	holds  map[*ledgerStage]hold
}

type ledgerStage struct {
	shape Shape
	avoid []model.NodeID
	in    []*Stage // in each fleet
}

type ledgerSlot struct {
	stage   *ledgerStage
	node    *ledgerNode
	each    model.Resources
	extra   *model.Extra
	devices []model.DeviceShare
}

func (l *ledger) attribute(n *ledgerNode, name string) (string, bool) {
	v, has := n.what.Attributes[name]
	switch {
	case name == "node":
		return string(n.id), true
	case name == "pool" && !has:
		return "default", true
	}
	return v, has
}

// same reports whether two nodes are in one domain.
func (l *ledger) same(x, y *ledgerNode, on string) bool {
	a, hasA := l.attribute(x, on)
	b, hasB := l.attribute(y, on)
	return a == b && hasA == hasB
}

func (l *ledger) holds(c model.Constraint, value string, has bool) bool {
	number := func(s string) (float64, bool) { f, err := strconv.ParseFloat(s, 64); return f, err == nil }
	switch c.Op {
	case model.OpEqual, model.OpIn:
		return has && slices.Contains(c.Values, value)
	case model.OpNotEqual:
		return !has || !slices.Contains(c.Values, value)
	case model.OpExists:
		return has
	case model.OpMatches:
		return has && regexp.MustCompile("^("+c.Values[0]+")$").MatchString(value)
	case model.OpVersion: // the tests' versions have one digit a part
		op, bound := c.Values[0][:2], c.Values[0][3:]
		pad := func(s string) string { return (strings.ReplaceAll(s, ".", "") + "000")[:3] }
		_, ok := number(strings.ReplaceAll(value, ".", ""))
		if op == "<=" {
			return has && ok && pad(value) <= pad(bound)
		}
		return has && ok && pad(value) >= pad(bound)
	}
	x, ok := number(value)
	y, _ := number(c.Values[0])
	if !has || !ok {
		return false
	}
	return map[model.Op]bool{model.OpLess: x < y, model.OpLessEqual: x <= y, model.OpGreater: x > y, model.OpGreaterEqual: x >= y}[c.Op]
}

// refuses names the first filter that refuses a node; empty if none does.
func (l *ledger) refuses(s *ledgerStage, n *ledgerNode) string {
	h := &s.shape
	switch pool, _ := l.attribute(n, "pool"); {
	case n.what.Maintenance:
		return "maintenance"
	case n.closed:
		return "schedulable"
	case h.Pool != "*" && cmp.Or(h.Pool, "default") != pool:
		return "pool"
	case h.Driver != "" && !slices.Contains(n.what.Drivers, h.Driver):
		return "driver"
	}
	for _, c := range h.Constraints {
		if v, has := l.attribute(n, c.Attribute); !l.holds(c, v, has) {
			return "constraint"
		}
	}
	for _, t := range n.what.Taints {
		tolerated := slices.ContainsFunc(h.Tolerations, func(o model.Toleration) bool { return o.Key == t.Key && (o.Value == "" || o.Value == t.Value) })
		if t.Effect != "avoid" && !tolerated {
			return "taint"
		}
	}
	if short := l.room(s, n); short != "" {
		return short
	}
	return l.rules(s, n)
}

func (l *ledger) free(n *ledgerNode) model.Resources {
	free := n.what.Capacity
	for _, x := range l.slots {
		if x.node == n {
			free = free.Sub(x.each)
		}
	}
	return free
}

func (l *ledger) room(s *ledgerStage, n *ledgerNode) string {
	free := l.free(n)
	for i, need := range s.shape.Resources {
		if need > 0 && free[i] < need {
			return model.ResourceNames[i]
		}
	}
	e := s.shape.Extra
	if e == nil {
		return ""
	}
	custom, fixed, dynamic := maps.Clone(n.what.Custom), map[int32]bool{}, int32(0)
	if n.what.PortTo > 0 {
		dynamic = n.what.PortTo - n.what.PortFrom + 1
	}
	for _, x := range l.slots {
		if x.node != n || x.extra == nil {
			continue
		}
		for _, c := range x.extra.Custom {
			custom[c.Name] -= c.N
		}
		for _, p := range x.extra.Ports {
			if p.Number > 0 {
				fixed[p.Number] = true
			} else {
				dynamic--
			}
		}
	}
	for _, c := range e.Custom {
		if custom[c.Name] < c.N {
			return "custom"
		}
	}
	for _, p := range e.Ports {
		if p.Number > 0 && (fixed[p.Number] || n.what.PortTo > 0 && p.Number >= n.what.PortFrom && p.Number <= n.what.PortTo) {
			return "port"
		}
		if p.Number == 0 {
			dynamic--
		}
	}
	if dynamic < 0 && slices.ContainsFunc(e.Ports, func(p model.PortNeed) bool { return p.Number == 0 }) {
		return "port"
	}
	if e.Devices.Count > 0 && !l.device(e.Devices, n) {
		return "device"
	}
	return ""
}

func (l *ledger) left(n *ledgerNode, device int32) int32 {
	left := int32(1000)
	for _, x := range l.slots {
		for _, d := range x.devices {
			if x.node == n && d.Index == device {
				left -= d.Milli
			}
		}
	}
	return left
}

func (l *ledger) device(need model.DeviceNeed, n *ledgerNode) bool {
	enough := map[string]int32{}
	for i, d := range n.what.Devices {
		if d.Kind == need.Kind && (len(need.Models) == 0 || slices.Contains(need.Models, d.Model)) && l.left(n, int32(i)) >= need.Milli {
			enough[d.Model]++
		}
	}
	for _, count := range enough {
		if count >= need.Count {
			return true
		}
	}
	return false
}

func (l *ledger) selects(a model.Affinity, owner, s *ledgerStage) bool {
	if queue := cmp.Or(a.Queue, owner.shape.Queue); queue != "*" && queue != s.shape.Queue {
		return false
	}
	return !slices.ContainsFunc(a.Labels, func(x model.Label) bool { return !slices.Contains(s.shape.Labels, x) })
}

// rules answers by what runs where.
func (l *ledger) rules(s *ledgerStage, n *ledgerNode) string {
	if slices.Contains(s.avoid, n.id) {
		return "avoided"
	}
	count := func(on *ledgerNode, a model.Affinity) (there, anywhere int) {
		for _, x := range l.slots {
			if l.selects(a, s, x.stage) {
				anywhere++
				if l.same(x.node, on, cmp.Or(a.On, "node")) {
					there++
				}
			}
		}
		return there, anywhere
	}
	for _, a := range s.shape.Affinity {
		there, anywhere := count(n, a)
		if a.Weight == 0 && there == 0 && (anywhere > 0 || !l.selects(a, s, s)) {
			return "affinity"
		}
	}
	for _, a := range s.shape.AntiAffinity {
		if there, _ := count(n, a); a.Weight == 0 && there > 0 {
			return "anti-affinity"
		}
	}
	for _, x := range l.slots {
		for _, a := range x.stage.shape.AntiAffinity {
			if a.Weight == 0 && l.selects(a, x.stage, s) && l.same(x.node, n, cmp.Or(a.On, "node")) {
				return "anti-affinity"
			}
		}
	}
	for _, r := range s.shape.Spreads {
		here := l.count(s, n, r.On)
		if r.Max > 0 && int64(here)+1 > r.Max {
			return "spread"
		}
		least := here
		for _, o := range l.nodes {
			if !o.gone && l.standing(s, o) {
				least = min(least, l.count(s, o, r.On))
			}
		}
		if r.MaxSkew > 0 && here+1-least > int(r.MaxSkew) {
			return "spread"
		}
	}
	kept := l.free(n)
	for o, h := range n.holds {
		if o != s {
			kept = kept.Sub(h.amount)
			if l.rivals(o.shape.Extra, s.shape.Extra) {
				return "withheld"
			}
		}
	}
	for i, need := range s.shape.Resources {
		if len(n.holds) > 0 && need > 0 && kept[i] < need {
			return "withheld"
		}
	}
	return ""
}

// rivals reports whether two slots could both want the last of anything beyond plain resources.
func (l *ledger) rivals(a, b *model.Extra) bool {
	names := func(e *model.Extra) map[string]bool {
		list := map[string]bool{}
		if e == nil {
			return list
		}
		for _, c := range e.Custom {
			list[c.Name] = true
		}
		for _, p := range e.Ports {
			list["port "+strconv.Itoa(int(p.Number))] = p.Number > 0
		}
		list["device "+e.Devices.Kind] = e.Devices.Count > 0
		return list
	}
	for name, wanted := range names(a) {
		if wanted && names(b)[name] {
			return true
		}
	}
	return false
}

// count is how many slots of a stage are in a node's domain.
func (l *ledger) count(s *ledgerStage, n *ledgerNode, on string) (count int) {
	for _, x := range l.slots {
		if x.stage == s && l.same(x.node, n, on) {
			count++
		}
	}
	return count
}

// standing reports whether a node passes the filters that look at what it is.
func (l *ledger) standing(s *ledgerStage, n *ledgerNode) bool {
	empty := ledger{nodes: l.nodes}
	bare := &ledgerStage{shape: s.shape}
	bare.shape.Resources, bare.shape.Extra, bare.shape.Affinity, bare.shape.AntiAffinity, bare.shape.Spreads = model.Resources{}, nil, nil, nil, nil
	held := *n
	held.holds = nil
	return empty.refuses(bare, &held) == ""
}

// crowd is what evenness counts before any score.
func (l *ledger) crowd(s *ledgerStage, n *ledgerNode) (sum int64) {
	seen := map[string]bool{}
	for _, r := range s.shape.Spreads {
		if r.Weight == 100 || r.Weight == 0 {
			sum += int64(l.count(s, n, r.On))
		}
		seen[r.On] = true
	}
	if s.shape.Spread != "" && !seen[s.shape.Spread] {
		sum += int64(l.count(s, n, s.shape.Spread))
	}
	return sum
}
