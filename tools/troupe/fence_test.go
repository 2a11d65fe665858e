package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// What an attempt does outside of the cell can be refused by its fence: each attempt of an instance sees a greater one,
// also under another master and another agent.
func TestB46_F10_TheFenceThatAProcessSeesGrows(t *testing.T) {
	c := newCluster(t)
	fences := func() (list []uint64) {
		data, _ := os.ReadFile(c.path("fences"))
		for _, text := range strings.Fields(string(data)) {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, n)
		}
		return list
	}
	script := fmt.Sprintf(`echo "$TROUPE_FENCE" >> %[1]s; [ "$(wc -l < %[1]s)" -ge 4 ]`, c.path("fences"))
	c.ask("job", "submit", c.write("j.yaml", oneStage("j", 1, script, "    retry: {attempts: 9, backoff: 500ms}")))
	c.until("the first attempt fails", func() bool { return len(fences()) > 0 })
	c.master.end(syscall.SIGKILL)
	c.startMaster(strings.TrimPrefix(c.nats, "nats://"))
	c.until("another fails", func() bool { return len(fences()) > 1 })
	c.node.end(syscall.SIGKILL)
	c.startNode()
	c.until("one succeeds", func() bool { phase, _ := c.status("j"); return phase == "succeeded" })
	list := fences()
	for i := range list {
		if i > 0 && list[i] <= list[i-1] {
			t.Errorf("attempt %d sees %d after %d", i+1, list[i], list[i-1])
		}
	}
	if len(list) != 4 || list[3]>>32 == list[0]>>32 {
		t.Errorf("fences %v: the master's epoch is their high half", list)
	}
}

// Drills of a node on a live cell: nothing restarts, and everything is as before.
func TestX8_B46_F29_F32_DrillsOfANodeRestartNothing(t *testing.T) {
	c := newCluster(t)
	script := fmt.Sprintf(`echo "$TROUPE_INDEX" >> %s; while [ ! -e %s ]; do sleep 0.05; done`, c.path("began"), c.path("go"))
	c.ask("job", "submit", c.write("j.yaml", oneStage("j", 10, script)))
	c.until("all run", func() bool { n, _ := c.began("began"); return n == 10 })
	for _, args := range [][]string{
		{"drill", "agent-restart", "200ms", "--node", "one", "--json"},
		{"drill", "partition", "2s", "--node", "one", "--json"},
	} {
		var r struct{ Same, Restarted int }
		// A small job of the drill itself may be among those that ran before.
		if out := c.ask(args...); json.Unmarshal([]byte(out), &r) != nil || r.Same < 10 || r.Restarted != 0 {
			t.Errorf("%v:\n%s", args, out)
		}
	}
	if err := os.WriteFile(c.path("go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.until("the job ends", func() bool { phase, _ := c.status("j"); return phase == "succeeded" })
	for index, n := range func() map[string]int { _, by := c.began("began"); return by }() {
		if n != 1 {
			t.Errorf("instance %s began %d times", index, n)
		}
	}
}
