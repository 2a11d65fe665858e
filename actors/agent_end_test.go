package actors

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupe-sched/troupe/actors/kit"
)

// A cell whose agent fails again and again says so and ends: it does not go on as if it could run anything.
func TestB12_B45_ACellDoesNotOutliveItsAgentSilently(t *testing.T) {
	dumps := t.TempDir()
	c, err := Open(t.Context(), Options{Dumps: dumps, Agent: &AgentOptions{Funcs: map[string]Func{"none": func(context.Context, *Call) error { return nil }}}})
	if err != nil {
		t.Fatal(err)
	}
	// A master that is none: whatever the agent sends from now on panics.
	c.mu.Lock()
	c.reign = &reign{sys: (*kit.System)(nil)}
	c.mu.Unlock()
	<-c.Done()
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), "agent of node local has failed") {
		t.Errorf("the cell has ended: %v", err)
	}
	found, err := filepath.Glob(filepath.Join(dumps, "*-agent", "reason.txt"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	if text, err := os.ReadFile(found[0]); err != nil || !strings.Contains(string(text), "has failed") {
		t.Errorf("%s, %v", text, err)
	}
	if err := c.Close(t.Context()); err == nil {
		t.Error("closing it forgets why it has ended")
	}
}
