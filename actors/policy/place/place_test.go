package place

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
)

// put adds a node with so much CPU and attributes.
func put(f *Fleet, id string, cpu int64, attributes ...string) NodeIndex {
	m := map[string]string{}
	for i := 0; i+1 < len(attributes); i += 2 {
		m[attributes[i]] = attributes[i+1]
	}
	return f.Put(model.NodeID(id), Node{Capacity: model.Resources{model.CPU: cpu, model.Memory: 64 << 30}, Attributes: m, Drivers: []string{"process"}})
}

func text(f *Fleet, list []Assignment) string {
	var parts []string
	for _, a := range list {
		parts = append(parts, fmt.Sprintf("%s:%d", f.ID(a.Node), a.Count))
	}
	return strings.Join(parts, " ")
}

func TestB19_B40_SpreadOverRacks(t *testing.T) {
	f := NewFleet(Options{})
	for i, rack := range []string{"a", "a", "a", "b", "c"} {
		put(f, fmt.Sprint("n", i), 4000, "rack", rack)
	}
	put(f, "n5", 4000) // without the attribute: a group too
	shape := slot(1000)
	shape.Spread = "rack"
	s := f.Stage(shape)
	if got := text(f, f.Place(s, Ask{Slots: 6}, nil)); got != "n0:2 n3:2 n4:1 n5:1" {
		t.Errorf("got %s", got)
	}
	shape.Spread = ""
	shape.Spreads = []model.SpreadRule{{On: "rack", Max: 2}}
	atMost := f.Stage(shape)
	got := f.Place(atMost, Ask{Slots: 20}, nil)
	if text(f, got) != "n0:2 n3:2 n4:2 n5:2" {
		t.Errorf("at most two a rack: %s", text(f, got))
	}
	for _, a := range got {
		f.Give(atMost, a.Node, atMost.Slots(a))
	}
	shape.Spreads = []model.SpreadRule{{On: "rack", MaxSkew: 1, Weight: 1}}
	skewed := f.Stage(shape)
	got = f.Place(skewed, Ask{Slots: 20}, nil)
	byRack := map[string]int{}
	for _, a := range got {
		byRack[f.Node(a.Node).Attributes["rack"]] += a.Count
	}
	least, most := math.MaxInt, 0
	for _, count := range byRack { //order: least and most
		least, most = min(least, count), max(most, count)
	}
	if len(byRack) != 4 || most-least > 1 {
		t.Errorf("skew of one: %v", byRack)
	}
}

func TestB25_EqualShapesShareAClass(t *testing.T) {
	f := NewFleet(Options{})
	a, b := slot(5), slot(5)
	a.Constraints = []model.Constraint{{Attribute: "os", Op: model.OpEqual, Values: []string{"linux"}}, {Attribute: "r", Op: model.OpIn, Values: []string{"1", "2"}}}
	b.Constraints = []model.Constraint{{Attribute: "r", Op: model.OpIn, Values: []string{"2", "1"}}, {Attribute: "os", Op: model.OpEqual, Values: []string{"linux"}}}
	b.Labels, b.Queue = []model.Label{{Name: "x", Value: "y"}}, "other" // no node can tell them apart
	first, second := f.Stage(a), f.Stage(b)
	if first.Line() != second.Line() || f.Classes() != 1 {
		t.Errorf("%d classes", f.Classes())
	}
	a.Constraints[0].Values[0] = "changed" // by the caller, who owns it
	if first.Shape().Constraints[0].Values[0] != "linux" {
		t.Error("a stage shares memory with its caller")
	}
	f.End(second)
	differ := map[string]Shape{
		"size": slot(6), "driver": {Resources: slot(5).Resources, Driver: "func"}, "spread": {Resources: slot(5).Resources, Driver: "process", Rules: model.Rules{Spread: "x"}},
		"driver for spread": {Resources: slot(5).Resources, Driver: "processx"}, "plain": slot(5),
	}
	for name, change := range map[string]func(*Shape){ //order: each for itself
		"split values": func(s *Shape) {
			s.Constraints = []model.Constraint{{Attribute: "a", Op: model.OpIn, Values: []string{"b", "c"}}}
		},
		"joined values": func(s *Shape) {
			s.Constraints = []model.Constraint{{Attribute: "a", Op: model.OpIn, Values: []string{"bc"}}}
		},
		"preference": func(s *Shape) { s.Prefer = []model.Constraint{{Attribute: "a", Values: []string{"bc"}, Weight: 1}} },
		"weight":     func(s *Shape) { s.Prefer = []model.Constraint{{Attribute: "a", Values: []string{"bc"}, Weight: 2}} },
		"pool":       func(s *Shape) { s.Pool = "*" },
		"toleration": func(s *Shape) { s.Tolerations = []model.Toleration{{Key: "a"}} },
		"packages":   func(s *Shape) { s.Packages = []string{"a"} },
		"data":       func(s *Shape) { s.Data = []model.NodeBytes{{Node: "a", Bytes: 1}} },
		"score":      func(s *Shape) { s.Score.By = BestFit },
		"weights":    func(s *Shape) { s.Score.Weights = []model.Amount{{Name: "mix", N: 1}} },
		"port":       func(s *Shape) { s.Extra = &model.Extra{Ports: []model.PortNeed{{Number: 80}}} },
		"custom":     func(s *Shape) { s.Extra = &model.Extra{Custom: []model.Amount{{Name: "a", N: 1}}} },
		"device":     func(s *Shape) { s.Extra = &model.Extra{Devices: model.DeviceNeed{Kind: "gpu", Count: 1, Milli: 5}} },
		"band":       func(s *Shape) { s.Band = model.Free },
	} {
		s := slot(5)
		change(&s)
		differ[name] = s
	}
	for _, s := range differ { //order: each for itself
		f.Stage(s)
	}
	if f.Classes() != 1+len(differ) {
		t.Errorf("%d classes of %d shapes", f.Classes(), 1+len(differ))
	}
}

