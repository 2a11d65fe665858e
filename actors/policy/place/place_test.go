package place

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
)

// rack is a node's size and rack in the tests.
func put(f *Fleet, id string, cpu int64, attributes ...string) NodeIndex {
	m := map[string]string{}
	for i := 0; i+1 < len(attributes); i += 2 {
		m[attributes[i]] = attributes[i+1]
	}
	return f.Put(model.NodeID(id), model.Resources{model.CPU: cpu, model.Memory: 64 << 30}, m, []string{"process"})
}

func slot(cpu int64) Shape {
	return Shape{Resources: model.Resources{model.CPU: cpu, model.Memory: 1 << 20}, Driver: "process"}
}

func text(f *Fleet, list []Assignment) string {
	var parts []string
	for _, a := range list {
		parts = append(parts, fmt.Sprintf("%s:%d", f.ID(a.Node), a.Count))
	}
	return strings.Join(parts, " ")
}

// TestB16_BestFitFillsTheFullestNodeFirst: feasibility, then score; ties go to the node that was put first.
func TestB16_BestFitFillsTheFullestNodeFirst(t *testing.T) {
	f := NewFleet()
	for i := range 4 {
		put(f, fmt.Sprintf("n%d", i), 4000)
	}
	id := f.Class(slot(1000))
	if got := text(f, f.Place(id, 6, nil, nil)); got != "n0:4 n1:2" {
		t.Errorf("empty: %s", got)
	}
	f.SetHeld("n2", model.Resources{model.CPU: 3000})
	f.SetHeld("n1", model.Resources{model.CPU: 1500})
	f.SetHeld("n0", model.Resources{model.CPU: 3500}) // feasible no more
	if got := text(f, f.Place(id, 6, nil, nil)); got != "n2:1 n1:2 n3:3" {
		t.Errorf("held: %s", got)
	}
	if got := f.Place(id, 100, nil, nil); text(f, got) != "n2:1 n1:2 n3:4" {
		t.Errorf("more than fits: %s", text(f, got))
	}
	if got := f.Place(id, 0, nil, nil); got != nil {
		t.Errorf("nothing asked: %v", got)
	}
	if got := f.Place(id, -1, nil, nil); got != nil {
		t.Errorf("less than nothing asked: %v", got)
	}
}

// TestB19_SpreadOverRacks: groups take turns, and what the stage holds already counts, wherever it is.
func TestB19_SpreadOverRacks(t *testing.T) {
	f := NewFleet()
	for i, rack := range []string{"a", "a", "a", "b", "c"} {
		put(f, fmt.Sprintf("n%d", i), 4000, "rack", rack)
	}
	put(f, "n5", 4000) // without the attribute: a group too
	shape := slot(1000)
	shape.Spread = "rack"
	id := f.Class(shape)
	if got := text(f, f.Place(id, 6, nil, nil)); got != "n0:2 n3:2 n4:1 n5:1" {
		t.Errorf("no slots before: %s", got)
	}
	held := map[NodeIndex]int{}
	n1, _ := f.Index("n1")
	held[n1] = 3 // in rack a, on a node that takes no more
	f.SetSchedulable("n1", false)
	own := func(n NodeIndex) int { return held[n] }
	if got := text(f, f.Place(id, 6, own, nil)); got != "n3:2 n4:2 n5:2" {
		t.Errorf("three slots in rack a: %s", got)
	}
	if got := text(f, f.Place(id, 100, own, nil)); got != "n3:4 n4:4 n5:4 n0:4 n2:4" {
		t.Errorf("more than fits: %s", got)
	}
	shape.Spread = "node"
	id = f.Class(shape)
	if got := text(f, f.Place(id, 7, nil, nil)); got != "n0:2 n2:2 n3:1 n4:1 n5:1" {
		t.Errorf("over nodes: %s", got)
	}
}

