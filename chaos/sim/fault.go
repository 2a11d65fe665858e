package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
)

// injected is what an actor panics with that is made to fail.
const injected = kit.Fated

// beginFaults arms the first fault.
func (w *world) beginFaults() {
	for _, n := range w.p.weight {
		w.faulty = w.faulty || n > 0
	}
	w.st.OnFate(w.fate)
	w.rearm()
}

// rearm draws when the next fault strikes. It is counted in steps: time stands still while actors are busy, and that is
// when faults hurt.
func (w *world) rearm() {
	if s := w.opts.Schedule; s != nil {
		w.strike = s.next(w.struck)
		return
	}
	w.strike = w.st.Steps() + 1 + uint64(w.rng.IntN(2*w.p.every))
}

// strikeNow lets one fault happen.
func (w *world) strikeNow() {
	if w.opts.Schedule != nil {
		w.strikeScheduled()
		return
	}
	w.rearm()
	sum := 0
	for _, n := range w.p.weight {
		sum += n
	}
	n := w.rng.IntN(sum)
	for f, weight := range w.p.weight {
		if n -= weight; n < 0 {
			w.strikeWith(Fault(f))
			return
		}
	}
}

// strikeWith lets a fault of a kind happen and counts it.
func (w *world) strikeWith(f Fault) {
	step := w.st.Steps()
	if moments := w.moments(); w.cause(f) {
		w.coverage.count(f, moments)
		w.strikes = append(w.strikes, Strike{Step: step, Fault: f.String()})
	}
}

// cause lets a fault of a kind happen; false if there was nothing for it to hit.
func (w *world) cause(f Fault) bool {
	switch f {
	case ActorCrash:
		w.dieIn = 1 + w.rng.IntN(20)
		return true
	case MasterCrash, BadSnapshot, Resign, CutOff, LostSnapshot:
		if len(w.hosts) > 0 {
			return w.hitHost(f, w.hosts[w.newest.IntN(len(w.hosts))])
		}
		return w.hitMaster(f)
	case LogError, LogFull, SlowLog, Usurp:
		return w.hitMaster(f)
	case ClockJump, Twin, FalseHello, Poison, Overload, MassLoss:
		return w.hitOdd(f)
	case Partition, OneWay, Storm:
		return w.hitLink(f, w.links[w.rng.IntN(len(w.links))])
	case Freeze:
		return w.freeze()
	}
	return w.hitMachine(f, w.machines[w.rng.IntN(len(w.machines))])
}

func (w *world) hitMaster(f Fault) bool {
	m := w.master
	d := w.disk
	switch {
	case f == BadSnapshot:
		if !d.shelf.damage() {
			return false
		}
	case f == SlowLog:
		d.slow = w.between(50*time.Millisecond, 3*time.Second)
		w.after(w.upTo(10*time.Second), func() { d.slow = 0 })
	case f == LogFull:
		d.full = true
		w.after(w.upTo(5*time.Second), func() { d.full = false })
	case m == nil:
		return false
	case f == MasterCrash:
		m.die()
		w.restartMaster()
	case f == LogError:
		m.log.failNext, m.log.storeNext = true, w.rng.IntN(2) == 0
	case f == Usurp:
		if len(w.masters) > 2 || m.env == nil {
			return false
		}
		m.zombie, m.snap.foreign = true, true
		w.master = nil
		w.soon(w.beginMaster)
		w.later(w.upTo(20*time.Second), m.die)
	}
	w.say("fault", "%s", f)
	return true
}

func (w *world) hitLink(f Fault, l *link) bool {
	wait := w.between(100*time.Millisecond, 3*w.p.lost)
	switch f {
	case Partition:
		l.upCut, l.downCut = true, true
	case OneWay:
		if w.rng.IntN(2) == 0 {
			l.upCut = true
		} else {
			l.downCut = true
		}
	case Storm:
		l.storm = true
	}
	w.say("fault", "%s of n%d for %v", f, l.number, wait)
	w.after(wait, l.mend)
	return true
}

func (l *link) mend() { l.upCut, l.downCut, l.storm = false, false, false }

// hitHost lets a fault hit a master of several. Mostly it hits the one that leads.
func (w *world) hitHost(f Fault, h *host) bool {
	if w.master != nil && w.newest.IntN(3) > 0 {
		h = w.master.host
	}
	text := ""
	switch f {
	case MasterCrash:
		if !h.up {
			return false
		}
		if w.newest.IntN(4) == 0 {
			h.shelf.gens, text = nil, " and loss of its disk"
		}
		h.die(w.between(10*time.Millisecond, 3*time.Second))
	case Resign:
		if h.reign == nil || h.frozen {
			return false
		}
		w.soon(h.resign)
	case CutOff:
		if !h.up {
			return false
		}
		wait := w.between(100*time.Millisecond, 3*w.p.lost)
		text = fmt.Sprintf(" from %s for %v", h.cutOff(wait), wait)
	case BadSnapshot:
		if hit := pick(w.newest, &h.shelf, &w.disk.shelf); !hit.damage() {
			return false
		}
	case LostSnapshot:
		n := len(h.shelf.gens)
		if n == 0 {
			return false
		}
		h.shelf.gens = h.shelf.gens[:n-1]
	default:
		return false
	}
	w.say("fault", "%s of master %s%s", f, h.id, text)
	return true
}

