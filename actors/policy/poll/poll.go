// Package poll decides how fast a master lets its agents speak. Two things are bounded: how many sessions are being opened
// at once, by a window that grows while answers come quickly and halves when they are late, as a sender of TCP finds the
// capacity of a path (slow start, then additive increase and multiplicative decrease: V. Jacobson, Congestion avoidance
// and control, SIGCOMM 1988); and how often each agent reports when nothing changes, by a period that grows with the
// number of nodes and with the master's own delay.
//
// Nothing in here is safe for concurrent use. No clock: every question carries the time.
package poll

import (
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
)

const (
	windowFirst = 64
	windowMin   = 16
	// A window is never smaller than this part of the nodes: whatever the load, all have their turn in so many rounds.
	roundsMax = 16
	// Of a window so much may be agents that were asked, who may be dead, and the rest is for those who speak.
	askedOf, askedPart = 4, 3
	// patienceMax bounds how long an answer is waited for: it grows while most do not come in time.
	patienceMax = 4 * Late
	windowMax   = 2048
	// slotsMax bounds the slots in the inventories that are under way: the memory that they take.
	slotsMax = 1 << 17
	// Quick is how long an answer takes at most that shows that there is room for more.
	Quick = 250 * time.Millisecond
	// Late is how long one takes at least that shows that there is not.
	Late = time.Second
)

// Window says how many sessions may be opened at once.
type Window struct {
	size, steady int // steady is the size above which it grows by one a round
	least        int
	grown        int
	asked        int // of those under way
	patience     time.Duration
	flights      map[model.NodeID]*flight
	order        []*flight // by time of departure; those that have landed are skipped
	slots        int
	mean         int // slots of an inventory, by those seen lately
	shrunk       time.Time
	came, missed int // since the last look at how many are missed
}

type flight struct {
	id    model.NodeID
	at    time.Time
	slots int
	asked bool
	done  bool
}

// NewWindow makes a window with nothing under way.
func NewWindow() *Window {
	return &Window{size: windowFirst, steady: windowMax, least: windowMin, patience: Late, flights: map[model.NodeID]*flight{}}
}

// Nodes says how many nodes there are.
func (w *Window) Nodes(n int) {
	w.least = min(max(windowMin, n/roundsMax), windowMax)
	w.size = max(w.size, w.least)
}

// Size is how many may be under way at once.
func (w *Window) Size() int { return w.size }

// Under is how many are.
func (w *Window) Under() int { return len(w.flights) }

// Free reports whether one more session may be opened, by asking its agent or because its Hello is here.
func (w *Window) Free(ask bool) bool {
	if ask && w.asked*askedOf >= w.size*askedPart {
		return false
	}
	return len(w.flights) < w.size && (len(w.flights) == 0 || w.slots+w.mean <= slotsMax)
}

// Flying reports whether the session with a node is being opened.
func (w *Window) Flying(id model.NodeID) bool { return w.flights[id] != nil }

// Begin notes that the session with a node is being opened, by asking its agent or because its Hello is here.
func (w *Window) Begin(id model.NodeID, ask bool, now time.Time) {
	if w.flights[id] != nil {
		return
	}
	f := &flight{id: id, at: now, slots: w.mean, asked: ask}
	if ask {
		w.asked++
	}
	w.flights[id] = f
	w.order = append(w.order, f)
	w.slots += f.slots
}

// Weigh takes in how many slots the node's inventory has.
func (w *Window) Weigh(id model.NodeID, slots int) {
	f := w.flights[id]
	if f == nil {
		return
	}
	w.slots += slots - f.slots
	f.slots = slots
	w.mean += (slots - w.mean) / 8
	if slots > w.mean { // also by less than eight
		w.mean++
	}
}

// Done notes that the session is open, or that nothing will come of it.
func (w *Window) Done(id model.NodeID, now time.Time) {
	f := w.flights[id]
	if f == nil {
		return
	}
	w.land(f)
	w.came++
	switch took := now.Sub(f.at); {
	case took > Late:
		w.shrink(now)
		w.patience = min(max(w.patience, 2*took), patienceMax)
	case took > Quick || len(w.flights) < w.size/2: // what is not used is not tried
	case w.size < w.steady:
		w.size++
	default:
		if w.grown++; w.grown >= w.size {
			w.grown = 0
			w.size++
		}
	}
	w.size = min(w.size, windowMax)
}

// Expire forgets those that have not been answered in time: their places are free. That nodes are dead is no reason to go
// slower. That most do not answer is: then messages are lost on the way.
func (w *Window) Expire(now time.Time) {
	n := 0
	for n < len(w.order) && (w.order[n].done || now.Sub(w.order[n].at) > w.patience) {
		if f := w.order[n]; !f.done {
			w.land(f)
			w.missed++
		}
		n++
	}
	w.order = slices.Delete(w.order, 0, n)
	if w.came+w.missed >= w.size {
		switch {
		case w.missed > w.came:
			w.patience = min(2*w.patience, patienceMax) // they may be late, and not lost
			if w.came > 0 {
				w.shrink(now)
			}
		case w.patience > Late:
			w.patience = max(w.patience*3/4, Late)
		}
		w.came, w.missed = 0, 0
	}
}

func (w *Window) land(f *flight) {
	f.done = true
	if f.asked {
		w.asked--
	}
	delete(w.flights, f.id)
	w.slots -= f.slots
}

// shrink halves the window, at most once in the time that the effect of that takes to show.
func (w *Window) shrink(now time.Time) {
	if !w.shrunk.IsZero() && now.Sub(w.shrunk) < Late {
		return
	}
	w.shrunk = now
	w.size = max(w.size/2, w.least)
	w.steady, w.grown = w.size, 0
}

// Period decides how often agents report when nothing changes.
type Period struct {
	// Base is the shortest, Max the longest.
	Base, Max time.Duration

	told   time.Duration
	factor time.Duration
	calm   int
}

const (
	// reports of all agents together that a master takes a second without a thought.
	reports = 2000
	// slow is a delay of the master's own at which agents are to report less often; below prompt they may report more
	// often again, after some looks.
	slow    = 100 * time.Millisecond
	prompt  = 10 * time.Millisecond
	calmFor = 5
)

// Next is the period from now on, when there are so many nodes and a message to the master's own supervisor of nodes has
// waited for lag. It changes by a quarter at least, or all agents would be told of every node that joins.
func (p *Period) Next(nodes int, lag time.Duration) time.Duration {
	p.factor = max(p.factor, 1)
	switch {
	case lag > slow:
		p.calm = 0
		if p.Base*p.factor < p.Max {
			p.factor *= 2
		}
	case lag > prompt:
		p.calm = 0
	default:
		if p.calm++; p.calm >= calmFor && p.factor > 1 {
			p.factor, p.calm = p.factor/2, 0
		}
	}
	want := max(p.Base, time.Duration(nodes)*time.Second/reports) * p.factor
	want = max(min(want, p.Max), p.Base)
	if p.told == 0 || want > p.told && (want == p.Max || want >= p.told+p.told/4) || want < p.told && (want == p.Base || want <= p.told-p.told/4) {
		p.told = want
	}
	return p.told
}
