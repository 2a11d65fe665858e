package spread

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// machines are the heads of five pods, (4,5) (4,3) (3,2) (2,1) (2,4), between others of the same pods that score as well
// as the heads of other pods, or better.
func machines() []Node {
	list := []Node{{Score: 2, Pod: 1}, {Score: 4, Pod: 5}, {Score: 1, Pod: 2}, {Score: 4, Pod: 5}, {Score: 4, Pod: 3}, {Score: 3, Pod: 2},
		{Score: 3, Pod: 5}, {Score: 3, Pod: 3}, {Score: 2, Pod: 4}, {Score: 1, Pod: 4}, {Score: 3, Pod: 2}}
	for i := range list {
		list[i].Index = int32(i)
	}
	return list
}

func pairs(nodes []Node) string {
	text := ""
	for _, n := range nodes {
		text += fmt.Sprintf("(%d,%d)", n.Score, n.Pod)
	}
	return text
}

func TestS25_WorkedExample(t *testing.T) {
	if got := pairs(Spread(machines(), 5)); got != "(4,5)(4,3)(3,2)(2,1)(2,4)" {
		t.Errorf("five: %s", got)
	}
	if got := pairs(Spread(machines(), 4)); got != "(4,5)(4,3)(3,2)(2,1)" && got != "(4,5)(4,3)(3,2)(2,4)" {
		t.Errorf("four: %s", got)
	}
	if got := pairs(Spread(machines(), 7)); got != "(4,5)(4,3)(3,2)(2,1)(2,4)(4,5)(3,3)" { // the second round
		t.Errorf("seven: %s", got)
	}
	if got := pairs(Best(machines(), 5, nil)); got != "(4,5)(4,5)(4,3)(3,2)(3,5)" { // what spreading is not
		t.Errorf("best five: %s", got)
	}
}

// slowSpread is the list as it is told: groups, sorted; heads, sorted; round after round.
func slowSpread(nodes []Node, k int) (list []Node) {
	groups := map[int32][]Node{}
	for _, n := range nodes {
		groups[n.Pod] = append(groups[n.Pod], n)
	}
	for len(groups) > 0 {
		var heads []Node
		for pod, group := range groups {
			slices.SortFunc(group, Compare)
			heads = append(heads, group[0])
			if groups[pod] = group[1:]; len(group) == 1 {
				delete(groups, pod)
			}
		}
		slices.SortFunc(heads, Compare)
		list = append(list, heads...)
	}
	return list[:min(max(k, 0), len(list))]
}

func drawNodes(t *rapid.T, most int) []Node {
	nodes := make([]Node, rapid.IntRange(0, most).Draw(t, "nodes"))
	for i := range nodes {
		nodes[i] = Node{Score: rapid.Int64Range(-3, 6).Draw(t, "score"), Pod: int32(rapid.IntRange(0, 5).Draw(t, "pod")), Index: int32(i)}
	}
	return nodes
}

func TestS24_ListIsAsItIsTold(t *testing.T) {
	var list List
	var out []Node
	rapid.Check(t, func(t *rapid.T) {
		nodes := drawNodes(t, 30)
		shuffled := slices.Clone(nodes)
		seed := rapid.Uint64().Draw(t, "seed")
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(nodes), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		k := rapid.IntRange(-1, len(nodes)+2).Draw(t, "k")
		want := slowSpread(nodes, k)
		if out = list.Take(shuffled, k, out[:0]); !slices.Equal(out, want) { // whatever the order they come in
			t.Fatalf("%v of %v: %v, want %v", k, nodes, out, want)
		}
		if k > 0 && !slices.Equal(out[:min(len(out), k-1)], slowSpread(nodes, k-1)) {
			t.Fatal("a shorter list is not the begin of a longer one")
		}
		on := map[int32]int{}
		for _, n := range want {
			on[n.Pod]++
		}
		all := map[int32]int{}
		for _, n := range nodes {
			all[n.Pod]++
		}
		for pod := range all {
			for other := range all {
				if on[pod] > on[other]+1 && on[other] < all[other] {
					t.Fatalf("pod %d has %d nodes, pod %d has %d and more to give", pod, on[pod], other, on[other])
				}
			}
		}
	})
}

func TestS29_BestK(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := drawNodes(t, 30)
		k := rapid.IntRange(-1, 35).Draw(t, "k")
		want := slices.Clone(nodes)
		slices.SortFunc(want, Compare)
		want = want[:min(max(k, 0), len(want))]
		if got := Best(nodes, k, nil); !slices.Equal(got, want) {
			t.Fatalf("best %d of %v: %v, want %v", k, nodes, got, want)
		}
	})
}

