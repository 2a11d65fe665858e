package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/elect"
)

// host is one process of a master in a cell of several: it follows, tries, reigns, and follows again, until it dies.
type host struct {
	w      *world
	number int
	id     string
	lives  int
	up     bool
	elect  *elect.Machine
	// warm applies the journal while it follows; nil while it reigns, tries, or cannot recover.
	warm  *journal.Follower
	reign *master
	clock *clock
	shelf shelf
	quiet time.Time // when the newest record came here
	saved uint64    // record of the last snapshot that it has taken as a follower
	// cut says until when a way to others is cut.
	cut [ways]time.Time
	// frozen: the process stands still; parked is what waits for it to wake.
	frozen bool
	parked []func()
	// tailing and trying: a look at the log, a campaign, is under way.
	tailing, trying bool
	// alarm is when it asks itself next whether to try.
	alarm time.Time
	// beats counts the loops of beats that have been begun: the newest goes on.
	beats int
}

// way is one of the ways from a master to others.
type way uint8

const (
	beatsOut way = iota
	beatsIn
	toJournal
	fromAgents
	toAgents
	withClients
	ways
)

func newHost(w *world, number int) *host {
	return &host{w: w, number: number, id: string(rune('a' + number)), clock: w.newClock()}
}

// open reports whether a way is not cut.
func (h *host) open(by way) bool { return !h.w.st.Now().Before(h.cut[by]) }

// start begins a life of the process. It is called between two steps.
func (h *host) start() {
	w := h.w
	if h.up {
		return
	}
	h.up, h.lives = true, h.lives+1
	h.frozen, h.parked, h.tailing, h.trying = false, nil, false, false
	h.elect = elect.New(elect.Options{ID: h.id, Suspect: w.p.patience}, h.clock.Now())
	w.say("master", "%s begins life %d", h.id, h.lives)
	h.follow()
	h.beat()
}

// when calls fn once d has passed, if the process lives then; one that stands still does it when it wakes.
func (h *host) when(d time.Duration, fn func()) {
	life := h.lives
	h.w.after(h.clock.lasts(d), func() {
		switch {
		case !h.up || h.lives != life:
		case h.frozen:
			h.parked = append(h.parked, fn)
		default:
			fn()
		}
	})
}

// follow recovers what the journal tells, and applies what comes from then on.
func (h *host) follow() {
	w := h.w
	h.warm = nil
	if !h.open(toJournal) {
		h.when(300*time.Millisecond, h.follow)
		return
	}
	f := journal.NewFollower(&logHandle{d: w.disk, host: h}, &h.shelf, journal.FollowerOptions{
		Now: h.clock.Now, Shared: &w.disk.shelf, SnapshotRecords: 1 << 62, // the world takes them, in its own time
		Wrote: func(seq, epoch uint64) {
			h.quiet = w.st.Now()
			h.elect.Wrote(epoch, seq, h.clock.Now())
		},
	})
	if err := f.Recover(context.Background()); err != nil {
		w.fail(RestartIsReplay, "master %s cannot follow: %v", h.id, err)
		return
	}
	h.warm, h.quiet = f, w.st.Now()
	seq, epoch, _ := f.Seen()
	h.saved = seq
	h.elect.Wrote(epoch, seq, h.clock.Now())
	w.did(RestartIsReplay)
	h.compare(RestartIsReplay)
	h.arm()
}

// tail looks soon what is new in the log.
func (h *host) tail() {
	if h.tailing || !h.up || h.warm == nil {
		return
	}
	h.tailing = true
	h.when(h.w.upTo(h.w.p.tail), func() {
		h.tailing = false
		if h.open(toJournal) {
			h.catchUp()
		}
	})
}

// catchUp applies all that the log holds.
func (h *host) catchUp() {
	w := h.w
	if h.warm == nil {
		return
	}
	seq, _, _ := h.warm.Seen()
	err := (&logHandle{d: w.disk}).Read(context.Background(), seq+1, h.warm.Apply)
	switch {
	case errors.Is(err, journal.ErrTrimmed):
		w.say("master", "%s is overtaken by a trim at record %d", h.id, seq)
		h.follow()
		return
	case err != nil:
		w.fail(RecordsApply, "master %s cannot apply what follows record %d: %v", h.id, seq, err)
		return
	}
	if seq, _, _ = h.warm.Seen(); seq >= h.saved+w.p.snapshotRecords {
		h.saved = seq
		h.warm.View(func(s *model.State) { _ = h.shelf.Save(context.Background(), seq, s.Entries()) })
	}
	w.did(FollowersAgree)
	if w.newest.IntN(16) == 0 {
		h.compare(FollowersAgree)
	}
	h.arm()
}

