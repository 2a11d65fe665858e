package place

import (
	"slices"

	"github.com/troupe-sched/troupe/actors/model"
)

// Stage is the slots of one stage of one job: what they are, and on which nodes. It belongs to its fleet.
type Stage struct {
	shape Shape
	class *class
	at    int // place in the fleet's list
	held  map[NodeIndex]int
	total int
	avoid []model.NodeID
	// tallies count the stage's slots by the domains of its spread rules.
	tallies []*tally
	// even are the tallies of rules that go before all scores.
	even []*tally
	// start is the domain in which the first of slots that go beside each other is to go; 0 for any.
	start int32
	// wishes are its own affinities; seen are the presences that its labels are part of.
	wishes []wish
	seen   []*presence
	rules  []rule
	raters []weighted
}

// tally counts slots by the values of an attribute.
type tally struct {
	attribute *attribute
	few       []int32         // by number of the value, while there are few values
	many      map[int32]int32 // else
	// changes counts the changes of the counts; least is the count of the emptiest domain, as it was found for one state
	// of this and of what a class counts.
	changes    uint64
	least      int32
	leastKnown [2]uint64
	// floor is the least count of the domains with room, or below it, as long as none of them has got room again since;
	// cursor is where the search for the emptiest goes on.
	floor      int32
	floorKnown uint64
	cursor     int
	// some are the values with slots, if listed; at is the place of each there.
	listed bool
	some   []int32
	at     map[int32]int
}

// fewDomains is how many values an attribute may have for its counts to be kept in a list.
const fewDomains = 4096

func (f *Fleet) newTally(a *attribute) *tally {
	t := &tally{attribute: a}
	if a.size() > f.fewDomains {
		t.many = map[int32]int32{}
	}
	return t
}

// newListed is a tally that knows the values with slots.
func (f *Fleet) newListed(a *attribute) *tally {
	t := f.newTally(a)
	t.listed, t.at = true, map[int32]int{}
	return t
}

func (t *tally) add(n NodeIndex, count int) {
	domain := t.attribute.ids[n]
	before := t.of(domain)
	now := max(before+int32(count), 0)
	t.changes++
	t.floor = min(t.floor, now)
	if t.listed && (before > 0) != (now > 0) {
		t.list(domain, now > 0)
	}
	if t.many != nil {
		if t.many[domain] = now; now == 0 {
			delete(t.many, domain)
		}
		if len(t.many)*8 > t.attribute.size() {
			t.unfold()
		}
		return
	}
	for len(t.few) <= int(domain) {
		t.few = append(t.few, 0)
	}
	t.few[domain] = now
}

// unfold goes over to a list, when most domains have slots.
func (t *tally) unfold() {
	t.few = make([]int32, t.attribute.size())
	for domain, count := range t.many { //order: each for itself
		for len(t.few) <= int(domain) {
			t.few = append(t.few, 0)
		}
		t.few[domain] = count
	}
	t.many = nil
}

// list puts a value on the list, or takes it off.
func (t *tally) list(domain int32, on bool) {
	if on {
		t.at[domain] = len(t.some)
		t.some = append(t.some, domain)
		return
	}
	i, last := t.at[domain], t.some[len(t.some)-1]
	t.some[i], t.at[last] = last, i
	t.some = t.some[:len(t.some)-1]
	delete(t.at, domain)
}

// of is the count of one domain.
func (t *tally) of(domain int32) int32 {
	if t.many != nil {
		return t.many[domain]
	}
	if int(domain) < len(t.few) {
		return t.few[domain]
	}
	return 0
}

// on is the count of a node's domain.
func (t *tally) on(n NodeIndex) int32 { return t.of(t.attribute.ids[n]) }

// Stage makes a stage of slots of a shape. It is undone by End.
func (f *Fleet) Stage(shape Shape) *Stage {
	s := &Stage{held: map[NodeIndex]int{}, at: len(f.stages)}
	f.stages = append(f.stages, s)
	f.define(s, shape.clone())
	return s
}

// Change gives a stage another shape. The slots that it holds stay as they are.
func (f *Fleet) Change(s *Stage, shape Shape) {
	f.undefine(s)
	f.define(s, shape.clone())
}