func TestB25_EqualShapesShareAClass(t *testing.T) {
	f := NewFleet()
	a, b := slot(5), slot(5)
	a.Constraints = []model.Constraint{{Attribute: "os", Op: model.OpEqual, Values: []string{"linux"}}, {Attribute: "r", Op: model.OpIn, Values: []string{"1", "2"}}}
	b.Constraints = []model.Constraint{{Attribute: "r", Op: model.OpIn, Values: []string{"2", "1"}}, {Attribute: "os", Op: model.OpEqual, Values: []string{"linux"}}}
	id := f.Class(a)
	if got := f.Class(b); got != id {
		t.Errorf("order of constraints makes classes %d and %d", id, got)
	}
	if got := f.Shape(id); !reflect.DeepEqual(got, a) {
		t.Errorf("got %+v", got)
	}
	a.Constraints[0].Values[0] = "changed" // by the caller, who owns it
	if f.Shape(id).Constraints[0].Values[0] != "linux" {
		t.Error("a class shares memory with its caller")
	}
	seen := map[ClassID]string{id: "a"}
	for name, s := range map[string]Shape{
		"size": slot(6), "driver": {Resources: slot(5).Resources, Driver: "func"}, "spread": {Resources: slot(5).Resources, Driver: "process", Spread: "x"},
		"driver for spread": {Resources: slot(5).Resources, Driver: "processx"}, "plain": slot(5),
		"split values":  {Resources: slot(5).Resources, Driver: "process", Constraints: []model.Constraint{{Attribute: "a", Op: model.OpIn, Values: []string{"b", "c"}}}},
		"joined values": {Resources: slot(5).Resources, Driver: "process", Constraints: []model.Constraint{{Attribute: "a", Op: model.OpIn, Values: []string{"bc"}}}},
	} {
		if other, there := seen[f.Class(s)]; there {
			t.Errorf("%s shares the class of %s", name, other)
		}
		seen[f.Class(s)] = name
	}
	f.Release(id)
	f.Release(id)
	if again := f.Class(slot(99)); again != id {
		t.Errorf("a released id is not used again: %d, then %d", id, again)
	}
	defer func() {
		if recover() == nil {
			t.Error("a class that nobody holds can be used")
		}
	}()
	f.Release(id)
	f.Place(id, 1, nil, nil)
}

func TestShapeOf(t *testing.T) {
	plan := &model.StagePlan{Resources: model.Resources{1, 2, 3, 4}, Driver: "func",
		Rules: model.Rules{Spread: "rack", Constraints: []model.Constraint{{Attribute: "os"}}}}
	want := Shape{model.Resources{1, 2, 3, 4}, []model.Constraint{{Attribute: "os"}}, "func", "rack"}
	if got := ShapeOf(plan); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestConstraintsOverAttributes(t *testing.T) {
	f := NewFleet()
	put(f, "n0", 1000, "os", "linux", "rack", "a")
	put(f, "n1", 1000, "os", "darwin")
	put(f, "n2", 1000)
	for _, tt := range []struct {
		c    model.Constraint
		want string
	}{
		{model.Constraint{Attribute: "os", Op: model.OpEqual, Values: []string{"linux"}}, "n0:1"},
		{model.Constraint{Attribute: "os", Op: model.OpNotEqual, Values: []string{"linux"}}, "n1:1 n2:1"}, // n2 has none
		{model.Constraint{Attribute: "os", Op: model.OpIn, Values: []string{"darwin", "linux"}}, "n0:1 n1:1"},
		{model.Constraint{Attribute: "rack", Op: model.OpExists}, "n0:1"},
		{model.Constraint{Attribute: "node", Op: model.OpEqual, Values: []string{"n2"}}, "n2:1"},
		{model.Constraint{Attribute: "os", Op: model.Op(77)}, ""},
	} {
		s := slot(1000)
		s.Constraints = []model.Constraint{tt.c}
		if got := text(f, f.Place(f.Class(s), 9, nil, nil)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.c, got, tt.want)
		}
	}
}

func TestPutKeepsWhatANodeHolds(t *testing.T) {
	f := NewFleet()
	n := put(f, "n0", 4000)
	f.Take(n, model.Resources{model.CPU: 1000}, 3)
	f.SetSchedulable("n0", false)
	if got := put(f, "n0", 8000); got != n || f.Held(n)[model.CPU] != 3000 || f.Schedulable(n) || f.Capacity(n)[model.CPU] != 8000 {
		t.Errorf("%d holds %v of %v", got, f.Held(n), f.Capacity(n))
	}
	if !f.Remove("n0") || f.Remove("n0") || f.Len() != 0 {
		t.Error("Remove")
	}
	if got := put(f, "n0", 8000); got != n || f.Held(n) != (model.Resources{}) || !f.Schedulable(n) {
		t.Errorf("a node that comes back holds %v", f.Held(n))
	}
	if f.SetHeld("nx", model.Resources{}) || f.SetSchedulable("nx", true) {
		t.Error("an unknown node is known")
	}
	if i, ok := f.Index("nx"); ok || i != NoNode {
		t.Error("an unknown node has an index")
	}
}

