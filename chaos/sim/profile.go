package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Fault is a kind of fault.
type Fault uint8

// The kinds of faults.
const (
	MasterCrash  Fault = iota // the process of the master dies
	AgentCrash                // the process of an agent dies; what it runs goes on
	Reboot                    // a machine boots anew; all that ran on it is gone
	ActorCrash                // one actor panics before, in the middle of, or after a message
	Partition                 // a link between master and agent carries nothing
	OneWay                    // a link carries nothing in one direction
	Storm                     // links lose, double and delay much more for a while
	SlowLog                   // appends take long
	LogError                  // an append fails; what it wrote may be stored or not
	LogFull                   // the journal has no room for a while
	SlowLedger                // writes of an agent's ledger take long
	LedgerFull                // an agent's disk has no room for a while
	Usurp                     // a second master begins while the first lives, and goes on for a while
	Freeze                    // a process stands still, and wakes
	BadSnapshot               // the newest snapshot is damaged
	Flap                      // an agent dies again and again
	Resign                    // the leader hands over
	CutOff                    // a master is cut off from the journal, its peers, agents or clients, or from some of them
	LostSnapshot              // a snapshot is gone
	ClockJump                 // the date of a process jumps by up to an hour
	Twin                      // a second agent goes by the name of another
	FalseHello                // an agent tells what it held before, or what it never did
	Poison                    // a message or a request makes no sense
	Overload                  // ten times as many requests
	MassLoss                  // many machines vanish at once
	Faults
)

var faultNames = [Faults]string{
	"master crash", "agent crash", "reboot", "actor crash", "partition", "one way", "storm", "slow log", "log error",
	"log full", "slow ledger", "ledger full", "usurp", "freeze", "bad snapshot", "flap", "resign", "cut off", "lost snapshot",
	"clock jump", "twin", "false hello", "poison", "overload", "mass loss",
}

// String is the name of the fault.
func (f Fault) String() string { return faultNames[f] }

// The families of faults that Options.Focus names.
const (
	Calm    = "calm"    // no fault at all, and links that lose nothing
	Master  = "master"  // only the master's side fails
	Agents  = "agents"  // only processes of agents die
	Actors  = "actors"  // only single actors crash
	Masters = "masters" // masters die, sleep, are cut off and hand over
	Odd     = "odd"     // clocks are wrong, names are taken twice, words make no sense, and there are too many of them
	Network = "network" // only links fail
	Hosts   = "hosts"   // processes, machines, disks and links, but no single actor
	All     = "all"     // anything may fail
)

var families = map[string][]Fault{
	Calm:    {},
	Master:  {MasterCrash, SlowLog, LogError, BadSnapshot},
	Agents:  {AgentCrash, SlowLedger},
	Actors:  {ActorCrash},
	Network: {Partition, OneWay, Storm},
	Masters: {},
	Odd:     {},
	Hosts: {
		MasterCrash, AgentCrash, Reboot, Partition, OneWay, Storm, SlowLog, LogError, LogFull, SlowLedger, LedgerFull,
		Usurp, Freeze, BadSnapshot, Flap,
	},
	All: {
		MasterCrash, AgentCrash, Reboot, ActorCrash, Partition, OneWay, Storm, SlowLog, LogError, LogFull, SlowLedger,
		LedgerFull, Usurp, Freeze, BadSnapshot, Flap,
	},
}

// newer are faults that families have got since, where there are several masters.
var newer = map[string][]Fault{
	Masters: {MasterCrash, Freeze, SlowLog, LogError, LogFull, BadSnapshot, Resign, CutOff, LostSnapshot},
	Odd:     {ClockJump, Twin, FalseHello, Poison, Overload, MassLoss},
	Network: {MassLoss},
	Hosts:   {Resign, CutOff, LostSnapshot, ClockJump, Twin, MassLoss, Overload},
	All:     {Resign, CutOff, LostSnapshot, ClockJump, Twin, FalseHello, Poison, Overload, MassLoss},
}

// Families are the names that Options.Focus may have.
func Families() []string { return sortedKeys(families) }

// profile is what a run draws before it begins: the swarm's way of not testing the average of everything.
type profile struct {
	// focus is the family of faults, theme that of the load.
	focus, theme string
	rich
	agents int
	steps  uint64
	// weight of each fault; the mean number of steps between two faults.
	weight [Faults]int
	every  int
	// links
	delay, jitter time.Duration
	drop, double  int // of a thousand messages
	late          int // of a thousand messages come seconds later: a cut link that heals is delay, not loss
	encode, fifo  bool
	quantum       time.Duration
	// the master
	suspect, lost, settle time.Duration
	snapshotRecords       uint64
	endedJobs             int
	logDelay, writeDelay  time.Duration
	// the load
	jobs, clients int
	think         time.Duration
	funcs         bool
	cast
}

