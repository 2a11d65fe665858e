package backfill

import (
	"cmp"
	"container/heap"
	"slices"
)

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
	offers []offer
	total  int // slots in offers, at most those needed
	seen   int // nodes
}

// visit takes the offers of a node with that much free now, and these slots by their ends.
func (r *reach) visit(node int32, now int64, free Amount, slots []running) {
	r.seen++
	had, unknown := 0, 0
	for i := -1; i < len(slots); i++ {
		o := offer{at: now, node: node, seq: r.seen}
		if i >= 0 {
			s := &slots[i]
			if s.end == Never {
				if unknown++; !r.need.Drain {
					return
				}
			}
			o.at, o.after = max(s.end, now), unknown
			free.plus(&s.each, 1)
		}
		if r.late(&o) {
			return
		}
		if count := r.count(&free); count > had {
			o.count = count - had
			had = count
			r.add(o)
		}
	}
}

// count returns how many slots of the need a node with so much free can take.
func (r *reach) count(free *Amount) int {
	most := r.need.Count
	if r.need.PerNode > 0 {
		most = min(most, r.need.PerNode)
	}
	return int(min(r.need.Each.Times(free), int64(most)))
}

// late is true of offers that are not needed.
func (r *reach) late(o *offer) bool {
	return r.total >= r.need.Count && o.compare(&r.offers[0]) >= 0
}

func (r *reach) add(o offer) {
	heap.Push(r, o)
	r.total += o.count
	for r.total-r.offers[0].count >= r.need.Count {
		r.total -= heap.Pop(r).(offer).count
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

// Len, Less, Swap, Push and Pop implement heap.Interface: the latest offer on top, and of equals the one that came last.
func (r *reach) Len() int { return len(r.offers) }

func (r *reach) Less(i, j int) bool {
	a, b := &r.offers[i], &r.offers[j]
	return cmp.Or(b.compare(a), cmp.Compare(b.seq, a.seq)) < 0
}

func (r *reach) Swap(i, j int) { r.offers[i], r.offers[j] = r.offers[j], r.offers[i] }

func (r *reach) Push(x any) { r.offers = append(r.offers, x.(offer)) }

func (r *reach) Pop() any {
	last := r.offers[len(r.offers)-1]
	r.offers = r.offers[:len(r.offers)-1]
	return last
}
