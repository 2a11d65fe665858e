package agent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/ledger"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func (w *world) slotAndFence() (slot, fence uint64) {
	return sortedKeys(w.driver.slots)[0], sortedKeys(w.driver.runs)[0]
}

// ends waits for the first end that the master accepts of an attempt.
func (w *world) ends(fence uint64) *v1.AttemptState {
	w.t.Helper()
	w.until("the attempt ends", func() bool { return w.master.accepted[fence] != nil })
	return w.master.accepted[fence]
}

// An attempt runs on while the agent is dead, and its end, which comes meanwhile, is told by the next life.
func TestB46_EndsWhileTheAgentIsDead(t *testing.T) {
	w := opened(t, 1)
	slot, fence := w.slotAndFence()
	w.dies()
	w.driver.end(slot, fence, simOutcome())
	w.boots()
	if end := w.ends(fence); end.GetPhase() != v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED {
		t.Fatalf("ended as %v", end)
	}
	if w.master.lost > 0 || w.driver.runs[fence] != 1 {
		t.Fatalf("lost %d, begun %d times", w.master.lost, w.driver.runs[fence])
	}
	w.settles()
}

// What a driver whose attempts die with the process had begun is lost, never begun again.
func TestF13_LostWithTheProcess(t *testing.T) {
	w := opened(t, 2)
	_, fence := w.slotAndFence()
	w.driver.survives = false
	w.dies()
	w.boots()
	if end := w.ends(fence); end.GetPhase() != v1.AttemptPhase_ATTEMPT_PHASE_LOST {
		t.Fatalf("ended as %v", end)
	}
	w.driver.hang = false
	w.until("the instance was tried again", func() bool { return len(w.driver.runs) == 2 })
	w.settles()
}

// After a boot of the machine nobody knows what had been begun, also if the driver would survive anything else.
func TestF13_LostWithTheMachine(t *testing.T) {
	w := opened(t, 3)
	_, fence := w.slotAndFence()
	w.dies()
	w.boot, w.driver.slots = "boot-2", map[uint64]*simSlot{}
	w.boots()
	if end := w.ends(fence); end.GetPhase() != v1.AttemptPhase_ATTEMPT_PHASE_LOST {
		t.Fatalf("ended as %v", end)
	}
	w.driver.hang = false
	w.settles()
}

// A slot that a driver has and the ledger does not know is released.
func TestB46_StrangersAreReleased(t *testing.T) {
	w := newWorld(t, 4, faults{})
	w.driver.slots[99] = &simSlot{
		task:    driver.Task{Slot: 99, Fence: 100, Template: &v1.Template{CpuMilli: 100}},
		outcome: driver.Outcome{Phase: v1.AttemptPhase_ATTEMPT_PHASE_RUNNING},
	}
	w.boots()
	w.until("the stranger is released", func() bool { return len(w.driver.slots) == 0 && w.agent.rig.Slots() == nil })
	if w.counts[CountStranger] != 1 {
		t.Fatalf("counted %v", w.counts)
	}
}

func TestF8_InputsAreFetchedAndRetried(t *testing.T) {
	w := newWorld(t, 5, faults{})
	w.master.template.Spec.After = []string{"one", "two"}
	w.inputs.fails = 2
	w.master.wants(1)
	w.master.width = 1
	w.boots()
	w.settles()
	if len(w.inputs.asked) != 3 || fmt.Sprint(w.inputs.asked[0]) != "{7 q j [one two]}" {
		t.Fatalf("asked for %v", w.inputs.asked)
	}
	if len(w.inputs.kept) != 0 {
		t.Fatalf("keeps inputs of %v", w.inputs.kept)
	}
}

// Inputs that do not come fail the attempt, with the reason and a bounded number of tries.
func TestF13_InputsThatDoNotCome(t *testing.T) {
	w := newWorld(t, 6, faults{})
	w.master.template.Spec.After = []string{"before"}
	w.inputs.fails = 3
	w.master.wants(1)
	w.boots()
	w.until("an attempt has failed", func() bool { return len(w.master.accepted) == 1 })
	end := w.master.accepted[sortedKeys(w.master.accepted)[0]]
	if end.GetPhase() != v1.AttemptPhase_ATTEMPT_PHASE_FAILED || end.GetReason() != "inputs: tried 3 times: simulated: results are not there" {
		t.Fatalf("ended as %v", end)
	}
	w.settles()
}

