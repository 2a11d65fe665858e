// Package spread chooses nodes so that what runs on them does not fail together: not the nodes with the best scores, which
// may all stand in one pod (a rack, a power line, a zone), but the best of each pod first.
//
// The spread list of some nodes: group them by pod and sort each group by score. Take the head of every group, in the
// order of their scores; then the heads of what is left, and so on, round after round. So of its first n nodes no pod has
// two as long as another that has nodes left has none, and for any number the best comes first.
//
// Greater scores are better. Of equal scores the lower index goes first, everywhere, so that equal calls give equal
// answers. The package is pure, and nothing in it allocates once its memory has grown to the size of its input.
package spread

import (
	"cmp"
	"fmt"
	"slices"
)

// Node is one candidate.
type Node struct {
	Score int64
	// Pod is the group that it shares its fate with, a number from 0 on; memory grows with the greatest.
	Pod int32
	// Index is the node itself, as the caller numbers it.
	Index int32
}

// Compare is negative if a goes before b.
func Compare(a, b Node) int {
	return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Index, b.Index))
}

func before(a, b Node) bool {
	return a.Score > b.Score || (a.Score == b.Score && a.Index < b.Index)
}

// List is a spread list that is made as far as it is asked for: Reset costs one pass over the nodes, Next a few
// comparisons. Its memory is used again by the next Reset.
type List struct {
	nodes []Node  // by pod, each pod a heap
	ends  []int32 // by pod: end of its heap
	first []int32 // by pod: its begin
	pods  []int32 // those that have nodes left
	heads []Node  // of this round, a heap
}

// Reset begins the list of some nodes, which are copied.
func (l *List) Reset(nodes []Node) {
	pods := int32(0)
	for _, n := range nodes {
		if n.Pod < 0 {
			panic(fmt.Sprintf("spread: node %d has pod %d; pods are numbered from 0", n.Index, n.Pod))
		}
		pods = max(pods, n.Pod+1)
	}
	l.first, l.ends = zeros(l.first, int(pods)), zeros(l.ends, int(pods))
	for _, n := range nodes {
		l.ends[n.Pod]++
	}
	l.pods, l.heads = l.pods[:0], l.heads[:0]
	begin := int32(0)
	for pod, count := range l.ends {
		l.first[pod], l.ends[pod] = begin, begin
		if begin += count; count > 0 {
			l.pods = append(l.pods, int32(pod))
		}
	}
	l.nodes = append(l.nodes[:0], nodes...) // for its size
	for _, n := range nodes {
		l.nodes[l.ends[n.Pod]] = n
		l.ends[n.Pod]++
	}
	for _, pod := range l.pods {
		heapify(l.nodes[l.first[pod]:l.ends[pod]])
	}
}

// Next is the next node of the list; false at its end.
func (l *List) Next() (Node, bool) {
	if len(l.heads) == 0 && !l.round() {
		return Node{}, false
	}
	head := l.heads[0]
	l.heads = pop(l.heads)
	return head, true
}

// round takes the heads of all pods that have nodes left.
func (l *List) round() bool {
	kept := l.pods[:0]
	for _, pod := range l.pods {
		group := l.nodes[l.first[pod]:l.ends[pod]]
		l.heads = append(l.heads, group[0])
		pop(group)
		if l.ends[pod]--; l.ends[pod] > l.first[pod] {
			kept = append(kept, pod)
		}
	}
	l.pods = kept
	heapify(l.heads)
	return len(l.heads) > 0
}

// Back puts a node that Next has given back into its pod, with the score that it has now: it may be a head again from the
// next round on. So a list can go on over nodes that have room for more than one.
func (l *List) Back(n Node) {
	first, end := l.first[n.Pod], l.ends[n.Pod]
	if end == first {
		l.pods = append(l.pods, n.Pod)
	}
	l.nodes[end] = n // Next has left a place
	l.ends[n.Pod]++
	up(l.nodes[first : end+1])
}

