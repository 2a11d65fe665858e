// Package elect decides when a master tries to take over. It needs to be quick and polite, not safe: the journal alone
// decides who leads, because of all that try at once only one can append the record that begins an epoch.
//
// The leader's signs of life are its beats and what it writes to the journal; while either comes, nobody begins: they
// are its lease. Who misses both for Options.Suspect tries. Followers are staggered by rank (who has applied most first,
// then the smaller id), so that mostly one tries at a time. When epochs follow each other quickly, as when two masters
// reach the journal and not each other, everybody's patience doubles with each of them up to Options.Patience.
package elect

import (
	"time"

	"github.com/troupe-sched/troupe/actors/kit/plant"
)

// Roles of a master, as its beats name them.
const (
	Leader   = "leader"
	Follower = "follower"
	Starting = "starting"
	Resigned = "resigned"
)

const (
	// LeaderBeat and FollowerBeat are how often a master tells that it lives; a follower that misses its leader tells it
	// as often as a leader, so that the others know its rank when it matters.
	LeaderBeat, FollowerBeat = 250 * time.Millisecond, time.Second

	defaultSuspect  = time.Second
	defaultStagger  = 250 * time.Millisecond
	defaultPatience = 30 * time.Second
	// forget is after how long a silent follower has no rank any more.
	forget = 3*FollowerBeat + FollowerBeat/2
	// mastersMax bounds the masters that are ranked; a cell has three or five.
	mastersMax = 32
	// hasty is the time in which two changes of the leader are forgiven; each further one doubles the patience.
	hasty         = time.Minute
	hastyForgiven = 2
	changesMax    = 16
	// retryMin and retryMax bound the rest after a campaign that failed.
	retryMin, retryMax = 250 * time.Millisecond, time.Second
)

// Options of a Machine.
type Options struct {
	// ID of this master, unique among the masters of the cell.
	ID string
	// Suspect is after how long without a sign of its life the leader is taken for dead; 0 means a second.
	Suspect time.Duration
	// Stagger is how much longer each rank waits than the one before; 0 means 250 ms.
	Stagger time.Duration
	// Patience bounds what Suspect grows to while epochs follow each other quickly; 0 means 30 s.
	Patience time.Duration
}

// Beat is what the machine needs of another master's sign of life; see v1.Beat.
type Beat struct {
	ID   string
	Role string
	// Epoch and Seq are the highest epoch that it knows of and the last record that it has applied.
	Epoch, Seq uint64
	// Resigned: the leader of Epoch has stopped for good, and Successor may begin at once.
	Resigned  bool
	Successor string
}

// Machine is one master's view of who leads. It is pure: it has no clock, its owner says when something happens, with
// times that never go back. It is not safe for use from several goroutines.
type Machine struct {
	o     Options
	seq   uint64 // last record that this master has applied
	epoch uint64 // highest known
	// leader is whose epoch that is, as far as it is known.
	leader string
	// leading: the epoch is our own; outdone: another one's is greater.
	leading, outdone bool
	// resigned is the highest epoch whose leader said that it is over, and heir says that we may begin at once.
	resigned uint64
	heir     bool
	// sign is when the leader was last known to live.
	sign time.Time
	// shy is before when we do not try: after a failure, or when we have just resigned.
	shy   time.Time
	tries int
	// changes are the times of the newest changes of the epoch that nobody had announced.
	changes []time.Time
	others  map[string]peer
	// awake is until when the owner is known, or was asked, to do nothing.
	awake time.Time
}

type peer struct {
	seq   uint64
	heard time.Time
}

// New makes the machine of a master that starts now. It gives a leader time to be heard before it tries.
func New(o Options, now time.Time) *Machine {
	if o.Suspect <= 0 {
		o.Suspect = defaultSuspect
	}
	if o.Stagger <= 0 {
		o.Stagger = defaultStagger
	}
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	o.Patience = max(o.Patience, o.Suspect)
	return &Machine{o: o, sign: now, awake: now, others: map[string]peer{}}
}

