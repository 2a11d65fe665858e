package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
)

// disk is what outlives every master: the journal's records and the snapshots.
type disk struct {
	w *world
	// records are all there ever were; those before first are trimmed, and readers do not get them.
	records [][]byte
	first   uint64
	shelf   shelf // snapshots: of the only master, or those that all share
	// full: appends fail, slow: they take so much longer.
	full bool
	slow time.Duration
}

func newDisk(w *world) *disk { return &disk{w: w, first: 1} }

func (d *disk) last() int { return len(d.records) }

var errNoRoom = fmt.Errorf("%w: simulated", journal.ErrFull)

// store makes a record durable, if it is the next one.
func (d *disk) store(seq uint64, data []byte) error {
	if seq != uint64(len(d.records))+1 {
		return fmt.Errorf("%w: record %d after record %d", journal.ErrFenced, seq, len(d.records))
	}
	if d.full {
		return errNoRoom
	}
	d.records = append(d.records, data)
	d.w.truth.record(seq, data)
	for _, h := range d.w.hosts {
		h.tail()
	}
	return nil
}

// logHandle is one master's way to the disk. It implements journal.Log.
type logHandle struct {
	d *disk
	// host is the master in a cell of several; nil for one alone.
	host *host
	// unheard: the next append is stored, and its writer is told that it failed.
	unheard bool
	// now: appends are done at once, as while a master begins.
	now bool
	// dead: the master has died; nobody hears of what is under way.
	dead   bool
	broken error
	queue  []*appending
	// written and told are when the last append reached the disk, and when its answer left: both keep their order.
	written, told time.Time
	// refused is the first record that found no room, if that is what broke it.
	refused uint64
	// durable is the last record that the writer knows to be stored.
	durable uint64
	// failNext lets the next append fail, and storeNext stores it all the same.
	failNext, storeNext bool
}

type appending struct {
	seq  uint64
	data []byte
	done func(error)
	err  error
	// gone: it was lost on the way with the master that sent it.
	gone, stored bool
	// over: it has reached the disk, or it never will; due: its writer may be told.
	over, due bool
}

var _ journal.Log = (*logHandle)(nil)

// Bounds implements journal.Log.
func (h *logHandle) Bounds(context.Context) (first, last uint64, err error) {
	return h.d.first, uint64(len(h.d.records)), nil
}

// Read implements journal.Log.
func (h *logHandle) Read(_ context.Context, from uint64, fn func(uint64, []byte) error) error {
	if from < h.d.first {
		return fmt.Errorf("%w: record %d", journal.ErrTrimmed, from)
	}
	for seq := from; seq <= uint64(len(h.d.records)); seq++ {
		if err := fn(seq, h.d.records[seq-1]); err != nil {
			return err
		}
	}
	return nil
}

// Tail implements journal.Log. Nothing in this world waits: a follower is handed what comes, by its Apply.
func (h *logHandle) Tail(ctx context.Context, from uint64, fn func(uint64, []byte) error) error {
	return errors.Join(h.Read(ctx, from, fn), errors.ErrUnsupported)
}

