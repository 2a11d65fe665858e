package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/ledger"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// world is one agent over a store, a driver and a master that are all simulated, and that misbehave by seed.
type world struct {
	t      *testing.T
	seed   uint64
	st     *kit.Stepper
	rng    *rand.Rand
	faults faults

	store  *simStore
	driver *simDriver
	inputs *simInputs
	master *master

	info    *v1.NodeInfo
	boot    string
	lives   int
	sys     *kit.System
	agent   *Agent
	session uint64 // newest that the agent has proposed
	// commands is the limit of that name; 64 if zero.
	commands int
	settled  map[uint64]uint64 // by fence: the newest session when its end left the ledger
	counts   map[string]int
	boomed   time.Time
}

// faults are chances in a thousand, drawn for every message or call.
type faults struct {
	drop, double, delay int // of messages, each way
	panics              int // of calls into ports
	full                int // of writes of the ledger
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newWorld(t *testing.T, seed uint64, f faults) *world {
	st := kit.NewStepper(seed, start)
	w := &world{
		t: t, seed: seed, st: st, rng: st.Rand(), faults: f, boot: "boot-1", counts: map[string]int{}, settled: map[uint64]uint64{},
		info: &v1.NodeInfo{Id: "n1", CpuMilli: 1000, MemoryBytes: 1 << 30, DiskBytes: 1 << 30, NetBps: 1 << 30, Drivers: []string{"process"}},
	}
	w.store = &simStore{w: w, mem: ledger.Memory()}
	w.driver = &simDriver{w: w, slots: map[uint64]*simSlot{}, runs: map[uint64]int{}, survives: true}
	w.inputs = &simInputs{w: w}
	w.master = newMaster(w)
	return w
}

func (w *world) fatalf(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d step %d: %s", w.seed, w.st.Steps(), fmt.Sprintf(format, args...))
}

func (w *world) chance(perMille int) bool { return perMille > 0 && w.rng.IntN(1000) < perMille }

// boots starts the agent over what the store and the driver still hold.
func (w *world) boots() {
	w.t.Helper()
	w.lives++
	w.sys = kit.New(kit.Config{Name: fmt.Sprintf("life-%d", w.lives), Stepper: w.st})
	a, err := Start(w.sys, Config{Cell: "test", Info: w.info, BootID: w.boot, Limits: w.limits()}, Ports{
		Uplink: (*simUplink)(w), Ledger: w.store, Drivers: map[string]driver.Driver{"process": w.driver}, Inputs: w.inputs,
		Meter: simMeter{}, Count: func(event string) { w.counts[event]++ },
	})
	if err != nil {
		w.fatalf("start: %v", err)
	}
	w.agent = a
}

func (w *world) limits() Limits {
	return Limits{Released: 8, Commands: cmp.Or(w.commands, 64), InputTries: 3}
}

// dies ends the agent as kill -9 would.
func (w *world) dies() {
	w.sys.Kill()
	w.driver.sink = nil
	w.store.crash()
}

// run steps the world for so long of virtual time, with the invariants held after every step.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	for until := w.st.Now().Add(d); w.st.Step(until); {
		w.check()
	}
}

func (w *world) steps(n uint64) {
	w.t.Helper()
	for end := w.st.Steps() + n; w.st.Steps() < end && w.st.Step(w.st.Now().Add(time.Hour)); {
		w.check()
	}
}

func (w *world) check() {
	w.t.Helper()
	if err := w.sys.Err(); err != nil && !errors.Is(err, kit.ErrKilled) {
		w.fatalf("the agent has ended: %v", err)
	}
	var held model.Resources
	for _, s := range w.driver.slots {
		held = held.Add(templateResources(s.task.Template))
	}
	if capacity := (model.Resources{w.info.CpuMilli, w.info.MemoryBytes, w.info.DiskBytes, w.info.NetBps}); !held.Fits(capacity) {
		w.fatalf("slots hold %v of %v", held, capacity)
	}
}

