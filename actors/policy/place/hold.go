package place

import (
	"slices"

	"github.com/troupe-sched/troupe/actors/model"
)

// hold is what a node keeps for one stage.
type hold struct {
	stage  *Stage
	amount model.Resources
	soft   bool
}

// Withhold keeps so much of a node for one stage, in place of what was kept there for it before; nothing ends it. Other
// stages see only what is left beyond it, but for short work, which may use what is kept softly (Ask.Short). The stage
// itself sees all of it. What is kept may exceed what is free: it may be about to be freed.
func (f *Fleet) Withhold(n NodeIndex, s *Stage, amount model.Resources, soft bool) {
	if !f.live(n) {
		return
	}
	list := slices.DeleteFunc(f.holds[n], func(h hold) bool { return h.stage == s })
	if amount != (model.Resources{}) {
		list = append(list, hold{s, amount, soft})
	}
	if len(list) == 0 {
		delete(f.holds, n)
	} else {
		f.holds[n] = list
	}
	f.moves++
}

// Withheld is what a node keeps from a stage.
func (f *Fleet) Withheld(n NodeIndex, s *Stage, short bool) (sum model.Resources) {
	for _, h := range f.holds[n] {
		if h.stage != s && !(h.soft && short) {
			for i, amount := range h.amount {
				sum[i] = min(sum[i]+max(amount, 0), maxHeld)
			}
		}
	}
	return sum
}

// spares reports whether a slot fits beside what the node keeps for others.
func (f *Fleet) spares(n NodeIndex, s *Stage, short bool) bool {
	if len(f.holds) == 0 || len(f.holds[n]) == 0 {
		return true
	}
	free := f.rows[n].free.Sub(f.Withheld(n, s, short))
	return fits(&s.class.need, &free)
}

// withheldFilter refuses nodes that have room, but keep it for others.
type withheldFilter struct{}

func (withheldFilter) name() string                                { return "withheld" }
func (withheldFilter) admits(f *Fleet, s *Stage, n NodeIndex) bool { return f.spares(n, s, false) }
func (withheldFilter) refusal(*Fleet, *Stage, []NodeIndex) string {
	return "kept for work that goes first"
}
func (withheldFilter) remedy(*Fleet, *Stage, NodeIndex) string {
	return "when the work for which it is kept has ended"
}
