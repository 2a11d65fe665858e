package place

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

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
	case n.closed:
		return "schedulable"
	case n.what.Maintenance:
		return "maintenance"
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

// world drives fleets and a ledger through one history. The first fleet is exact and is asked for many slots at once, the
// second is exact and is asked for one at a time, the third draws by chance, with everything lowered so that it has to.
type world struct {
	fleets []*Fleet
	ledger
}

func newWorld(o Options) *world {
	exact := o
	exact.Exact = true
	w := &world{fleets: []*Fleet{NewFleet(exact), NewFleet(exact)}}
	return w
}

// chancy is a world of one fleet that draws.
func chancy(o Options, few int) *world {
	f := NewFleet(o)
	f.scanned, f.scannedFew, f.fewDomains = 0, 2, few
	return &world{fleets: []*Fleet{f}}
}

func (w *world) put(id model.NodeID, what Node) {
	n := NoNode
	for _, f := range w.fleets {
		n = f.Put(id, what)
	}
	for len(w.nodes) <= int(n) {
		w.nodes = append(w.nodes, &ledgerNode{gone: true})
	}
	if w.nodes[n].gone {
		w.nodes[n] = &ledgerNode{id: id, holds: map[*ledgerStage]hold{}}
	}
	w.nodes[n].what = what
}

func (w *world) remove(n *ledgerNode) {
	for _, f := range w.fleets {
		f.Remove(n.id)
	}
	n.gone = true
	w.slots = slices.DeleteFunc(w.slots, func(x ledgerSlot) bool { return x.node == n })
}

func (w *world) stage(shape Shape) *ledgerStage {
	s := &ledgerStage{shape: shape}
	for _, f := range w.fleets {
		s.in = append(s.in, f.Stage(shape))
	}
	w.stages = append(w.stages, s)
	return s
}

func (w *world) end(s *ledgerStage) {
	for i := range slices.Backward(w.slots) {
		if w.slots[i].stage == s {
			w.give(i)
		}
	}
	for _, n := range w.nodes {
		if h, held := n.holds[s]; held && !n.gone {
			w.hold(n, s, model.Resources{}, h.soft)
		}
	}
	for i, f := range w.fleets {
		f.End(s.in[i])
	}
	w.stages = slices.DeleteFunc(w.stages, func(o *ledgerStage) bool { return o == s })
}

func (w *world) give(i int) {
	x := w.slots[i]
	slots := Slots{Each: x.each, Extra: x.extra, Count: 1}
	if x.devices != nil {
		slots.Devices = [][]model.DeviceShare{x.devices}
	}
	for k, f := range w.fleets {
		n, _ := f.Index(x.node.id)
		f.Give(x.stage.in[k], n, slots)
	}
	w.slots = slices.Delete(w.slots, i, i+1)
}

func (w *world) hold(n *ledgerNode, s *ledgerStage, amount model.Resources, soft bool) {
	for i, f := range w.fleets {
		at, _ := f.Index(n.id)
		f.Withhold(at, s.in[i], amount, soft)
	}
	if n.holds[s] = (hold{amount: amount, soft: soft}); amount == (model.Resources{}) {
		delete(n.holds, s)
	}
}

// failer is a test of either kind.
type failer interface {
	Helper()
	Fatalf(string, ...any)
}

// choose is the decision that a scan of everything makes for one slot; the score alone is asked of the fleet.
func (w *world) choose(s *ledgerStage) (best NodeIndex, feasible int) {
	best = NoNode
	f, st := w.fleets[len(w.fleets)-1], s.in[len(w.fleets)-1]
	var bestCrowd, bestScore int64
	f.rescore(st.class)
	for i, n := range w.nodes {
		if n.gone || w.refuses(s, n) != "" {
			continue
		}
		feasible++
		crowd, score := w.crowd(s, n), f.placed(st, NodeIndex(i), f.score(st.class, NodeIndex(i))).score
		if best == NoNode || crowd < bestCrowd || crowd == bestCrowd && score > bestScore {
			best, bestCrowd, bestScore = NodeIndex(i), crowd, score
		}
	}
	return best, feasible
}

// note writes down one slot, after a look at its devices.
func (w *world) note(t failer, s *ledgerStage, n *ledgerNode, devices []model.DeviceShare) {
	t.Helper()
	if s.shape.Extra != nil && s.shape.Extra.Devices.Count > 0 {
		need := s.shape.Extra.Devices
		if len(devices) != int(need.Count) {
			t.Fatalf("%d devices, needs %d", len(devices), need.Count)
		}
		for i, d := range devices {
			x := n.what.Devices[d.Index]
			if d.Milli != need.Milli || w.left(n, d.Index) < d.Milli || x != n.what.Devices[devices[0].Index] ||
				slices.ContainsFunc(devices[:i], func(o model.DeviceShare) bool { return o.Index == d.Index }) ||
				x.Kind != need.Kind || len(need.Models) > 0 && !slices.Contains(need.Models, x.Model) {
				t.Fatalf("devices %v of %v for %+v", devices, n.what.Devices, need)
			}
		}
	}
	w.slots = append(w.slots, ledgerSlot{s, n, s.shape.Resources, s.shape.Extra, devices})
}

