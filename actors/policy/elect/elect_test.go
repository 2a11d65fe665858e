package elect

import (
	"testing"
	"time"
)

var start = time.Unix(1000, 0)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

func leads(id string, epoch uint64) Beat { return Beat{ID: id, Role: Leader, Epoch: epoch} }

func follows(id string, seq uint64) Beat { return Beat{ID: id, Role: Follower, Epoch: 1, Seq: seq} }

// waits is a machine that follows a leader which was heard for the last time at 0.
func waits(id string) *Machine {
	m := New(Options{ID: id}, start)
	m.Heard(leads("z", 1), start)
	return m
}

// dueAt is when the machine is due if it is asked every ten milliseconds, and nothing happens from ms on.
func dueAt(t *testing.T, m *Machine, ms int) int {
	t.Helper()
	for end := ms + 60_000; ms < end; ms += 10 {
		if m.Due(at(ms)) {
			return ms
		}
	}
	t.Fatal("never due")
	return 0
}

func TestB31_AMasterTriesAfterSilence(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(m *Machine)
		want int
	}{
		"nothing heard":                   {func(*Machine) {}, 1000},
		"the leader beats":                {func(m *Machine) { m.Heard(leads("z", 1), at(700)) }, 1700},
		"the leader writes":               {func(m *Machine) { m.Wrote(1, 7, at(900)) }, 1900},
		"a leader that is deposed beats":  {func(m *Machine) { m.Wrote(2, 7, at(100)); m.Heard(leads("z", 1), at(900)) }, 1100},
		"a beat of our own id":            {func(m *Machine) { m.Heard(leads("b", 1), at(900)) }, 1000},
		"one follower has applied more":   {func(m *Machine) { m.Heard(follows("c", 5), at(500)) }, 1250},
		"one follower has a smaller id":   {func(m *Machine) { m.Heard(follows("a", 0), at(500)) }, 1250},
		"one follower has a greater id":   {func(m *Machine) { m.Heard(follows("c", 0), at(500)) }, 1000},
		"a follower that we are ahead of": {func(m *Machine) { m.Wrote(1, 9, start); m.Heard(follows("a", 8), at(500)) }, 1000},
		"two others go first":             {func(m *Machine) { m.Heard(follows("a", 0), start); m.Heard(follows("c", 5), start) }, 1500},
		"one that only starts":            {func(m *Machine) { m.Heard(Beat{ID: "a", Role: Starting}, start) }, 1000},
		"one that has left": {func(m *Machine) {
			m.Heard(follows("a", 5), start)
			m.Heard(Beat{ID: "a", Role: Resigned}, at(100))
		}, 1000},
		"we are named by a resignation": {func(m *Machine) {
			m.Heard(Beat{ID: "z", Epoch: 1, Resigned: true, Successor: "b"}, at(300))
		}, 300},
		"another is named by a resignation": {func(m *Machine) {
			m.Heard(Beat{ID: "z", Epoch: 1, Resigned: true, Successor: "a"}, at(300))
		}, 1300},
		"a resignation that is old news": {func(m *Machine) {
			m.Wrote(2, 9, at(200))
			m.Heard(Beat{ID: "z", Epoch: 1, Resigned: true, Successor: "b"}, at(300))
		}, 1200},
		"what was written before a resignation comes after it": {func(m *Machine) {
			m.Heard(Beat{ID: "z", Epoch: 1, Resigned: true, Successor: "b"}, at(300))
			m.Wrote(1, 9, at(400))
		}, 400},
		"the successor leads": {func(m *Machine) {
			m.Heard(Beat{ID: "z", Epoch: 1, Resigned: true, Successor: "b"}, at(300))
			m.Heard(leads("a", 2), at(350))
		}, 1350},
		"we have resigned": {func(m *Machine) { m.Won(2, at(10)); m.Resign(at(100)) }, 2100},
		"we were deposed":  {func(m *Machine) { m.Won(2, at(10)); m.Deposed(at(100)) }, 1100},
	} {
		m := waits("b")
		c.do(m)
		if got := dueAt(t, m, int(m.awake.Sub(start).Milliseconds())); got != c.want {
			t.Errorf("%s: due at %d ms, want %d", name, got, c.want)
		}
	}
}