// simUplink carries messages to the master, and holds what leaves the agent against what is durable.
type simUplink world

func (u *simUplink) Send(m *v1.FromAgent) {
	w := (*world)(u)
	w.boom("uplink")
	m = proto.CloneOf(m)
	if size := proto.Size(m); size > 1<<20 {
		w.fatalf("message of %d bytes", size)
	}
	w.counts["sent"]++
	if m.GetUsage() != nil && m.GetHello() == nil {
		w.counts["usage"]++
	}
	durable := w.store.durable()
	if m.GetEpoch() > durable.head.GetEpoch() {
		w.fatalf("epoch %d was told before it was durable", m.GetEpoch())
	}
	if h := m.GetHello(); h != nil {
		w.counts["hello"]++
		if h.GetSession() < w.session {
			w.fatalf("session %d after %d", h.GetSession(), w.session)
		}
		if h.GetSession()>>40 != durable.head.GetIncarnation() {
			w.fatalf("session %x before its life is durable", h.GetSession())
		}
		w.session = h.GetSession()
	}
	for _, c := range m.GetChanges() {
		a := c.GetAttempt()
		if a.GetPhase() == v1.AttemptPhase_ATTEMPT_PHASE_RUNNING {
			w.counts["progress"]++
			w.counts["last progress"] = int(a.GetProgressMilli())
		}
		at, settled := w.settled[a.GetFence()]
		if final(a.GetPhase()) && durable.ends[a.GetFence()] == nil && !settled {
			w.fatalf("end of %d was told before it was durable", a.GetFence())
		}
		if settled && m.GetSession() > at {
			w.fatalf("end of %d was told again after it was settled", a.GetFence())
		}
	}
	w.carry(func() { w.master.receive(m) })
}

// carry delivers later, perhaps: lost, twice, late, overtaken.
func (w *world) carry(deliver func()) {
	n := 1
	switch {
	case w.chance(w.faults.drop):
		return
	case w.chance(w.faults.double):
		n = 2
	}
	for range n {
		d := time.Millisecond
		if w.chance(w.faults.delay) {
			d += time.Duration(w.rng.IntN([]int{5, 3000}[w.rng.IntN(2)])) * time.Millisecond
		}
		w.st.AfterFunc(d, deliver)
	}
}

// toAgent carries a message of a master down.
func (w *world) toAgent(m *v1.ToAgent) {
	m = proto.CloneOf(m)
	w.carry(func() { w.agent.Deliver(m) })
}

// boom panics now and then in a port, which crashes the actor that called it.
func (w *world) boom(where string) {
	slot := where == "stop" || where == "release" || where == "inputs" // rare calls, of actors that may crash more often
	if slot && w.chance(10*w.faults.panics) || !slot && w.chance(w.faults.panics) && w.mayCrash() {
		w.counts["panic "+where]++
		panic("simulated crash in " + where)
	}
}

// mayCrash keeps crashes below the limit of a supervisor.
func (w *world) mayCrash() bool {
	may := w.st.Now().Sub(w.boomed) > 4*time.Second
	if may {
		w.boomed = w.st.Now()
	}
	return may
}

type simMeter struct{}

func (simMeter) Usage() *v1.Usage { return &v1.Usage{CpuMilli: 1} }

// simStore delays writes and, in a crash, keeps a part of those under way.
type simStore struct {
	w       *world
	mem     *ledger.Mem
	pending []*simWrite
	full    bool
	gen     int
	read    *book // what is durable, if it was read since the last write
}

type simWrite struct {
	changes []ledger.Entry
	done    func(error)
}

func (s *simStore) Load() ([]ledger.Entry, error) {
	if len(s.pending) > 0 {
		s.w.fatalf("load while %d writes are under way", len(s.pending))
	}
	return s.mem.Load()
}

