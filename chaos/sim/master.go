package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/tree"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// master is one process of a master, from a recovered state to its death.
type master struct {
	w     *world
	host  *host // in a cell of several; nil for one alone
	epoch uint64
	sys   *kit.System
	env   *msg.Env
	state *model.State // belongs to the journal's actor; looked at between two steps
	log   *logHandle
	snap  *snapHandle
	began time.Time
	alive bool
	// zombie: another one has begun since.
	zombie bool
	// closed: it hands over, and answers nobody; answersFrom is when a new one may answer.
	closed      bool
	answersFrom time.Time
	watched     watched
}

// beginMaster recovers and starts a master. It is called between two steps.
func (w *world) beginMaster() {
	if w.master != nil {
		return
	}
	m, err := w.recoverMaster()
	if err != nil {
		if !errors.Is(err, journal.ErrFull) {
			w.fail(RestartIsReplay, "no master can begin: %v", err)
			return
		}
		w.say("master", "cannot begin: %v", err)
		w.later(500*time.Millisecond, w.beginMaster)
		return
	}
	w.enthrone(m)
}

// enthrone starts the actors of a master whose epoch has begun.
func (w *world) enthrone(m *master) {
	if old := w.master; old != nil {
		old.zombie = true
	}
	name := fmt.Sprintf("m%d", m.epoch)
	m.sys = kit.New(kit.Config{Name: name, Stepper: w.st, Clock: m.clock(), Log: w.logger(name)})
	w.master, w.masters = m, append(w.masters, m)
	w.stats.reigns++
	w.say("master", "epoch %d begins at record %d, snapshot %d", m.epoch, w.disk.last(), m.snap.newest)
	env, err := tree.Start(context.Background(), m.sys, tree.Config{
		Cell: cell, Host: name, Version: "sim", Limits: w.limits, State: m.state, Log: m.log, Snap: m.snap,
		SnapshotRecords: w.p.snapshotRecords, Fabric: m, Publish: m.publish, Record: w.opts.Record,
	})
	if m.env = env; err != nil && m.alive {
		w.say("master", "epoch %d does not start: %v", m.epoch, err)
		w.fallen(m)
	}
}

// clock is that of the process; nil for the world's own.
func (m *master) clock() kit.Clock {
	if m.host == nil {
		return nil
	}
	return m.host.clock.port()
}

// fallen ends a reign that ended by itself; in a cell of several its process follows again.
func (w *world) fallen(m *master) {
	switch {
	case m.host != nil:
		m.host.deposed()
	case m.zombie:
		m.die()
	default:
		m.die()
		w.restartMaster()
	}
}

func (w *world) recoverMaster() (*master, error) {
	m := &master{w: w, alive: true, began: w.st.Now(), log: &logHandle{d: w.disk, now: true}, snap: &snapHandle{d: w.disk}}
	state, err := w.disk.recover(m.log)
	if err != nil {
		return nil, err
	}
	w.did(RestartIsReplay)
	if state.Digest() != w.truth.shadow.Digest() {
		w.fail(RestartIsReplay, "the state recovered at record %d is not that of the replay", state.Seq())
	}
	m.snap.newest, _, _ = w.disk.shelf.Load(context.Background())
	m.epoch, err = journal.Begin(context.Background(), m.log, state, fmt.Sprintf("m%d", state.Epoch()+1), w.st.Now())
	if err != nil {
		return nil, err
	}
	m.log.now = false
	m.state = state
	w.checkKept(state)
	return m, nil
}

// checkKept looks whether every acknowledged job is in a state that a master begins with.
func (w *world) checkKept(state *model.State) {
	for _, uid := range w.truth.uids {
		j := w.truth.jobs[uid]
		if !j.acked || j.forgotten {
			continue
		}
		w.did(AckedIsKept)
		if state.Job(model.UID(uid)) == nil {
			w.fail(AckedIsKept, "job %d was acknowledged, and a later master does not know it", uid)
		}
	}
}

// die ends the process at once.
func (m *master) die() {
	if !m.alive {
		return
	}
	m.alive = false
	m.log.die()
	m.snap.dead = true
	m.sys.Kill()
	w := m.w
	w.masters = slices.DeleteFunc(w.masters, func(o *master) bool { return o == m })
	if w.master == m {
		w.master = nil
	}
}

// restartMaster begins a new master soon.
func (w *world) restartMaster() {
	w.later(w.between(10*time.Millisecond, 3*time.Second), w.beginMaster)
}

// bury finds processes that have ended by themselves, as their supervisors outside do.
func (w *world) bury() {
	for _, m := range w.masters {
		if m.sys.Err() != nil {
			w.say("master", "epoch %d gives up: %v", m.epoch, m.sys.Err())
			if m.host != nil {
				m.host.deposed()
				break
			}
			zombie := m.zombie
			m.die()
			if !zombie {
				w.later(w.between(0, 200*time.Millisecond), w.beginMaster)
			}
			break
		}
	}
	for _, m := range w.machines {
		if a := m.agent; a != nil && a.sys.Err() != nil {
			w.say("agent", "%s gives up: %v", m.id, a.sys.Err())
			m.die()
			m.restart(w.between(10*time.Millisecond, time.Second))
		}
	}
}

// deliver hands a message of an agent to this master.
func (m *master) deliver(from *v1.FromAgent) {
	if m.alive && m.env != nil && (m.host == nil || m.host.open(fromAgents)) {
		m.sys.Tell(m.env.Refs.Nodes, &msg.FromAgent{Message: from})
	}
}

// Send implements node.Fabric.
func (m *master) Send(to *v1.ToAgent) {
	w := m.w
	if !m.alive || m.host != nil && !m.host.open(toAgents) {
		return
	}
	for i, machine := range w.machines {
		if machine.id == to.GetNode() {
			w.links[i].down(to)
		}
	}
}

// checkState compares what the reigning master has in memory with what the records make.
func (w *world) checkState() {
	m := w.master
	if m == nil || m.env == nil || len(m.log.queue) > 0 || m.log.broken != nil || m.epoch != w.truth.epoch || !w.st.Idle() || w.frozen[m.sys] || m.sys.Err() != nil {
		return
	}
	w.did(LiveIsReplay)
	w.checkBounds(m)
	if m.state.Digest() != w.truth.shadow.Digest() {
		w.fail(LiveIsReplay, "after record %d the state in memory is not what the records make", w.disk.last())
	}
}
