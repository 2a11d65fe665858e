// Package rig stands between the drivers of a machine and the actors of its agent. It remembers what every slot was
// given last and what its driver said last, outside of all actors: one that crashes while it hears of an end looks
// here again, and nothing is lost or started twice. It holds one entry a live slot.
package rig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/troupe-sched/troupe/node/driver"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// State is what is known of one slot.
type State struct {
	// Known: the slot is with a driver. All else is zero if not.
	Known bool
	// Fence of the newest attempt handed to the driver, or found with it when it was opened; 0 if there is none.
	Fence uint64
	// Outcome is the last that the driver said of that attempt; nil if it said nothing yet. It is frozen.
	Outcome *driver.Outcome
	// Silent: the driver holds the slot but can say nothing of the attempt, and never will.
	Silent bool
	// Released: the driver has let go of the slot; Forget it.
	Released bool
}

// Rig is the drivers of one machine. It is safe for use from any goroutine.
type Rig struct {
	drivers map[string]driver.Driver
	names   []string

	mu     sync.Mutex
	slots  map[uint64]*entry
	notify func(slot uint64)
}

type entry struct {
	State
	driver string
	// told: notify was called and nobody has looked since, so that a slot has at most one notice on its way.
	told bool
}

// Open opens all drivers, in the order of their names, and takes over what they found. If one fails, those opened
// before are closed again.
func Open(ctx context.Context, drivers map[string]driver.Driver) (*Rig, error) {
	r := &Rig{drivers: drivers, names: slices.Sorted(maps.Keys(drivers)), slots: map[uint64]*entry{}}
	for i, name := range r.names {
		found, err := drivers[name].Open(ctx, func(e driver.Event) { r.take(name, e) })
		if err != nil {
			for _, opened := range r.names[:i] {
				err = errors.Join(err, drivers[opened].Close())
			}
			return nil, fmt.Errorf("open driver %s: %w", name, err)
		}
		for _, s := range found {
			r.found(name, s)
		}
	}
	return r, nil
}

// Names of the drivers, sorted.
func (r *Rig) Names() []string { return slices.Clone(r.names) }

// Has reports whether there is a driver of that name.
func (r *Rig) Has(name string) bool { return r.drivers[name] != nil }

// Notify sets what is called, from any goroutine, when there is news of a slot that nobody has looked at since the
// last call for it. It is called at once for every slot known.
func (r *Rig) Notify(fn func(slot uint64)) {
	r.mu.Lock()
	r.notify = fn
	slots := slices.Sorted(maps.Keys(r.slots))
	for _, slot := range slots {
		r.slots[slot].told = true
	}
	r.mu.Unlock()
	for _, slot := range slots {
		fn(slot)
	}
}

// Look tells what is known of a slot. News after it are notified again.
func (r *Rig) Look(slot uint64) State {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.slots[slot]
	if e == nil {
		return State{}
	}
	e.told = false
	return e.State
}

// Slots are the slots known, in order.
func (r *Rig) Slots() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.slots))
}

// Start hands an attempt to a driver. An attempt that was handed over before, or is older than one that was, changes
// nothing. A driver that panics has failed the attempt.
func (r *Rig) Start(name string, t driver.Task) {
	r.mu.Lock()
	e := r.slots[t.Slot]
	if e != nil && e.Fence >= t.Fence {
		r.mu.Unlock()
		return
	}
	if e == nil {
		e = &entry{}
		r.slots[t.Slot] = e
	}
	e.driver, e.State = name, State{Known: true, Fence: t.Fence}
	r.mu.Unlock()

	defer func() {
		if reason := recover(); reason != nil {
			r.take(name, driver.Event{Slot: t.Slot, Fence: t.Fence, Outcome: driver.Outcome{
				Phase: v1.AttemptPhase_ATTEMPT_PHASE_FAILED, Reason: fmt.Sprintf("driver %s panicked: %v", name, reason),
			}})
		}
	}()
	r.drivers[name].Start(t)
}

// Stop asks the driver to end an attempt.
func (r *Rig) Stop(slot, fence uint64, reason string) {
	if d := r.driverOf(slot); d != nil {
		d.Stop(slot, fence, reason)
	}
}

// Release asks the driver to let go of a slot; State.Released follows. It returns false if no driver has the slot.
func (r *Rig) Release(slot uint64, reason string) bool {
	d := r.driverOf(slot)
	if d != nil {
		d.Release(slot, reason)
	}
	return d != nil
}

// Forget drops a slot that is released.
func (r *Rig) Forget(slot uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.slots, slot)
}

// Logs copies captured output of an attempt; see driver.Driver. All drivers are asked in turn: whoever knows the
// attempt answers.
func (r *Rig) Logs(ctx context.Context, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
	for _, name := range r.names {
		if err := r.drivers[name].Logs(ctx, req, fn); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return fmt.Errorf("output of %s/%s %s[%d] fence %d: %w", req.GetQueue(), req.GetName(), req.GetStage(), req.GetIndex(),
		req.GetFence(), fs.ErrNotExist)
}

// Close closes all drivers.
func (r *Rig) Close() error {
	var errs []error
	for _, name := range r.names {
		if err := r.drivers[name].Close(); err != nil {
			errs = append(errs, fmt.Errorf("close driver %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func (r *Rig) driverOf(slot uint64) driver.Driver {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.slots[slot]; e != nil {
		return r.drivers[e.driver]
	}
	return nil
}

// found takes note of a slot that a driver had when it was opened. Events about it may have come before.
func (r *Rig) found(name string, s driver.Slot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.slots[s.Slot] == nil {
		r.slots[s.Slot] = &entry{driver: name, State: State{Known: true, Fence: s.Fence, Silent: !s.Busy}}
	}
}

// take is the sink of all drivers.
func (r *Rig) take(name string, ev driver.Event) {
	r.mu.Lock()
	e := r.slots[ev.Slot]
	switch {
	case e == nil && ev.Released: // answered and forgotten before
		r.mu.Unlock()
		return
	case e == nil: // told while the driver is being opened
		e = &entry{driver: name, State: State{Known: true, Fence: ev.Fence}}
		r.slots[ev.Slot] = e
	}
	switch {
	case ev.Released:
		e.Released = true
	case ev.Fence < e.Fence, e.Outcome != nil && e.Outcome.IsFinal() && ev.Fence == e.Fence:
		r.mu.Unlock()
		return
	default:
		outcome := ev.Outcome
		e.Fence, e.Outcome, e.Silent = ev.Fence, &outcome, false
	}
	tell := r.notify
	if e.told {
		tell = nil
	} else if tell != nil {
		e.told = true
	}
	r.mu.Unlock()
	if tell != nil {
		tell(ev.Slot)
	}
}
