package cmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestS27_SimPlaysWhatItHasMade(t *testing.T) {
	h := newHarness(t)
	to := filepath.Join(h.home, "demo")
	if code, _, stderr := h.run("sim", "make", "--nodes", "5", "--jobs", "60", "--to", to); code != 0 {
		t.Fatalf("make: %d %s", code, stderr)
	}
	files := []string{"--nodes", to + "-nodes.csv", "--work", to + "-work.csv"}
	plot := filepath.Join(h.home, "out.svg")
	code, stdout, stderr := h.run(append([]string{"sim", "trace", "--json", "--plot", plot}, files...)...)
	var got struct {
		Format string
		Nodes  int
		All    struct{ Jobs, Instances, Begun uint64 }
		Queues []struct{ Queue string }
		Curve  []struct{ Held []float64 }
	}
	if code != 0 || json.Unmarshal([]byte(stdout), &got) != nil {
		t.Fatalf("trace: %d %s %s", code, stdout, stderr)
	}
	if got.Format != "plain" || got.Nodes != 5 || got.All.Jobs != 60 || got.All.Begun != got.All.Instances || len(got.Queues) != 4 || len(got.Curve) == 0 {
		t.Errorf("%+v", got)
	}
	if picture, err := os.ReadFile(plot); err != nil || !strings.Contains(string(picture), "<svg") {
		t.Errorf("picture: %v %.40s", err, picture)
	}
	code, stdout, stderr = h.run(append([]string{"sim", "trace", "--policy", "easy,bestfit", "--queue", "team-1:cpu=8"}, files...)...)
	for _, want := range []string{"workload", "easy,bestfit", "fullest moment", "team-3", "slowdown"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("exit %d: no %q in\n%s%s", code, want, stdout, stderr)
		}
	}
}

func TestS27_SimSaysWhatIsWrongWithACommandLine(t *testing.T) {
	h := newHarness(t)
	for line, want := range map[string]string{
		"sim trace":                                       "--work is missing",
		"sim trace --work w":                              "either --nodes",
		"sim trace --work w --format pbs":                 `no format "pbs"`,
		"sim trace --work w --format swf --nodes n":       "--nodes is too much",
		"sim trace --work w --format openb":               "--nodes is missing",
		"sim trace --work w --nodes n --order o":          "--order is for",
		"sim trace --work w --nodes n --policy ease":      `did you mean "easy"`,
		"sim trace --work w --nodes n --policy easy,fcfs": "says twice",
		"sim trace --work w --nodes-count 1 --limit -1":   "must not be negative",
		"sim trace --work w --nodes n --processors 4":     "--processors is for",
		"sim make --nodes 3":                              "--to is missing",
		"sim whatif":                                      "--from is missing",
		"sim whatif --from d --horizon -1h":               "--horizon must be",
		"sim whatif --from d --set-queue web:cpu":         "must be a resource and an amount",
	} {
		code, _, stderr := h.run(strings.Fields(line)...)
		if code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d, %s", line, code, stderr)
		}
	}
	if code, _, stderr := h.run("sim", "trace", "--work", "w", "--nodes-count", "1", "--plot", h.home+"/no/out.svg"); code != 1 || !strings.Contains(stderr, "out.svg") {
		t.Errorf("a picture in a directory that is not there: %d %s", code, stderr)
	}
	if code, _, stderr := h.run("sim", "trace", "--work", "nowhere", "--nodes-count", "1"); code != 1 || !strings.Contains(stderr, "nowhere") {
		t.Errorf("a file that is not there: %d %s", code, stderr)
	}
}
