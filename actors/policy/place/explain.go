package place

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Explanation says where one more slot of a stage could go, and why not elsewhere.
type Explanation struct {
	// Nodes is how many there are, Fit how many of them could take a slot now.
	Nodes, Fit int
	// Refusals count the nodes by the first filter that refuses them, most first.
	Refusals []Refusal
	// Closest is the node that lacks least; NoNode if a node fits, or there is none.
	Closest NodeIndex
	// Remedies are changes that would each place one slot, as sentences, the smallest first, at most MaxRemedies; none if
	// a node fits. Remedy is the first of them.
	Remedy   string
	Remedies []string
}

// MaxRemedies bounds the changes that are told.
const MaxRemedies = 10

// Refusal is the nodes that one filter refuses.
type Refusal struct {
	// Filter is a stable word: "schedulable", "maintenance", "pool", "driver", "constraint", "taint", the name of a
	// resource, "custom", "port", "device", "avoided", "affinity", "anti-affinity", "spread", "withheld", or the name of a
	// filter that was added.
	Filter string
	Nodes  int
	Detail string
}

// alike is the nodes that the same filters refuse, of which one lacks least.
type alike struct {
	by    uint64 // the filters, by bit
	nodes int
	best  NodeIndex
	lack  lack
}

// lack is how far a node is from fitting: first by the filters that no smaller slot would satisfy, then by resources of
// which it lacks all that is asked for, then by how much it lacks, in parts of what is asked for.
type lack struct {
	rules, without int
	short          uint64
}

func (x lack) compare(y lack) int {
	return cmp.Or(cmp.Compare(x.rules, y.rules), cmp.Compare(x.without, y.without), cmp.Compare(x.short, y.short))
}

// lastBit stands for all filters from it on, of a stage that has so many.
const lastBit = 63

// Explain looks at every node. It is for people who ask, not for the way of a grant.
func (f *Fleet) Explain(s *Stage) Explanation {
	s.class.catchUp(f) // rules about skew ask where nodes pass
	filters := f.filters(s)
	first := make([][]NodeIndex, len(filters))
	kinds := map[uint64]*alike{}
	e := Explanation{Nodes: f.Len(), Closest: NoNode}
	for n := range f.Nodes() {
		by, at := uint64(0), -1
		for i, x := range filters {
			if !x.admits(f, s, n) {
				if by |= 1 << min(i, lastBit); at < 0 {
					at = i
				}
			}
		}
		if at < 0 {
			e.Fit++
			continue
		}
		first[at] = append(first[at], n)
		k := kinds[by]
		if k == nil {
			k = &alike{by: by, best: NoNode}
			kinds[by] = k
		}
		k.nodes++
		if l := f.lackOf(filters, by, n); k.best == NoNode || l.compare(k.lack) < 0 {
			k.best, k.lack = n, l
		}
	}
	for i, nodes := range first {
		if len(nodes) > 0 {
			e.Refusals = append(e.Refusals, Refusal{filters[i].name(), len(nodes), filters[i].refusal(f, s, nodes)})
		}
	}
	slices.SortStableFunc(e.Refusals, func(a, b Refusal) int { return cmp.Compare(b.Nodes, a.Nodes) })
	switch {
	case e.Fit > 0:
	case e.Nodes == 0:
		e.Remedies = []string{"there is no node: start an agent"}
	default:
		f.remedy(s, filters, kinds, &e)
	}
	if len(e.Remedies) > 0 {
		e.Remedy = e.Remedies[0]
	}
	return e
}

// filters are all filters of a stage, in the order in which refusals are counted.
func (f *Fleet) filters(s *Stage) []filter {
	list := slices.Concat(s.class.standing, s.class.room)
	for _, r := range s.rules {
		list = append(list, r)
	}
	return append(list, withheldFilter{})
}

