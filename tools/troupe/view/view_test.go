package view

import (
	"strings"
	"testing"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func counts(wanted, done, running, dead, failed uint64) *v1.Counts {
	return &v1.Counts{Wanted: wanted, Done: done, Running: running, Dead: dead, FailedAttempts: failed,
		Waiting: wanted - done - running - dead, Slots: running}
}

func status() *v1.JobStatus {
	return &v1.JobStatus{
		Queue: "default", Name: "count-source", Uid: 7, Kind: "batch", Band: "batch", Rank: 3,
		Labels: map[string]string{"team": "数据", "app": "count"}, Phase: "running",
		SubmittedUnixMs: start.UnixMilli(), Counts: counts(65, 33, 2, 1, 4),
		Stages: []*v1.StageStatus{
			{Name: "count", Phase: "running", Counts: counts(64, 33, 2, 1, 4), ResultBytes: 1234},
			{Name: "汇总", Phase: "blocked", Counts: counts(1, 0, 0, 0, 0)},
		},
		Instances: []*v1.InstanceStatus{
			{Stage: "count", Index: 34, Attempt: 1, Node: "node-a", Phase: "running", ProgressMilli: 505, StartedUnixMs: now.UnixMilli() - 400},
			{Stage: "count", Index: 35, Attempt: 2, Node: "节点-b", Phase: "starting"},
		},
		Failures: []*v1.InstanceFailure{
			{Index: 12, Stage: "count", Failures: 3, Final: true, Node: "node-a", ExitCode: 2, Reason: "exit 2: \x1b[31mred\x1b[0m\nsecond line", TimeUnixNano: now.UnixNano() - 5e9},
			{Index: 9, Stage: "count", Failures: 1, Node: "节点-b", Reason: "timeout", TimeUnixNano: now.UnixNano() - 61e9},
		},
	}
}

func TestM7_JobPageStandsStraight(t *testing.T) {
	golden(t, "job", page(t, 0, func(p *Page) { Job(p, status()) }))
	golden(t, "job_terminal", page(t, 72, func(p *Page) { Job(p, status()) }))
}

func TestJobPageBoundsAttempts(t *testing.T) {
	s := status()
	for range 40 {
		s.Instances = append(s.Instances, s.GetInstances()[0])
	}
	if got := page(t, 0, func(p *Page) { Job(p, s) }); !strings.Contains(got, "… and 22 more") {
		t.Errorf("a page of 42 attempts does not say that 22 are left out:\n%s", got)
	}
}

func TestM7_JobsPage(t *testing.T) {
	jobs := []*v1.JobSummary{
		{Queue: "default", Name: "count-source", Kind: "batch", Band: "batch", Phase: "running", Counts: counts(1_000_000, 33, 2, 0, 0), SubmittedUnixMs: start.UnixMilli()},
		{Queue: "团队", Name: "web", Kind: "service", Band: "production", Phase: "failed", Counts: counts(3, 0, 0, 3, 9), SubmittedUnixMs: start.UnixMilli(), EndedUnixMs: start.UnixMilli() + 61_500},
	}
	golden(t, "jobs", page(t, 0, func(p *Page) { Jobs(p, jobs) }))
	golden(t, "jobs_none", page(t, 0, func(p *Page) { Jobs(p, nil) }))
}

func TestB31_MastersPage(t *testing.T) {
	r := &v1.ListMastersReply{Masters: []*v1.MasterInfo{
		{Id: "a", Host: "host-a", Role: "leader", Epoch: 12, Seq: 4711, Version: "v1", SinceUnixMs: start.UnixMilli()},
		{Id: "b", Host: "host-b", Role: "follower", Epoch: 12, Seq: 4709, Lag: 2, Version: "v1", SinceUnixMs: start.UnixMilli(), HeardMs: 840},
		{Id: "c", Host: "host-c", Role: "leader", Epoch: 11, Seq: 4000, Lag: 711, Version: "v1", SinceUnixMs: start.UnixMilli(), HeardMs: 42_000},
	}}
	golden(t, "masters", page(t, 0, func(p *Page) { Masters(p, r) }))
	golden(t, "resigned", page(t, 0, func(p *Page) {
		Resigned(p, &v1.ResignReply{From: "a", To: "b", Epoch: 12})
		Resigned(p, &v1.ResignReply{To: "b", Epoch: 13})
	}))
}

func TestOutcomePage(t *testing.T) {
	s := status()
	s.Phase, s.Reason, s.EndedUnixMs = "failed", "1 instance of stage count is dead", start.UnixMilli()+12_300
	golden(t, "outcome_failed", page(t, 0, func(p *Page) { Outcome(p, s) }))
	s.Phase, s.Reason = "succeeded", ""
	golden(t, "outcome_succeeded", page(t, 0, func(p *Page) { Outcome(p, s) }))
}

func TestValidatedPage(t *testing.T) {
	r := &v1.ValidateReply{Instances: 65, Job: &v1.JobSpec{Name: "count", Queue: "default", Kind: "batch", Band: "batch", Stages: []*v1.StageSpec{
		{Name: "fit", Instances: 2, Driver: "process", Command: []string{"fit"}, Devices: &v1.Devices{Kind: "gpu", Count: 2}, Gang: &v1.Gang{},
			Ports: []*v1.Port{{Name: "a", Number: 8080}, {Name: "b"}}, Resources: &v1.Resources{Cpu: "1", Memory: "64Mi", Custom: map[string]int64{"license": 1}}},
		{Name: "share", Instances: 2, Driver: "process", Command: []string{"fit"}, Devices: &v1.Devices{Kind: "gpu", Count: 1, Share: "250m"}},
		{Name: "count", Instances: 64, Driver: "process", Command: []string{"sh", "-c", "find . |\n  xargs wc"}, Timeout: "1m0s",
			Resources: &v1.Resources{Cpu: "100m", Memory: "64Mi"}, Retry: &v1.Retry{Attempts: 3}},
		{Name: "sum", After: []string{"count"}, Instances: 1, Driver: "func", Func: "sum"},
	}}}
	golden(t, "validated", page(t, 0, func(p *Page) { Validated(p, "job.yaml", r) }))
}

func TestExplainPage(t *testing.T) {
	r := &v1.ExplainReply{Summary: "count-source waits: no node fits stage count", Stages: []*v1.StageExplain{{
		Stage: "count", WantedSlots: 64, HeldSlots: 3, Nodes: 3, NodesFit: 0, Ahead: 12, Summary: "62 slots wait for memory",
		Refusals: []*v1.Refusal{{Filter: "memory", Nodes: 2, Detail: "needs 8 GiB, most free 1 GiB"}, {Filter: "drained", Nodes: 1}},
		Remedy:   "ask for 1Gi of memory", Held: []*v1.NodeSlots{{Node: "node-a", Slots: 2}, {Node: "node-b", Slots: 1}},
	}}}
	golden(t, "explain", page(t, 0, func(p *Page) { Explain(p, r) }))
}

func TestX4_ExplainPageSaysWhyHereAndWhatWouldHelp(t *testing.T) {
	r := &v1.ExplainReply{Summary: "train waits for its share", Stages: []*v1.StageExplain{{
		Stage: "fit", WantedSlots: 8, HeldSlots: 2, Nodes: 40, NodesFit: 3, Ahead: 12, WaitsFor: "quota", ExpectedUnixMs: now.UnixMilli() + 90_000,
		AheadOf: []*v1.Ahead{{Queue: "web", Job: "shop", Stage: "serve", Band: "production", Rank: 0, WaitingSlots: 9},
			{Queue: "ml", Job: "数据", Stage: "fit", Band: "batch", Rank: -2, WaitingSlots: 3}},
		Refusals: []*v1.Refusal{{Filter: "gpu", Nodes: 30, Detail: "none has 2 free of one model"}, {Filter: "taint", Nodes: 7, Detail: "gpu=yes\x1b[2J"}},
		Remedy:   "64 MiB less memory", Remedies: []string{"64 MiB less memory", "two nodes leave maintenance", "queue web returns 12 cores"},
		Held: []*v1.NodeSlots{{Node: "node-a", Slots: 2}},
		Scores: []*v1.NodeScore{{Node: "node-a", Total: 812, Parts: map[string]int64{"hybrid": 700, "packages": 112}},
			{Node: "node-b", Total: 40}},
	}}}
	golden(t, "explain_full", page(t, 0, func(p *Page) { Explain(p, r) }))
}

func TestB39_JobPageShowsEvictions(t *testing.T) {
	s := status()
	s.Evicted = 23
	s.Evictions = []*v1.Eviction{
		{Index: 3, Node: "node-a", Rule: "priority", For: "web/shop", Reason: "batch/0 < production/0", TimeUnixNano: now.UnixNano() - 3e9},
		{Index: 9, Node: "节点-b", Rule: "maintenance", TimeUnixNano: now.UnixNano() - 65e9},
	}
	golden(t, "job_evicted", page(t, 0, func(p *Page) { Job(p, s) }))
}

func TestF25_F26_QueuePages(t *testing.T) {
	queues := []*v1.QueueStatus{
		{Spec: &v1.QueueSpec{Name: "ml", Order: "shortest", Backfill: "none", Score: &v1.Score{By: "fragmentation"},
			Quota: &v1.Quota{Cpu: "8", Memory: "16Gi", Custom: map[string]int64{"gpu": 4000}}, Max: &v1.Quota{Cpu: "16", Net: "0"}},
			LiveJobs: 1, Counts: counts(4, 0, 2, 0, 0),
			Used: &v1.Amounts{CpuMilli: 9500, MemoryBytes: 1 << 30, Custom: map[string]int64{"gpu": 1500}}, Borrowed: &v1.Amounts{CpuMilli: 1500},
			Lent: &v1.Amounts{MemoryBytes: 15 << 30}, Waiting: &v1.Amounts{CpuMilli: 500, DiskBytes: 1 << 20}, Allowed: &v1.Amounts{CpuMilli: 16000}},
		{Spec: &v1.QueueSpec{Name: "web"}, Counts: counts(0, 0, 0, 0, 0)},
	}
	golden(t, "queues_shares", page(t, 0, func(p *Page) { Queues(p, queues) }))
	loans := &v1.LedgerReply{Loans: []*v1.Loan{
		{Lender: "web", Borrower: "ml", Resource: "cpu", Amount: 1500, SinceUnixMs: now.UnixMilli() - 3000},
		{Lender: "数据", Borrower: "ml", Resource: "memory", Amount: 1 << 30, SinceUnixMs: start.UnixMilli(), ReturnedUnixMs: start.UnixMilli() + 2500},
		{Lender: "web", Borrower: "ml", Resource: "gpu", Amount: 1000, SinceUnixMs: start.UnixMilli(), ReturnedUnixMs: now.UnixMilli()},
	}}
	golden(t, "ledger", page(t, 0, func(p *Page) { Ledger(p, loans); Ledger(p, &v1.LedgerReply{}) }))
}

func TestB41_B54_NodePagesShowTaintsAndDevices(t *testing.T) {
	n := &v1.NodeStatus{
		Info: &v1.NodeInfo{Id: "gpu-1", CpuMilli: 4000, MemoryBytes: 8 << 30, Attributes: map[string]string{"pool": "gpu"},
			Devices: []*v1.Device{{Kind: "gpu", Model: "V100"}, {Kind: "gpu", Model: "V100"}, {Kind: "gpu", Model: "T4"}, {Kind: "fpga"}},
			Custom:  map[string]int64{"license": 3}, PortFrom: 20000, PortTo: 29999, Packages: []string{"cuda", "torch"}},
		Liveness: "fresh", Drained: true, Maintenance: true, Evict: true, DrainReason: "new disks", Slots: 2,
		Taints:     []*v1.Taint{{Key: "gpu", Value: "yes"}, {Key: "slow", Effect: "avoid"}},
		CustomHeld: map[string]int64{"gpu": 1250, "license": 1, "port": 2},
	}
	golden(t, "nodes_devices", page(t, 0, func(p *Page) { Nodes(p, []*v1.NodeStatus{n}) }))
	golden(t, "node_devices", page(t, 0, func(p *Page) { Node(p, n) }))
}

func TestB48_CellPageShowsPacking(t *testing.T) {
	golden(t, "cell_packing", page(t, 0, func(p *Page) {
		Cell(p, &v1.CellStatus{Cell: "main", Nodes: 9, NodesFresh: 9, Admission: "open", Packing: &v1.Packing{
			UsedNodes: 8, SharedNodes: 3, Slots: 1200, NodesSaved: 2, AllocatedMilli: map[string]int64{"memory": 400, "cpu": 812, "gpu": 7},
			StrandedMilli: map[string]int64{"cpu": 31}, Evictions: map[string]uint64{"priority": 39000, "quota": 0, "maintenance": 3}}})
	}))
}

func TestEventPage(t *testing.T) {
	events := []*v1.JobEvent{
		{TimeUnixMs: start.UnixMilli(), Queue: "default", Job: "j", Kind: "submitted"},
		{TimeUnixMs: start.UnixMilli() + 250, Queue: "default", Job: "j", Kind: "progressed", Stage: "count", Done: 1200, Failed: 1},
		{TimeUnixMs: now.UnixMilli(), Queue: "default", Job: "j", Kind: "evicted", Stage: "count", Evicted: 2, Node: "node-a", Reason: "priority for web/shop: batch/0 < production/0"},
		{TimeUnixMs: now.UnixMilli(), Queue: "_", Job: "_", Kind: "drained", Node: "node-a", Phase: "maintenance", Reason: "disks"},
		{TimeUnixMs: now.UnixMilli(), Queue: "_", Job: "_", Kind: "undrained", Node: "node-a"},
		{TimeUnixMs: now.UnixMilli(), Queue: "_", Job: "_", Kind: "tainted", Node: "node-a", Reason: "gpu=yes:no_place"},
		{TimeUnixMs: now.UnixMilli(), Queue: "_", Job: "_", Kind: "tainted", Node: "node-a"},
		{TimeUnixMs: now.UnixMilli(), Queue: "default", Job: "j", Kind: "ended", Phase: "failed", Reason: "dead\x07"},
	}
	golden(t, "events", page(t, 0, func(p *Page) {
		for _, e := range events {
			Event(p, e)
		}
	}))
}

func TestResultsPage(t *testing.T) {
	results := []Result{
		{"count", &v1.InstanceResult{Index: 3, Data: []byte("files 1\r\nlines 2\n")}},
		{"汇总", &v1.InstanceResult{Index: 12, Data: []byte("总 7\x1b]0;title\x07")}},
		{"汇总", &v1.InstanceResult{Index: 13, Data: []byte{0, 1, 2}}},
		{"汇总", &v1.InstanceResult{Index: 14, Data: []byte(strings.Repeat("x", 2000))}},
		{"汇总", &v1.InstanceResult{Index: 15}},
	}
	golden(t, "results", page(t, 0, func(p *Page) { Results(p, results, 40) }))
}

func TestCellPages(t *testing.T) {
	golden(t, "cell", page(t, 0, func(p *Page) {
		Cell(p, &v1.CellStatus{Cell: "main", Version: "v1", Epoch: 3, Seq: 12345, ProcessBytes: 120 << 20, ProcessBytesMax: 1 << 30, JournalWaitingBytes: 4096, Nodes: 2, NodesFresh: 1, CpuMilli: 4000, CpuMilliHeld: 1250,
			MemoryBytes: 8 << 30, MemoryBytesHeld: 1 << 30, Queues: 1, JobsLive: 2, JobsEnded: 1000, WaitingSlots: 62,
			StartedUnixMs: start.UnixMilli(), SnapshotSeq: 10000, Admission: "open"})
	}))
	golden(t, "queues", page(t, 0, func(p *Page) {
		Queues(p, []*v1.QueueStatus{
			{Spec: &v1.QueueSpec{Name: "default"}, LiveJobs: 2, EndedJobs: 5, Counts: counts(10, 3, 2, 0, 0)},
			{Spec: &v1.QueueSpec{Name: "team", MaxJobs: 10, MaxSlots: 4, Description: "数据平台 nightly"}, Counts: counts(0, 0, 0, 0, 0)},
		})
	}))
	node := &v1.NodeStatus{Info: &v1.NodeInfo{Id: "node-a", CpuMilli: 4000, MemoryBytes: 8 << 30, DiskBytes: 1 << 40, NetBps: 1_000_000_000,
		Attributes: map[string]string{"os": "linux", "arch": "amd64"}, Drivers: []string{"func", "process"}},
		Liveness: "fresh", Drained: true, DrainReason: "kernel", Slots: 3, Running: 2, CpuMilliHeld: 300, MemoryBytesHeld: 192 << 20,
		CpuMilliUsed: 1700, MemoryBytesUsed: 3 << 30, SeenUnixMs: now.UnixMilli() - 900}
	golden(t, "nodes", page(t, 0, func(p *Page) { Nodes(p, []*v1.NodeStatus{node, {Info: &v1.NodeInfo{Id: "节点"}, Liveness: "lost"}}) }))
	golden(t, "node", page(t, 0, func(p *Page) { Node(p, node) }))
	golden(t, "tree", page(t, 0, func(p *Page) {
		Tree(p, &v1.CellTree{DeadLetters: 1, Root: &v1.TreeNode{Name: "cell", Kind: "supervisor", Handled: 4, Children: []*v1.TreeNode{
			{Name: "journal", Kind: "journal", Handled: 1234567, MailboxMax: 90},
			{Name: "queues", Kind: "supervisor", Children: []*v1.TreeNode{
				{Name: "queue/default", Kind: "queue", Restarts: 2, Mailbox: 3, MailboxMax: 9, Handled: 88},
				{Name: "queue/team", Kind: "queue"},
			}},
			{Name: "gateway", Kind: "gateway"},
		}}})
	}))
}

func TestTableLeavesOutEmptyColumnsAndCutsFlexibleOnes(t *testing.T) {
	table := NewTable("A", "EMPTY", ">N", "~WHY")
	table.Row("a", "", "1", "a reason that is too long for this terminal")
	table.Row("b") // cells may be missing
	got := page(t, 30, func(p *Page) { table.Write(p) })
	want := "A  N  WHY\na  1  a reason that is too lo…\nb\n"
	if got != want {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

func TestM7_CutAtCharacters(t *testing.T) {
	for _, c := range []struct {
		in    string
		width int
		want  string
	}{
		{"short", 5, "short"}, {"longer", 5, "long…"}, {"数据平台", 8, "数据平台"}, {"数据平台", 7, "数据平…"}, {"数据平台", 6, "数据…"},
		{"é́éx", 2, "é́…"}, {"👩‍👩‍👧 family", 4, "👩‍👩‍👧 …"},
	} {
		if got := Cut(c.in, c.width); got != c.want || Width(got) > c.width {
			t.Errorf("Cut(%q, %d) = %q (width %d), want %q", c.in, c.width, got, Width(got), c.want)
		}
	}
}