// Take appends the first k nodes of the spread list of some nodes to out.
func (l *List) Take(nodes []Node, k int, out []Node) []Node {
	l.Reset(nodes)
	for ; k > 0; k-- {
		n, more := l.Next()
		if !more {
			break
		}
		out = append(out, n)
	}
	return out
}

// Spread is the first k nodes of the spread list of some nodes.
func Spread(nodes []Node, k int) []Node { return new(List).Take(nodes, k, nil) }

// Best appends the k nodes with the best scores to out, the best first, wherever they are.
func Best(nodes []Node, k int, out []Node) []Node {
	if k <= 0 {
		return out
	}
	first := len(out)
	for _, n := range nodes {
		if len(out)-first < k {
			out = append(out, n)
			if len(out)-first == k {
				worstFirst(out[first:])
			}
		} else if before(n, out[first]) {
			out[first] = n
			sink(out[first:], 0)
		}
	}
	slices.SortFunc(out[first:], Compare)
	return out
}

// Queues puts score queues together: lists of nodes, each by one score, in any order. A node that a queue names twice has
// the greater score there. Both operations give a queue in the order of its scores; they may be repeated, and applied to
// any number of queues in any order, as the sets and the scores are those of a lattice.
type Queues struct{ a, b []Node }

// Union appends to out the nodes that any of two queues has, with the greater of their scores there.
func (q *Queues) Union(a, b, out []Node) []Node {
	first := len(out)
	q.a = distinct(append(append(q.a[:0], a...), b...))
	out = append(out, q.a...)
	slices.SortFunc(out[first:], Compare)
	return out
}

// Intersection appends to out the nodes that both queues have, with the lesser of their scores there.
func (q *Queues) Intersection(a, b, out []Node) []Node {
	first := len(out)
	q.a, q.b = distinct(append(q.a[:0], a...)), distinct(append(q.b[:0], b...))
	for i, j := 0, 0; i < len(q.a) && j < len(q.b); {
		switch c := cmp.Compare(q.a[i].Index, q.b[j].Index); {
		case c < 0:
			i++
		case c > 0:
			j++
		default:
			n := q.a[i]
			n.Score = min(n.Score, q.b[j].Score)
			out = append(out, n)
			i, j = i+1, j+1
		}
	}
	slices.SortFunc(out[first:], Compare)
	return out
}

// distinct sorts nodes by index and keeps of each index the one with the greatest score.
func distinct(nodes []Node) []Node {
	slices.SortFunc(nodes, func(a, b Node) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(b.Score, a.Score))
	})
	return slices.CompactFunc(nodes, func(a, b Node) bool { return a.Index == b.Index })
}

func heapify(nodes []Node) {
	for i := len(nodes)/2 - 1; i >= 0; i-- {
		down(nodes, i)
	}
}

// pop takes the first off a heap; it stands behind what is returned.
func pop(heap []Node) []Node {
	last := len(heap) - 1
	heap[0], heap[last] = heap[last], heap[0]
	down(heap[:last], 0)
	return heap[:last]
}

// up moves the last of a heap to where it belongs.
func up(heap []Node) {
	for i := len(heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !before(heap[i], heap[parent]) {
			return
		}
		heap[i], heap[parent] = heap[parent], heap[i]
		i = parent
	}
}

func down(heap []Node, i int) {
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && before(heap[child+1], heap[child]) {
			child++
		}
		if !before(heap[child], heap[i]) {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}

// worstFirst makes a heap whose first is the worst.
func worstFirst(nodes []Node) {
	for i := len(nodes)/2 - 1; i >= 0; i-- {
		sink(nodes, i)
	}
}

func sink(heap []Node, i int) {
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && before(heap[child], heap[child+1]) {
			child++
		}
		if !before(heap[i], heap[child]) {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}

func zeros(list []int32, n int) []int32 {
	if cap(list) < n {
		return make([]int32, n, 2*n)
	}
	list = list[:n]
	clear(list)
	return list
}
