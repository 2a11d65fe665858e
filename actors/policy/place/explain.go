package place

import (
	"cmp"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Explanation says where one more slot of a class could go, and why not elsewhere.
type Explanation struct {
	// Nodes is how many there are, Fit how many of them could take a slot now.
	Nodes, Fit int
	// Refusals count the nodes by the first filter that refuses them, most first.
	Refusals []Refusal
	// Closest is the node that lacks least; NoNode if a node fits, or there is none.
	Closest NodeIndex
	// Remedy is the smallest change that would place one slot, as a sentence; empty if none is needed.
	Remedy string
	// Changes are, for each resource alone, the least by which a smaller slot would fit on some node.
	Changes []Change
}

// Refusal is the nodes that one filter refuses.
type Refusal struct {
	// Filter is a stable word: "schedulable", "driver", "constraint", or the name of a resource.
	Filter string
	Nodes  int
	Detail string
}

// Change is one resource, how much less of it would do, and the node that would then take the slot.
type Change struct {
	Resource string
	Less     int64
	Node     NodeIndex
}

// Explain looks at every node. It is for people who ask, not for the way of a grant.
func (f *Fleet) Explain(s *Stage) Explanation {
	c := s.class
	c.catchUp(f) // rules about skew ask where nodes pass
	filters := f.filters(s)
	refused := make([][]NodeIndex, len(filters))
	e := Explanation{Nodes: f.Len(), Closest: NoNode}
	var least distance
	for n := range f.Nodes() {
		first := slices.IndexFunc(filters, func(x filter) bool { return !x.admits(f, s, n) })
		if first < 0 {
			e.Fit++
			continue
		}
		refused[first] = append(refused[first], n)
		d := c.distance(f, s, n)
		if e.Closest == NoNode || d.compare(least) < 0 {
			e.Closest, least = n, d
		}
		c.note(f, s, n, d, &e)
	}
	for i, nodes := range refused {
		if len(nodes) > 0 {
			e.Refusals = append(e.Refusals, Refusal{filters[i].name(), len(nodes), filters[i].refusal(f, s, nodes)})
		}
	}
	slices.SortStableFunc(e.Refusals, func(a, b Refusal) int { return cmp.Compare(b.Nodes, a.Nodes) })
	switch {
	case e.Fit > 0:
		e.Closest, e.Changes = NoNode, nil
	case e.Nodes == 0:
		e.Remedy = "there is no node: start an agent"
	default:
		e.Remedy = remedy(f, s, e.Closest, filters)
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

// distance is how far a node is from fitting: first by the filters that no change of a slot's size would satisfy, then
// by resources of which it lacks all that is asked for, then by how much it lacks, in parts of what is asked for.
type distance struct {
	standing, without int
	short             uint64
	shortOf           int // resources
}

func (d distance) compare(o distance) int {
	return cmp.Or(cmp.Compare(d.standing, o.standing), cmp.Compare(d.without, o.without), cmp.Compare(d.short, o.short))
}

func (c *class) distance(f *Fleet, s *Stage, n NodeIndex) distance {
	var d distance
	for _, x := range c.standing {
		if !x.admits(f, s, n) {
			d.standing++
		}
	}
	for _, x := range s.rules {
		if !x.admits(f, s, n) {
			d.standing++
		}
	}
	for _, x := range c.room {
		room, plain := x.(roomFilter)
		if !plain {
			if !x.admits(f, s, n) {
				d.standing++
			}
			continue
		}
		short := room.short(f, n)
		if short <= 0 {
			continue
		}
		d.shortOf++
		if short >= room.need {
			d.without++
		}
		high, low := bits.Mul64(uint64(min(short, room.need)), 1<<20)
		part, _ := bits.Div64(high, low, uint64(room.need)+1) // of 2^20
		d.short += part
	}
	return d
}

// note keeps the least change of a single resource that would do.
func (c *class) note(f *Fleet, s *Stage, n NodeIndex, d distance, e *Explanation) {
	if d.standing > 0 || d.without > 0 || d.shortOf != 1 {
		return
	}
	i := slices.IndexFunc(c.room, func(x filter) bool { return !x.admits(f, s, n) })
	room := c.room[i].(roomFilter)
	change := Change{room.name(), room.short(f, n), n}
	k := slices.IndexFunc(e.Changes, func(o Change) bool { return o.Resource == change.Resource })
	switch {
	case k < 0:
		e.Changes = append(e.Changes, change)
	case change.Less < e.Changes[k].Less:
		e.Changes[k] = change
	}
}

// remedy says what would make all filters admit a node.
func remedy(f *Fleet, s *Stage, n NodeIndex, filters []filter) string {
	var changes []string
	for _, x := range filters {
		if !x.admits(f, s, n) {
			changes = append(changes, x.remedy(f, s, n))
		}
	}
	return "it would fit on node " + string(f.ids[n]) + " " + strings.Join(changes, " and ")
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
