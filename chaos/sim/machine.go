package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/node/agent"
	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/ledger"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// machine outlives the agents on it: the ledger's disk, and what runs under the drivers.
type machine struct {
	w        *world
	number   int
	id       string
	boots    int
	info     *v1.NodeInfo
	home     *v1.NodeInfo // what it is at first, and when the world has healed
	altered  bool         // it has been something else
	bad      bool         // services fail there, until the world heals
	capacity model.Resources
	clock    *clock
	slots    map[uint64]*slot
	ledger   platter
	agent    *agentLife // nil while none lives
	lives    int
	restarts int // asked for and still to come
	// epoch is the highest that an agent here has spoken of; epochs of every life together.
	epoch uint64
	// stale are fences that a deposed master has sent, heard those that any master has.
	stale, heard map[uint64]bool
	// newest fence that has begun of each instance.
	newest map[place]uint64
}

// agentLife is one process of an agent.
type agentLife struct {
	m     *machine
	sys   *kit.System
	agent *agent.Agent
	alive bool
	sinks map[string]func(driver.Event)
}

func newMachine(w *world, number int) *machine {
	m := &machine{
		w: w, number: number, id: fmt.Sprintf("n%d", number), boots: 1, slots: map[uint64]*slot{},
		stale: map[uint64]bool{}, heard: map[uint64]bool{}, newest: map[place]uint64{},
		capacity: model.Resources{
			model.CPU: int64(pick(w.rng, 500, 1000, 2000, 4000)), model.Memory: int64(pick(w.rng, 256, 512, 1024)) << 20,
			model.Disk: int64(pick(w.rng, 0, 100)) << 20, model.Net: 1 << 20,
		},
	}
	m.info = &v1.NodeInfo{
		Id: m.id, CpuMilli: m.capacity[model.CPU], MemoryBytes: m.capacity[model.Memory], DiskBytes: m.capacity[model.Disk],
		NetBps: m.capacity[model.Net], Attributes: map[string]string{"rack": fmt.Sprintf("r%d", number%2)},
		Drivers: []string{"func", "process"},
	}
	m.clock = w.newClock()
	m.equip()
	m.ledger = platter{m: m, mem: ledger.Memory(), ends: map[uint64]bool{}}
	return m
}

func (w *world) machineOf(id string) *machine {
	return w.machines[slices.IndexFunc(w.machines, func(m *machine) bool { return m.id == id })]
}

// start begins a life of the agent. It is called between two steps.
func (m *machine) start() {
	w := m.w
	if m.agent != nil {
		return
	}
	m.lives++
	name := fmt.Sprintf("%s.%d", m.id, m.lives)
	a := &agentLife{m: m, alive: true, sinks: map[string]func(driver.Event){}}
	a.sys = kit.New(kit.Config{Name: name, Stepper: w.st, Clock: m.clock.port(), Log: w.logger(name)})
	m.agent = a
	conf := agent.Config{Cell: cell, Info: m.info, BootID: fmt.Sprintf("boot-%d", m.boots)}
	if w.p.masters > 0 {
		conf.Process = w.newest.Uint64()
	}
	started, err := agent.Start(a.sys, conf, agent.Ports{
		Uplink: uplink{a}, Ledger: &handle{p: &m.ledger, life: a},
		Drivers: map[string]driver.Driver{"process": &simDriver{a, "process", true}, "func": &simDriver{a, "func", false}},
		Inputs:  &inputs{a},
	})
	if err != nil {
		w.say("agent", "%s does not start: %v", m.id, err)
		m.die()
		m.restart(time.Second)
		return
	}
	a.agent = started
	w.say("agent", "%s begins life %d", m.id, m.lives)
}

// restart begins a new life after a while.
func (m *machine) restart(wait time.Duration) {
	m.restarts++
	m.w.later(wait, func() {
		if m.restarts--; m.restarts == 0 {
			m.start()
		}
	})
}

// die ends the process of the agent, at once and without a word. What runs under a driver that survives goes on.
func (m *machine) die() {
	a := m.agent
	if a == nil {
		return
	}
	m.alter()
	a.alive = false
	m.agent = nil
	a.sys.Kill()
	m.ledger.crash()
	for _, id := range sortedKeys(m.slots) {
		if s := m.slots[id]; s.driver == "func" {
			m.lose(s, "died with the agent")
		}
	}
}

// reboot ends everything on the machine but its disk.
func (m *machine) reboot() {
	m.die()
	m.boots++
	for _, id := range sortedKeys(m.slots) {
		m.lose(m.slots[id], "the machine was booted")
	}
}