// placeExact places slots at once in one fleet and one after the other in the next, each as the ledger says.
func (w *world) placeExact(t failer, s *ledgerStage, n int) {
	t.Helper()
	got := w.fleets[0].Place(s.in[0], Ask{Slots: n}, nil)
	single := map[NodeIndex][][]model.DeviceShare{}
	counts := map[NodeIndex]int{}
	for range n {
		want, feasible := w.choose(s)
		out := w.fleets[1].Place(s.in[1], Ask{Slots: 1}, nil)
		switch {
		case feasible == 0 && len(out) == 0:
			continue
		case len(out) != 1 || out[0].Node != want || out[0].Count != 1:
			t.Fatalf("%s\n got %v\nwant node %d of %d that fit", shapeText(&s.shape), out, want, feasible)
		}
		var devices []model.DeviceShare
		if out[0].Devices != nil {
			devices = out[0].Devices[0]
			single[want] = append(single[want], devices)
		}
		counts[want]++
		w.note(t, s, w.nodes[want], devices)
	}
	for _, a := range got {
		if counts[a.Node] != a.Count || fmt.Sprint(single[a.Node]) != fmt.Sprint(a.Devices) {
			t.Fatalf("%s\nat once %v\nsingly %v %v", shapeText(&s.shape), got, counts, single)
		}
		delete(counts, a.Node)
	}
	if len(counts) > 0 {
		t.Fatalf("%s\nat once %v\nand singly also %v", shapeText(&s.shape), got, counts)
	}
}

// placeChancy places one slot: somewhere if and only if it fits somewhere, and where it fits.
func (w *world) placeChancy(t failer, s *ledgerStage) {
	t.Helper()
	best, feasible := w.choose(s)
	out := w.fleets[0].Place(s.in[0], Ask{Slots: 1}, nil)
	if (len(out) == 1) != (feasible > 0) {
		t.Fatalf("%s\n got %v, and %d nodes fit", shapeText(&s.shape), out, feasible)
	}
	if len(out) == 0 {
		return
	}
	n := w.nodes[out[0].Node]
	if by := w.refuses(s, n); by != "" {
		t.Fatalf("%s\n goes to %s, which %s refuses", shapeText(&s.shape), n.id, by)
	}
	if rules := spreadRules(&s.shape); len(rules) == 1 && rules[0].Weight == 100 && w.crowd(s, n) != w.crowd(s, w.nodes[best]) {
		t.Fatalf("%s\n goes to %s with %d in its domain, %s has %d", shapeText(&s.shape), n.id, w.crowd(s, n), w.nodes[best].id, w.crowd(s, w.nodes[best]))
	}
	var devices []model.DeviceShare
	if out[0].Devices != nil {
		devices = out[0].Devices[0]
	}
	w.note(t, s, n, devices)
}

// explain compares the counts of an explanation.
func (w *world) explain(t failer, s *ledgerStage) {
	t.Helper()
	e := w.fleets[0].Explain(s.in[0])
	got, want, fit, live := map[string]int{}, map[string]int{}, 0, 0
	for _, r := range e.Refusals {
		got[r.Filter] += r.Nodes
	}
	for _, n := range w.nodes {
		if n.gone {
			continue
		}
		live++
		if by := w.refuses(s, n); by != "" {
			want[by]++
		} else {
			fit++
		}
	}
	if !maps.Equal(got, want) || e.Fit != fit || e.Nodes != live {
		t.Fatalf("%s\n got %v, %d of %d fit\nwant %v, %d of %d fit", shapeText(&s.shape), got, e.Fit, e.Nodes, want, fit, live)
	}
	if (e.Fit > 0) != (e.Remedy == "") {
		t.Fatalf("%d nodes fit, remedy %q", e.Fit, e.Remedy)
	}
}

func shapeText(s *Shape) string { return fmt.Sprintf("%+v extra %+v", *s, s.Extra) }

func (w *world) live() (list []*ledgerNode) {
	for _, n := range w.nodes {
		if !n.gone {
			list = append(list, n)
		}
	}
	return list
}

// TestB16_DecisionsEqualAFullScan: whatever happened before, the exact decision is the one that a scan of every node and
// every slot makes, for many slots at once as for one after the other.
func TestB16_DecisionsEqualAFullScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(Options{
			Score:    rapid.SampledFrom([]string{"", BestFit, EPVM, Fragmentation, Packing}).Draw(t, "score"),
			Workload: []Expected{{Devices: model.DeviceNeed{Kind: "gpu", Count: 1, Milli: 500}, Weight: 3}, {Devices: model.DeviceNeed{Kind: "gpu", Count: 2, Milli: 1000}, Weight: 1}},
		})
		t.Repeat(w.actions(func(t *rapid.T, s *ledgerStage) { w.placeExact(t, s, rapid.IntRange(1, 9).Draw(t, "n")) }))
	})
}

// TestB26_ChanceNeverMissesRoom: whatever is cached and however few nodes are drawn, a stage finds a node if and only if
// there is one, never one that a filter refuses, and with spread always one of the emptiest domain.
func TestB26_ChanceNeverMissesRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := chancy(Options{Seed: rapid.Uint64().Draw(t, "seed"), NoCache: rapid.Bool().Draw(t, "no cache"), NoClasses: rapid.Bool().Draw(t, "no classes")},
			rapid.SampledFrom([]int{0, fewDomains}).Draw(t, "few domains"))
		t.Repeat(w.actions(func(t *rapid.T, s *ledgerStage) {
			for range rapid.IntRange(1, 6).Draw(t, "n") {
				w.placeChancy(t, s)
			}
		}))
	})
}
