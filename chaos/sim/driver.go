package sim

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/node/driver"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// slot is one live slot of a machine, and what runs in it.
type slot struct {
	id     uint64
	driver string
	held   model.Resources
	extra  *driver.Extra // ports, devices and custom units; nil for none
	task   driver.Task
	truth  *attempt
	// outcome of the newest attempt; nil while nothing is known of it.
	outcome   *driver.Outcome
	begun     bool
	releasing bool
	// last event, so that events of one slot keep their order.
	last time.Time
	// life counts the attempts in the slot, so that what was planned for one does not hit the next.
	life int
}

// simDriver is one life's way to what runs on its machine. It implements driver.Driver and agent.Survivor.
type simDriver struct {
	a        *agentLife
	name     string
	survives bool
}

var _ driver.Driver = (*simDriver)(nil)

// Name implements driver.Driver.
func (d *simDriver) Name() string { return d.name }

// Survives implements agent.Survivor.
func (d *simDriver) Survives() bool { return d.survives }

// Open implements driver.Driver: it finds what an earlier life has begun.
func (d *simDriver) Open(_ context.Context, sink func(driver.Event)) ([]driver.Slot, error) {
	d.a.sinks[d.name] = sink
	m := d.a.m
	var found []driver.Slot
	for _, id := range sortedKeys(m.slots) {
		s := m.slots[id]
		if s.driver != d.name {
			continue
		}
		t := s.task
		found = append(found, driver.Slot{
			Slot: id, Fence: t.Fence, JobUID: t.JobUID, Stage: t.Stage, Index: t.Index, Attempt: t.Attempt, Busy: true,
		})
		if s.releasing {
			m.vacate(s)
			continue
		}
		m.tell(s, driver.Event{Slot: id, Fence: t.Fence, Outcome: s.report(m.w), Adopted: true})
	}
	return found, nil
}

// report is what can be said of an attempt now.
func (s *slot) report(w *world) driver.Outcome {
	if s.outcome != nil {
		return *s.outcome
	}
	return driver.Outcome{Phase: v1.AttemptPhase_ATTEMPT_PHASE_RUNNING, Started: w.st.Now()}
}

// tell lets the agent hear an event soon, if it lives then.
func (m *machine) tell(s *slot, e driver.Event) {
	w := m.w
	s.last = latest(s.last, w.st.Now().Add(w.upTo(3*time.Millisecond)))
	a := m.agent
	w.after(s.last.Sub(w.st.Now()), func() {
		if a == nil || !a.alive {
			return
		}
		if sink := a.sinks[s.driver]; sink != nil {
			sink(e)
		}
	})
}

// Start implements driver.Driver.
func (d *simDriver) Start(t driver.Task) {
	m := d.a.m
	w := m.w
	s := m.slots[t.Slot]
	switch {
	case s == nil:
		s = &slot{id: t.Slot, driver: d.name, held: resourcesOf(t.Template), extra: t.Extra, task: t}
		m.slots[t.Slot] = s
		m.arrived(s)
	case s.task.Fence == t.Fence && s.outcome == nil:
		return
	case s.task.Fence == t.Fence:
		m.tell(s, driver.Event{Slot: t.Slot, Fence: t.Fence, Outcome: *s.outcome})
		return
	case s.outcome == nil || s.releasing:
		m.tell(s, driver.Event{Slot: t.Slot, Fence: t.Fence, Outcome: driver.Outcome{
			Phase: v1.AttemptPhase_ATTEMPT_PHASE_FAILED, Reason: "the slot runs another attempt", Ended: w.st.Now(),
		}})
		return
	}
	s.task, s.outcome, s.begun = t, nil, true
	s.life++
	s.truth = m.begin(t)
	m.checkCapacity()
	life := s.life
	w.after(driver.QuietStart, func() {
		if s.life == life && s.outcome == nil {
			m.tell(s, driver.Event{Slot: t.Slot, Fence: t.Fence, Outcome: s.report(w)})
		}
	})
	m.run(s)
}

// run plans the natural end of an attempt.
func (m *machine) run(s *slot) {
	w, t, life := m.w, s.task, s.life
	p := w.load.plan(t)
	reason := ""
	if limit := time.Duration(t.Template.GetTimeoutMs()) * time.Millisecond; limit > 0 && p.takes > limit {
		p.takes, p.fails, reason = limit, true, "timeout"
	}
	if p.forever {
		return
	}
	w.after(p.takes, func() {
		if s.life != life || s.outcome != nil {
			return
		}
		o := driver.Outcome{Phase: v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED, Result: []byte(p.result), Started: w.st.Now().Add(-p.takes), Ended: w.st.Now()}
		if p.fails {
			o.Phase, o.Result, o.ExitCode, o.Reason = v1.AttemptPhase_ATTEMPT_PHASE_FAILED, nil, 1, fmt.Sprintf("script of attempt %d %s", t.Fence, reason)
		}
		m.end(s, o)
	})
}