func (s *simStore) Write(changes []ledger.Entry, done func(error)) {
	if len(changes) > 0 {
		s.w.boom("store")
	}
	s.pending = append(s.pending, &simWrite{changes, done})
	gen := s.gen
	s.w.st.AfterFunc(time.Duration(s.w.rng.IntN(3000))*time.Microsecond, func() {
		if gen == s.gen {
			s.finish()
		}
	})
}

// finish ends the oldest write.
func (s *simStore) finish() {
	one := s.pending[0]
	s.pending = s.pending[1:]
	if len(one.changes) > 0 && (s.full || s.w.chance(s.w.faults.full)) {
		one.done(fmt.Errorf("simulated: %w", ledger.ErrFull))
		return
	}
	s.store(one.changes, one.done)
}

func (s *simStore) store(changes []ledger.Entry, done func(error)) {
	for _, c := range changes {
		if c.Key.Kind == ledger.End && c.Value == nil {
			s.w.settled[c.Key.A] = s.w.session
		}
	}
	s.read = nil
	s.mem.Write(changes, done)
}

func (s *simStore) crash() {
	for range s.w.rng.IntN(len(s.pending) + 1) {
		s.store(s.pending[0].changes, func(error) {})
		s.pending = s.pending[1:]
	}
	s.pending = nil
	s.gen++
}

// durable is what a restart would find; it is only to be read.
func (s *simStore) durable() *book {
	if s.read != nil {
		return s.read
	}
	entries, err := s.mem.Load()
	if err != nil {
		s.w.fatalf("load: %v", err)
	}
	b := newBook(&Config{Info: s.w.info}, 0, nil)
	b.load(entries)
	s.read = b
	return b
}

// simDriver keeps the contract of driver.Driver, and outlives the agent.
type simDriver struct {
	w        *world
	slots    map[uint64]*simSlot
	runs     map[uint64]int // how often each fence was begun
	sink     func(driver.Event)
	survives bool
	hang     bool // attempts do not end by themselves
	crashes  int  // so many calls of Stop panic
}

type simSlot struct {
	task      driver.Task
	outcome   driver.Outcome
	releasing bool
}

func (d *simDriver) Name() string   { return "process" }
func (d *simDriver) Survives() bool { return d.survives }

func (d *simDriver) Open(_ context.Context, sink func(driver.Event)) ([]driver.Slot, error) {
	if !d.survives {
		d.slots = map[uint64]*simSlot{}
	}
	d.sink = sink
	var found []driver.Slot
	for _, id := range sortedKeys(d.slots) {
		s := d.slots[id]
		found = append(found, driver.Slot{Slot: id, Fence: s.task.Fence, Busy: true})
		d.emit(driver.Event{Slot: id, Fence: s.task.Fence, Outcome: s.outcome, Adopted: true})
	}
	return found, nil
}

// emit tells the agent of this life, in order for each slot: all delays are the same.
func (d *simDriver) emit(e driver.Event) {
	life := d.w.lives
	d.w.st.AfterFunc(time.Millisecond, func() {
		if d.sink != nil && life == d.w.lives {
			d.sink(e)
		}
	})
}

func (d *simDriver) Start(t driver.Task) {
	w := d.w
	if rec := w.store.durable().slots[t.Slot]; rec.GetLaunch().GetFence() != t.Fence {
		w.fatalf("attempt %d was started before it was durable", t.Fence)
	}
	s := d.slots[t.Slot]
	switch {
	case s == nil:
		s = &simSlot{}
		d.slots[t.Slot] = s
	case s.task.Fence == t.Fence:
		if s.outcome.IsFinal() {
			d.emit(driver.Event{Slot: t.Slot, Fence: t.Fence, Outcome: s.outcome})
		}
		return
	case s.releasing || !s.outcome.IsFinal():
		w.fatalf("attempt %d was started in slot %d that holds %d", t.Fence, t.Slot, s.task.Fence)
	}
	d.runs[t.Fence]++
	if len(t.Template.GetSpec().GetAfter()) > 0 && t.Inputs != "inputs" {
		w.fatalf("attempt %d was started without its inputs", t.Fence)
	}
	s.task = t
	s.outcome = driver.Outcome{Phase: v1.AttemptPhase_ATTEMPT_PHASE_RUNNING, Started: w.st.Now()}
	d.emit(driver.Event{Slot: t.Slot, Fence: t.Fence, Outcome: s.outcome})
	if !d.hang {
		w.st.AfterFunc(time.Duration(w.rng.IntN(400))*time.Millisecond, func() { d.end(t.Slot, t.Fence, driver.Outcome{}) })
	}
}