// Heard takes the beat of another master; beats under our own id are ignored.
func (m *Machine) Heard(b Beat, now time.Time) {
	if b.ID == m.o.ID || plant.Is(plant.BeatsIgnored) {
		return
	}
	m.wake(now)
	switch {
	case b.Resigned:
		m.heardEnd(b, now)
	case b.Role == Leader:
		delete(m.others, b.ID)
		m.alive(b.ID, b.Epoch, now)
	case b.Role == Follower:
		m.rank(b, now)
	default:
		delete(m.others, b.ID)
	}
}

// heardEnd takes the news that a leader has handed over.
func (m *Machine) heardEnd(b Beat, now time.Time) {
	delete(m.others, b.ID)
	if b.Epoch < m.epoch || b.Epoch <= m.resigned || m.leading && b.Epoch == m.epoch {
		return
	}
	m.reach(b.ID, b.Epoch, now)
	m.resigned = b.Epoch
	m.sign = now // the others give the successor the usual time
	m.heir = b.Successor == m.o.ID
}

func (m *Machine) rank(b Beat, now time.Time) {
	if _, known := m.others[b.ID]; !known && len(m.others) >= mastersMax {
		return
	}
	m.others[b.ID] = peer{b.Seq, now}
}

// Wrote tells that this master has applied a record of the journal: a sign of life of its writer. A leader does not call
// it for what it writes itself.
func (m *Machine) Wrote(epoch, seq uint64, now time.Time) {
	m.wake(now)
	m.seq = max(m.seq, seq)
	m.alive("", epoch, now)
}

// alive takes a sign of life of an epoch's leader, whose id is "" if it is not known.
func (m *Machine) alive(id string, epoch uint64, now time.Time) {
	if epoch < m.epoch || epoch <= m.resigned || m.leading && epoch == m.epoch {
		return // of a leader that is deposed, or from before it resigned
	}
	m.reach(id, epoch, now)
	m.sign, m.heir, m.tries, m.shy = now, false, 0, time.Time{}
}

// reach takes note of an epoch that is at least the highest known.
func (m *Machine) reach(id string, epoch uint64, now time.Time) {
	if epoch == m.epoch {
		if id != "" {
			m.leader = id
		}
		return
	}
	if m.epoch != 0 && m.resigned < m.epoch {
		m.noteChange(now)
	}
	m.epoch, m.leader = epoch, id
	m.outdone = m.leading
}

// noteChange counts a change of the leader. Who catches up on the journal sees many at once: they count as one, for none
// that is real comes so soon after another.
func (m *Machine) noteChange(now time.Time) {
	if n := len(m.changes); n > 0 && now.Sub(m.changes[n-1]) < m.o.Suspect/2 {
		m.changes[n-1] = now
		return
	}
	m.changes = append(m.changes[max(0, len(m.changes)-changesMax+1):], now)
}

// wake takes the time. When more of it has passed than the owner was asked to wait, the process has been asleep, and what
// the others sent meanwhile may still be on its way: it listens for the usual time before it takes anybody for dead.
func (m *Machine) wake(now time.Time) {
	if now.Sub(m.awake) > m.o.Suspect {
		m.sign = now
	}
	if now.After(m.awake) {
		m.awake = now
	}
}

// Listen tells that this master has heard nothing for a reason of its own, such as a connection that was broken. It
// listens for the usual time before it takes anybody for dead.
func (m *Machine) Listen(now time.Time) { m.sign, m.awake = now, now }

// Due reports whether to try now: read the journal to its end and append the record of the next epoch, expecting what
// was read. Call it at Next.
func (m *Machine) Due(now time.Time) bool {
	m.wake(now)
	return !m.leading && !now.Before(m.next(now))
}

// Next is when to ask Due, unless something happens before; the zero time while this master leads.
func (m *Machine) Next(now time.Time) time.Time {
	if m.leading {
		return time.Time{}
	}
	m.wake(now)
	at := m.next(now)
	if at.After(m.awake) {
		m.awake = at // it may sleep as long
	}
	return at
}