func (f *Fleet) lackOf(filters []filter, by uint64, n NodeIndex) (l lack) {
	for ; by != 0; by &= by - 1 {
		room, plain := filters[bits.TrailingZeros64(by)].(roomFilter)
		if !plain {
			l.rules++
			continue
		}
		short := room.short(f, n)
		if short >= room.need {
			l.without++
		}
		high, low := bits.Mul64(uint64(min(short, room.need)), 1<<20)
		part, _ := bits.Div64(high, low, uint64(room.need)+1) // of 2^20
		l.short += part
	}
	return l
}

// remedy tells for the kinds of nodes that lack least what would make all filters admit one. A change that contains
// another is not told: it is not needed.
func (f *Fleet) remedy(s *Stage, filters []filter, kinds map[uint64]*alike, e *Explanation) {
	list := make([]*alike, 0, len(kinds))
	for _, k := range kinds { //order: sorted below
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b *alike) int {
		return cmp.Or(a.lack.compare(b.lack), cmp.Compare(bits.OnesCount64(a.by), bits.OnesCount64(b.by)), cmp.Compare(a.best, b.best))
	})
	e.Closest = list[0].best
	var told []uint64
	for _, k := range list {
		if len(e.Remedies) == MaxRemedies {
			return
		}
		if slices.ContainsFunc(told, func(by uint64) bool { return by&k.by == by }) {
			continue
		}
		told = append(told, k.by)
		var changes []string
		for i, x := range filters {
			if !x.admits(f, s, k.best) {
				if text := filters[i].remedy(f, s, k.best); text != "" {
					changes = append(changes, text)
				}
			}
		}
		text := "it would fit on node " + string(f.ids[k.best]) + " " + strings.Join(changes, " and ")
		if k.nodes > 1 {
			text += fmt.Sprintf("; %s like it", plural(k.nodes-1, "more node"))
		}
		e.Remedies = append(e.Remedies, text)
	}
}

// String is the explanation in one line: how many nodes fit, who refuses the others, and what would help.
func (e Explanation) String() string {
	var b strings.Builder
	b.WriteString(plural(e.Fit, "node") + " of " + strconv.Itoa(e.Nodes) + " can take one")
	for i, r := range e.Refusals {
		b.WriteString([]string{"; ", ", "}[min(i, 1)] + plural(r.Nodes, "node") + " refused by " + r.Filter + " (" + r.Detail + ")")
	}
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	return b.String()
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// NodeScore is how one node scores for a slot, by part, in thousandths of the best; and their sum by weight, with which
// nodes are compared.
type NodeScore struct {
	Node  NodeIndex
	Parts []Part
	Total int64
}

// Part is one part of a score. Weight is 100 for the score itself.
type Part struct {
	Name          string
	Score, Weight int64
}

// Scores says how nodes score for a slot of a stage. A node that holds one scores as it does when that slot comes to it:
// without it.
func (f *Fleet) Scores(s *Stage, nodes []NodeIndex) []NodeScore {
	s.class.catchUp(f)
	f.rescore(s.class)
	var list []NodeScore
	for _, n := range nodes {
		if !f.live(n) {
			continue
		}
		before := f.rows[n].free
		if s.held[n] > 0 {
			f.rows[n].free = before.Add(s.shape.Resources)
		}
		list = append(list, f.scoresOf(s, n))
		f.rows[n].free = before
	}
	slices.SortStableFunc(list, func(a, b NodeScore) int { return cmp.Compare(b.Total, a.Total) })
	return list
}

func (f *Fleet) scoresOf(s *Stage, n NodeIndex) NodeScore {
	c := s.class
	x := NodeScore{Node: n}
	add := func(name string, weight, score int64) {
		x.Parts = append(x.Parts, Part{name, score * 1000 / MaxScore, weight})
		x.Total += weight * score * 1000 / MaxScore
	}
	add(c.scoring.name, weightOfScore, f.rated(c, n))
	for i := range c.scoring.parts {
		p := &c.scoring.parts[i]
		add(p.name, p.weight, p.rate(f, n))
	}
	for _, r := range s.raters {
		add(r.name(), r.weight, r.rate(f, s, n))
	}
	return x
}