// A stop reaches an attempt whose inputs are still being fetched.
func TestS22_StopBeforeTheStart(t *testing.T) {
	w := newWorld(t, 7, faults{})
	w.master.template.Spec.After = []string{"before"}
	w.master.stops = 1000
	w.inputs.fails = 1
	w.master.wants(1)
	w.boots()
	w.until("an attempt was stopped", func() bool { return len(w.master.accepted) == 1 })
	end := w.master.accepted[sortedKeys(w.master.accepted)[0]]
	if end.GetPhase() != v1.AttemptPhase_ATTEMPT_PHASE_STOPPED || end.GetReason() != "stopped: for fun" || len(w.driver.runs) > 0 {
		t.Fatalf("ended as %v, begun %v", end, w.driver.runs)
	}
	w.settles()
}

// A stop that a crash of the slot's actor has swallowed is asked for again in the new session.
func TestW6_StopSurvivesACrash(t *testing.T) {
	w := opened(t, 13)
	_, fence := w.slotAndFence()
	w.driver.crashes = 1
	w.master.stops = 1000
	if end := w.ends(fence); end.GetReason() != "stopped: again" {
		t.Fatalf("ended as %v", end)
	}
	w.driver.hang = false
	w.settles()
}

// A slot whose actor crashes whenever it is told to do its duty costs its attempt, not the agent.
func TestW6_PoisonedSlotIsGivenUp(t *testing.T) {
	w := newWorld(t, 14, faults{})
	w.master.template.Spec.After = []string{"before"}
	w.inputs.crashes = 4
	w.master.width = 1
	w.master.wants(1)
	w.boots()
	w.until("the attempt is given up", func() bool { return len(w.master.accepted) == 1 })
	end := w.master.accepted[sortedKeys(w.master.accepted)[0]]
	if end.GetPhase() != v1.AttemptPhase_ATTEMPT_PHASE_LOST || end.GetReason() != "the agent failed more than 3 times over it" {
		t.Fatalf("ended as %v", end)
	}
	w.settles()
}

// Progress travels at most once a second; start and end at once.
func TestF9_ProgressIsRateLimited(t *testing.T) {
	w := opened(t, 8)
	slot, fence := w.slotAndFence()
	w.run(time.Second)
	told := w.counts["progress"]
	for i := range 100 {
		s := w.driver.slots[slot]
		s.outcome.ProgressMilli = uint32(10 * (i + 1))
		w.driver.emit(driver.Event{Slot: slot, Fence: fence, Outcome: s.outcome})
		w.run(100 * time.Millisecond)
	}
	w.run(2 * time.Second)
	if n := w.counts["progress"] - told; n < 9 || n > 12 {
		t.Errorf("%d reports of progress in ten seconds", n)
	}
	if w.counts["last progress"] != 1000 {
		t.Errorf("last progress %d", w.counts["last progress"])
	}
	w.driver.end(slot, fence, driver.Outcome{Phase: v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED, Result: make([]byte, driver.ResultMax+1)})
	if end := w.ends(fence); end.GetPhase() != v1.AttemptPhase_ATTEMPT_PHASE_FAILED || end.GetReason() != "result of 65537 bytes, limit 65536" {
		t.Errorf("ended as %v", end)
	}
}