// TestB25_LinesAreApartWhereSlotsMatter: stages of one class share a line unless where slots are decides for each.
func TestB25_LinesAreApartWhereSlotsMatter(t *testing.T) {
	f := NewFleet(Options{Filters: []Filter{onlyEven{}}})
	// together reports whether two stages of a shape share a line.
	together := func(s Shape) bool {
		first, second := f.Stage(s), f.Stage(s)
		return first.Line() == second.Line()
	}
	plain, even := slot(1), slot(1)
	even.Spread = "rack"
	if !together(plain) || !together(even) {
		t.Error("stages that fit together are apart")
	}
	limited, apart := slot(1), slot(1)
	limited.Spreads = []model.SpreadRule{{On: "rack", Max: 1}}
	apart.Queue, apart.AntiAffinity = "q", []model.Affinity{{Labels: []model.Label{{Name: "app", Value: "x"}}}}
	for _, s := range []Shape{limited, apart} {
		if together(s) {
			t.Errorf("%+v: stages that may not fit together share a line", s.Rules)
		}
	}
	avoids, kept := f.Stage(plain), slot(1)
	f.SetAvoid(avoids, []model.NodeID{"n0"})
	kept.Queue, kept.Labels = "q", []model.Label{{Name: "app", Value: "x"}}
	if avoids.Line() == f.Stage(plain).Line() || f.Stage(kept).Line() == f.Stage(plain).Line() {
		t.Error("a stage that avoids nodes, or is kept away by another, shares the line of those that are not")
	}
}

// TestClassesAndColumnsGo: what nobody holds any more is not remembered.
func TestClassesAndColumnsGo(t *testing.T) {
	f := NewFleet(Options{})
	put(f, "n0", 4000, "rack", "a")
	for i := range 500 {
		shape := slot(int64(i + 1))
		shape.Spread = fmt.Sprint("attribute", i)
		shape.Constraints = []model.Constraint{{Attribute: fmt.Sprint("other", i), Op: model.OpNotEqual, Values: []string{"x"}}}
		shape.Affinity = []model.Affinity{{Labels: []model.Label{{Name: "app", Value: fmt.Sprint(i)}}, On: "rack", Weight: 1}}
		s := f.Stage(shape)
		if got := f.Place(s, Ask{Slots: 1}, nil); len(got) != 1 {
			t.Fatal("no room")
		}
		f.Give(s, 0, s.Slots(Assignment{Count: 1}))
		f.End(s)
	}
	if f.Classes() != 0 || len(f.attributes.byName) > keptColumns+3 || len(f.presences) != 0 || len(f.stages) != 0 {
		t.Errorf("%d classes, %d columns, %d presences, %d stages", f.Classes(), len(f.attributes.byName), len(f.presences), len(f.stages))
	}
	boot := f.attribute("boot")
	for i := range 1000 {
		put(f, fmt.Sprint("n", i%3), 4000, "boot", fmt.Sprint(i))
	}
	if boot.size() > 5 {
		t.Errorf("%d values of 3 nodes", boot.size())
	}
}