// compare holds what it has applied against what the records make.
func (h *host) compare(c Check) {
	w := h.w
	h.warm.View(func(s *model.State) {
		if s.Seq() == w.truth.shadow.Seq() && s.Digest() != w.truth.shadow.Digest() {
			w.fail(c, "master %s has applied record %d, and its state is not what the records make", h.id, s.Seq())
		}
	})
}

// beat tells the others that it lives, now and again.
func (h *host) beat() {
	h.beats++
	turn := h.beats
	_, epoch := h.elect.Current()
	b := elect.Beat{ID: h.id, Role: elect.Starting, Epoch: epoch}
	switch {
	case h.reign != nil:
		b.Role, b.Epoch, b.Seq = elect.Leader, h.reign.epoch, h.reign.log.durable
	case h.warm != nil:
		b.Role = elect.Follower
		b.Seq, _, _ = h.warm.Seen()
	}
	h.send(b)
	h.when(h.elect.Every(h.clock.Now()), func() {
		if turn == h.beats {
			h.beat()
		}
	})
}

// send carries a beat to all others.
func (h *host) send(b elect.Beat) {
	w := h.w
	for _, o := range w.hosts {
		if o == h || !h.open(beatsOut) || w.part == faults && chanceOf(w.newest, w.p.beatDrop) {
			continue
		}
		w.after(w.p.delay+w.upTo(w.p.jitter), func() {
			if o.up && o.open(beatsIn) {
				o.when(0, func() { o.heard(b) })
			}
		})
	}
}

// heard takes a beat.
func (h *host) heard(b elect.Beat) {
	h.elect.Heard(b, h.clock.Now())
	if b.Role == elect.Leader && h.warm != nil {
		h.warm.Heard(b.Seq)
	}
	if h.reign != nil && h.elect.Outdone() {
		h.w.say("master", "%s steps down: %s leads with epoch %d", h.id, b.ID, b.Epoch)
		h.w.soon(h.deposed)
		return
	}
	h.arm()
}

// arm sets the alarm for the next question whether to try.
func (h *host) arm() {
	now := h.clock.Now()
	at := h.elect.Next(now)
	if at.IsZero() || h.warm == nil || h.alarm.After(now) && !at.Before(h.alarm) {
		return
	}
	h.alarm = at
	h.when(at.Sub(now), func() {
		if !at.Equal(h.alarm) {
			return
		}
		h.alarm = time.Time{}
		h.consider()
	})
}

// consider tries to begin an epoch, if it is time: it reads the log to its end, and then appends.
func (h *host) consider() {
	w := h.w
	if h.reign != nil || h.trying || h.warm == nil {
		return
	}
	if !h.elect.Due(h.clock.Now()) {
		h.arm()
		return
	}
	if !h.open(toJournal) {
		h.lost("the journal is out of reach")
		return
	}
	h.trying = true
	state, err := h.warm.Take(context.Background())
	h.warm = nil
	if err != nil {
		w.fail(RestartIsReplay, "master %s cannot take over: %v", h.id, err)
		return
	}
	w.did(RestartIsReplay)
	if state.Digest() != w.truth.shadow.Digest() {
		w.fail(RestartIsReplay, "the state with which master %s would begin after record %d is not that of the replay", h.id, state.Seq())
	}
	w.say("master", "%s tries after record %d", h.id, state.Seq())
	h.when(w.upTo(2*w.p.logDelay+time.Millisecond), func() {
		w.soon(func() { h.campaign(state, h.lives) })
	})
}

// lost gives up a campaign, and follows on.
func (h *host) lost(why string) {
	h.w.say("master", "%s does not begin: %s", h.id, why)
	h.trying = false
	h.elect.Lost(h.clock.Now())
	h.follow()
}