// end is how an attempt ends, told to the agent.
func (m *machine) end(s *slot, o driver.Outcome) {
	s.outcome = &o
	s.truth.phase, s.truth.result = o.Phase, string(o.Result)
	m.tell(s, driver.Event{Slot: s.id, Fence: s.task.Fence, Outcome: o})
}

// Stop implements driver.Driver.
func (d *simDriver) Stop(id, fence uint64, reason string) {
	m := d.a.m
	s := m.slots[id]
	if s == nil || s.task.Fence != fence || s.outcome != nil {
		return
	}
	m.w.say("stop", "%s: attempt %d of %v: %s", m.id, fence, s.truth.place, reason)
	m.stop(s, reason)
}

// stop lets an attempt end on request: soon, or if it does not listen when its grace is over.
func (m *machine) stop(s *slot, reason string) {
	w, life := m.w, s.life
	wait := w.upTo(200 * time.Millisecond)
	if w.chance(200) {
		wait = time.Duration(s.task.Template.GetGraceMs()) * time.Millisecond
	}
	w.after(wait, func() {
		if s.life == life && s.outcome == nil {
			m.end(s, driver.Outcome{Phase: v1.AttemptPhase_ATTEMPT_PHASE_STOPPED, Reason: "stopped: " + reason, Ended: w.st.Now()})
		}
	})
}

// Release implements driver.Driver.
func (d *simDriver) Release(id uint64, reason string) {
	m := d.a.m
	s := m.slots[id]
	if s == nil {
		gone := &slot{id: id, driver: d.name}
		m.tell(gone, driver.Event{Slot: id, Released: true})
		return
	}
	s.releasing = true
	if s.outcome == nil {
		m.w.say("stop", "%s: slot of attempt %d of %v is released: %s", m.id, s.task.Fence, s.truth.place, reason)
		m.stop(s, reason)
	}
	m.vacate(s)
}

// vacate frees a slot once nothing runs in it.
func (m *machine) vacate(s *slot) {
	m.w.after(m.w.upTo(5*time.Millisecond), func() {
		switch {
		case m.slots[s.id] != s:
			m.tell(s, driver.Event{Slot: s.id, Released: true})
		case s.outcome == nil:
			m.vacate(s)
		default:
			delete(m.slots, s.id)
			m.tell(s, driver.Event{Slot: s.id, Released: true})
		}
	})
}

// lose ends an attempt without a word, and its slot.
func (m *machine) lose(s *slot, why string) {
	if s.outcome == nil {
		m.w.say("lost", "%s: attempt %d of %v %s", m.id, s.task.Fence, s.truth.place, why)
		s.truth.phase = v1.AttemptPhase_ATTEMPT_PHASE_LOST
	}
	s.life++
	s.outcome = &driver.Outcome{Phase: v1.AttemptPhase_ATTEMPT_PHASE_LOST}
	delete(m.slots, s.id)
}

// Logs implements driver.Driver.
func (d *simDriver) Logs(context.Context, *v1.LogsRequest, func(*v1.LogChunk) error) error {
	return fs.ErrNotExist
}

// Close implements driver.Driver.
func (d *simDriver) Close() error { return nil }

