package tree_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/node/nodetest"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// requeue runs a job of n instances on 24 nodes, loses 18 of them for good, and returns the most messages that waited in
// all mailboxes at a time and the records that the journal has written over it.
func requeue(t *testing.T, n int64) (waiting int, records uint64) {
	t.Helper()
	const nodes, lost, slots = 24, 18, 25
	w := newWorld(t, 5, 0, func(*v1.Launch) nodetest.Outcome { return nodetest.Outcome{Hold: true} })
	for i := range nodes {
		w.fleet.Join(info(fmt.Sprintf("n%d", i), slots))
	}
	w.submit(&v1.JobSpec{Name: "j", Stages: []*v1.StageSpec{stage("s", n)}})
	running := func() uint64 { return w.status("j").GetCounts().GetRunning() }
	for range 60 {
		if running() == nodes*slots {
			break
		}
		w.pass(time.Second)
	}
	if got := running(); got != nodes*slots {
		t.Fatalf("%d attempts run, want %d", got, nodes*slots)
	}
	_, before, err := w.log.Bounds(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for i := range lost {
		w.fleet.Agent(fmt.Sprintf("n%d", i)).Cut(true)
	}
	w.pass(20 * time.Second) // they count as lost, or this master as cut off
	w.sys.Tell(w.env.Refs.Gateway, request(&v1.LostRequest{AllSilent: true, Reason: "test"}))
	for end := w.step.Now().Add(2 * time.Minute); w.step.Step(end); {
		sum := 0
		w.sys.Tree().Walk(func(_ string, n kit.Node) { sum += n.Mailbox })
		waiting = max(waiting, sum)
	}
	s := w.status("j")
	if c := s.GetCounts(); c.GetRunning() != (nodes-lost)*slots || c.GetWaiting() != uint64(n)-(nodes-lost)*slots || c.GetFailedAttempts() != 0 || c.GetDead() != 0 {
		t.Errorf("afterwards the job is %v", c)
	}
	if status := w.call(&v1.CellStatusRequest{}).(*v1.CellStatus); status.GetAdmission() != "open" {
		t.Errorf("afterwards the cell is %v", status)
	}
	_, after, err := w.log.Bounds(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return waiting, after - before
}

// When most of the nodes are gone at once, what that makes wait is bounded: it does not grow with the job, and hardly
// anything of it goes through the journal.
func TestM3_AMassRequeueIsBounded(t *testing.T) {
	small, smallRecords := requeue(t, 1_000)
	large, largeRecords := requeue(t, 1_000_000)
	if large > small || small > 100 {
		t.Errorf("a job of a thousand makes %d messages wait, one of a million %d", small, large)
	}
	if largeRecords > smallRecords || smallRecords > 10 {
		t.Errorf("a job of a thousand is %d records, one of a million %d", smallRecords, largeRecords)
	}
}
