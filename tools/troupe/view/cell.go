package view

import (
	"fmt"
	"strings"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Cell writes the state of a cell.
func Cell(p *Page, s *v1.CellStatus) {
	p.Facts(
		[2]string{"cell", s.GetCell()},
		[2]string{"version", s.GetVersion()},
		[2]string{"epoch", Count(s.GetEpoch())},
		[2]string{"started", p.moment(s.GetStartedUnixMs())},
		[2]string{"admission", s.GetAdmission()},
		[2]string{"nodes", fmt.Sprintf("%s, %s fresh", Count(s.GetNodes()), Count(s.GetNodesFresh()))},
		[2]string{"cpu", share(CPU(s.GetCpuMilliHeld()), CPU(s.GetCpuMilli()), s.GetCpuMilliHeld(), s.GetCpuMilli())},
		[2]string{"memory", share(Bytes(s.GetMemoryBytesHeld()), Bytes(s.GetMemoryBytes()), s.GetMemoryBytesHeld(), s.GetMemoryBytes())},
		[2]string{"queues", Count(s.GetQueues())},
		[2]string{"jobs", fmt.Sprintf("%s live, %s ended", Count(s.GetJobsLive()), Count(s.GetJobsEnded()))},
		[2]string{"waiting", plural(s.GetWaitingSlots(), "slot")},
		[2]string{"journal", fmt.Sprintf("record %s, snapshot at %s", Count(s.GetSeq()), Count(s.GetSnapshotSeq()))},
		[2]string{"dead letters", Count(s.GetDeadLetters())},
	)
}

func share(held, all string, heldN, allN int64) string {
	if allN <= 0 {
		return held + " held of " + all
	}
	return fmt.Sprintf("%s held of %s (%d%%)", held, all, heldN*100/allN)
}

// Queues writes a list of queues.
func Queues(p *Page, queues []*v1.QueueStatus) {
	if len(queues) == 0 {
		p.Line("no queues")
		return
	}
	t := NewTable("QUEUE", ">LIVE JOBS", ">OF", ">ENDED", ">SLOTS", ">OF", ">RUNNING", ">WAITING", ">DONE", "~DESCRIPTION")
	for _, q := range queues {
		s, c := q.GetSpec(), q.GetCounts()
		t.Row(s.GetName(), Count(q.GetLiveJobs()), some(uint64(max(0, s.GetMaxJobs()))), Count(q.GetEndedJobs()), Count(c.GetSlots()),
			some(uint64(max(0, s.GetMaxSlots()))), some(c.GetRunning()), some(c.GetWaiting()), some(c.GetDone()), s.GetDescription())
	}
	t.Write(p)
}

// Nodes writes a list of nodes.
func Nodes(p *Page, nodes []*v1.NodeStatus) {
	if len(nodes) == 0 {
		p.Line("no nodes")
		return
	}
	t := NewTable("NODE", "STATE", ">SLOTS", ">RUNNING", ">CPU HELD", ">OF", ">MEMORY HELD", ">OF", ">CPU USED", ">SEEN", "~DRAINED FOR")
	for _, n := range nodes {
		i, used := n.GetInfo(), ""
		if n.GetCpuMilliUsed() > 0 {
			used = CPU(n.GetCpuMilliUsed())
		}
		t.Row(i.GetId(), nodeState(n), Count(n.GetSlots()), Count(n.GetRunning()), CPU(n.GetCpuMilliHeld()), CPU(i.GetCpuMilli()),
			Bytes(n.GetMemoryBytesHeld()), Bytes(i.GetMemoryBytes()), used, p.age(n.GetSeenUnixMs()), n.GetDrainReason())
	}
	t.Write(p)
}

func nodeState(n *v1.NodeStatus) string {
	if n.GetDrained() {
		return n.GetLiveness() + ", drained"
	}
	return n.GetLiveness()
}

// Node writes all about one node.
func Node(p *Page, n *v1.NodeStatus) {
	i := n.GetInfo()
	of := func(held, all int64, write func(int64) string) string {
		if all == 0 && held == 0 {
			return ""
		}
		return share(write(held), write(all), held, all)
	}
	bits := func(bps int64) string { return Count(bps) + " bit/s" }
	used := ""
	if n.GetCpuMilliUsed() > 0 || n.GetMemoryBytesUsed() > 0 {
		used = fmt.Sprintf("%s cores, %s memory, %s disk", CPU(n.GetCpuMilliUsed()), Bytes(n.GetMemoryBytesUsed()), Bytes(n.GetDiskBytesUsed()))
	}
	p.Facts(
		[2]string{"node", i.GetId()},
		[2]string{"state", nodeState(n)},
		[2]string{"drained for", n.GetDrainReason()},
		[2]string{"seen", p.moment(n.GetSeenUnixMs())},
		[2]string{"slots", fmt.Sprintf("%s, %s running", Count(n.GetSlots()), Count(n.GetRunning()))},
		[2]string{"cpu", of(n.GetCpuMilliHeld(), i.GetCpuMilli(), CPU)},
		[2]string{"memory", of(n.GetMemoryBytesHeld(), i.GetMemoryBytes(), Bytes[int64])},
		[2]string{"disk", of(n.GetDiskBytesHeld(), i.GetDiskBytes(), Bytes[int64])},
		[2]string{"net", of(n.GetNetBpsHeld(), i.GetNetBps(), bits)},
		[2]string{"in use", used},
		[2]string{"drivers", strings.Join(i.GetDrivers(), " ")},
		[2]string{"attributes", labels(i.GetAttributes())},
	)
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