// begin is the moment in which an attempt comes to life, and what must hold then.
func (m *machine) begin(t driver.Task) *attempt {
	w := m.w
	at := place{t.JobUID, t.Stage, t.Index}
	a := &attempt{place: at, fence: t.Fence, slot: t.Slot, number: t.Attempt, node: m.number, phase: v1.AttemptPhase_ATTEMPT_PHASE_RUNNING}
	w.stats.begun++
	w.did(BegunOnce)
	if was := w.truth.attempts[t.Fence]; was != nil {
		w.fail(BegunOnce, "%s begins attempt %d of %v, which has begun before on n%d", m.id, t.Fence, at, was.node)
	}
	w.truth.attempts[t.Fence] = a
	w.did(FencesGrow)
	if m.newest[at] >= t.Fence {
		w.fail(FencesGrow, "%s begins attempt %d of %v after attempt %d", m.id, t.Fence, at, m.newest[at])
	}
	m.newest[at] = t.Fence
	w.did(LaunchPersisted)
	if m.ledger.launched[t.Slot] != t.Fence {
		w.fail(LaunchPersisted, "%s begins attempt %d of %v, which is not in its ledger", m.id, t.Fence, at)
	}
	w.did(EpochObeyed)
	if m.stale[t.Fence] {
		w.fail(EpochObeyed, "%s begins attempt %d of %v for a master of epoch %d, though it knows epoch %d", m.id, t.Fence, at, model.EpochOf(t.Fence), m.epoch)
	}
	if j := w.truth.jobs[t.JobUID]; j != nil {
		st, try := &j.stages[t.Stage], numbered{t.Index, t.Attempt}
		st.begun[t.Index]++
		st.narrow = st.narrow || w.p.focus == Masters && len(w.truth.shadow.Nodes()) < 3
		j.repeated = j.repeated || st.numbers[try]
		st.numbers[try] = true
		w.say("begin", "%s: attempt %d (number %d) of %v", m.id, t.Fence, t.Attempt, at)
		if st.failedOn[t.Index] == m.id {
			w.did(AvoidanceEnds)
		}
		m.checkOnce(j, t)
		m.checkStopped(j, t.Fence)
		m.checkInputs(j, t)
	}
	return a
}

// checkCapacity sums up what lives on the machine.
func (m *machine) checkCapacity() {
	w := m.w
	var sum model.Resources
	for _, s := range m.slots { //order: sums
		sum = sum.Add(s.held)
	}
	w.did(CapacityHeld)
	if !sum.Fits(m.capacity) {
		w.fail(CapacityHeld, "%s holds %v of %v", m.id, sum, m.capacity)
	}
}

// seenApart is by how much later than the first one others may be found silent that fell silent with it: a heartbeat, and a
// look at each end. Where a node is lost sooner nobody can know yet that many are.
const seenApart = 3 * time.Second

// checkOnce looks whether the instance had to be begun again.
func (m *machine) checkOnce(j *job, t driver.Task) {
	w, at, check := m.w, place{t.JobUID, t.Stage, t.Index}, RunsOnce // three machines that vanish together are not taken for dead
	switch {
	case j.stop:
		return
	case w.p.focus == Calm || w.p.focus == Master:
	case w.p.focus == Masters && !j.stages[t.Stage].narrow && w.p.lost-w.p.suspect >= seenApart, w.p.focus == Agents && w.p.lost > 2*downMax && j.stages[t.Stage].survives:
		check = AttemptsSurvive
	default:
		return
	}
	w.did(check)
	if st := &j.stages[at.stage]; st.begun[at.index] > st.failures[at.index]+st.evicted[at.index]+1 && !j.isService() {
		w.fail(check, "%v begins %d times after %d failures and %d evictions", at, st.begun[at.index], st.failures[at.index], st.evicted[at.index])
	}
}

// checkInputs looks whether the stages before are done, and whether their results are here.
func (m *machine) checkInputs(j *job, t driver.Task) {
	w := m.w
	for _, name := range t.Template.GetSpec().GetAfter() {
		before := slices.IndexFunc(j.spec.GetStages(), func(s *v1.StageSpec) bool { return s.GetName() == name })
		st := &j.stages[before]
		w.did(InputsAreTrue)
		if uint64(len(st.done)) != st.instances {
			w.fail(InputsAreTrue, "stage %d of job %d begins before stage %s is done", t.Stage, j.uid, name)
			return
		}
		got, err := t.Results(name)
		want := map[uint64]string{}
		for index, fence := range st.done { //order: fills a map
			if fence != 0 {
				want[index] = w.truth.attempts[fence].result
			}
		}
		have := map[uint64]string{}
		for index, data := range got { //order: fills a map
			have[index] = string(data)
		}
		if err != nil || !maps.Equal(have, want) {
			w.fail(InputsAreTrue, "stage %d of job %d begins with %d results of stage %s, there are %d (%v)", t.Stage, j.uid, len(have), name, len(want), err)
		}
	}
}

func (j *job) isService() bool { return j.spec.GetKind() == "service" }

func resourcesOf(t *v1.Template) model.Resources {
	return model.Resources{model.CPU: t.GetCpuMilli(), model.Memory: t.GetMemoryBytes(), model.Disk: t.GetDiskBytes(), model.Net: t.GetNetBps()}
}
