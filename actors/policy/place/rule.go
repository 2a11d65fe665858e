package place

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/troupe-sched/troupe/actors/model"
)

// rule is a filter that looks at where slots are, now. It is asked about each candidate; the other filters are asked once.
type rule interface {
	filter
	rule()
}

// ruleOut makes the rules of a stage anew, in the order in which they are asked.
func (f *Fleet) ruleOut(s *Stage) {
	s.rules = nil
	if len(s.avoid) > 0 {
		s.rules = append(s.rules, avoidRule{})
	}
	for i := range s.wishes {
		switch w := &s.wishes[i]; {
		case w.weight != 0:
		case w.against:
			s.rules = append(s.rules, apartRule{w})
		default:
			s.rules = append(s.rules, besideRule{w})
		}
	}
	for _, p := range s.seen {
		if p.repellers > 0 {
			s.rules = append(s.rules, repelledRule{p})
		}
	}
	for i, r := range spreadRules(&s.shape) {
		if i < len(s.tallies) && (r.Max > 0 || r.MaxSkew > 0) {
			s.rules = append(s.rules, spreadRule{r, s.tallies[i]})
		}
	}
	for _, x := range f.options.Filters {
		s.rules = append(s.rules, moreRule{x})
	}
	s.raters = f.ratersOf(s)
	f.moves++
}

// avoidRule keeps slots from nodes where some failed before.
type avoidRule struct{}

func (avoidRule) rule()        {}
func (avoidRule) name() string { return "avoided" }
func (avoidRule) admits(f *Fleet, s *Stage, n NodeIndex) bool {
	return !slices.Contains(s.avoid, f.ids[n])
}
func (avoidRule) refusal(*Fleet, *Stage, []NodeIndex) string { return "instances failed there before" }
func (avoidRule) remedy(*Fleet, *Stage, NodeIndex) string {
	return "when the failures there are forgotten"
}

// besideRule wants slots that match in the domain. The first of stages that select themselves goes anywhere.
type besideRule struct{ w *wish }

func (besideRule) rule()        {}
func (besideRule) name() string { return "affinity" }
func (r besideRule) admits(f *Fleet, s *Stage, n NodeIndex) bool {
	return r.w.matching.on(n) > 0 || r.w.selects(&s.shape) && len(r.w.matching.some) == 0 && (s.start == 0 || s.start == r.w.on.ids[n])
}

func (r besideRule) refusal(*Fleet, *Stage, []NodeIndex) string {
	return "no job with " + r.w.text() + " on the same " + r.w.on.name
}

func (r besideRule) remedy(*Fleet, *Stage, NodeIndex) string {
	return "if a job with " + r.w.text() + " ran on the same " + r.w.on.name
}

// apartRule wants none in the domain.
type apartRule struct{ w *wish }

func (apartRule) rule()        {}
func (apartRule) name() string { return "anti-affinity" }
func (r apartRule) admits(f *Fleet, s *Stage, n NodeIndex) bool {
	return r.w.matching.on(n) == 0
}

func (r apartRule) refusal(*Fleet, *Stage, []NodeIndex) string {
	return "a job with " + r.w.text() + " on the same " + r.w.on.name
}

func (r apartRule) remedy(*Fleet, *Stage, NodeIndex) string {
	return "if no job with " + r.w.text() + " ran on the same " + r.w.on.name
}

// repelledRule keeps a stage out of domains of stages that cannot bear it.
type repelledRule struct{ p *presence }

func (repelledRule) rule()        {}
func (repelledRule) name() string { return "anti-affinity" }
func (r repelledRule) admits(f *Fleet, s *Stage, n NodeIndex) bool {
	return r.p.holders.on(n) == 0
}

func (r repelledRule) refusal(*Fleet, *Stage, []NodeIndex) string {
	return "a job there keeps jobs with " + r.p.text() + " from its " + r.p.on.name
}

// remedy is nothing if what the stage wants none of beside it is all that keeps it away: apartRule tells that.
func (r repelledRule) remedy(f *Fleet, s *Stage, _ NodeIndex) string {
	strange := func(o *Stage) bool { return o.repels(r.p) && !r.p.selects(&o.shape) }
	if s.repels(r.p) && !slices.ContainsFunc(f.stages, strange) {
		return ""
	}
	return "if the job that keeps jobs with " + r.p.text() + " away had left the same " + r.p.on.name
}

// repels reports whether slots of a stage keep those away that a presence is about.
func (s *Stage) repels(p *presence) bool {
	return slices.ContainsFunc(s.wishes, func(w wish) bool { return w.presence == p && w.repels() })
}

// text is the selector as people read it.
func (p *presence) text() string {
	text := ""
	for i, l := range p.labels {
		if i > 0 {
			text += ","
		}
		text += l.Name + "=" + l.Value
	}
	if text == "" {
		text = "any labels"
	}
	if p.queue == model.AnyQueue {
		return text + " of any queue"
	}
	return text + " of queue " + strconv.Quote(p.queue)
}

// spreadRule keeps domains within the limits of a rule. Skew is counted against the domain with the fewest slots of all
// domains in which some node passes the standing filters, whether it has room or not.
type spreadRule struct {
	model.SpreadRule
	tally *tally
}

func (spreadRule) rule()        {}
func (spreadRule) name() string { return "spread" }
func (r spreadRule) admits(f *Fleet, s *Stage, n NodeIndex) bool {
	count := int64(r.tally.on(n)) + 1
	if r.Max > 0 && count > r.Max {
		return false
	}
	return r.MaxSkew == 0 || count-int64(f.least(s, r.tally)) <= int64(r.MaxSkew)
}

func (r spreadRule) refusal(*Fleet, *Stage, []NodeIndex) string {
	if r.Max > 0 && r.MaxSkew > 0 {
		return fmt.Sprintf("%s holds %d already, or would differ from another by more than %d", r.On, r.Max, r.MaxSkew)
	}
	if r.Max > 0 {
		return fmt.Sprintf("%s holds %d already", r.On, r.Max)
	}
	return fmt.Sprintf("%s would differ from another by more than %d", r.On, r.MaxSkew)
}

func (r spreadRule) remedy(f *Fleet, s *Stage, n NodeIndex) string {
	if count := int64(r.tally.on(n)) + 1; r.Max > 0 && count > r.Max {
		return fmt.Sprintf("if %d were allowed on one %s", count, r.On)
	}
	return fmt.Sprintf("with a skew of %d over %s", int64(r.tally.on(n))+1-int64(f.least(s, r.tally)), r.On)
}
