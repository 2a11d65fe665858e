package elect

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

const (
	tick     = 10 * time.Millisecond
	campaign = 30 * time.Millisecond // from reading the journal to the answer of its append
	delayMax = 50 * time.Millisecond
)

// world is a few masters, a network that delays and loses, and a journal that takes one epoch after the other.
type world struct {
	rng     *rand.Rand
	now     time.Time
	masters []*master
	mail    []mail
	loss    float64
	// cut says which master does not hear which.
	cut   func(from, to int) bool
	epoch uint64 // of the journal
	// epochs are when they began; together is the most campaigns that were under way at once.
	epochs   []time.Time
	together int
}

type master struct {
	*Machine
	id      string
	up      bool
	role    string
	reign   uint64
	beat    time.Time
	ends    time.Time // of its campaign
	expects uint64
}

type mail struct {
	at       time.Time
	to       int
	beat     Beat
	recorded uint64 // an epoch that was read from the journal, instead of a beat
}

func newWorld(seed uint64, n int) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), now: start, cut: func(int, int) bool { return false }}
	for i := range n {
		id := fmt.Sprintf("m%d", i)
		w.masters = append(w.masters, &master{Machine: New(Options{ID: id}, start), id: id, up: true, role: Follower})
	}
	return w
}

func (w *world) run(for_ time.Duration) {
	for end := w.now.Add(for_); w.now.Before(end); w.now = w.now.Add(tick) {
		w.deliver()
		together := 0
		for i, m := range w.masters {
			if m.up {
				w.step(i, m)
			}
			if !m.ends.IsZero() {
				together++
			}
		}
		w.together = max(w.together, together)
	}
}

func (w *world) deliver() {
	rest := w.mail[:0]
	for _, l := range w.mail {
		m := w.masters[l.to]
		switch {
		case l.at.After(w.now):
			rest = append(rest, l)
		case !m.up:
		case l.recorded != 0 && m.role == Follower:
			m.Wrote(l.recorded, l.recorded, w.now)
		case l.recorded == 0:
			m.Heard(l.beat, w.now)
		}
	}
	w.mail = rest
}

func (w *world) step(i int, m *master) {
	switch {
	case !m.ends.IsZero() && !w.now.Before(m.ends):
		m.ends = time.Time{}
		if m.expects != w.epoch {
			m.Lost(w.now)
			break
		}
		w.epoch++
		m.role, m.reign = Leader, w.epoch
		m.Won(w.epoch, w.now)
		w.epochs = append(w.epochs, w.now)
		for to := range w.masters {
			if to != i {
				w.mail = append(w.mail, mail{at: w.now.Add(w.delay()), to: to, recorded: w.epoch})
			}
		}
	case m.ends.IsZero() && m.Due(w.now):
		m.ends, m.expects = w.now.Add(campaign), w.epoch
	case m.Outdone() || m.role == Leader && m.reign < w.epoch && w.rng.IntN(20) == 0: // it tries to write now and then
		m.role = Follower
		m.Deposed(w.now)
	}
	if w.now.Sub(m.beat) >= m.Every(w.now) {
		m.beat = w.now
		w.send(i, Beat{ID: m.id, Role: m.role, Epoch: m.epoch, Seq: m.seq})
	}
}

func (w *world) delay() time.Duration { return time.Duration(w.rng.Int64N(int64(delayMax))) }

func (w *world) send(from int, b Beat) {
	for to := range w.masters {
		if to != from && !w.cut(from, to) && w.rng.Float64() >= w.loss {
			w.mail = append(w.mail, mail{at: w.now.Add(w.delay()), to: to, beat: b})
		}
	}
}

// leader is the master of the newest epoch, -1 if it is down or there was none.
func (w *world) leader() int {
	for i, m := range w.masters {
		if m.up && m.role == Leader && m.reign == w.epoch {
			return i
		}
	}
	return -1
}

func (w *world) kill(i int) {
	m := w.masters[i]
	m.up, m.role, m.ends = false, Follower, time.Time{}
}

func (w *world) raise(i int) {
	m := w.masters[i]
	m.up, m.Machine = true, New(Options{ID: m.id}, w.now)
}

// Without loss one master leads after the start, it stays, and each death costs one epoch and the staggered silence.
func TestB31_B32_OneTriesAtATimeAndSoon(t *testing.T) {
	for seed := range uint64(40) {
		n := 3 + 2*int(seed%2)
		w := newWorld(seed, n)
		w.run(3 * time.Second)
		if w.leader() < 0 || len(w.epochs) != 1 {
			t.Fatalf("seed %d: leader %d after %d epochs", seed, w.leader(), len(w.epochs))
		}
		w.run(time.Minute)
		if len(w.epochs) != 1 {
			t.Fatalf("seed %d: a live leader was deposed", seed)
		}
		for range 3 {
			dead, died := w.leader(), w.now
			w.kill(dead)
			w.run(2 * time.Second)
			if w.leader() < 0 {
				t.Fatalf("seed %d: nobody leads 2 s after a death", seed)
			}
			if gap := w.epochs[len(w.epochs)-1].Sub(died); gap > defaultSuspect+defaultStagger+delayMax+campaign+2*tick {
				t.Fatalf("seed %d: the next leader took %v", seed, gap)
			}
			w.run(time.Duration(20+w.rng.IntN(10)) * time.Second)
			w.raise(dead)
			w.run(5 * time.Second)
		}
		if len(w.epochs) != 4 || w.together > 1 {
			t.Fatalf("seed %d: %d epochs for three deaths, %d campaigns at once", seed, len(w.epochs), w.together)
		}
	}
}

// Where messages are lost a live leader is deposed rarely, there are two at most who try, and somebody always leads in the end.
func TestB31_LossNeitherDeposesNorStops(t *testing.T) {
	deposed := 0
	for seed := range uint64(30) {
		w := newWorld(seed, 3)
		w.loss = 0.1
		w.run(5 * time.Second)
		for range 4 {
			w.run(40 * time.Second)
			if i := w.leader(); i >= 0 {
				w.kill(i)
				w.run(6 * time.Second)
				w.raise(i)
			}
			if w.leader() < 0 {
				t.Fatalf("seed %d: nobody leads 6 s after a death", seed)
			}
		}
		if w.together > 2 {
			t.Fatalf("seed %d: %d tried at once", seed, w.together)
		}
		deposed += len(w.epochs) - 5
	}
	// One of 10,000 runs of four beats is lost whole; there are eight a second, in 30 worlds of some 190 s.
	if deposed > 12 {
		t.Errorf("%d leaders were deposed alive", deposed)
	}
}

// Two masters that hear nothing of each other, and whose leader is idle, depose each other ever more seldom.
func TestB31_WhoCannotHearTheOtherLearnsPatience(t *testing.T) {
	w := newWorld(7, 2)
	w.cut = func(int, int) bool { return true }
	w.run(20 * time.Second)
	early := len(w.epochs)
	w.run(10 * time.Minute)
	if n := len(w.epochs) - early; n > 10*60/5 {
		t.Errorf("%d epochs in ten minutes", n)
	}
	w.cut = func(int, int) bool { return false }
	w.run(time.Minute)
	calm := len(w.epochs)
	w.run(10 * time.Minute)
	if len(w.epochs) != calm {
		t.Errorf("%d epochs after the link was whole again", len(w.epochs)-calm)
	}
	w.kill(w.leader())
	w.run(2 * time.Second)
	if w.leader() < 0 {
		t.Error("patience has not come back to what it was")
	}
}
