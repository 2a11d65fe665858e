package place

import (
	"cmp"
	"slices"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/frag"
)

// The modifiers, by the names that specs give weights to, and what they weigh if a spec says nothing. The score itself
// weighs 100.
const (
	ByPackages = "packages"
	ByLocality = "locality"
	BySpread   = "spread"
	ByMix      = "mix"

	weightOfScore    = 100
	weightOfPackages = 20
	weightOfLocality = 50
	weightOfMix      = 5
	// weightOfAvoid makes a taint to be avoided worse than anything else is good.
	weightOfAvoid = 1000
	// maxData is the most data of a node that counts, in bytes: its product with MaxScore fits.
	maxData = 1 << 42
)

// scoring is how a class chooses among nodes: by all that does not depend on where slots of stages are.
type scoring struct {
	name string
	// One of base, scorer and more is there.
	base   base
	scorer *frag.Scorer
	step   int64 // of the scorer's scores, so that its best is MaxScore
	tie    base  // decides where the scorer does not; nil leaves it to the order of nodes
	more   Score
	// demand is a slot as the scorer sees it.
	demand frag.Demand
	// parts look at what a node is and at the bands of what it holds; the first wishes of them speak for nodes.
	parts      []part
	wishes     int
	attributes []*attribute
}

// part is a modifier: MaxScore times weight at most, and at least that below zero.
type part struct {
	name   string
	weight int64
	rate   func(f *Fleet, n NodeIndex) int64
}

func (f *Fleet) scoringOf(shape *Shape) scoring {
	s := scoring{name: cmp.Or(shape.Score.By, f.options.Score, Hybrid), demand: f.demandOf(shape)}
	f.pick(&s)
	f.prefer(&s, shape)
	f.beside(&s, shape)
	return s
}

// pick finds the score of a name. Where there are devices, the scores that know of them take over.
func (f *Fleet) pick(s *scoring) {
	s.base, s.scorer, s.tie, s.more = hybrid, nil, nil, nil
	for _, more := range f.options.Scores {
		if more.Name() == s.name {
			s.base, s.more = nil, more
			return
		}
	}
	switch rule := deviceRule(s.name); {
	case rule != 0 && f.devices.most.Devices > 0:
		s.base, s.scorer, s.step = nil, f.scorer(rule), MaxScore/rule.Top()
		if s.name == Hybrid {
			s.tie = hybrid
		}
	case s.name == BestFit:
		s.base = bestFit
	case s.name == EPVM:
		s.base = epvm
	}
}

// weightOf is the weight that a shape gives to a modifier.
func weightOf(shape *Shape, name string, usual int64) int64 {
	for _, w := range shape.Score.Weights {
		if w.Name == name {
			return min(max(w.N, 0), 100)
		}
	}
	return usual
}

// prefer adds the preferences, packages and data: what a node is.
func (f *Fleet) prefer(s *scoring, shape *Shape) {
	for _, c := range shape.Prefer {
		a := f.attribute(c.Attribute)
		s.attributes = append(s.attributes, a)
		v := newVerdict(a.column, asks(c))
		s.parts = append(s.parts, part{"prefer " + c.String(), int64(c.Weight), func(_ *Fleet, n NodeIndex) int64 {
			if v.holds(n) {
				return MaxScore
			}
			return 0
		}})
	}
	if w := weightOf(shape, ByPackages, weightOfPackages); w > 0 && len(shape.Packages) > 0 {
		wanted := shape.Packages
		s.parts = append(s.parts, part{ByPackages, w, func(f *Fleet, n NodeIndex) int64 {
			there := int64(0)
			for _, p := range wanted {
				if _, has := slices.BinarySearch(f.nodes[n].Packages, p); has {
					there++
				}
			}
			return there * MaxScore / int64(len(wanted))
		}})
	}
	if w := weightOf(shape, ByLocality, weightOfLocality); w > 0 && len(shape.Data) > 0 {
		bytes, most := map[model.NodeID]int64{}, int64(1)
		for _, d := range shape.Data {
			bytes[d.Node] = min(max(d.Bytes, 0), maxData)
			most = max(most, bytes[d.Node])
		}
		s.parts = append(s.parts, part{ByLocality, w, func(f *Fleet, n NodeIndex) int64 { return bytes[f.ids[n]] * MaxScore / most }})
	}
	s.wishes = len(s.parts)
}