// freeze stops a process for a while.
func (w *world) freeze() bool {
	if len(w.hosts) > 0 && (w.p.focus == Masters || w.newest.IntN(3) == 0) {
		h := w.hosts[w.newest.IntN(len(w.hosts))]
		if w.master != nil && w.newest.IntN(3) > 0 {
			h = w.master.host
		}
		wait := w.between(100*time.Millisecond, 2*w.p.lost)
		if !h.freeze(wait) {
			return false
		}
		w.say("fault", "freeze of master %s for %v", h.id, wait)
		return true
	}
	m := w.machines[w.rng.IntN(len(w.machines))]
	sys, name := (*kit.System)(nil), m.id
	if w.rng.IntN(3) == 0 && w.master != nil && w.master.host == nil {
		sys, name = w.master.sys, "master"
	} else if m.agent != nil {
		sys = m.agent.sys
	}
	if sys == nil {
		return false
	}
	wait := w.between(100*time.Millisecond, 2*w.p.lost)
	w.say("fault", "freeze of %s for %v", name, wait)
	w.st.Freeze(sys)
	w.frozen[sys] = true
	w.after(wait, func() { w.thaw(sys) })
	return true
}

func (w *world) thaw(sys *kit.System) {
	w.st.Thaw(sys)
	delete(w.frozen, sys)
}

// downMax is how long an agent that dies alone stays away.
const downMax = 3 * time.Second

func (w *world) hitMachine(f Fault, m *machine) bool {
	down := w.between(10*time.Millisecond, downMax)
	if (w.p.focus == All || w.p.focus == Hosts) && w.chance(200) {
		down = w.upTo(3 * w.p.lost)
	}
	switch f {
	case AgentCrash, Reboot, Flap:
		if m.agent == nil || m.agent.agent == nil {
			return false
		}
	}
	switch f {
	case AgentCrash:
		m.die()
		m.restart(down)
	case Reboot:
		m.reboot()
		m.restart(down)
	case Flap:
		for i := range 2 + w.rng.IntN(4) {
			w.later(time.Duration(i)*w.between(300*time.Millisecond, 900*time.Millisecond), func() {
				m.die()
				m.restart(w.upTo(200 * time.Millisecond))
			})
		}
	case SlowLedger:
		m.ledger.slow = w.between(50*time.Millisecond, 3*time.Second)
		w.after(w.upTo(10*time.Second), func() { m.ledger.slow = 0 })
	case LedgerFull:
		m.ledger.full = true
		w.after(w.upTo(10*time.Second), func() { m.ledger.full = false })
	}
	w.say("fault", "%s of %s", f, m.id)
	return true
}

// fate decides whether the actor that is about to handle a message dies of it.
func (w *world) fate(actor string, _ any) kit.Fate {
	if w.dieIn == 0 {
		return kit.Lives
	}
	if strings.Count(actor, "/") < 2 {
		return kit.Lives // the top of a tree: its death is that of the process, another fault
	}
	if w.dieIn--; w.dieIn > 0 {
		return kit.Lives
	}
	fate := kit.DiesBefore
	if w.rng.IntN(2) == 0 {
		fate = kit.Fate(1 + w.rng.IntN(4))
	}
	w.say("fault", "actor crash of %s (%d)", actor, fate)
	return fate
}

// mend ends every fault.
func (w *world) mend() {
	w.dieIn = 0
	w.disk.full, w.disk.slow = false, 0
	w.soon(w.endTwin)
	for _, l := range w.links {
		l.mend()
	}
	for _, m := range w.machines {
		m.ledger.full, m.ledger.slow = false, 0
		if m.agent != nil {
			w.thaw(m.agent.sys)
		}
	}
	for _, m := range w.masters {
		w.thaw(m.sys)
		m.log.failNext = false
	}
	for _, h := range w.hosts {
		h.thaw()
		h.cut = [ways]time.Time{}
		h.tail()
	}
}

// moments are the phases of the protocol that the world is in now.
func (w *world) moments() []Moment {
	var list []Moment
	add := func(m Moment, is bool) {
		if is {
			list = append(list, m)
		}
	}
	var writing, running, ending, releasing bool
	for _, m := range w.machines {
		writing = writing || len(m.ledger.pending) > 0
		ending = ending || m.ledger.unsettled > 0
		for _, s := range m.slots { //order: any
			running = running || s.outcome == nil
			releasing = releasing || s.releasing
		}
	}
	stopping := false
	for _, uid := range w.truth.uids {
		j := w.truth.jobs[uid]
		stopping = stopping || j.stop && j.phase == ""
	}
	add(Down, w.master == nil)
	if m := w.master; m != nil {
		add(Beginning, w.st.Now().Sub(m.began) < 2*time.Second)
		add(Appending, len(m.log.queue) > 0)
	}
	add(Writing, writing)
	add(Running, running)
	add(Ending, ending)
	add(Stopping, stopping)
	add(Draining, releasing)
	add(Idle, len(list) == 0)
	return list
}

func (c *Coverage) count(f Fault, moments []Moment) {
	for _, m := range moments {
		c[f][m]++
	}
}