func TestB31_ALeaderIsNeverDueAndStepsDownWhenItIsOutdone(t *testing.T) {
	m := waits("b")
	m.Won(2, at(1000))
	if m.Due(at(60_000)) || !m.Next(at(60_000)).IsZero() {
		t.Fatal("a leader is due")
	}
	if m.Heard(leads("z", 1), at(60_001)); m.Outdone() {
		t.Fatal("outdone by the leader before it")
	}
	if m.Heard(leads("a", 3), at(60_002)); !m.Outdone() {
		t.Fatal("not outdone by the leader after it")
	}
	m.Deposed(at(60_003))
	if id, epoch := m.Current(); m.Outdone() || id != "a" || epoch != 3 {
		t.Fatalf("current is %s, %d", id, epoch)
	}
	if m.Won(3, at(70_000)); m.Outdone() {
		t.Fatal("outdone in the epoch that it has won")
	}
	if m.Won(2, at(70_000)); !m.Outdone() {
		t.Fatal("a win that comes late is not outdone")
	}
}

func TestB31_WhoFailedRestsAndLonger(t *testing.T) {
	m := waits("b")
	m.Heard(follows("a", 0), at(1000))
	ms := dueAt(t, m, 0)
	for i, rest := range []int{250, 500, 1000, 1000} {
		m.Heard(follows("a", 0), at(ms))
		m.Lost(at(ms))
		got := dueAt(t, m, ms)
		if got != ms+rest+250 {
			t.Errorf("after failure %d: due after %d ms, want %d", i+1, got-ms, rest+250)
		}
		ms = got
	}
	m.Heard(leads("a", 2), at(ms+10))
	if got := dueAt(t, m, ms+10); got != ms+1010 {
		t.Errorf("after a leader was heard: due after %d", got-ms)
	}
}

func TestB31_WhoHasSleptListensFirst(t *testing.T) {
	m := waits("b")
	m.Next(at(10))
	if m.Due(at(9000)) {
		t.Fatal("due at once after a sleep")
	}
	if got := dueAt(t, m, 9000); got != 10_000 {
		t.Fatalf("due at %d", got)
	}
	m = waits("b")
	m.Due(at(900))
	m.Listen(at(950))
	if got := dueAt(t, m, 960); got != 1950 {
		t.Fatalf("due at %d after its ears were shut", got)
	}
	m = waits("b")
	m.Next(at(10))
	m.Heard(follows("c", 0), at(9000)) // what waited in the socket comes first
	if m.Due(at(9001)) {
		t.Fatal("due at once after a sleep")
	}
}

func TestB31_TheSuccessorHasAppliedMost(t *testing.T) {
	m := waits("b")
	if got := m.Successor(start); got != "" {
		t.Fatalf("successor %q of nobody", got)
	}
	for _, b := range []Beat{follows("e", 7), follows("d", 9), follows("c", 9), {ID: "a", Role: Starting, Seq: 99}} {
		m.Heard(b, at(100))
	}
	if got := m.Successor(at(200)); got != "c" {
		t.Fatalf("successor is %q", got)
	}
	if got := m.Successor(at(9000)); got != "" {
		t.Fatalf("successor %q is long silent", got)
	}
}

func TestB31_AResignationIsKnownByItsEpoch(t *testing.T) {
	m := waits("b")
	if m.Yielded(0) || m.Yielded(1) {
		t.Fatal("nobody has resigned")
	}
	m.Heard(Beat{ID: "z", Epoch: 1, Resigned: true, Successor: "a"}, at(1))
	if id, epoch := m.Current(); !m.Yielded(1) || m.Yielded(2) || id != "" || epoch != 1 {
		t.Fatalf("current is %s, %d", id, epoch)
	}
	m.Wrote(2, 8, at(2))
	if m.Yielded(2) {
		t.Fatal("epoch 2 has not resigned")
	}
}

// Nobody's beats fill the memory of a master.
func TestBeatsAreBounded(t *testing.T) {
	m := waits("b")
	for i := range 10_000 {
		m.Heard(follows(string(rune('c'+i)), 1), start)
		m.Wrote(uint64(2*i+5), 1, at(i*2000))
	}
	if len(m.others) > mastersMax || len(m.changes) > changesMax {
		t.Fatalf("%d others, %d changes", len(m.others), len(m.changes))
	}
}

func TestB31_HistoryIsNotHaste(t *testing.T) {
	m := New(Options{ID: "b"}, start)
	for i := range 50 {
		m.Wrote(uint64(i+1), uint64(i+1), at(i)) // catching up on fifty epochs
	}
	if got := dueAt(t, m, 49); got != 1049 {
		t.Fatalf("due at %d", got)
	}
}
