package main

import (
	"strings"
	"syscall"
	"testing"
)

// TestB41_F25_X4_OperatorsSayWhereWorkGoes plays what an operator does with the nodes and queues of a cell, by commands alone.
func TestB41_F25_X4_OperatorsSayWhereWorkGoes(t *testing.T) {
	p := newPlace(t)
	dev, facts := p.server("dev", "--dir", p.path("cell"), "--nats-listen", "127.0.0.1:0", "--id", "one", "--cpu", "2", "--device", "gpu:V100=2", "--attribute", "ssd=true")
	cell := func(args ...string) string {
		t.Helper()
		return p.must(append(args, "--nats", facts.NATS)...)
	}
	shows := func(out string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("it does not show %q:\n%s", w, out)
			}
		}
	}
	shows(cell("job", "submit", p.write("first.yaml", oneStage("first", 1, "true")), "--wait"), "succeeded") // the node is there
	shows(cell("node", "status", "one"), "gpu 0 of 2")
	shows(cell("queue", "set", "ml", "--quota", "cpu=1,gpu=1000", "--max", "cpu=2", "--order", "shortest", "--score", "fragmentation"), "shortest", "fragmentation", "1,000")
	shows(cell("queue", "set", "ml", "--description", "models"), "shortest", "models") // the rest stays
	if out := cell("queue", "ledger"); out != "no loans\n" {
		t.Errorf("nothing was lent, yet the ledger shows\n%s", out)
	}

	shows(cell("node", "taint", "one", "disk=slow"), "disk=slow:no_place")
	job := p.write("job.yaml", oneStage("where", 2, "echo $TROUPE_NODE > \"$TROUPE_RESULT\"", "    constraints: [{attribute: ssd, op: exists}]"))
	cell("job", "submit", job)
	for _, name := range []string{"where", "default/where", "where/s:1", "where/1"} {
		shows(cell("job", "explain", name), "taint", "disk=slow")
	}
	shows(cell("node", "untaint", "one", "disk=slow"), "one")
	shows(cell("job", "submit", job, "--wait"), "default/where succeeded")

	shows(cell("node", "maintain", "one", "--reason", "new disks"), "maintenance", "new disks")
	cell("job", "submit", p.write("next.yaml", oneStage("next", 1, "true")))
	shows(cell("job", "explain", "next"), "maintenance")
	shows(cell("node", "maintain", "one", "--undo"), "fresh")
	shows(cell("job", "submit", p.path("next.yaml"), "--wait"), "default/next succeeded")
	if code := dev.end(syscall.SIGTERM); code != 0 {
		t.Errorf("after SIGTERM: exit %d", code)
	}
}
