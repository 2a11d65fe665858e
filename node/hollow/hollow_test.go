package hollow

import (
	"testing"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// A master with a full mailbox loses what agents say: they say it again when it pings or sends its commands again, and
// not otherwise.
func TestS4_F33_WhatTheMasterHasNotHeardIsSaidAgain(t *testing.T) {
	var heard []*v1.FromAgent
	f := New(Options{
		Nodes: 1, Info: &v1.NodeInfo{CpuMilli: 1000}, Deliver: func(m *v1.FromAgent) { heard = append(heard, m) },
		Outcome: func(*v1.Launch) (v1.AttemptPhase, []byte, bool) { return 0, nil, true },
	})
	say := func(m *v1.ToAgent) *v1.FromAgent {
		heard, m.Node, m.Epoch, m.Session = nil, "node-00000", 1, 1
		f.Send(m)
		if len(heard) != 1 {
			t.Fatalf("%v has %d answers", m, len(heard))
		}
		return heard[0]
	}
	f.Start()
	f.Send(&v1.ToAgent{Node: "node-00000", Epoch: 1, Session: 1, Control: &v1.ToAgent_Welcome{Welcome: &v1.Welcome{}}})
	commands := []*v1.Command{
		{Kind: &v1.Command_Template{Template: &v1.Template{JobUid: 1, CpuMilli: 1000}}},
		{Kind: &v1.Command_Launch{Launch: &v1.Launch{Slot: 1, Fence: 2, JobUid: 1}}},
		{Kind: &v1.Command_Release{Release: &v1.ReleaseSlot{Slot: 1}}},
	}
	first := say(&v1.ToAgent{First: 1, Commands: commands})
	if len(first.Changes) != 3 || first.First != 1 || first.Ack != 3 {
		t.Fatalf("answered %v", first)
	}
	for what, again := range map[string]*v1.ToAgent{
		"ping": {Control: &v1.ToAgent_Ping{Ping: true}}, "the same commands": {First: 1, Commands: commands},
	} {
		if m := say(again); len(m.Changes) != 3 || m.First != 1 || m.Ack != 3 || f.Ran() != 1 {
			t.Errorf("to %s it answered %v, and ran %d", what, m, f.Ran())
		}
	}
	more := []*v1.Command{{Kind: &v1.Command_Release{Release: &v1.ReleaseSlot{Slot: 1}}}}
	if m := say(&v1.ToAgent{First: 4, Commands: more}); len(m.Changes) != 1 || m.First != 4 {
		t.Errorf("to something new it answered %v", m)
	}
	if m := say(&v1.ToAgent{Ack: 4, Control: &v1.ToAgent_Ping{Ping: true}}); len(m.Changes) != 0 {
		t.Errorf("what was heard is said again: %v", m)
	}
}