// beside adds what counts against a node, and the mix of priorities there.
func (f *Fleet) beside(s *scoring, shape *Shape) {
	tolerations := shape.Tolerations
	v := newVerdict(f.taints, func(list []Taint, _ bool) bool {
		return slices.ContainsFunc(list, func(t Taint) bool { return t.Effect == model.TaintAvoid && !tolerated(t, tolerations) })
	})
	s.parts = append(s.parts, part{"taint", weightOfAvoid, func(f *Fleet, n NodeIndex) int64 {
		if len(f.taints.index) > 0 && v.holds(n) {
			return -MaxScore
		}
		return 0
	}})
	if w := weightOf(shape, ByMix, weightOfMix); w > 0 {
		own := highOrLow(shape.Band)
		s.parts = append(s.parts, part{ByMix, w, func(f *Fleet, n NodeIndex) int64 {
			r := &f.rows[n]
			if other := r.bands[1-own]; other > 0 {
				return int64(other) * MaxScore / int64(r.bands[own]+other)
			}
			return 0
		}})
	}
}

// likes reports whether preferences, packages or data speak for a node.
func (s *scoring) likes(f *Fleet, n NodeIndex) bool {
	sum := int64(0)
	for i := range s.parts[:s.wishes] {
		sum += s.parts[i].weight * s.parts[i].rate(f, n)
	}
	return sum > 0
}

// highOrLow is 0 for bands whose work is never evicted, 1 for the others.
func highOrLow(b model.Band) int {
	if b <= model.Production {
		return 0
	}
	return 1
}

// base score and modifiers of a node for one slot of a class, as a sum.
func (f *Fleet) score(c *class, n NodeIndex) int64 {
	sum := weightOfScore * f.rated(c, n)
	for i := range c.scoring.parts {
		p := &c.scoring.parts[i]
		sum += p.weight * p.rate(f, n)
	}
	return sum
}

// rated is the score alone, 0 to MaxScore.
func (f *Fleet) rated(c *class, n NodeIndex) int64 {
	switch s := &c.scoring; {
	case s.base != nil:
		return f.byBase(s.base, c, n)
	case s.more != nil:
		return min(max(s.more.Rate(View{f, n}, &c.shape), 0), MaxScore)
	}
	return f.byDevices(c, n)
}

func (f *Fleet) byBase(b base, c *class, n NodeIndex) int64 {
	r := &f.rows[n]
	return b(&c.need, &r.free, &f.scales[r.size])
}

// weighted is a modifier of a stage with its weight.
type weighted struct {
	rater
	weight int64
}

// rater rates a node by where slots are, 0 to MaxScore.
type rater interface {
	name() string
	rate(f *Fleet, s *Stage, n NodeIndex) int64
}

// ratersOf are the modifiers of a stage: affinities with a weight, and spread rules that do not go before all scores.
func (f *Fleet) ratersOf(s *Stage) []weighted {
	var list []weighted
	for i := range s.wishes {
		if w := &s.wishes[i]; w.weight != 0 {
			sign := int64(1)
			if w.against {
				sign = -1
			}
			list = append(list, weighted{besideRater{w}, sign * int64(w.weight)})
		}
	}
	for i, r := range spreadRules(&s.shape) {
		if i < len(s.tallies) && r.Weight < fullWeight {
			list = append(list, weighted{evenRater{s.tallies[i]}, int64(r.Weight)})
		}
	}
	return list
}

// besideRater is best where slots that match are in the domain.
type besideRater struct{ w *wish }

func (r besideRater) name() string {
	if r.w.against {
		return "anti-affinity"
	}
	return "affinity"
}

func (r besideRater) rate(_ *Fleet, _ *Stage, n NodeIndex) int64 {
	if r.w.matching.on(n) > 0 {
		return MaxScore
	}
	return 0
}

// evenRater is better the fewer slots of the stage are in the domain.
type evenRater struct{ t *tally }

func (evenRater) name() string { return BySpread }
func (r evenRater) rate(_ *Fleet, _ *Stage, n NodeIndex) int64 {
	return MaxScore / int64(1+r.t.on(n))
}
