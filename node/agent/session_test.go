package agent

import (
	"testing"
	"time"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// opened is a world whose agent has a session and runs one attempt that does not end by itself.
func opened(t *testing.T, seed uint64) *world {
	t.Helper()
	w := newWorld(t, seed, faults{})
	w.runsOne()
	return w
}

func (w *world) runsOne() {
	w.t.Helper()
	w.driver.hang = true
	w.master.width = 1
	w.master.wants(1)
	w.boots()
	w.until("an attempt runs", func() bool { return len(w.driver.runs) == 1 && w.master.out.Len() == 0 })
}

// until runs until something holds.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	for end := w.st.Now().Add(2 * time.Minute); !holds(); {
		if !w.st.Step(end) {
			w.fatalf("never: %s", what)
		}
		w.check()
	}
}

// A deposed master changes nothing, and a new one gets a full Hello before anything of it takes effect.
func TestF30_DeposedMasterIsIgnored(t *testing.T) {
	w := opened(t, 1)
	fence := sortedKeys(w.driver.runs)[0]
	old := *w.master
	w.master.reigns(2)
	w.until("the new master has a session", func() bool { return w.master.open })
	if got := w.store.durable().head.GetEpoch(); got != 2 {
		t.Fatalf("epoch %d is durable", got)
	}
	if s := w.master.slots; len(s) != 1 || s[sortedKeys(s)[0]].fence != fence {
		t.Fatalf("the new master found %v", s)
	}
	stale := w.counts[CountStaleEpoch]
	for _, session := range []uint64{old.session, w.master.session} {
		w.agent.Deliver(&v1.ToAgent{Node: "n1", Epoch: 1, Session: session, First: 1, Commands: []*v1.Command{
			{Kind: &v1.Command_Release{Release: &v1.ReleaseSlot{Slot: sortedKeys(w.driver.slots)[0]}}},
		}})
		w.agent.Deliver(&v1.ToAgent{Node: "n1", Epoch: 1, Control: &v1.ToAgent_HelloRequest{HelloRequest: true}})
	}
	w.agent.Deliver(&v1.ToAgent{Node: "n2", Epoch: 9, Control: &v1.ToAgent_HelloRequest{HelloRequest: true}})
	session := w.session
	w.run(3 * time.Second)
	if w.session != session || len(w.driver.slots) != 1 {
		t.Fatalf("session %x after %x, %d slots", w.session, session, len(w.driver.slots))
	}
	if w.counts[CountStaleEpoch] != stale+4 || w.counts[CountForeignNode] != 1 {
		t.Fatalf("counted %v", w.counts)
	}
	w.driver.end(sortedKeys(w.driver.slots)[0], fence, simOutcome())
	w.settles()
}

// The highest epoch outlives the agent.
func TestF30_EpochOutlivesTheAgent(t *testing.T) {
	w := opened(t, 2)
	w.master.reigns(5)
	w.until("the new master has a session", func() bool { return w.master.open })
	w.dies()
	w.boots()
	w.master.reigns(4)
	w.run(20 * time.Second)
	if w.master.open || w.counts[CountStaleEpoch] == 0 {
		t.Fatalf("a deposed master has a session: %v", w.counts)
	}
	w.master.reigns(6)
	w.driver.hang = false
	w.driver.end(sortedKeys(w.driver.slots)[0], sortedKeys(w.driver.runs)[0], simOutcome())
	w.settles()
}

// While the master is silent the agent says Hello again and again, ever more slowly, and its attempts run on.
func TestB46_F31_SilentMaster(t *testing.T) {
	w := opened(t, 3)
	w.master.paused = true
	session, sessions := w.session, w.counts[CountSession]
	w.run(10 * time.Second)
	if w.session <= session || w.counts[CountSession] != sessions+1 {
		t.Fatalf("sessions %x then %x, counted %d then %d", session, w.session, sessions, w.counts[CountSession])
	}
	hellos := w.counts["hello"]
	w.run(60 * time.Second)
	if n := w.counts["hello"] - hellos; n < 10 || n > 20 {
		t.Fatalf("%d times Hello in a minute", n)
	}
	fence := sortedKeys(w.driver.runs)[0]
	w.driver.end(sortedKeys(w.driver.slots)[0], fence, simOutcome())
	w.run(60 * time.Second)
	w.master.paused = false
	w.settles()
	if w.master.accepted[fence] == nil || w.master.lost > 0 {
		t.Fatalf("the end that came meanwhile was lost")
	}
}