// TestAmountsNeverWrap: whatever is put in, sums stay in bounds, and never turn into room that is not there.
func TestAmountsNeverWrap(t *testing.T) {
	huge := model.Resources{math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64}
	f := NewFleet()
	for i := range 3 {
		f.Put(model.NodeID(fmt.Sprintf("n%d", i)), huge, nil, []string{"process"})
	}
	n, _ := f.Index("n0")
	id := f.Class(slot(1000))
	for range 3 {
		f.Take(n, huge, math.MaxInt)
	}
	f.SetHeld("n1", huge)
	if got := text(f, f.Place(id, 1, nil, nil)); got != "n2:1" {
		t.Errorf("got %s", got)
	}
	totals := f.Totals()
	if totals.Nodes != 3 || totals.Schedulable != 3 || totals.Capacity[0] != 3*model.MaxAmount || totals.Held[0] <= 0 {
		t.Errorf("%+v", totals)
	}
	f.Give(n, huge, math.MaxInt)
	f.Give(n, model.Resources{model.CPU: 1}, math.MaxInt)
	f.Give(n, model.Resources{model.CPU: -5}, 5)
	f.Take(n, model.Resources{model.CPU: 7}, -5)
	if got := f.Held(n); got != (model.Resources{}) {
		t.Errorf("holds %v", got)
	}
	if addSaturating(math.MaxInt64, 1) != math.MaxInt64 {
		t.Error("a sum wraps")
	}
	f.Take(NoNode, huge, 1)
	f.Take(99, huge, 1)
	negative := f.Class(Shape{Resources: model.Resources{-5, math.MinInt64, 0, 0}})
	if got := f.Place(negative, 3, func(NodeIndex) int { return math.MinInt }, nil); len(got) != 1 {
		t.Errorf("a slot of nothing: %v", got)
	}
	whole := f.Class(Shape{Resources: model.Resources{model.MaxAmount, model.MaxAmount, 0, 0}})
	if got := text(f, f.Place(whole, 5, nil, nil)); got != "n0:1 n2:1" {
		t.Errorf("whole nodes: %s", got)
	}
}

func TestFleetIsBounded(t *testing.T) {
	f := NewFleet()
	for i := range MaxNodes {
		if f.Put(model.NodeID(fmt.Sprint(i)), model.Resources{model.CPU: 1}, nil, nil) == NoNode {
			t.Fatalf("full at %d", i)
		}
	}
	if f.Put("more", model.Resources{}, nil, nil) != NoNode || f.Len() != MaxNodes {
		t.Error("more nodes than the limit")
	}
	id := f.Class(Shape{Resources: model.Resources{model.CPU: 1}})
	if got := f.Place(id, MaxNodes+1, nil, nil); len(got) != MaxNodes || got[MaxNodes-1].Node != MaxNodes-1 {
		t.Errorf("%d nodes chosen", len(got))
	}
	if len(f.changes.tail) > 2*MaxNodes {
		t.Errorf("%d changes kept", len(f.changes.tail))
	}
}