// deliver hands a message of a master to the agent that lives now.
func (m *machine) deliver(msg *v1.ToAgent) {
	if m.agent == nil {
		return
	}
	for _, c := range msg.GetCommands() {
		if l := c.GetLaunch(); l != nil {
			if msg.GetEpoch() < m.epoch && !m.heard[l.GetFence()] {
				m.stale[l.GetFence()] = true
			}
			m.heard[l.GetFence()] = true
		}
	}
	m.agent.agent.Deliver(msg)
}

// uplink is the agent's way to the masters. It implements agent.Uplink.
type uplink struct{ a *agentLife }

// Send implements agent.Uplink.
func (u uplink) Send(msg *v1.FromAgent) {
	m := u.a.m
	w := m.w
	if !u.a.alive {
		return
	}
	w.did(EpochsGrow)
	if msg.GetEpoch() < m.epoch {
		w.fail(EpochsGrow, "agent %s speaks of epoch %d after epoch %d", m.id, msg.GetEpoch(), m.epoch)
	}
	m.epoch = msg.GetEpoch()
	for _, c := range msg.GetChanges() {
		if s := c.GetAttempt(); s.GetPhase() >= v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED {
			w.did(EndPersisted)
			if !m.ledger.ends[s.GetFence()] {
				w.fail(EndPersisted, "agent %s tells the end of attempt %d, which is not in its ledger", m.id, s.GetFence())
			}
		}
	}
	w.links[m.number].up(msg)
}

// platter is the disk under an agent's ledger, with the writes that are on their way to it.
type platter struct {
	m       *machine
	mem     *ledger.Mem
	pending []*write
	// ends are all that were ever durable, launched the fences of slots that are.
	ends     map[uint64]bool
	launched map[uint64]uint64 // newest durable fence by slot
	held     map[uint64]model.Resources
	// unsettled counts the ends that are there.
	unsettled int
	full      bool
	slow      time.Duration
	done      time.Time
}

type write struct {
	changes []ledger.Entry
	done    func(error)
	gone    bool
}

// handle is one life's way to the platter. It implements agent.Ledger.
type handle struct {
	p    *platter
	life *agentLife
}

// Load implements agent.Ledger.
func (h *handle) Load() ([]ledger.Entry, error) { return h.p.mem.Load() }

// Write implements agent.Ledger.
func (h *handle) Write(changes []ledger.Entry, done func(error)) {
	p, w := h.p, h.p.m.w
	one := &write{changes: changes, done: done}
	p.pending = append(p.pending, one)
	p.done = latest(p.done, w.st.Now().Add(w.upTo(2*w.p.writeDelay)+p.slow))
	w.after(p.done.Sub(w.st.Now()), func() {
		if one.gone {
			return
		}
		p.pending = p.pending[1:]
		done(p.write(one))
	})
}

// write is the moment in which changes become durable.
func (p *platter) write(one *write) error {
	if len(one.changes) == 0 {
		return nil
	}
	if p.full || p.m.w.part == faults && chanceOf(p.m.w.more, p.m.w.p.refuse) {
		return fmt.Errorf("%w: simulated", ledger.ErrFull)
	}
	var err error
	p.mem.Write(one.changes, func(e error) { err = e })
	if err == nil {
		p.note(one.changes)
	}
	return err
}

// note keeps the truth about what is durable.
func (p *platter) note(changes []ledger.Entry) {
	w := p.m.w
	if p.launched == nil {
		p.launched, p.held = map[uint64]uint64{}, map[uint64]model.Resources{}
	}
	for _, c := range changes {
		switch c.Key.Kind {
		case ledger.End:
			if c.Value != nil {
				p.ends[c.Key.A] = true
				p.unsettled++
			} else {
				p.unsettled--
			}
		case ledger.Slot:
			rec, _ := c.Value.(*v1.LedgerSlot)
			if rec == nil {
				delete(p.launched, c.Key.A)
				delete(p.held, c.Key.A)
				continue
			}
			p.launched[c.Key.A] = rec.GetLaunch().GetFence()
			p.held[c.Key.A] = model.Resources{rec.GetCpuMilli(), rec.GetMemoryBytes(), rec.GetDiskBytes(), rec.GetNetBps()}
		}
	}
	w.did(LedgerFits)
	var sum model.Resources
	for _, r := range p.held { //order: sums
		sum = sum.Add(r)
	}
	if !sum.Fits(p.m.capacity) {
		w.fail(LedgerFits, "the ledger of %s holds %v of %v", p.m.id, sum, p.m.capacity)
	}
}

// crash ends the process that wrote: of the writes under way, a draw says how many reach the disk.
func (p *platter) crash() {
	keep := 0
	if n := len(p.pending); n > 0 {
		keep = p.m.w.rng.IntN(n + 1)
	}
	for i, one := range p.pending {
		one.gone = true
		if i < keep {
			_ = p.write(one)
		}
	}
	p.pending = nil
}