func TestS26_UnionAndIntersection(t *testing.T) {
	var q Queues
	draw := func(t *rapid.T) (list []Node) {
		for range rapid.IntRange(0, 12).Draw(t, "nodes") {
			i := int32(rapid.IntRange(0, 8).Draw(t, "index"))
			list = append(list, Node{Score: rapid.Int64Range(0, 5).Draw(t, "score"), Pod: i % 3, Index: i})
		}
		return list
	}
	scores := func(list []Node) map[int32]int64 {
		m := map[int32]int64{}
		for _, n := range list {
			if s, has := m[n.Index]; !has || n.Score > s {
				m[n.Index] = n.Score
			}
		}
		return m
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := draw(t), draw(t), draw(t)
		sa, sb := scores(a), scores(b)
		var union, both []Node
		for i := range int32(9) {
			x, inA := sa[i]
			y, inB := sb[i]
			switch {
			case inA && inB:
				union, both = append(union, Node{max(x, y), i % 3, i}), append(both, Node{min(x, y), i % 3, i})
			case inA:
				union = append(union, Node{x, i % 3, i})
			case inB:
				union = append(union, Node{y, i % 3, i})
			}
		}
		slices.SortFunc(union, Compare)
		slices.SortFunc(both, Compare)
		if got := q.Union(a, b, nil); !slices.Equal(got, union) {
			t.Fatalf("union of %v and %v: %v", a, b, got)
		}
		if got := q.Intersection(a, b, nil); !slices.Equal(got, both) {
			t.Fatalf("intersection of %v and %v: %v", a, b, got)
		}
		u, i := q.Union, q.Intersection
		for name, same := range map[string]bool{
			"a∪b = b∪a":               slices.Equal(u(a, b, nil), u(b, a, nil)),
			"a∩b = b∩a":               slices.Equal(i(a, b, nil), i(b, a, nil)),
			"(a∪b)∪c = a∪(b∪c)":       slices.Equal(u(u(a, b, nil), c, nil), u(a, u(b, c, nil), nil)),
			"(a∩b)∩c = a∩(b∩c)":       slices.Equal(i(i(a, b, nil), c, nil), i(a, i(b, c, nil), nil)),
			"a∪(a∩b) = a":             slices.Equal(u(a, i(a, b, nil), nil), u(a, a, nil)),
			"a∩(b∪c) = (a∩b) ∪ (a∩c)": slices.Equal(i(a, u(b, c, nil), nil), u(i(a, b, nil), i(a, c, nil), nil)),
		} {
			if !same {
				t.Fatalf("%s does not hold for %v, %v, %v", name, a, b, c)
			}
		}
	})
}

func TestS24_PodsAreNumberedFromZero(t *testing.T) {
	defer func() {
		if r := recover(); r == nil || fmt.Sprint(r) != "spread: node 7 has pod -1; pods are numbered from 0" {
			t.Fatalf("%v", r)
		}
	}()
	Spread([]Node{{Pod: -1, Index: 7}}, 1)
}

// fleet is so many nodes in pods of 40.
func fleet(n int) []Node {
	rng := rand.New(rand.NewPCG(1, 1))
	nodes := make([]Node, n)
	for i := range nodes {
		nodes[i] = Node{Score: rng.Int64N(1000), Pod: int32(i / 40), Index: int32(i)}
	}
	return nodes
}

func TestS24_NothingIsAllocated(t *testing.T) {
	var list List
	var q Queues
	nodes, out := fleet(1000), []Node(nil)
	run := func() {
		out = list.Take(nodes, 300, out[:0])
		out = Best(nodes, 300, out[:0])
		out = q.Union(nodes, nodes[:500], out[:0])
		out = q.Intersection(nodes, nodes[:500], out[:0])
	}
	run()
	if n := testing.AllocsPerRun(10, run); n > 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkTake(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		nodes := fleet(n)
		b.Run(fmt.Sprintf("nodes=%d/k=100", n), func(b *testing.B) {
			var list List
			var out []Node
			b.ReportAllocs()
			for b.Loop() {
				out = list.Take(nodes, 100, out[:0])
			}
		})
	}
}

func ExampleSpread() {
	nodes := []Node{
		{Score: 9, Pod: 0, Index: 0}, {Score: 8, Pod: 0, Index: 1}, {Score: 7, Pod: 0, Index: 2},
		{Score: 3, Pod: 1, Index: 3}, {Score: 5, Pod: 2, Index: 4},
	}
	for _, n := range Spread(nodes, 4) {
		fmt.Printf("node %d of pod %d\n", n.Index, n.Pod)
	}
	// Output:
	// node 0 of pod 0
	// node 4 of pod 2
	// node 3 of pod 1
	// node 1 of pod 0
}