// TestClassesForgetBeyondTheBudget: what classes know of nodes is bounded, and what was forgotten is found again.
func TestClassesForgetBeyondTheBudget(t *testing.T) {
	f := fleetOf(1000)
	f.classes.budget = 20_000
	var stages []*Stage
	for i := range 100 {
		shape := core([]string{"", "rack"}[i%2])
		shape.Resources[model.CPU] += int64(i)
		stages = append(stages, f.Stage(shape))
	}
	for i := range 500 {
		s := stages[i*37%len(stages)]
		if got := f.Place(s, Ask{Slots: 3}, nil); len(got) == 0 {
			t.Fatalf("step %d: no room", i)
		}
		bytes := 0
		for _, o := range f.classes.known {
			bytes += o.bytes()
		}
		if bytes > f.classes.budget || i > 100 && len(f.classes.known) < 2 || !slices.Contains(f.classes.known, s.class) {
			t.Fatalf("step %d: %d classes know %d bytes", i, len(f.classes.known), bytes)
		}
	}
}

func TestPutKeepsWhatANodeHolds(t *testing.T) {
	f := NewFleet(Options{})
	n := put(f, "n0", 4000)
	s := f.Stage(slot(1000))
	f.Take(s, n, Slots{Each: model.Resources{model.CPU: 1000}, Count: 3})
	f.SetSchedulable("n0", false)
	if got := put(f, "n0", 8000); got != n || f.Held(n)[model.CPU] != 3000 || f.Schedulable(n) || f.Capacity(n)[model.CPU] != 8000 || s.Held(n) != 3 {
		t.Errorf("%d holds %v of %v", got, f.Held(n), f.Capacity(n))
	}
	if !f.Remove("n0") || f.Remove("n0") || f.Len() != 0 || s.Total() != 0 {
		t.Error("Remove")
	}
	if got := put(f, "n0", 8000); got != n || f.Held(n) != (model.Resources{}) || !f.Schedulable(n) {
		t.Errorf("a node that comes back holds %v", f.Held(n))
	}
	if f.SetSchedulable("nx", true) {
		t.Error("an unknown node is known")
	}
	if i, ok := f.Index("nx"); ok || i != NoNode {
		t.Error("an unknown node has an index")
	}
}

// TestAmountsNeverWrap: whatever is put in, sums stay in bounds, and never turn into room that is not there.
func TestAmountsNeverWrap(t *testing.T) {
	huge := model.Resources{math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64}
	f := NewFleet(Options{})
	for i := range 3 {
		f.Put(model.NodeID(fmt.Sprint("n", i)), Node{Capacity: huge, Drivers: []string{"process"}, Custom: map[string]int64{"x": math.MaxInt64}})
	}
	s := f.Stage(slot(1000))
	all := Slots{Each: huge, Count: math.MaxInt, Extra: &model.Extra{Custom: []model.Amount{{Name: "x", N: math.MaxInt64}}}}
	for range 3 {
		f.Take(s, 0, all)
	}
	f.Take(s, 1, Slots{Each: huge, Count: 1})
	if got := text(f, f.Place(s, Ask{Slots: 1}, nil)); got != "n2:1" {
		t.Errorf("got %s", got)
	}
	totals := f.Totals()
	if totals.Nodes != 3 || totals.Schedulable != 3 || totals.Capacity[0] != 3*model.MaxAmount || totals.Held[0] <= 0 {
		t.Errorf("%+v", totals)
	}
	for range 4 {
		f.Give(s, 0, all)
	}
	f.Give(s, 0, Slots{Each: model.Resources{model.CPU: -5}, Count: 5})
	f.Take(s, 0, Slots{Each: model.Resources{model.CPU: 7}, Count: -5})
	if got := f.Held(0); got != (model.Resources{}) {
		t.Errorf("holds %v", got)
	}
	if addSaturating(math.MaxInt64, 1) != math.MaxInt64 {
		t.Error("a sum wraps")
	}
	f.Take(s, NoNode, all)
	f.Take(s, 99, all)
	whole := f.Stage(Shape{Resources: model.Resources{model.MaxAmount, model.MaxAmount, 0, 0}})
	if got := text(f, f.Place(whole, Ask{Slots: 5}, nil)); got != "n0:1" {
		t.Errorf("whole nodes: %s", got)
	}
}

func TestFleetIsBounded(t *testing.T) {
	f := NewFleet(Options{})
	for i := range MaxNodes {
		if f.Put(model.NodeID(fmt.Sprint(i)), Node{Capacity: model.Resources{model.CPU: 1}}) == NoNode {
			t.Fatalf("full at %d", i)
		}
	}
	if f.Put("more", Node{}) != NoNode || f.Len() != MaxNodes {
		t.Error("more nodes than the limit")
	}
	if got := f.Place(f.Stage(Shape{Resources: model.Resources{model.CPU: 1}}), Ask{Slots: MaxNodes + 1}, nil); len(got) != MaxNodes {
		t.Errorf("%d nodes chosen", len(got))
	}
	if len(f.changes.tail) > 2*MaxNodes {
		t.Errorf("%d changes kept", len(f.changes.tail))
	}
}

