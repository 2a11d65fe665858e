package sim

import (
	"time"

	"google.golang.org/protobuf/proto"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// link carries messages between the masters and one agent. It may lose, double, delay and reorder them.
type link struct {
	w      *world
	number int
	// upCut and downCut: nothing passes in that direction.
	upCut, downCut bool
	// storm: it is much worse than usual.
	storm bool
	// upLast and downLast keep the order of messages where the world's links do.
	upLast, downLast time.Time
	// said and told are the newest messages, hellos some Hellos of the agent: what is said again or made nonsense of.
	said   *v1.FromAgent
	told   *v1.ToAgent
	hellos []*v1.FromAgent
}

// hellosMax is how many Hellos of an agent are kept.
const hellosMax = 4

// keep remembers what an agent has said.
func (l *link) keep(m *v1.FromAgent) {
	l.said = m
	if m.GetHello() == nil {
		return
	}
	if len(l.hellos) == hellosMax {
		l.hellos = l.hellos[1:]
	}
	l.hellos = append(l.hellos, m)
}

func newLink(w *world, number int) *link { return &link{w: w, number: number} }

// lateMax is how late a late message comes: long enough that sessions, and masters, have changed meanwhile.
const lateMax = 8 * time.Second

// carry calls deliver as often as the link lets a message through, each time after a delay.
func (l *link) carry(cut *bool, last *time.Time, deliver func()) {
	w := l.w
	if *cut {
		return
	}
	drop, double, jitter := w.p.drop, w.p.double, w.p.jitter
	if l.storm {
		drop, double, jitter = drop+200, double+200, jitter+300*time.Millisecond
	}
	if w.part != faults {
		drop, double = 0, 0
	}
	if w.chance(drop) {
		return
	}
	for n := 1; n > 0; n-- {
		if w.chance(double) {
			n++
		}
		at := w.st.Now().Add(w.p.delay + w.upTo(jitter))
		if late := w.p.late; !w.p.fifo && w.part == faults && w.chance(late) {
			at = at.Add(w.upTo(lateMax))
		}
		if w.p.fifo {
			at = latest(*last, at)
			*last = at
		}
		w.after(at.Sub(w.st.Now()), func() {
			if !*cut || w.p.jitter == 0 { // what is under way when the link is cut may be lost, too
				deliver()
			}
		})
	}
}

// up carries a message of the agent to the masters.
func (l *link) up(m *v1.FromAgent) {
	l.keep(m)
	l.carry(&l.upCut, &l.upLast, func() {
		got := m
		if l.w.p.encode {
			got = recode(l.w, m)
		}
		for _, to := range l.w.masters {
			to.deliver(got)
		}
	})
}

// down carries a message of a master to the agent.
func (l *link) down(m *v1.ToAgent) {
	l.told = m
	to := l.w.machines[l.number]
	l.carry(&l.downCut, &l.downLast, func() {
		got := m
		if l.w.p.encode {
			got = recode(l.w, m)
		}
		to.deliver(got)
	})
}

// recode sends a message through its encoding, as a real link does.
func recode[T proto.Message](w *world, m T) T {
	data, err := proto.Marshal(m)
	if err != nil {
		w.fail(NothingUnknown, "a %T cannot be encoded: %v", m, err)
		return m
	}
	got := m.ProtoReflect().New().Interface().(T)
	if err := proto.Unmarshal(data, got); err != nil {
		w.fail(NothingUnknown, "a %T cannot be decoded: %v", m, err)
	}
	if w.p.mixed {
		strange(got.ProtoReflect())
	}
	return got
}