// Append implements journal.Log.
func (h *logHandle) Append(seq uint64, data []byte, done func(error)) {
	w := h.d.w
	if h.now {
		err := h.d.store(seq, data)
		if h.unheard && err == nil {
			err = errAppend
		}
		done(err)
		return
	}
	if errors.Is(h.broken, journal.ErrFull) && seq == h.refused {
		h.broken = nil
	}
	a := &appending{seq: seq, data: data, done: done}
	h.queue = append(h.queue, a)
	h.written = latest(h.written, w.st.Now().Add(w.upTo(2*w.p.logDelay)+h.d.slow))
	h.told = latest(h.told, h.written.Add(w.upTo(w.p.logDelay)))
	if h.host != nil && h.d.slow > 0 {
		h.told = h.told.Add(time.Duration(w.newest.Int64N(int64(h.d.slow)))) // answers are as slow as writes
	}
	w.after(h.written.Sub(w.st.Now()), func() { h.write(a) })
	w.after(h.told.Sub(w.st.Now()), func() { h.answer(a) })
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

var errAppend = errors.New("simulated failure of the log")

// write is the moment in which the record reaches the disk. One that fails lets all later ones of this handle fail: a
// store that pipelines must see to it, also for what is under way when its writer dies.
func (h *logHandle) write(a *appending) {
	if h.held(a) {
		return
	}
	a.over = true
	switch {
	case a.gone:
		h.broken = errAppend
		return
	case h.broken != nil:
		a.err = h.broken
		return
	case h.failNext:
		h.failNext = false
		a.err = errAppend
		if h.storeNext {
			a.stored = h.d.store(a.seq, a.data) == nil
		}
	default:
		a.err = h.d.store(a.seq, a.data)
		a.stored = a.err == nil
		h.refused = a.seq
	}
	h.broken = a.err
}

// answer tells the writer how an append went, and those that were told of too early to keep their order.
func (h *logHandle) answer(a *appending) {
	if h.unheardOf(a) {
		return
	}
	a.due = true
	for len(h.queue) > 0 && !h.dead && h.queue[0].over && h.queue[0].due {
		first := h.queue[0]
		h.queue = h.queue[1:]
		if first.err == nil {
			h.durable = first.seq
		}
		first.done(first.err)
	}
}

// patient is how long a store tries to reach the journal before it tells its writer that it has failed.
const patient = 4 * time.Second

// held lets an append wait while the way to the journal is cut. One that waits too long fails, and may be stored all the
// same when its writer has been told.
func (h *logHandle) held(a *appending) bool {
	if h.host == nil || h.dead || a.gone || a.over || h.broken != nil || h.host.open(toJournal) {
		return false
	}
	w := h.d.w
	if wait := h.host.cut[toJournal].Sub(w.st.Now()); wait <= patient {
		w.after(wait, func() { h.write(a); h.answer(a) })
		return true
	}
	a.over, a.err, h.broken = true, errAppend, errAppend
	w.after(patient, func() { h.answer(a) })
	if w.newest.IntN(2) == 0 {
		w.after(w.upTo(2*patient), func() { a.stored = h.d.store(a.seq, a.data) == nil })
	}
	return true
}

// unheardOf lets the answer to an append wait while the way to the journal is cut: its store finds out what became of it
// when the way is open again, or gives up, and then the record is stored and its writer told that it failed.
func (h *logHandle) unheardOf(a *appending) bool {
	if h.host == nil || h.dead || a.due || !a.stored || a.err != nil || h.host.open(toJournal) {
		return false
	}
	w := h.d.w
	if wait := h.host.cut[toJournal].Sub(w.st.Now()); wait <= patient {
		w.after(wait, func() { h.answer(a) })
		return true
	}
	w.after(patient, func() {
		for _, later := range h.queue {
			later.err = errAppend
		}
		h.broken = errAppend
		h.answer(a)
	})
	return true
}

// Trim implements journal.Log.
func (h *logHandle) Trim(_ context.Context, seq uint64) error {
	h.d.first = max(h.d.first, min(seq, uint64(len(h.d.records))))
	return nil
}

// Close implements journal.Log.
func (h *logHandle) Close() error { return nil }

// die is the death of the writer: of what is under way, a draw says how much reaches the disk after all, now or later.
func (h *logHandle) die() {
	w := h.d.w
	h.dead = true
	keep := 0
	if n := len(h.queue); n > 0 {
		keep = w.rng.IntN(n + 1)
	}
	for i, a := range h.queue {
		a.gone = a.gone || i >= keep
	}
	if w.rng.IntN(2) == 0 { // now, so that the next master finds it
		for _, a := range h.queue {
			if !a.stored && a.err == nil {
				h.write(a)
			}
			a.gone = true
		}
	}
}

// snapHandle is one master's way to the snapshots. It implements journal.Snapshotter, as journal.Keeper does.
type snapHandle struct {
	d    *disk
	host *host // nil for a master alone
	keep *journal.Keeper
	dead bool
	// foreign: a usurped master on another host must not touch what is not its own.
	foreign       bool
	busy          bool
	older, newest uint64
}

var _ journal.Snapshotter = (*snapHandle)(nil)

// Newest implements journal.Snapshotter.
func (s *snapHandle) Newest() uint64 { return s.newest }

// Save implements journal.Snapshotter.
func (s *snapHandle) Save(seq uint64, entries [][]byte, done func(error)) bool {
	w := s.d.w
	if s.busy || s.foreign {
		return false
	}
	s.busy = true
	w.truth.snapshot(seq, entries)
	w.after(w.between(time.Millisecond, 200*time.Millisecond), func() {
		if s.foreign || s.dead && w.rng.IntN(2) == 0 {
			return // the process died before it was whole
		}
		s.busy = false
		s.older, s.newest = s.newest, seq
		if s.host != nil {
			s.share(seq, entries)
		} else {
			_ = s.d.shelf.Save(context.Background(), seq, entries)
			if s.older > 0 {
				s.d.first = max(s.d.first, s.older+1)
			}
		}
		if !s.dead {
			w.say("journal", "snapshot of record %d, log begins with %d", seq, s.d.first)
			done(nil)
		}
	})
	return true
}

// share keeps a snapshot, and puts a copy where all masters find it; a process that dies meanwhile may have kept it alone.
func (s *snapHandle) share(seq uint64, entries [][]byte) {
	if s.dead {
		_ = s.host.shelf.Save(context.Background(), seq, entries)
		return
	}
	if err := s.keep.Store(seq, entries); err != nil {
		s.d.w.fail(SnapshotIsReplay, "the snapshot of record %d cannot be kept: %v", seq, err)
	}
}

// recover builds the state as a master does, and holds it against the replay of everything.
func (d *disk) recover(h *logHandle) (*model.State, error) {
	return journal.Recover(context.Background(), h, &d.shelf)
}