// TestB16_SameInputsSameDecisions: two fleets with one history decide alike, whatever their maps do, also by chance.
func TestB16_SameInputsSameDecisions(t *testing.T) {
	decide := func() string {
		f := NewFleet(Options{Seed: 3})
		f.scanned, f.scannedFew = 0, 0
		var log strings.Builder
		a, b := slot(300), slot(500)
		a.Spread, b.Labels = "rack", []model.Label{{Name: "app", Value: "x"}}
		b.Affinity = []model.Affinity{{Labels: b.Labels, On: "zone", Weight: 30}}
		b.Prefer = []model.Constraint{{Attribute: "rack", Values: []string{"3"}, Weight: 20}}
		stages := []*Stage{f.Stage(a), f.Stage(b)}
		for i := range 200 {
			put(f, fmt.Sprint("n", i), 4000, "rack", fmt.Sprint(i%7), "zone", fmt.Sprint(i%3), "x", "y")
			for _, x := range f.Place(stages[i%2], Ask{Slots: 7}, nil) {
				fmt.Fprint(&log, f.ID(x.Node), x.Count, " ")
			}
		}
		return log.String()
	}
	first := decide()
	for range 5 {
		if decide() != first {
			t.Fatal("the same history made another decision")
		}
	}
}

func TestB15_PlaceDoesNotAllocateInTheLongRun(t *testing.T) {
	for _, options := range []Options{{}, {Exact: true}} {
		f := NewFleet(options)
		for i := range 400 {
			put(f, fmt.Sprint("n", i), 64000, "rack", fmt.Sprint(i%10))
		}
		for _, spread := range []string{"", "rack", "node"} {
			shape := slot(1000)
			shape.Spread = spread
			s := f.Stage(shape)
			out := f.Place(s, Ask{Slots: 500}, nil)
			n := testing.AllocsPerRun(100, func() {
				out = f.Place(s, Ask{Slots: 100}, out[:0])
				for _, a := range out {
					f.Give(s, a.Node, s.Slots(a))
				}
			})
			if n > 0 {
				t.Errorf("spread %q: %v allocations a decision", spread, n)
			}
		}
	}
}

// TestInv15_GangAllOrNone: slots asked for together leave nothing behind when they do not all fit.
func TestInv15_GangAllOrNone(t *testing.T) {
	f := NewFleet(Options{})
	for i := range 3 {
		f.Put(model.NodeID(fmt.Sprint("n", i)), Node{Capacity: model.Resources{2000, 0, 0, 0}, Devices: []Device{{"gpu", "A"}, {"gpu", "A"}}, PortFrom: 10, PortTo: 11})
	}
	s := f.Stage(Shape{Resources: model.Resources{1000, 0, 0, 0}, Extra: &model.Extra{
		Devices: model.DeviceNeed{Kind: "gpu", Count: 1, Milli: 1000}, Ports: []model.PortNeed{{Name: "p"}},
	}})
	if got := f.Place(s, Ask{Slots: 7, All: true}, nil); len(got) > 0 || s.Total() != 0 || f.Totals().Held != (model.Resources{}) || f.FreeDevices(0)[0] != 1000 {
		t.Errorf("seven of six: %v", got)
	}
	if got := f.Place(s, Ask{Slots: 6, All: true}, nil); len(got) != 3 || s.Total() != 6 {
		t.Errorf("six of six: %v", got)
	}
	if got := f.Place(s, Ask{Slots: 1}, nil); got != nil {
		t.Errorf("a seventh: %v", got)
	}
}

// TestF24_WithheldRoomIsForItsStage: others get what is beyond it, short work also what is kept softly.
func TestF24_WithheldRoomIsForItsStage(t *testing.T) {
	f := NewFleet(Options{})
	n := put(f, "n0", 4000)
	owner, other := f.Stage(slot(1000)), f.Stage(slot(1000))
	f.Withhold(n, owner, model.Resources{3000, 0, 0, 0}, true)
	if got := f.Place(other, Ask{Slots: 9}, nil); text(f, got) != "n0:1" {
		t.Errorf("others: %s", text(f, got))
	}
	if got := f.Place(other, Ask{Slots: 1, Short: true}, nil); text(f, got) != "n0:1" {
		t.Errorf("short work: %s", text(f, got))
	}
	f.Withhold(n, owner, model.Resources{2000, 0, 0, 0}, false)
	if got := f.Place(other, Ask{Slots: 1, Short: true}, nil); got != nil {
		t.Errorf("short work where it is kept hard: %s", text(f, got))
	}
	if got := f.Place(owner, Ask{Slots: 9}, nil); text(f, got) != "n0:2" {
		t.Errorf("its stage: %s", text(f, got))
	}
	f.Withhold(n, owner, model.Resources{}, false)
	if len(f.holds) != 0 {
		t.Error("a hold of nothing is remembered")
	}
}
