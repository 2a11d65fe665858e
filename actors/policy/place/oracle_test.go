package place

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/troupe-sched/troupe/actors/model"
)

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
	f.scanned, f.scannedFew, f.fewDomains, f.classes.budget = 0, 2, few, 100
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
