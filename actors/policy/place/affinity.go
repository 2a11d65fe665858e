package place

import (
	"cmp"
	"slices"

	"github.com/troupe-sched/troupe/actors/model"
)

// presence counts the slots that a selector matches, and the slots of stages that cannot bear them, by the domains of an
// attribute. Equal selectors over one attribute share it.
type presence struct {
	labels            []model.Label
	queue             string
	on                *attribute
	matching, holders *tally
	// uses counts the wishes that hold it, repellers those among them that keep others away.
	uses, repellers int
}

// wish is one affinity of a stage.
type wish struct {
	*presence
	against bool // anti-affinity
	weight  int32
}

// repels reports whether slots that match must stay out of the domains of the stage, too.
func (w *wish) repels() bool { return w.against && w.weight == 0 }

func (f *Fleet) wishesOf(s *Stage) []wish {
	var list []wish
	for i, terms := range [2][]model.Affinity{s.shape.Affinity, s.shape.AntiAffinity} {
		for _, a := range terms {
			w := wish{presence: f.presence(s, a), against: i == 1, weight: a.Weight}
			if list = append(list, w); w.repels() {
				f.repel(w.presence, 1)
			}
		}
	}
	return list
}

// presence finds or makes the presence of a selector.
func (f *Fleet) presence(s *Stage, a model.Affinity) *presence {
	queue, on := cmp.Or(a.Queue, s.shape.Queue), cmp.Or(a.On, model.NodeAttribute)
	for _, p := range f.presences {
		if p.queue == queue && p.on.name == on && slices.Equal(p.labels, a.Labels) {
			p.uses++
			return p
		}
	}
	p := &presence{labels: slices.Clone(a.Labels), queue: queue, on: f.attribute(on), uses: 1}
	p.matching, p.holders = f.newListed(p.on), f.newTally(p.on)
	f.presences = append(f.presences, p)
	for _, other := range f.stages {
		if other == s || !p.selects(&other.shape) { // s itself is counted when it is defined
			continue
		}
		other.seen = append(other.seen, p)
		for n, count := range other.held { //order: sums
			p.matching.add(n, count)
		}
		f.ruleOut(other)
	}
	return p
}

// repel counts the wishes by which stages that match are kept away, who have a rule for it while there is one.
func (f *Fleet) repel(p *presence, change int) {
	before := p.repellers > 0
	if p.repellers += change; before == (p.repellers > 0) {
		return
	}
	for _, s := range f.stages {
		if slices.Contains(s.seen, p) {
			f.ruleOut(s)
		}
	}
}

func (f *Fleet) dropWish(w wish) {
	if w.repels() {
		f.repel(w.presence, -1)
	}
	p := w.presence
	if p.uses--; p.uses > 0 {
		return
	}
	f.presences = slices.DeleteFunc(f.presences, func(o *presence) bool { return o == p })
	for _, s := range f.stages {
		if i := slices.Index(s.seen, p); i >= 0 {
			s.seen = slices.Delete(s.seen, i, i+1)
			f.ruleOut(s)
		}
	}
	f.dropAttribute(p.on)
}

// findSeen lists the presences that a stage's labels are part of.
func (f *Fleet) findSeen(s *Stage) {
	s.seen = nil
	for _, p := range f.presences {
		if p.selects(&s.shape) {
			s.seen = append(s.seen, p)
		}
	}
}

// selects reports whether the job of a shape has the labels and the queue.
func (p *presence) selects(s *Shape) bool {
	if p.queue != model.AnyQueue && p.queue != s.Queue {
		return false
	}
	for _, l := range p.labels {
		if !slices.Contains(s.Labels, l) {
			return false
		}
	}
	return true
}

// leads looks at some nodes beside slots that a stage wants to be beside, which a draw would hardly meet. It reports
// whether the stage can be nowhere else.
func (f *Fleet) leads(s *Stage, c *class, short bool, k *choice) (only bool) {
	for i := range s.wishes {
		w := &s.wishes[i]
		if w.against || len(w.matching.some) == 0 {
			continue
		}
		only = only || w.weight == 0
		for range leadDomains {
			members := w.on.members[w.matching.some[f.random(len(w.matching.some))]]
			for range min(leadNodes, len(members)) {
				if n := members[f.random(len(members))]; c.has(n) && f.feasible(s, c, n, short) {
					k.see(f.rate(s, c, n))
				}
			}
		}
	}
	return only
}

// How many domains are drawn for a wish, and how many nodes of each.
const leadDomains, leadNodes = 4, 4
