// Package sim is the deterministic world: it runs the production actors of a master and of its agents, one message at a
// time and in virtual time, over simulated ports: journal, snapshots, links, ledgers, drivers, clients. Everything that
// is left to chance is drawn from one seed, the kinds and rates of faults themselves included, so one seed is one run.
//
// There is one master alone, as in the oldest kept seeds, or there are one to three that are elected (host.go): each follows
// the journal, tries when its election says so, reigns, and follows again.
//
// A run has three parts. In the first anything may fail, and after every step what must never break is checked
// (checks.go). Then the world heals. In the last part every job that can end must end, all views must come to agree, and
// nothing may be left behind.
//
// The world holds its own truth (truth.go): what records are durable, what attempts really ran and how they ended. It
// compares this with what clients, agents and masters are told, and never asks the actors what is true.
package sim

import (
	"fmt"
	"io"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/msg"
)

// Options of one run.
type Options struct {
	// Seed from which everything is drawn.
	Seed uint64
	// Steps of the part with faults; 0 leaves it to the seed.
	Steps uint64
	// Focus narrows the faults to one family, the load to one theme, the masters to one cast, or some of these
	// ("calm/gang/several"); what is left out is left to the seed.
	Focus string
	// Schedule, if set, says which faults strike when, and which part of the load there is, instead of the seed. It is
	// what Shrink makes of a run.
	Schedule *Schedule
	// Timeline, if set, gets every line of the timeline as it happens.
	Timeline io.Writer
	// Messages adds every message that an actor handles to the Timeline, and what the actors log.
	Messages bool
	// Record, if set, makes what hears the placer of each reign; see tree.Config.
	Record func(env *msg.Env, tell func(message any)) kit.Tap
}

// Violation is something that must never happen.
type Violation struct {
	// Check that found it.
	Check Check
	// Text is one sentence about this case.
	Text string
	Step uint64
}

// Error implements error.
func (v *Violation) Error() string {
	return fmt.Sprintf("step %d: %s: %s", v.Step, v.Check, v.Text)
}

// Result of one run.
type Result struct {
	Seed uint64
	// Focus and Theme that were in force.
	Focus, Theme string
	// Profile says what was drawn, in one line.
	Profile string
	// Steps are messages handled and alarms fired; FaultSteps those before the world healed.
	Steps, FaultSteps uint64
	// Virtual is how long the world has lived by its own clock.
	Virtual time.Duration
	// Hash over everything that happened, message by message.
	Hash uint64
	// Violation is nil if nothing broke.
	Violation *Violation
	// Tail is the end of the timeline.
	Tail []string
	// Checked counts how often each check had something to look at.
	Checked [Checks]uint64
	// Coverage counts faults by the phases of the protocol in which they struck.
	Coverage Coverage
	// Shapes of the work that was asked for.
	Shapes Shapes
	// Strikes are the faults that have struck.
	Strikes []Strike
	// asked is the Focus of the Options; agents and jobs say how many there were.
	asked        string
	steps        uint64 // of the Options
	agents, jobs int
	// Begun attempts, Records in the journal, Jobs submitted, Reigns of masters.
	Begun, Records, Jobs, Reigns int
}

// Run plays one seed to its end.
func Run(o Options) Result {
	w := newWorld(o)
	w.play()
	return w.result()
}
