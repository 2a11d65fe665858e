package backfill

import (
	"cmp"
	"math"
	"slices"
)

// memo is what is known of nodes for slots of one size.
type memo struct {
	each  Amount
	used  uint64
	nodes []known
}

// known is when a first slot fits on a node, as long as the node's slots and what is available do not change.
type known struct {
	version uint64 // of the line, and 1 more; 0 if nothing is known
	avail   Amount
	exact   bool  // else no earlier than that
	at      int64 // math.MinInt64 if it fits at once
	after   int
}

// of returns the place for a node.
func (m *memo) of(node int32) *known {
	if n := int(node) + 1; n > len(m.nodes) {
		old := len(m.nodes)
		m.nodes = slices.Grow(m.nodes, n-old)[:n]
		clear(m.nodes[old:])
	}
	return &m.nodes[node]
}

// offer is slots that could start on a node at a time, when so many slots of unknown end have gone.
type offer struct {
	at    int64
	after int
	count int
	node  int32
	seq   int // candidates that come first are kept
}

func (a *offer) compare(b *offer) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.after, b.after))
}

// reach finds the earliest time at which a need fits over candidates that it visits one after another: it keeps the
// earliest offers that are enough, the latest of them on top of a heap.
type reach struct {
	need   Need
	now    int64
	dims   []int // that the need has
	offers []offer
	total  int // slots in offers, at most those needed
	seen   int // nodes
}

func (r *reach) begin(need Need, now int64) {
	*r = reach{need: need, now: now, dims: r.dims[:0], offers: r.offers[:0]}
	for d, amount := range need.Each {
		if amount > 0 {
			r.dims = append(r.dims, d)
		}
	}
}

// visit takes the offers of a node with that much available now.
func (r *reach) visit(node int32, avail *Amount, l *line, k *known) {
	r.seen++
	if k.version != l.version+1 || k.avail != *avail {
		*k = known{version: l.version + 1, avail: *avail, at: math.MinInt64}
	}
	o := offer{at: max(k.at, r.now), after: k.after, node: node, seq: r.seen, count: 1}
	switch {
	case k.at == Never && !r.need.Drain, r.late(&o):
	case k.exact && r.need.Count == 1:
		r.add(o)
	default:
		k.exact, k.at, k.after = r.walk(node, *avail, l.slots)
	}
}

// walk takes the offers of a node one after another, until they come too late. It returns when the first slot fits, or,
// not exactly, until when it does not.
func (r *reach) walk(node int32, free Amount, slots []running) (exact bool, first int64, after int) {
	had, unknown, end := 0, 0, int64(math.MinInt64)
	for i := -1; ; i++ {
		if i >= 0 {
			if i == len(slots) {
				end, unknown = Never, math.MaxInt // it never fits
				break
			}
			s := &slots[i]
			if end = s.end; end == Never {
				unknown++
			}
			for _, d := range r.dims {
				free[d] += s.each[d]
			}
		}
		o := offer{at: max(end, r.now), after: unknown, node: node, seq: r.seen}
		if end == Never && !r.need.Drain || r.late(&o) {
			break
		}
		if count := r.count(&free); count > had {
			if had == 0 {
				exact, first, after = true, end, unknown
			}
			o.count, had = count-had, count
			r.add(o)
		}
		if had == r.most() {
			break
		}
	}
	if !exact {
		return false, end, unknown
	}
	return exact, first, after
}

// most is how many slots of the need one node may take.
func (r *reach) most() int {
	if r.need.PerNode > 0 {
		return min(r.need.Count, r.need.PerNode)
	}
	return r.need.Count
}

// count returns how many slots of the need fit into free.
func (r *reach) count(free *Amount) int {
	n := int64(r.most())
	for _, d := range r.dims {
		if free[d] < r.need.Each[d] {
			return 0
		}
		if n > 1 {
			n = min(n, free[d]/r.need.Each[d])
		}
	}
	return int(n)
}

// late is true of offers that are not needed.
func (r *reach) late(o *offer) bool {
	return r.total >= r.need.Count && o.compare(&r.offers[0]) >= 0
}

func (r *reach) add(o offer) {
	r.push(o)
	r.total += o.count
	for r.total-r.offers[0].count >= r.need.Count {
		r.total -= r.offers[0].count
		r.pop()
	}
	if over := r.total - r.need.Count; over > 0 {
		r.offers[0].count -= over
		r.total = r.need.Count
	}
}

// reservation joins the offers by node.
func (r *reach) reservation() Reservation {
	res := Reservation{At: r.offers[0].at}
	slices.SortFunc(r.offers, func(a, b offer) int { return cmp.Compare(a.node, b.node) })
	for _, o := range r.offers {
		if n := len(res.Takes); n > 0 && res.Takes[n-1].Node == o.node {
			res.Takes[n-1].Count += o.count
		} else {
			res.Takes = append(res.Takes, Take{Node: o.node, Count: o.count})
		}
	}
	return res
}

// above tells which of two offers is nearer to the top: the later one, and of equals the one that came last.
func (r *reach) above(i, j int) bool {
	a, b := &r.offers[i], &r.offers[j]
	return cmp.Or(b.compare(a), cmp.Compare(b.seq, a.seq)) < 0
}

func (r *reach) push(o offer) {
	r.offers = append(r.offers, o)
	for i := len(r.offers) - 1; i > 0 && r.above(i, (i-1)/2); i = (i - 1) / 2 {
		r.offers[i], r.offers[(i-1)/2] = r.offers[(i-1)/2], r.offers[i]
	}
}

func (r *reach) pop() {
	last := len(r.offers) - 1
	r.offers[0] = r.offers[last]
	r.offers = r.offers[:last]
	for i := 0; ; {
		top := i
		for _, child := range []int{2*i + 1, 2*i + 2} {
			if child < last && r.above(child, top) {
				top = child
			}
		}
		if top == i {
			return
		}
		r.offers[i], r.offers[top] = r.offers[top], r.offers[i]
		i = top
	}
}
