package view

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Cell writes the state of a cell.
func Cell(p *Page, s *v1.CellStatus) {
	k := s.GetPacking()
	p.Facts(
		[2]string{"cell", s.GetCell()},
		[2]string{"version", s.GetVersion()},
		[2]string{"state", state(s)},
		[2]string{"master", s.GetMaster()},
		[2]string{"epoch", Count(s.GetEpoch())},
		[2]string{"started", p.moment(s.GetStartedUnixMs())},
		[2]string{"admission", s.GetAdmission()},
		[2]string{"nodes", nodesOf(s)},
		[2]string{"cpu", share(CPU(s.GetCpuMilliHeld()), CPU(s.GetCpuMilli()), s.GetCpuMilliHeld(), s.GetCpuMilli())},
		[2]string{"memory", share(Bytes(s.GetMemoryBytesHeld()), Bytes(s.GetMemoryBytes()), s.GetMemoryBytesHeld(), s.GetMemoryBytes())},
		[2]string{"allocated", thousandths(k.GetAllocatedMilli())},
		[2]string{"stranded", thousandths(k.GetStrandedMilli())},
		[2]string{"packing", packing(k)},
		[2]string{"evictions", evictions(k.GetEvictions())},
		[2]string{"queues", Count(s.GetQueues())},
		[2]string{"jobs", fmt.Sprintf("%s live, %s ended", Count(s.GetJobsLive()), Count(s.GetJobsEnded()))},
		[2]string{"waiting", plural(s.GetWaitingSlots(), "slot")},
		[2]string{"journal", journal(s)},
		[2]string{"master memory", masterMemory(s)},
		[2]string{"attempts", attemptsOf(s)},
		[2]string{"dead letters", Count(s.GetDeadLetters())},
	)
}

// nodesOf says how many there are, and what the master waits for.
func nodesOf(s *v1.CellStatus) string {
	text := fmt.Sprintf("%s, %s fresh", Count(s.GetNodes()), Count(s.GetNodesFresh()))
	if s.GetNodesAwaited() > 0 {
		text += fmt.Sprintf(", %s not heard by this master yet", Count(s.GetNodesAwaited()))
	}
	if s.GetNodesLostWaiting() > 0 {
		text += fmt.Sprintf(", %s silent for so long that their work waits to be placed elsewhere", Count(s.GetNodesLostWaiting()))
	}
	return text
}

// attemptsOf says what this master has started and given up; nothing if it is neither.
func attemptsOf(s *v1.CellStatus) string {
	if s.GetAttemptsStarted()+s.GetAttemptsLost() == 0 {
		return ""
	}
	return fmt.Sprintf("%s started by this master, %s lost with their node or slot", Count(s.GetAttemptsStarted()), Count(s.GetAttemptsLost()))
}

// journal says how far it is, and what waits in it.
func journal(s *v1.CellStatus) string {
	text := fmt.Sprintf("record %s, snapshot at %s", Count(s.GetSeq()), Count(s.GetSnapshotSeq()))
	if s.GetJournalWaitingBytes() > 0 {
		text += fmt.Sprintf(", %s waiting", Bytes(s.GetJournalWaitingBytes()))
	}
	return text
}

// masterMemory says how much of its memory the master uses.
func masterMemory(s *v1.CellStatus) string {
	used, most := s.GetProcessBytes(), s.GetProcessBytesMax()
	switch {
	case used == 0:
		return ""
	case most == 0:
		return Bytes(used)
	}
	return share(Bytes(used), Bytes(most), used, most)
}

// state says how the cell is, and why it is not as always.
func state(s *v1.CellStatus) string {
	text := s.GetState()
	if s.GetStateReason() != "" {
		text += ": " + s.GetStateReason()
	}
	return text
}

// packing says how many nodes are in use, and what it saves that services and batch work share them.
func packing(k *v1.Packing) string {
	if k == nil {
		return ""
	}
	text := fmt.Sprintf("%s on %s", plural(k.GetSlots(), "slot"), plural(k.GetUsedNodes(), "node"))
	if k.GetSharedNodes() > 0 {
		text += fmt.Sprintf(", %s shared by services and batch work", Count(k.GetSharedNodes()))
	}
	if k.GetNodesSaved() > 0 {
		text += fmt.Sprintf(", %s fewer than apart", Count(k.GetNodesSaved()))
	}
	return text
}

// thousandths writes shares by name: "cpu 81.2%, memory 40%".
func thousandths(shares map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(shares)) {
		text := strconv.FormatInt(shares[name]/10, 10)
		if rest := shares[name] % 10; rest > 0 {
			text += "." + strconv.FormatInt(rest, 10)
		}
		parts = append(parts, name+" "+text+"%")
	}
	return strings.Join(parts, ", ")
}

func evictions(byRule map[string]uint64) string {
	var parts []string
	for _, rule := range slices.Sorted(maps.Keys(byRule)) {
		if byRule[rule] > 0 {
			parts = append(parts, Count(byRule[rule])+" by "+rule)
		}
	}
	return strings.Join(parts, ", ")
}

func share(held, all string, heldN, allN int64) string {
	if allN <= 0 {
		return held + " held of " + all
	}
	return fmt.Sprintf("%s held of %s (%d%%)", held, all, heldN*100/allN)
}

// Tree writes the live supervision tree.
func Tree(p *Page, tree *v1.CellTree) {
	t := NewTable("ACTOR", "KIND", ">RESTARTS", ">MAILBOX", ">OF", ">HANDLED")
	branch(t, tree.GetRoot(), "", "")
	t.Write(p)
	p.Line("")
	p.Line("%s", plural(tree.GetDeadLetters(), "dead letter"))
}

func branch(t *Table, n *v1.TreeNode, own, below string) {
	t.Row(own+Clean(n.GetName()), n.GetKind(), Count(n.GetRestarts()), Count(n.GetMailbox()), some(n.GetMailboxMax()), Count(n.GetHandled()))
	for i, child := range n.GetChildren() {
		if i == len(n.GetChildren())-1 {
			branch(t, child, below+"└ ", below+"  ")
		} else {
			branch(t, child, below+"├ ", below+"│ ")
		}
	}
}