func (m *Machine) next(now time.Time) time.Time {
	wait := m.patience(now) + time.Duration(m.place(now))*m.o.Stagger
	if m.heir {
		wait = 0
	}
	at := m.sign.Add(wait)
	if m.shy.After(at) {
		at = m.shy
	}
	return at
}

// patience is how long a leader may be silent.
func (m *Machine) patience(now time.Time) time.Duration {
	recent := 0
	for _, at := range m.changes {
		if now.Sub(at) < hasty {
			recent++
		}
	}
	wait := m.o.Suspect
	for ; recent > hastyForgiven && wait < m.o.Patience; recent-- {
		wait *= 2
	}
	return min(wait, m.o.Patience)
}

// place is this master's rank among the live followers: how many of them shall try before it.
func (m *Machine) place(now time.Time) int {
	before := 0
	for id, p := range m.others { //order: only counted
		if now.Sub(p.heard) < forget && precedes(p.seq, id, m.seq, m.o.ID) {
			before++
		}
	}
	return before
}

// precedes reports whether master a is the better successor: who has applied more, then the smaller id.
func precedes(seqA uint64, a string, seqB uint64, b string) bool {
	if seqA != seqB {
		return seqA > seqB
	}
	return a < b
}

// Successor is the live follower that would be ready soonest, "" if there is none.
func (m *Machine) Successor(now time.Time) string {
	best := ""
	for id, p := range m.others { //order: precedes is a total order
		if now.Sub(p.heard) < forget && (best == "" || precedes(p.seq, id, m.others[best].seq, best)) {
			best = id
		}
	}
	return best
}

// Lost tells that a campaign has failed, because another was quicker or the journal cannot be reached. The machine rests
// for a while, longer each time, before it is due again; a sign of a leader ends that.
func (m *Machine) Lost(now time.Time) {
	m.heir, m.awake = false, now
	rest := min(retryMin<<min(m.tries, 8), retryMax)
	m.tries++
	if plant.Is(plant.LosersRest) {
		rest = 24 * time.Hour
	}
	m.shy = now.Add(rest + time.Duration(m.place(now))*m.o.Stagger)
}

// Won tells that this master leads from now on.
func (m *Machine) Won(epoch uint64, now time.Time) {
	m.reach(m.o.ID, max(epoch, m.epoch), now)
	m.leading, m.outdone, m.heir, m.tries, m.shy = true, epoch < m.epoch, false, 0, time.Time{}
}

// Deposed tells that this master's reign has ended by a failure, or because another has written. It follows again.
func (m *Machine) Deposed(now time.Time) {
	m.leading, m.outdone, m.sign = false, false, now
	m.awake = now
}

// Resign tells that this master has handed over. It gives the successor twice the usual time.
func (m *Machine) Resign(now time.Time) {
	m.resigned = max(m.resigned, m.epoch)
	m.Deposed(now)
	m.shy = now.Add(2 * m.o.Suspect)
}

// Outdone reports whether this master leads and another one with a greater epoch has been heard: it must step down.
func (m *Machine) Outdone() bool { return m.leading && m.outdone }

// Yielded reports whether the leader of that epoch has said that it stopped: nobody answers in its name any more.
func (m *Machine) Yielded(epoch uint64) bool { return epoch != 0 && m.resigned == epoch }

// Current is who leads as far as this master knows, "" if nobody does or it is not known, and the highest epoch known.
func (m *Machine) Current() (leader string, epoch uint64) {
	if m.resigned >= m.epoch {
		return "", m.epoch
	}
	return m.leader, m.epoch
}

// Every is how long after its last beat this master shall send the next one.
func (m *Machine) Every(now time.Time) time.Duration {
	if m.leading || now.Sub(m.sign) > m.o.Suspect/2 {
		return LeaderBeat
	}
	return FollowerBeat
}