// end ends an attempt if it runs; with no phase given, by itself.
func (d *simDriver) end(slot, fence uint64, o driver.Outcome) {
	s := d.slots[slot]
	if s == nil || s.task.Fence != fence || s.outcome.IsFinal() {
		return
	}
	if o.Phase == 0 {
		o.Phase, o.Result = v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED, resultOf(fence)
	}
	o.Started, o.Ended = s.outcome.Started, d.w.st.Now()
	s.outcome = o
	d.emit(driver.Event{Slot: slot, Fence: fence, Outcome: o})
}

// simOutcome is an end of its own accord.
func simOutcome() driver.Outcome { return driver.Outcome{} }

func resultOf(fence uint64) []byte { return fmt.Appendf(nil, "result of %d", fence) }

func (d *simDriver) Stop(slot, fence uint64, reason string) {
	d.w.boom("stop")
	if d.crashes > 0 {
		d.crashes--
		panic("simulated crash in stop")
	}
	d.w.st.AfterFunc(20*time.Millisecond, func() {
		d.end(slot, fence, driver.Outcome{Phase: v1.AttemptPhase_ATTEMPT_PHASE_STOPPED, Reason: "stopped: " + reason})
	})
}

func (d *simDriver) Release(slot uint64, reason string) {
	d.w.boom("release")
	s := d.slots[slot]
	if s == nil {
		d.emit(driver.Event{Slot: slot, Released: true})
		return
	}
	if s.releasing {
		return
	}
	s.releasing = true
	d.w.st.AfterFunc(20*time.Millisecond, func() {
		d.end(slot, s.task.Fence, driver.Outcome{Phase: v1.AttemptPhase_ATTEMPT_PHASE_STOPPED, Reason: "stopped: " + reason})
		delete(d.slots, slot)
		d.emit(driver.Event{Slot: slot, Fence: s.task.Fence, Released: true})
	})
}

func (d *simDriver) Logs(context.Context, *v1.LogsRequest, func(*v1.LogChunk) error) error {
	return nil
}
func (d *simDriver) Close() error { return nil }

// simInputs answers late and fails now and then.
type simInputs struct {
	w     *world
	fails int // so many more times
	// crashes is how many calls panic.
	crashes int
	asked   []Wanted
	kept    []uint64
}

func (i *simInputs) Fetch(wanted Wanted, done func(Given, error)) {
	i.w.boom("inputs")
	if i.crashes > 0 {
		i.crashes--
		panic("simulated crash in inputs")
	}
	i.asked = append(i.asked, wanted)
	i.w.st.AfterFunc(5*time.Millisecond, func() {
		if i.fails > 0 {
			i.fails--
			done(Given{}, errors.New("simulated: results are not there"))
			return
		}
		done(Given{Dir: "inputs"}, nil)
	})
}

func (i *simInputs) Keep(jobs []uint64) { i.kept = jobs }

// holds is what the agent's ledger has durably, for messages.
func (w *world) holds() string {
	b := w.store.durable()
	var s []string
	for _, id := range sortedKeys(b.slots) {
		rec := b.slots[id]
		s = append(s, fmt.Sprintf("%d:%d ended=%v", id, rec.GetLaunch().GetFence(), rec.GetEnded()))
	}
	return fmt.Sprint(s)
}
