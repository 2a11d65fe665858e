package main

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
)

// A cell is lost and comes back from a backup, in a directory and in a stream: what ran runs on, although agents have seen
// later epochs than the backup; and what the lost master had decided is decided again.
func TestF30_X2_ARestoredCellTakesOverWhatRuns(t *testing.T) {
	for _, store := range []string{"badger", "jetstream"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			restored(t, store)
		})
	}
}

func restored(t *testing.T, store string) {
	c := &cluster{place: newPlace(t)}
	begin := func(dir, listen string) {
		m, facts := c.server("master", "--dir", c.path(dir), "--nats-listen", listen, "--store", store)
		c.master, c.nats = m, facts.NATS
		c.until("the master leads", func() bool {
			code, _, _ := c.run("cell", "status", "--nats", c.nats, "--timeout", "1s")
			return code == 0
		})
	}
	begin("first", "127.0.0.1:0")
	address := strings.TrimPrefix(c.nats, "nats://")
	c.startNode()
	script := "echo $TROUPE_INDEX >> " + c.path("begun") + "; exec sleep 300"
	c.ask("job", "submit", c.write("kept.yaml", oneStage("kept", 2, script)))
	up := func() bool { lines, _ := c.began("begun"); return lines == 2 }
	c.until("both instances run", up)
	file := c.path("cell.troupe")
	c.ask("backup", file)
	c.ask("journal", "verify")
	for range 2 { // later epochs, of which only the agent knows
		c.master.end(syscall.SIGKILL)
		begin("first", address)
	}
	running := func() bool {
		code, out, _ := c.run("job", "status", "kept", "--json", "--nats", c.nats)
		var s struct{ Counts struct{ Running string } }
		return code == 0 && json.Unmarshal([]byte(out), &s) == nil && s.Counts.Running == "2"
	}
	c.until("the node follows the newest master", running)
	c.ask("job", "submit", c.write("lost.yaml", oneStage("lost", 1, "exec sleep 300")))
	if code, _, stderr := c.run("restore", file, "--dir", c.path("first"), "--store", store, "--force"); code == 0 || !strings.Contains(stderr, "another process uses it") {
		t.Fatalf("restored under a living master: %s", stderr)
	}
	c.master.end(syscall.SIGKILL)

	var all struct{ Same bool }
	if err := json.Unmarshal([]byte(c.must("replay", "--dir", c.path("first"), "--json")), &all); err != nil || !all.Same {
		t.Errorf("replay: %v", err)
	}
	dir := "first"
	if store == "badger" {
		dir = "second"
	}
	args := []string{"restore", file, "--dir", c.path(dir), "--store", store, "--nats-listen", "127.0.0.1:0"}
	if store == "jetstream" {
		if code, _, stderr := c.run(args...); code == 0 || !strings.Contains(stderr, "--force") {
			t.Fatalf("restored over a journal: %s", stderr)
		}
		args = append(args, "--force")
	}
	c.must(args...)
	begin(dir, address)
	c.until("what ran runs on", running)
	if lines, _ := c.began("begun"); lines != 2 {
		t.Errorf("%d attempts have begun, 2 were to go on", lines)
	}
	if code, _, _ := c.run("job", "status", "lost", "--nats", c.nats); code == 0 {
		t.Error("a job that was submitted after the backup is known")
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	c.ask("job", "stop", "kept")
	c.until("it ends", func() bool { phase, _ := c.status("kept"); return phase == "stopped" })
}
