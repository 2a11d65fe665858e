package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
)

// Schedule plays a run that the seed has drawn with only a part of what happened in it: the faults that it lists, the
// jobs that it lists. What is left out makes everything after it go another way, so a schedule is a run of its own and
// no cut through the first one; Salt chooses among the ways. It is written as JSON.
type Schedule struct {
	Seed  uint64 `json:"seed"`
	Focus string `json:"focus,omitempty"`
	// Salt is drawn from beside the seed, for the order of messages and the delays of links; 0 adds nothing.
	Salt uint64 `json:"salt,omitempty"`
	// Steps of the part with faults.
	Steps uint64 `json:"steps"`
	// Agents there are.
	Agents int `json:"agents"`
	// Jobs that are submitted, by their number in the load of the seed.
	Jobs []int `json:"jobs"`
	// SubmitsOnly leaves out all that clients ask for otherwise: stops, drains, limits of queues, reads.
	SubmitsOnly bool `json:"submits_only,omitempty"`
	// Faults that strike, in the order of their steps.
	Faults []Strike `json:"faults"`
}

// Strike is one fault.
type Strike struct {
	// Step at which it strikes.
	Step uint64 `json:"step"`
	// Fault is the kind's name; what it hits is drawn.
	Fault string `json:"fault"`
}

// ReadSchedule reads what was written as JSON, strictly.
func ReadSchedule(in io.Reader) (*Schedule, error) {
	s := &Schedule{}
	d := json.NewDecoder(in)
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil {
		return nil, fmt.Errorf("schedule: %w", err)
	}
	switch last := uint64(0); {
	case CheckFocus(s.Focus) != nil:
		return nil, fmt.Errorf("schedule: focus: %w", CheckFocus(s.Focus))
	case s.Steps == 0 || s.Steps > stepsMax:
		return nil, fmt.Errorf("schedule: steps: %d is not between 1 and %d", s.Steps, stepsMax)
	case s.Agents < 1 || s.Agents > agentsMax:
		return nil, fmt.Errorf("schedule: agents: %d is not between 1 and %d", s.Agents, agentsMax)
	default:
		for i, f := range s.Faults {
			if _, ok := faultOf(f.Fault); !ok {
				return nil, fmt.Errorf("schedule: faults[%d].fault: %q is none; there are %q", i, f.Fault, faultNames)
			}
			if f.Step < last {
				return nil, fmt.Errorf("schedule: faults[%d].step: %d comes after %d; they must be in order", i, f.Step, last)
			}
			last = f.Step
		}
	}
	return s, nil
}

// agentsMax is the most agents that a seed draws.
const agentsMax = 12

func faultOf(name string) (Fault, bool) {
	i := slices.Index(faultNames[:], name)
	return Fault(max(i, 0)), i >= 0
}

// limit takes the parts of a profile from the schedule.
func (s *Schedule) limit(p *profile) {
	if s == nil {
		return
	}
	p.steps, p.agents = s.Steps, min(s.Agents, p.agents)
}

// begin is called when all that the seed draws beforehand is drawn.
func (s *Schedule) begin(w *world) {
	if s == nil {
		return
	}
	l := &w.load
	kept := l.order[:0:0]
	for i, k := range l.order {
		if slices.Contains(s.Jobs, i) {
			kept = append(kept, k)
		}
	}
	l.order = kept
	if s.Salt != 0 {
		w.rng = rand.New(rand.NewPCG(w.opts.Seed, s.Salt))
	}
}

// mailboxes is the seed of the order of messages.
func (s *Schedule) mailboxes(seed uint64) uint64 {
	if s == nil {
		return seed
	}
	return seed + s.Salt
}

// next is the step of the fault whose turn it is.
func (s *Schedule) next(turn int) uint64 {
	if turn < len(s.Faults) {
		return s.Faults[turn].Step
	}
	return math.MaxUint64
}

// only says that clients submit and do nothing else.
func (s *Schedule) only() bool { return s != nil && s.SubmitsOnly }

// strikeScheduled lets the fault strike whose turn it is. What it hits is drawn from its own place in the run, so that it
// hits the same whatever is left out before it.
func (w *world) strikeScheduled() {
	s := w.opts.Schedule.Faults[w.struck]
	w.struck++
	w.rearm()
	f, _ := faultOf(s.Fault)
	common := w.rng
	w.rng = rand.New(rand.NewPCG(w.opts.Seed^w.opts.Schedule.Salt, s.Step))
	w.strikeWith(f)
	w.rng = common
}
