package place

import (
	"slices"

	"github.com/troupe-sched/troupe/actors/model"
)

// Assignment is a decision: so many slots go to a node.
type Assignment struct {
	Node  NodeIndex
	Count int
}

// entry is an element of the heaps that live for one decision: what it is ordered by, and what it stands for.
type entry struct {
	key key
	ref int32
}

// scratch is memory that decisions use again. It carries nothing from one to the next.
type scratch struct {
	queue  []entry
	nodes  []entry // candidates by group
	groups []group
	member []int32 // by group of the class: 1 + place in groups
	placed []int32 // by node
	order  []NodeIndex
}

// group is the candidates of one value of the spread attribute, while a decision is made: a heap nodes[from:to].
type group struct {
	from, to int
	count    int
}

// Place chooses nodes for up to n slots of a class, and appends its choice to out: as many as fit, each node at most
// once. It changes nothing: carry the choice out with Take.
//
// One slot after another goes to the node that is best then. Without spread that is the node that it fills most.
// With spread it is a node whose group has the fewest slots of the stage, and among those the one that it fills most;
// heldByNode says how many slots of the stage a node holds already, and may be nil for none.
//
// Without spread a call costs time for the nodes that it chooses. With spread it also looks once at each candidate, and
// asks heldByNode about the nodes of the candidates' groups: ask for many slots at once.
func (f *Fleet) Place(id ClassID, n int, heldByNode func(NodeIndex) int, out []Assignment) []Assignment {
	k := f.candidatesOf(id)
	c := f.class(id)
	n = min(n, model.MaxInstances)
	switch {
	case n <= 0 || len(k.heap) == 0:
		return out
	case c.shape.Spread == "":
		return f.pack(k, c.shape.Resources, n, out)
	}
	return f.spread(k, c, n, heldByNode, out)
}

// pack fills one node after the other, best first. It walks the heap of candidates without changing it: a node is next
// when its parent was taken.
func (f *Fleet) pack(k *candidates, need model.Resources, n int, out []Assignment) []Assignment {
	queue := append(f.scratch.queue[:0], entry{k.heap[0], 0})
	for n > 0 && len(queue) > 0 {
		best := queue[0]
		node := best.key.node()
		count := int(min(int64(n), need.Times(f.Free(node))))
		out = append(out, Assignment{node, count})
		if n -= count; n == 0 {
			break
		}
		left, right := 2*best.ref+1, 2*best.ref+2
		if int(left) >= len(k.heap) {
			queue = pop(queue)
			continue
		}
		queue[0] = entry{k.heap[left], left}
		down(queue, 0)
		if int(right) < len(k.heap) {
			queue = push(queue, entry{k.heap[right], right})
		}
	}
	f.scratch.queue = queue
	return out
}

// spread gives one slot at a time to the group that has the fewest.
func (f *Fleet) spread(k *candidates, c *class, n int, heldByNode func(NodeIndex) int, out []Assignment) []Assignment {
	s := &f.scratch
	if grouped(c) {
		f.formGroups(k, heldByNode)
	} else {
		f.formSingles(k, heldByNode)
	}
	s.queue = s.queue[:0]
	for i, g := range s.groups {
		s.queue = append(s.queue, entry{s.nodes[g.from].key.withCount(g.count), int32(i)})
	}
	heapify(s.queue)
	for len(s.placed) < len(f.ids) {
		s.placed = append(s.placed, 0)
	}
	need := c.shape.Resources
	for ; n > 0 && len(s.queue) > 0; n-- {
		g := &s.groups[s.queue[0].ref]
		node := s.nodes[g.from].key.node()
		if s.placed[node] == 0 {
			s.order = append(s.order, node)
		}
		s.placed[node]++
		g.count++
		free := f.Free(node)
		for i := range free {
			free[i] -= need[i] * int64(s.placed[node])
		}
		if fits(need, free) {
			s.nodes[g.from].key = keyFor(node, f.capacity[node], free, need) // no worse than before: it stays the first
		} else if g.drop(s.nodes); g.from == g.to {
			s.queue = pop(s.queue)
			continue
		}
		s.queue[0].key = s.nodes[g.from].key.withCount(g.count)
		down(s.queue, 0)
	}
	for _, node := range s.order {
		out = append(out, Assignment{node, int(s.placed[node])})
		s.placed[node] = 0
	}
	s.order = s.order[:0]
	return out
}

// formSingles makes each candidate a group of its own.
func (f *Fleet) formSingles(k *candidates, heldByNode func(NodeIndex) int) {
	s := &f.scratch
	s.nodes, s.groups = s.nodes[:0], s.groups[:0]
	for i, key := range k.heap {
		s.nodes = append(s.nodes, entry{key: key})
		g := group{from: i, to: i + 1}
		if heldByNode != nil {
			g.count = heldByNode(key.node())
		}
		s.groups = append(s.groups, g)
	}
}

// formGroups sorts the candidates by group, counts what the stage holds in each, also on nodes that are no candidates,
// and makes a heap of each.
func (f *Fleet) formGroups(k *candidates, heldByNode func(NodeIndex) int) {
	s := &f.scratch
	s.groups = s.groups[:0]
	s.member = slices.Grow(s.member[:0], len(k.values))[:len(k.values)]
	clear(s.member)
	for _, key := range k.heap {
		m := &s.member[k.groups[key.node()]]
		if *m == 0 {
			s.groups = append(s.groups, group{})
			*m = int32(len(s.groups))
		}
		s.groups[*m-1].to++ // its size, for now
	}
	from := 0
	for i := range s.groups {
		g := &s.groups[i]
		g.from, from = from, from+g.to
		g.to = g.from
	}
	s.nodes = slices.Grow(s.nodes[:0], len(k.heap))[:len(k.heap)]
	for _, key := range k.heap {
		g := &s.groups[s.member[k.groups[key.node()]]-1]
		s.nodes[g.to] = entry{key: key}
		g.to++
	}
	for _, g := range s.groups {
		heapify(s.nodes[g.from:g.to])
	}
	if heldByNode == nil {
		return
	}
	for n := range f.Nodes() {
		if m := s.member[k.groups[n]]; m > 0 {
			s.groups[m-1].count += heldByNode(n)
		}
	}
}

// drop removes the first candidate of a group. The heap keeps its beginning and shrinks at its end.
func (g *group) drop(nodes []entry) {
	g.to = g.from + len(pop(nodes[g.from:g.to]))
}

func push(heap []entry, e entry) []entry {
	heap = append(heap, e)
	for i := len(heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if heap[parent].key <= heap[i].key {
			break
		}
		heap[parent], heap[i] = heap[i], heap[parent]
		i = parent
	}
	return heap
}

func pop(heap []entry) []entry {
	last := len(heap) - 1
	heap[0] = heap[last]
	down(heap[:last], 0)
	return heap[:last]
}

func heapify(heap []entry) {
	for i := len(heap)/2 - 1; i >= 0; i-- {
		down(heap, i)
	}
}

func down(heap []entry, i int) {
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && heap[child+1].key < heap[child].key {
			child++
		}
		if heap[i].key <= heap[child].key {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}
