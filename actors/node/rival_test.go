package node_test

import (
	"testing"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// A second agent on the same machine has a ledger of its own, and has begun over it once as the first one has. That it has
// opened more sessions does not make it the first one begun anew.
func TestB46_ASecondAgentOnTheSameMachineIsRefused(t *testing.T) {
	b := newBench(t)
	say := func(session, process uint64) int {
		b.take()
		b.from(&v1.FromAgent{Session: session, Hello: &v1.Hello{Session: session, Info: info("n", 10), BootId: "a", Process: process}})
		welcomes, _ := b.controls()
		return welcomes
	}
	const first = 1<<40 | 1<<24
	if say(first+1, 1) != 1 {
		t.Fatal("the first is not welcome")
	}
	for i := range uint64(3) {
		if say(first+2+i, 2) != 0 {
			t.Fatalf("a second agent that opens session %d is welcome", i+2)
		}
	}
	if say(first+5, 1) != 1 {
		t.Error("the first is not welcome to another session")
	}
	if say(2<<40|1<<24|1, 3) != 1 {
		t.Error("the first, begun anew, is not welcome")
	}
}