// End forgets a stage. Its slots must have been given back: what they hold is held by nobody afterwards.
func (f *Fleet) End(s *Stage) {
	for n := range f.holds { //order: each for itself
		f.Withhold(n, s, model.Resources{}, false)
	}
	f.undefine(s)
	last := f.stages[len(f.stages)-1]
	f.stages[s.at], last.at = last, s.at
	f.stages = f.stages[:len(f.stages)-1]
	s.held, s.total = nil, 0
}

// Shape is what the slots of the stage are. It must not be changed.
func (s *Stage) Shape() *Shape { return &s.shape }

// Held is how many slots of the stage a node holds.
func (s *Stage) Held(n NodeIndex) int { return s.held[n] }

// Total is how many slots of the stage all nodes hold.
func (s *Stage) Total() int { return s.total }

// Nodes lists the nodes that hold slots of the stage, in order.
func (s *Stage) Nodes() []NodeIndex {
	list := make([]NodeIndex, 0, len(s.held))
	for n := range s.held { //order: sorted below
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

// Line stands for stages of which none fits anywhere when one does not. Stages whose fit depends on where slots of theirs
// or of others are have a line of their own.
func (s *Stage) Line() Line {
	if s.dynamic() {
		return Line{s.class.id, s}
	}
	return Line{s.class.id, nil}
}

// Line is a value to compare.
type Line struct {
	class int32
	stage *Stage
}

// dynamic reports whether rules look at where slots are. Filters that a program added see the node and the shape alone.
func (s *Stage) dynamic() bool {
	return slices.ContainsFunc(s.rules, func(r rule) bool {
		_, more := r.(moreRule)
		return !more
	})
}

// SetAvoid names nodes that new slots of the stage do not go to.
func (f *Fleet) SetAvoid(s *Stage, nodes []model.NodeID) {
	s.avoid = slices.Clone(nodes)
	f.ruleOut(s)
}

// define makes all that depends on the shape of a stage.
func (f *Fleet) define(s *Stage, shape Shape) {
	s.shape = shape
	s.class = f.classes.join(f, &s.shape)
	for _, r := range spreadRules(&s.shape) {
		t := f.newTally(f.attribute(r.On))
		s.tallies = append(s.tallies, t)
		if r.Weight >= fullWeight {
			s.even = append(s.even, t)
		}
	}
	s.wishes = f.wishesOf(s)
	f.findSeen(s)
	f.ruleOut(s)
	for n, count := range s.held { //order: sums
		f.rows[n].bands[highOrLow(shape.Band)] += int32(count)
		f.rows[n].version++
		f.tally(s, n, count)
	}
}

// undefine takes it all back.
func (f *Fleet) undefine(s *Stage) {
	for n, count := range s.held { //order: sums
		f.rows[n].bands[highOrLow(s.shape.Band)] -= int32(count)
		f.tally(s, n, -count)
	}
	for _, t := range s.tallies {
		f.dropAttribute(t.attribute)
	}
	for _, w := range s.wishes {
		f.dropWish(w)
	}
	f.classes.leave(f, s.class)
	s.class, s.tallies, s.even, s.wishes, s.seen, s.rules, s.raters = nil, nil, nil, nil, nil, nil, nil
}

// tally counts slots of a stage on a node in all that is counted by domains.
func (f *Fleet) tally(s *Stage, n NodeIndex, count int) {
	for _, t := range s.tallies {
		t.add(n, count)
	}
	for _, p := range s.seen {
		p.matching.add(n, count)
	}
	for i := range s.wishes {
		if w := &s.wishes[i]; w.repels() {
			w.presence.holders.add(n, count)
		}
	}
	if len(s.seen) > 0 || len(s.wishes) > 0 {
		f.moves++
	}
}

// spreadRules are all spread rules of a shape: what Spread says is a rule of full weight, without limits.
func spreadRules(s *Shape) []model.SpreadRule {
	var list []model.SpreadRule
	if weight := weightOf(s, BySpread, fullWeight); s.Spread != "" && weight > 0 {
		list = append(list, model.SpreadRule{On: s.Spread, Weight: int32(weight)})
	}
	for _, r := range s.Spreads {
		if r.Weight == 0 {
			r.Weight = fullWeight
		}
		if i := slices.IndexFunc(list, func(o model.SpreadRule) bool { return o.On == r.On }); i >= 0 {
			list[i] = r
			continue
		}
		list = append(list, r)
	}
	return list
}

// fullWeight of evenness makes it go before all scores.
const fullWeight = 100