// TestB25_CachedCandidatesEqualFreshOnes drives more classes than are cached through more changes than are kept.
func TestB25_CachedCandidatesEqualFreshOnes(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 1))
		f := NewFleet()
		f.classes.budget = 20 * 40
		var ids []ClassID
		for i := range 30 {
			s := slot(int64(100 + 10*i))
			s.Spread = []string{"", "rack", "node"}[i%3]
			ids = append(ids, f.Class(s))
		}
		held := map[NodeIndex]int{}
		for step := range 6000 {
			name := fmt.Sprintf("n%d", r.IntN(40))
			switch r.IntN(8) {
			case 0:
				put(f, name, 1000*r.Int64N(9), "rack", fmt.Sprint(step%7))
			case 1:
				if r.IntN(9) == 0 {
					f.Remove(model.NodeID(name))
				}
			case 2:
				f.SetSchedulable(model.NodeID(name), r.IntN(4) > 0)
			default:
				f.SetHeld(model.NodeID(name), model.Resources{model.CPU: r.Int64N(9000)})
			}
			held[NodeIndex(r.IntN(40))] = r.IntN(5)
			if step%10 > 0 && step%1500 > 0 { // after long silences too
				continue
			}
			id, n := ids[r.IntN(1+r.IntN(len(ids)))], r.IntN(20)
			own := func(n NodeIndex) int { return held[n] }
			if got, want := f.Place(id, n, own, nil), brute(f, f.Shape(id), n, own); !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, step %d: got %v, want %v", seed, step, got, want)
			}
		}
		cached := 0
		for _, id := range ids {
			if f.class(id).candidates != nil {
				cached++
			}
			f.Release(id)
		}
		if cached == 0 || cached*len(f.ids) > f.classes.budget || f.classes.cached != 0 || len(f.classes.byKey) != 0 {
			t.Errorf("%d classes cached, %d after their release", cached, f.classes.cached)
		}
	}
}

// sound checks that the heap of a class is one, and that every node knows its place in it.
func sound(t *testing.T, k *candidates) {
	t.Helper()
	in := 0
	for i, key := range k.heap {
		if i > 0 && k.heap[(i-1)/2] > key || k.where[key.node()] != int32(i+1) {
			t.Fatalf("heap is broken at %d of %d", i, len(k.heap))
		}
	}
	for _, at := range k.where {
		if at > 0 {
			in++
		}
	}
	if in != len(k.heap) {
		t.Fatalf("%d nodes in a heap of %d", in, len(k.heap))
	}
}

// TestB25_HeapStaysSound changes single nodes of a large fleet, so that they leave and enter in the middle of the heap.
func TestB25_HeapStaysSound(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	f := NewFleet()
	for i := range 500 {
		put(f, fmt.Sprintf("n%d", i), 1000+r.Int64N(64_000))
	}
	id := f.Class(slot(900))
	for range 5000 {
		f.SetHeld(f.ID(NodeIndex(r.IntN(500))), model.Resources{model.CPU: r.Int64N(30_000)})
		sound(t, f.candidatesOf(id))
	}
}

// TestGroupsAreBounded: values of an attribute that come and go are not remembered.
func TestGroupsAreBounded(t *testing.T) {
	f := NewFleet()
	s := slot(1000)
	s.Spread = "boot"
	id := f.Class(s)
	for i := range 1000 {
		put(f, fmt.Sprintf("n%d", i%3), 4000, "boot", fmt.Sprint(i))
		if got := f.Place(id, 3, nil, nil); len(got) != min(i+1, 3) {
			t.Fatalf("step %d: %s", i, text(f, got))
		}
		if n := len(f.class(id).candidates.values); n > 2*3+16+1 {
			t.Fatalf("%d groups of 3 nodes", n)
		}
	}
}

// TestB16_SameInputsSameDecisions: two fleets with one history decide alike, whatever their maps do.
func TestB16_SameInputsSameDecisions(t *testing.T) {
	decide := func() string {
		f := NewFleet()
		var log strings.Builder
		s := slot(300)
		s.Spread = "rack"
		id := f.Class(s)
		for i := range 50 {
			put(f, fmt.Sprintf("n%d", i), 4000, "rack", fmt.Sprint(i%7), "zone", fmt.Sprint(i%3), "x", "y")
			for _, a := range f.Place(id, 7, nil, nil) {
				f.Take(a.Node, s.Resources, a.Count)
				fmt.Fprint(&log, f.ID(a.Node), a.Count, " ")
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
	f := NewFleet()
	for i := range 100 {
		put(f, fmt.Sprintf("n%d", i), 64000, "rack", fmt.Sprint(i%10))
	}
	for _, spread := range []string{"", "rack", "node"} {
		s := slot(1000)
		s.Spread = spread
		id := f.Class(s)
		out := f.Place(id, 500, nil, nil)
		n := testing.AllocsPerRun(100, func() {
			out = f.Place(id, 500, nil, out[:0])
			for _, a := range out {
				f.Take(a.Node, s.Resources, a.Count)
				f.Give(a.Node, s.Resources, a.Count)
			}
		})
		if n > 0 {
			t.Errorf("spread %q: %v allocations a decision", spread, n)
		}
	}
}
