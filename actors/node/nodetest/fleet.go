// Package nodetest is agents as scripts, in virtual time: they keep the agent protocol and a ledger as real agents do,
// run nothing, and write down what a scheduler must never do. Tests of the master's actors use them.
package nodetest

import (
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Outcome is what becomes of one attempt.
type Outcome struct {
	// Phase is how it ends; zero means that it succeeds.
	Phase  v1.AttemptPhase
	Result []byte
	Reason string
	// After is how long it runs; Hold means until it is stopped.
	After time.Duration
	Hold  bool
	// Again says that the instance may run again after a success: a service's.
	Again bool
}

// Link is what the fabric does to messages. The zero value delivers everything once, in order, after a millisecond.
type Link struct {
	// Lose, Double and Late are chances in a thousand, drawn from the stepper: a message is lost, delivered twice, or
	// overtaken by others.
	Lose, Double, Late int
}

// Config of a Fleet.
type Config struct {
	Stepper *kit.Stepper
	// Deliver takes what agents send to the master.
	Deliver func(*v1.FromAgent)
	// Script says what becomes of an attempt; nil means that all succeed after ten milliseconds.
	Script func(l *v1.Launch) Outcome
	Link   Link
}

// Fleet is agents and what lies between them and the master; it implements the fabric of node actors.
type Fleet struct {
	Config
	agents map[string]*Agent
	// wrong is what must never happen, in words.
	wrong   []string
	begun   int
	running map[instance]uint64 // fences of attempts that run
	done    map[instance]uint64 // fence of the attempt that has succeeded
}

type instance struct {
	job   uint64
	stage uint32
	index uint64
}

func (i instance) String() string {
	return fmt.Sprintf("job %d stage %d instance %d", i.job, i.stage, i.index)
}

func of(l *v1.Launch) instance { return instance{l.GetJobUid(), l.GetStage(), l.GetIndex()} }

// New makes a fleet without agents.
func New(c Config) *Fleet {
	if c.Script == nil {
		c.Script = func(*v1.Launch) Outcome { return Outcome{After: 10 * time.Millisecond} }
	}
	return &Fleet{Config: c, agents: map[string]*Agent{}, running: map[instance]uint64{}, done: map[instance]uint64{}}
}

// Join adds an agent and lets it say Hello.
func (f *Fleet) Join(info *v1.NodeInfo) *Agent {
	a := &Agent{fleet: f, info: info, slots: map[uint64]*slot{}, ends: map[uint64]*v1.AttemptState{}, released: map[uint64]bool{}}
	f.agents[info.GetId()] = a
	a.renew()
	a.beat()
	return a
}

// Wrong lists what must never happen and has: two attempts of an instance at once, an instance that has succeeded and is
// begun again, a fence that comes twice.
func (f *Fleet) Wrong() []string { return f.wrong }

// Begun counts the attempts that have begun.
func (f *Fleet) Begun() int { return f.begun }

// Running counts the attempts that run.
func (f *Fleet) Running() int { return len(f.running) }

// Send implements the fabric of node actors.
func (f *Fleet) Send(m *v1.ToAgent) {
	if a := f.agents[m.GetNode()]; a != nil && !a.cut {
		f.carry(func() {
			if !a.cut {
				a.receive(m)
			}
		})
	}
}

// carry delivers a message, with luck.
func (f *Fleet) carry(deliver func()) {
	rng := f.Stepper.Rand()
	delay := time.Millisecond
	if rng.IntN(1000) < f.Link.Lose {
		return
	}
	if rng.IntN(1000) < f.Link.Late {
		delay += time.Duration(rng.IntN(300)) * time.Millisecond
	}
	if rng.IntN(1000) < f.Link.Double {
		f.Stepper.AfterFunc(delay+time.Duration(rng.IntN(300))*time.Millisecond, deliver)
	}
	f.Stepper.AfterFunc(delay, deliver)
}

func (f *Fleet) begin(l *v1.Launch) {
	f.begun++
	at := of(l)
	if other, runs := f.running[at]; runs {
		f.say("%v: attempt %d begins while attempt %d runs", at, l.GetFence(), other)
	}
	if other, over := f.done[at]; over {
		f.say("%v: attempt %d begins after attempt %d has succeeded", at, l.GetFence(), other)
	}
	f.running[at] = l.GetFence()
}

func (f *Fleet) end(s *slot, phase v1.AttemptPhase) {
	at := of(s.launch)
	if f.running[at] == s.launch.GetFence() {
		delete(f.running, at)
	}
	if phase == v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED && !s.outcome.Again {
		f.done[at] = s.launch.GetFence()
	}
}

func (f *Fleet) say(format string, args ...any) {
	f.wrong = append(f.wrong, fmt.Sprintf(format, args...))
}

// Agent returns the agent of that id.
func (f *Fleet) Agent(id string) *Agent { return f.agents[id] }
