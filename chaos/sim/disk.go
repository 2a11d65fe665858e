package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	snaps   []generation // oldest first, at most two
	// full: appends fail, slow: they take so much longer.
	full bool
	slow time.Duration
}

type generation struct {
	seq     uint64
	entries [][]byte
	damaged bool
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
	return nil
}

// logHandle is one master's way to the disk. It implements journal.Log.
type logHandle struct {
	d *disk
	// now: appends are done at once, as while a master begins.
	now bool
	// dead: the master has died; nobody hears of what is under way.
	dead   bool
	broken error
	queue  []*appending
	// written and told are when the last append reached the disk, and when its answer left: both keep their order.
	written, told time.Time
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
		done(h.d.store(seq, data))
		return
	}
	a := &appending{seq: seq, data: data, done: done}
	h.queue = append(h.queue, a)
	h.written = latest(h.written, w.st.Now().Add(w.upTo(2*w.p.logDelay)+h.d.slow))
	h.told = latest(h.told, h.written.Add(w.upTo(w.p.logDelay)))
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
	}
	h.broken = a.err
}

func (h *logHandle) answer(a *appending) {
	if h.dead {
		return
	}
	h.queue = h.queue[1:]
	a.done(a.err)
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
	dead bool
	// foreign: a usurped master on another host must not touch what is not its own.
	foreign       bool
	busy          bool
	older, newest uint64
}

var (
	_ journal.Snapshotter = (*snapHandle)(nil)
	_ journal.Snapshots   = (*disk)(nil)
)

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
		_ = s.d.Save(context.Background(), seq, entries)
		s.older, s.newest = s.newest, seq
		if s.older > 0 {
			s.d.first = max(s.d.first, s.older+1)
		}
		if !s.dead {
			w.say("journal", "snapshot of record %d, log begins with %d", seq, s.d.first)
			done(nil)
		}
	})
	return true
}

// Save implements journal.Snapshots.
func (d *disk) Save(_ context.Context, seq uint64, entries [][]byte) error {
	d.snaps = append(d.snaps, generation{seq: seq, entries: entries})
	if len(d.snaps) > 2 {
		d.snaps = d.snaps[1:]
	}
	return nil
}

// Kept implements journal.Snapshots.
func (d *disk) Kept(context.Context) (list []uint64, err error) {
	for _, g := range slices.Backward(d.snaps) {
		list = append(list, g.seq)
	}
	return list, nil
}

// Load implements journal.Snapshots: the newest that holds, or the one before it.
func (d *disk) Load(context.Context) (seq uint64, entries [][]byte, err error) {
	for i := len(d.snaps) - 1; i >= 0; i-- {
		if g := d.snaps[i]; !g.damaged {
			return g.seq, g.entries, nil
		}
	}
	return 0, nil, nil
}

// Close implements journal.Snapshots.
func (d *disk) Close() error { return nil }

// damage spoils the newest snapshot, if there is one to fall back to.
func (d *disk) damage() bool {
	n := len(d.snaps)
	if n < 2 || d.snaps[n-1].damaged || d.snaps[n-2].damaged {
		return false
	}
	d.snaps[n-1].damaged = true
	return true
}

// recover builds the state as a master does, and holds it against the replay of everything.
func (d *disk) recover(h *logHandle) (*model.State, error) {
	return journal.Recover(context.Background(), h, d)
}