// campaign appends the record that begins an epoch. It is called between two steps.
func (h *host) campaign(state *model.State, life int) {
	w := h.w
	if !h.up || h.lives != life || w.broken != nil || state == nil {
		return
	}
	if !h.open(toJournal) {
		h.lost("the journal is out of reach")
		return
	}
	before := state.Epoch()
	m := &master{w: w, host: h, alive: true, began: w.st.Now(), log: &logHandle{d: w.disk, host: h, now: true}, snap: &snapHandle{d: w.disk, host: h}}
	m.log.unheard = w.part == faults && w.p.focus != Calm && chanceOf(w.newest, 20)
	epoch, err := journal.Begin(context.Background(), m.log, state, fmt.Sprintf("m%d", before+1), h.clock.Now())
	if err != nil {
		if !errors.Is(err, journal.ErrFenced) && !errors.Is(err, journal.ErrFull) && !errors.Is(err, errAppend) {
			w.fail(RestartIsReplay, "master %s cannot begin: %v", h.id, err)
			return
		}
		h.lost(err.Error())
		return
	}
	h.trying = false
	m.epoch, m.state, m.log.now = epoch, state, false
	m.snap.newest = max(h.shelf.newest(), w.disk.shelf.newest())
	if before != 0 && !h.elect.Yielded(before) {
		// The leader before may answer for as long after it has sent its last record, which was before that came here; a
		// little longer, for its clock may be slow, and this one fast.
		m.answersFrom = h.quiet.Add(h.clock.lasts(w.p.lease + w.p.lease/40))
	}
	w.checkKept(state)
	w.checkCalm(h)
	h.elect.Won(epoch, h.clock.Now())
	h.reign = m
	m.log.durable = uint64(w.disk.last())
	m.snap.keep = journal.NewKeeper(m.log, &h.shelf, &w.disk.shelf)
	h.beat()
	w.enthrone(m)
}

// deposed ends the reign; the process lives and follows. It is called between two steps.
func (h *host) deposed() {
	if h.reign == nil {
		return
	}
	m := h.reign
	h.reign = nil
	m.die()
	if h.up {
		h.elect.Deposed(h.clock.Now())
		h.when(h.w.upTo(20*time.Millisecond), h.follow)
	}
}

// resign hands over: no request is answered any more, what was promised becomes durable or is not known to anybody, and
// only then the others hear of it. It is called between two steps.
func (h *host) resign() {
	m := h.reign
	if m == nil || m.closed {
		return
	}
	m.closed = true
	w := h.w
	w.say("master", "%s resigns", h.id)
	tries := 0
	var over func()
	over = func() {
		if h.reign != m {
			return
		}
		if tries++; len(m.log.queue) > 0 && tries < 50 {
			h.when(20*time.Millisecond, func() { w.soon(over) })
			return
		}
		h.reign = nil
		m.die()
		now := h.clock.Now()
		h.elect.Resign(now)
		b := elect.Beat{ID: h.id, Role: elect.Resigned, Epoch: m.epoch, Resigned: true, Successor: h.elect.Successor(now)}
		for range 3 { // beats get lost
			h.send(b)
		}
		h.follow()
	}
	over()
}

// die ends the process at once, and another one begins after a while.
func (h *host) die(down time.Duration) {
	if !h.up {
		return
	}
	h.up, h.warm = false, nil
	if m := h.reign; m != nil {
		h.reign = nil
		m.die()
	}
	h.w.later(down, h.start)
}

// freeze lets the process stand still for a while.
func (h *host) freeze(wait time.Duration) bool {
	if !h.up || h.frozen {
		return false
	}
	w, life := h.w, h.lives
	h.frozen = true
	if h.reign != nil {
		w.st.Freeze(h.reign.sys)
		w.frozen[h.reign.sys] = true
	}
	w.after(wait, func() {
		if h.lives == life {
			h.thaw()
		}
	})
	return true
}

// thaw wakes the process.
func (h *host) thaw() {
	if !h.frozen {
		return
	}
	h.frozen = false
	if h.reign != nil {
		h.w.thaw(h.reign.sys)
	}
	parked := h.parked
	h.parked = nil
	for _, fn := range parked {
		h.when(0, fn)
	}
}

// cutOff cuts some of the ways of a master for a while.
func (h *host) cutOff(wait time.Duration) string {
	w := h.w
	kinds := [...]struct {
		name string
		ways []way
	}{
		{"its peers", []way{beatsOut, beatsIn}}, {"hearing its peers", []way{beatsIn}}, {"its peers' hearing", []way{beatsOut}},
		{"the journal", []way{toJournal}}, {"agents and clients", []way{fromAgents, toAgents, withClients}},
		{"hearing agents", []way{fromAgents}}, {"agents' hearing", []way{toAgents}},
		{"all", []way{beatsOut, beatsIn, toJournal, fromAgents, toAgents, withClients}},
		{"all", []way{beatsOut, beatsIn, toJournal, fromAgents, toAgents, withClients}},
	}
	k := kinds[w.newest.IntN(len(kinds))]
	for _, by := range k.ways {
		h.cut[by] = w.st.Now().Add(wait)
	}
	w.after(wait, h.tail)
	return k.name
}