// cast is what there is to draw where masters are elected.
type cast struct {
	// masters there are; 0 for one that leads without an election.
	masters int
	// patience is how long a leader may be silent, tail how late a follower reads, lease how long an append vouches for
	// reads, beatDrop how many of a thousand beats are lost.
	patience, tail, lease time.Duration
	beatDrop              int
	// drift is by how many thousandths clocks run fast or slow at most; mixed: links carry words of a version to come.
	drift int
	mixed bool
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// draw makes the profile of a run. What came later is drawn from more, so that what a seed of the theme Plain plays stays,
// and what came with several masters from newest, so that what a seed plays with one alone stays.
func draw(o Options, r, more, newest *rand.Rand) profile {
	p := profile{
		focus:  pick(r, Calm, Master, Agents, Actors, Network, Hosts, Hosts, Hosts, All, All, All),
		agents: pick(r, 1, 2, 2, 3, 3, 4, 5),
		steps:  uint64(4_000 + r.IntN(8_000)),
		every:  pick(r, 60, 150, 300, 600, 1200),
		delay:  pick(r, 0, 100*time.Microsecond, time.Millisecond, 20*time.Millisecond),
		jitter: pick(r, 0, time.Millisecond, 10*time.Millisecond, 200*time.Millisecond),
		encode: r.IntN(4) == 0, fifo: r.IntN(2) == 0, quantum: pick(r, 0, time.Millisecond, 10*time.Millisecond, 50*time.Millisecond),
		suspect:         pick(r, time.Second, 2*time.Second, 5*time.Second),
		snapshotRecords: pick(r, uint64(5), 20, 60, 1000),
		endedJobs:       pick(r, 3, 20, 1000),
		logDelay:        pick(r, 0, time.Millisecond, 5*time.Millisecond, 30*time.Millisecond),
		writeDelay:      pick(r, 0, time.Millisecond, 5*time.Millisecond, 30*time.Millisecond),
		jobs:            4 + r.IntN(30), clients: 1 + r.IntN(6),
		think: pick(r, 50*time.Millisecond, 300*time.Millisecond, time.Second, 3*time.Second),
		funcs: r.IntN(2) == 0,
	}
	a, _ := split(o.Focus)
	p.theme = pick(more, Plain, Mixed, Mixed, Mixed, Quota, Preempt, Preempt, Gang, Rules, Rules)
	p.focus, p.theme = cmp.Or(a.family, p.focus), cmp.Or(a.theme, p.theme)
	p.cast.draw(a, newest)
	if a.family == "" && p.masters > 0 && newest.IntN(3) == 0 {
		p.focus = pick(newest, Masters, Masters, Odd)
	}
	if p.masters > 0 && newest.IntN(8) == 0 {
		p.agents = agentsMax
	}
	if a.family == "" && p.theme != Plain && more.IntN(4) == 0 {
		p.focus = Calm // where nothing fails more can be said of what is decided
	}
	p.rich = themes[p.theme]
	if o.Steps != 0 {
		p.steps = o.Steps
	}
	p.fifo = p.fifo || p.focus == Calm
	p.lost = p.suspect * time.Duration(pick(r, 2, 3, 5))
	p.settle = p.suspect * time.Duration(pick(r, 1, 3, 5))
	if p.focus == Network || p.focus == Hosts || p.focus == All {
		p.drop, p.double, p.late = pick(r, 0, 0, 5, 50, 200), pick(r, 0, 0, 5, 50, 300), pick(r, 0, 5, 50, 200)
	}
	for _, f := range families[p.focus] {
		if p.focus != All && p.focus != Hosts || r.IntN(2) == 0 {
			p.weight[f] = 1 + r.IntN(10)
		}
	}
	if p.focus == Calm || p.focus == Agents || p.focus == Actors {
		p.beatDrop = 0
	}
	if p.masters > 0 {
		p.weight[Usurp] = 0 // that is what elections are there for
		for _, f := range newer[p.focus] {
			if newest.IntN(3) > 0 {
				p.weight[f] = 1 + newest.IntN(10)
			}
		}
	}
	return p
}

// draw draws how many masters there are, and how they come to lead.
func (c *cast) draw(a aim, r *rand.Rand) {
	*c = cast{
		masters:  pick(r, 0, 1, 2, 3, 3),
		patience: pick(r, time.Second, time.Second, 3*time.Second), // less is too little for the slowest links
		tail:     pick(r, 0, 2*time.Millisecond, 50*time.Millisecond, 500*time.Millisecond),
		lease:    pick(r, 100*time.Millisecond, 300*time.Millisecond, time.Second),
		beatDrop: pick(r, 0, 0, 20, 100),
		drift:    pick(r, 0, 0, 10),
		mixed:    r.IntN(3) == 0,
	}
	switch {
	case a.cast == Alone || a.cast == "" && a.family != Masters && a.family != Odd && c.masters == 0:
		*c = cast{}
	case c.masters == 0:
		c.masters = 2
	}
}

// String is the profile in one line.
func (p *profile) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "focus=%s/%s agents=%d steps=%d delay=%v jitter=%v drop=%d‰ double=%d‰ late=%d‰ encode=%v fifo=%v quantum=%v "+
		"suspect=%v lost=%v settle=%v snapshot=%d ended=%d log=%v ledger=%v jobs=%d clients=%d think=%v funcs=%v every=%d faults:",
		p.focus, p.theme, p.agents, p.steps, p.delay, p.jitter, p.drop, p.double, p.late, p.encode, p.fifo, p.quantum, p.suspect, p.lost, p.settle,
		p.snapshotRecords, p.endedJobs, p.logDelay, p.writeDelay, p.jobs, p.clients, p.think, p.funcs, p.every)
	if p.masters > 0 {
		fmt.Fprintf(&b, " masters=%d patience=%v tail=%v lease=%v beatdrop=%d‰ drift=%d‰ mixed=%v", p.masters, p.patience, p.tail, p.lease, p.beatDrop, p.drift, p.mixed)
	}
	for f, n := range p.weight {
		if n > 0 {
			fmt.Fprintf(&b, " %s=%d", Fault(f), n)
		}
	}
	return b.String()
}
