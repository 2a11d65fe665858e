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
// itself sees all of it. What is kept may exceed what is free: it may be about to be freed. Of custom units, fixed ports
// and devices all that the stage needs of is kept, whatever the amount.
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

// spares reports whether a slot fits beside what the node keeps for others. What those need beyond plain resources, it
// gives to nobody else meanwhile.
func (f *Fleet) spares(n NodeIndex, s *Stage, short bool) bool {
	if len(f.holds) == 0 || len(f.holds[n]) == 0 {
		return true
	}
	for _, h := range f.holds[n] {
		if h.stage != s && !(h.soft && short) && compete(h.stage.shape.Extra, s.shape.Extra) {
			return false
		}
	}
	free := f.rows[n].free.Sub(f.Withheld(n, s, short))
	return fits(&s.class.need, &free)
}

// compete reports whether two slots need the same custom units, the same port, or devices of the same kind.
func compete(a, b *model.Extra) bool {
	if a == nil || b == nil {
		return false
	}
	return a.Devices.Count > 0 && b.Devices.Count > 0 && a.Devices.Kind == b.Devices.Kind ||
		slices.ContainsFunc(a.Custom, func(x model.Amount) bool {
			return slices.ContainsFunc(b.Custom, func(y model.Amount) bool { return x.Name == y.Name })
		}) ||
		slices.ContainsFunc(a.Ports, func(x model.PortNeed) bool {
			return x.Number > 0 && slices.ContainsFunc(b.Ports, func(y model.PortNeed) bool { return x.Number == y.Number })
		})
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
