package agent

import (
	"testing"
	"time"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func (w *world) drill(d *v1.AgentDrill) {
	w.agent.Deliver(&v1.ToAgent{Node: "n1", Epoch: w.master.epoch, Drill: d})
}

// A partition that is asked for ends by the agent's own timer, and what runs has not noticed.
func TestX8_B46_F32_APartitionIsMendedByTheAgentItself(t *testing.T) {
	w := opened(t, 11)
	fence := sortedKeys(w.driver.runs)[0]
	w.run(3 * time.Second)
	w.drill(&v1.AgentDrill{Kind: "partition", ForMs: 20_000, Id: "d1"})
	w.run(time.Second)
	sent, session := w.counts["usage"]+w.counts["hello"], w.session
	w.run(18 * time.Second)
	if n := w.counts["usage"] + w.counts["hello"] - sent; n != 0 || w.counts[CountDrill] != 1 {
		t.Fatalf("%d messages left the agent while its link was cut; counted %v", n, w.counts)
	}
	w.run(20 * time.Second)
	if w.session == session || !w.master.open || w.master.session != w.session {
		t.Fatalf("session %x after %x, the master has %x, open %v", w.session, session, w.master.session, w.master.open)
	}
	if len(w.driver.runs) != 1 || w.driver.runs[fence] != 1 || w.master.lost > 0 {
		t.Fatalf("ran %v, lost %d", w.driver.runs, w.master.lost)
	}
	w.driver.end(sortedKeys(w.driver.slots)[0], fence, simOutcome())
	w.settles()
}

func TestX8_DrillsAreBoundedAndChecked(t *testing.T) {
	w := opened(t, 12)
	before := w.session
	bad := []*v1.AgentDrill{
		{Kind: "partition", Id: "d"}, {Kind: "partition", ForMs: -1, Id: "d"}, {Kind: "partition", ForMs: 300_001, Id: "d"},
		{Kind: "partition", ForMs: 1 << 62, Id: "d"}, {Kind: "partition", ForMs: 1000}, {Kind: "fire", ForMs: 1000, Id: "d"},
		{Kind: "restart", ForMs: 1000, Id: "d"}, // this agent cannot
		{Kind: "partition", ForMs: 1000, Id: string(make([]byte, 65))},
	}
	for _, d := range bad {
		w.drill(d)
	}
	w.agent.Deliver(&v1.ToAgent{Node: "n1", Epoch: 0, Drill: &v1.AgentDrill{Kind: "partition", ForMs: 1000, Id: "d"}}) // of a deposed master
	w.run(10 * time.Second)
	if w.counts[CountDrillRefused] != len(bad) || w.counts[CountDrill] != 0 || w.session != before {
		t.Fatalf("counted %v", w.counts)
	}
}

// What is said to another agent of the same id changes nothing in this one.
func TestB46_AnAgentKnowsWhatIsSaidToAnotherOfItsId(t *testing.T) {
	w := opened(t, 13)
	w.run(2 * time.Second)
	session := w.session
	for _, m := range []*v1.ToAgent{
		{Session: session - 1, Control: &v1.ToAgent_HelloRequest{HelloRequest: true}},
		{Session: session, Opening: 77, Control: &v1.ToAgent_HelloRequest{HelloRequest: true}},
		{Session: session, Control: &v1.ToAgent_Welcome{Welcome: &v1.Welcome{HeartbeatMs: 60_000, Process: 9}}},
		{Refused: &v1.HelloRefused{Process: 9, Reason: "x"}},
	} {
		m.Node, m.Epoch = "n1", w.master.epoch
		w.agent.Deliver(m)
	}
	beats := w.counts["usage"]
	w.run(10 * time.Second)
	if w.session != session || w.counts["usage"]-beats < 8 || w.counts[CountRefused] > 0 {
		t.Fatalf("session %x after %x, %d beats, counted %v", w.session, session, w.counts["usage"]-beats, w.counts)
	}
	w.agent.Deliver(&v1.ToAgent{Node: "n1", Epoch: w.master.epoch, Session: session, Control: &v1.ToAgent_HelloRequest{HelloRequest: true}})
	w.run(5 * time.Second)
	if w.session == session {
		t.Fatal("a request that names its session is not heard")
	}
}

// An agent whose id another one has goes on with what it runs, and asks again only now and then.
func TestB46_ARefusedAgentRunsOnAndAsksSeldom(t *testing.T) {
	w := opened(t, 14)
	fence := sortedKeys(w.driver.runs)[0]
	w.master.paused = true
	refuse := func() {
		w.agent.Deliver(&v1.ToAgent{Node: "n1", Epoch: w.master.epoch, Refused: &v1.HelloRefused{Reason: "another agent has this id"}})
	}
	w.run(10 * time.Second) // the silent master is taken for lost, and a session is proposed
	hellos := w.counts["hello"]
	for range 300 {
		said := w.counts["hello"]
		w.run(time.Second)
		if w.counts["hello"] > said {
			refuse()
			refuse() // doubled on the way
		}
	}
	if n := w.counts["hello"] - hellos; n < 5 || n > 12 || w.counts[CountRefused] != n {
		t.Fatalf("%d times Hello in five minutes, counted %v", n, w.counts)
	}
	w.master.paused = false
	w.driver.end(sortedKeys(w.driver.slots)[0], fence, simOutcome())
	w.settles()
	if w.driver.runs[fence] != 1 || w.master.lost > 0 {
		t.Fatalf("ran %v, lost %d", w.driver.runs, w.master.lost)
	}
}

// A Welcome in an open session says how often to report from now on.
func TestB35_APaceThatChangesIsFollowed(t *testing.T) {
	w := opened(t, 15)
	w.run(5 * time.Second)
	m := w.master
	m.send(&v1.ToAgent{Control: &v1.ToAgent_Welcome{Welcome: &v1.Welcome{HeartbeatMs: 5000}}})
	w.run(time.Second)
	session, beats := w.session, w.counts["usage"]
	w.run(30 * time.Second)
	if n := w.counts["usage"] - beats; n < 5 || n > 7 || w.session != session {
		t.Fatalf("%d reports in half a minute, session %x after %x", n, w.session, session)
	}
}