// When the disk is full launches are refused with the reason, ends wait, and all is well again when there is room.
func TestF13_DiskFull(t *testing.T) {
	w := newWorld(t, 9, faults{})
	w.commands = 4096
	w.runsOne()
	slot, fence := w.slotAndFence()
	w.store.full = true
	w.driver.end(slot, fence, simOutcome())
	w.run(5 * time.Second)
	if len(w.master.accepted) > 0 {
		t.Fatal("an end was told that is not durable")
	}
	w.master.width = 2
	w.master.wants(5)
	w.until("launches are refused", func() bool { return len(w.master.refused) > 0 })
	if !strings.Contains(w.master.refused[0], "no room on the disk of the agent's ledger") {
		t.Fatalf("refused: %v", w.master.refused)
	}
	session := w.session
	w.run(20 * time.Second)
	if w.session != session {
		t.Error("the session was lost over it")
	}
	// More templates wait than one write holds.
	for stage := range uint32(batchInputs + 50) {
		w.master.push(&v1.Command{Kind: &v1.Command_Template{Template: &v1.Template{JobUid: 9, Stage: stage, Spec: &v1.StageSpec{}}}})
	}
	w.run(20 * time.Second)
	w.store.full = false
	w.until("all is written", func() bool { return len(w.store.durable().templates) == batchInputs+51 })
	w.driver.hang = false
	w.settles()
	if w.master.accepted[fence].GetPhase() != v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED {
		t.Error("the end that waited was lost")
	}
}

// An agent whose disk is full from the start says nothing before its life is durable.
func TestF13_DiskFullAtTheStart(t *testing.T) {
	w := newWorld(t, 10, faults{})
	w.store.full = true
	w.master.wants(3)
	w.boots()
	w.run(20 * time.Second)
	if w.counts["sent"] > 0 {
		t.Fatal("spoke before its life was durable")
	}
	w.settles()
}

func TestOtherNodesLedger(t *testing.T) {
	w := newWorld(t, 11, faults{})
	w.store.mem.Write([]ledger.Entry{{Key: headKey, Value: &v1.LedgerHead{Node: "n9"}}}, func(error) {})
	_, err := Start(nil, Config{Cell: "test", Info: w.info}, Ports{Uplink: (*simUplink)(w), Ledger: w.store})
	if err == nil || !strings.Contains(err.Error(), `the ledger belongs to node "n9", this is "n1"`) {
		t.Fatal(err)
	}
	_, err = Start(nil, Config{Info: w.info}, Ports{})
	if err == nil || !strings.Contains(err.Error(), "Config.Cell is empty") {
		t.Fatal(err)
	}
	_, err = Start(nil, Config{Cell: "test", Info: &v1.NodeInfo{Id: "Not A Name"}}, Ports{})
	if err == nil || !strings.Contains(err.Error(), "id") {
		t.Fatal(err)
	}
}

// A drain stops what runs, tells the ends, takes nothing new and says when nothing is left.
func TestF13_Drain(t *testing.T) {
	w := opened(t, 12)
	_, fence := w.slotAndFence()
	told := 0
	reply := w.sys.Port("test", func(m any, _ kit.Ref) {
		if _, ok := m.(*drained); ok {
			told++
		}
	})
	w.sys.TellFrom(reply, w.agent.top, &drain{reason: "shutdown"})
	w.until("nothing is left", func() bool { return told == 1 })
	if len(w.driver.slots) > 0 || len(w.store.durable().slots) > 0 {
		t.Fatalf("left %d slots with the driver, ledger %s", len(w.driver.slots), w.holds())
	}
	if end := w.ends(fence); end.GetPhase() != v1.AttemptPhase_ATTEMPT_PHASE_STOPPED || end.GetReason() != "stopped: shutdown" {
		t.Fatalf("ended as %v", end)
	}
	w.until("launches are refused", func() bool { return len(w.master.refused) > 0 })
	if w.master.refused[0] != "agent is stopping: shutdown" {
		t.Fatalf("refused: %v", w.master.refused)
	}
	w.dies()
	w.boots()
	w.driver.hang = false
	w.settles()
}

// An end and the release of its slot meet, in any order: the slot goes, and what was learned of the end is told.
func TestF13_EndMeetsRelease(t *testing.T) {
	ended := map[v1.AttemptPhase]int{}
	for seed := range seeds(t, 40) {
		w := opened(t, seed)
		slot, fence := w.slotAndFence()
		w.driver.hang = false
		s := w.master.slots[slot]
		s.releasing = true
		w.st.AfterFunc(time.Duration(w.rng.IntN(8000))*time.Microsecond, func() { w.driver.end(slot, fence, simOutcome()) })
		w.master.release(slot)
		w.master.pump()
		ended[w.ends(fence).GetPhase()]++
		w.settles()
	}
	if ended[v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED] == 0 {
		t.Errorf("ended as %v", ended)
	}
}