// Usage and a digest come with every heartbeat once nothing changes.
func TestF19_S4_HeartbeatsCarryUsageAndDigest(t *testing.T) {
	w := opened(t, 4)
	w.run(5 * time.Second)
	usage, digests := w.counts["usage"], w.master.digests
	w.run(10 * time.Second)
	if n := w.counts["usage"] - usage; n < 9 || n > 11 {
		t.Errorf("%d reports of usage in ten heartbeats", n)
	}
	if n := w.master.digests - digests; n < 9 {
		t.Errorf("%d digests in ten heartbeats", n)
	}
}

// A ping is answered at once.
func TestB35_PingIsAnswered(t *testing.T) {
	w := opened(t, 5)
	w.run(5 * time.Second)
	sent := w.counts["sent"]
	w.agent.Deliver(&v1.ToAgent{Node: "n1", Epoch: 1, Session: w.session, Control: &v1.ToAgent_Ping{Ping: true}})
	now := w.st.Now()
	for w.counts["sent"] == sent && w.st.Step(now) {
	}
	if w.counts["sent"] != sent+1 || !w.st.Now().Equal(now) {
		t.Fatalf("no answer at once")
	}
}

// Commands beyond the limit wait with the master, those with a gap before them too.
func TestM3_CommandsAreBoundedAndInOrder(t *testing.T) {
	w := opened(t, 6)
	w.master.paused = true
	next := w.master.pushed + 1
	var many []*v1.Command
	for range w.limits().Commands - 1 {
		many = append(many, &v1.Command{Kind: &v1.Command_Settled{Settled: &v1.Settled{Fences: []uint64{1}}}})
	}
	send := func(first uint64) {
		w.agent.Deliver(&v1.ToAgent{Node: "n1", Epoch: 1, Session: w.session, First: first, Commands: many})
	}
	send(next + 5)
	send(next)
	send(next + uint64(len(many))) // the ledger has decided none of those before
	for now := w.st.Now(); w.st.Step(now); {
	}
	if w.counts[CountGap] != 1 || w.counts[CountHeld] != 1 {
		t.Fatalf("counted %v", w.counts)
	}
	w.run(100 * time.Millisecond)
	send(next + uint64(len(many))) // now it has
	w.run(100 * time.Millisecond)
	if w.counts[CountHeld] != 1 {
		t.Fatalf("counted %v", w.counts)
	}
}

// A master that takes no changes for very long gets a full Hello, not an endless queue.
func TestM3_FactsAreBounded(t *testing.T) {
	o := newOutbox(3)
	for i := range 4 {
		if ok := o.push(&v1.Change{}); ok != (i < 3) {
			t.Fatalf("push %d: %v", i, ok)
		}
	}
}

// The window keeps what is under way bounded in number and bytes, and a stall begins with the oldest again.
func TestF33_Window(t *testing.T) {
	o := newOutbox(100_000)
	big := &v1.Change{Kind: &v1.Change_Attempt{Attempt: &v1.AttemptState{Result: make([]byte, 64<<10)}}}
	for range 200 {
		o.push(big)
	}
	sent, messages := 0, 0
	for {
		_, changes := o.next()
		if len(changes) == 0 {
			break
		}
		if len(changes) > 5 {
			t.Fatalf("%d changes of 64 KiB in one message", len(changes))
		}
		sent += len(changes)
		messages++
	}
	if sent > 66 || sent < 60 {
		t.Fatalf("%d changes of 64 KiB under way", sent)
	}
	if o.stalled() || !o.stalled() {
		t.Fatal("a stall is when the second look finds no acknowledgement")
	}
	if first, _ := o.next(); first != 1 {
		t.Fatalf("begins again with %d", first)
	}
	small := newOutbox(100_000)
	for range 10_000 {
		small.push(&v1.Change{})
	}
	sent = 0
	for {
		_, changes := small.next()
		if len(changes) == 0 {
			break
		}
		sent += len(changes)
	}
	if sent != windowItems {
		t.Fatalf("%d changes under way", sent)
	}
}

func TestSessionNumbersGrow(t *testing.T) {
	last := uint64(0)
	for life := range uint64(3) {
		for incarnation := 1; incarnation < 4; incarnation++ {
			for n := range uint64(3) {
				if s := sessionBase(life+1, incarnation) + n + 1; s <= last {
					t.Fatalf("%x after %x", s, last)
				} else {
					last = s
				}
			}
		}
	}
}
