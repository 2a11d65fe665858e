package main

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/troupe-sched/troupe/chaos"
	"github.com/troupe-sched/troupe/chaos/audit"
	chaosreport "github.com/troupe-sched/troupe/chaos/report"
	"github.com/troupe-sched/troupe/chaos/scenario"
)

// strike does a scenario to a cell whose every process is this program.
func strike(t *testing.T, s scenario.Scenario) (*chaosreport.Report, error) {
	t.Helper()
	key, value, _ := strings.Cut(beTroupe, "=")
	dir, err := os.MkdirTemp("", "tx")
	if err != nil {
		t.Fatal(err)
	}
	made, err := chaos.Run(t.Context(), chaos.Options{
		Scenario: s, Seed: 1, Env: map[string]string{key: value}, Dir: dir, Keep: true, Tell: func(text string) { t.Log(text) },
	})
	if made == nil {
		t.Fatal(err)
	}
	if !t.Failed() && (err == nil || errors.Is(err, chaos.ErrBroken)) {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}
	return made, err
}

func checkOf(t *testing.T, made *chaosreport.Report, name string) audit.Check {
	t.Helper()
	for _, c := range made.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no check %q", name)
	return audit.Check{}
}

// A cell of processes whose master, agents and links fail in turn keeps every promise, and every witness is heard.
func TestB46_B36_F32_S6_B42_ACellKeepsItsPromisesUnderFaults(t *testing.T) {
	s, err := scenario.Open("smoke")
	if err != nil {
		t.Fatal(err)
	}
	made, err := strike(t, s)
	if err != nil {
		t.Error(err)
	}
	for _, c := range made.Checks {
		if c.Broken > 0 || c.Checked == 0 && c.Name != "flat" { // which takes longer
			t.Errorf("%s: %d checked, %d broken: %s", c.Name, c.Checked, c.Broken, strings.Join(c.Violations, "\n"))
		}
	}
	f := made.Figures
	if f.Skipped > 0 || f.Epochs < 2 || f.Acknowledged < 5 || f.Lost > 0 || f.Restarted > 0 {
		t.Errorf("figures are %+v", f)
	}
	var page strings.Builder
	if err := made.HTML(&page); err != nil || !strings.Contains(page.String(), "Every promise was kept") {
		t.Errorf("the page of it: %v", err)
	}
}

// What a fault does break is found: an attempt that begins again because its shim was killed, where none may.
func TestABrokenPromiseIsFound(t *testing.T) {
	s, err := scenario.Parse("broken.yaml", []byte(
		"cell: {nodes: 1}\nload: {services: 2}\nfaults: [{at: 1s, fault: kill, who: any shim}]\nduration: 3s\nquiet: 30s\n"))
	if err != nil {
		t.Fatal(err)
	}
	made, err := strike(t, s)
	if !errors.Is(err, chaos.ErrBroken) || made.Passed {
		t.Errorf("the run ends with %v", err)
	}
	for _, c := range made.Checks {
		if (c.Broken > 0) != (c.Name == "nothing restarts") {
			t.Errorf("%s: %d broken: %v", c.Name, c.Broken, c.Violations)
		}
	}
	if c := checkOf(t, made, "nothing restarts"); c.Broken == 0 {
		t.Errorf("broken %d times, %d attempts restarted: %v", c.Broken, made.Figures.Restarted, c.Violations)
	}
}

// A cell that runs already is struck by what it can be asked for, and nothing of the run is left in it.
func TestX8_B46_ARunningCellIsStruckByDrills(t *testing.T) {
	c := newCluster(t)
	file := c.write("drills.yaml", "load: {services: 2, every: 200ms, clients: 1}\n"+
		"faults: [{at: 1s, fault: kill, who: any node}, {at: 2500ms, fault: partition, who: any node, for: 500ms}]\nduration: 4s\nquiet: 30s\n")
	out := c.ask("chaos", "run", file, "--live", "--seed", "1", "--json")
	var made chaosreport.Report
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatal(err)
	}
	if !made.Passed || made.Figures.Faults != 2 || made.Figures.Acknowledged < 5 || made.Figures.Restarted != 0 {
		t.Errorf("%+v", made)
	}
	for _, name := range []string{"acknowledged", "one result", "nothing restarts", "epochs", "linearizable"} {
		if checkOf(t, &made, name).Checked == 0 {
			t.Errorf("%s: nothing was checked", name)
		}
	}
	for _, f := range made.Faults {
		if len(f.Parts) != 1 || f.Parts[0] != "one" || f.Failed != "" {
			t.Errorf("%+v", f)
		}
	}
	if out := c.ask("job", "list"); strings.Contains(out, "chaos-") {
		t.Errorf("jobs of the run are left:\n%s", out)
	}
	wrong := c.write("wrong.yaml", "faults: [{at: 1s, fault: kill, who: leader}]\nduration: 2s\n")
	if code, _, errs := c.run("chaos", "run", wrong, "--live", "--nats", c.nats); code == 0 || !strings.Contains(errs, "faults[0].who") {
		t.Errorf("a fault that a cell cannot be asked for: exit %d, %s", code, errs)
	}
}

func TestChaosCommandsTellWhatThereIs(t *testing.T) {
	p := newPlace(t)
	for _, name := range scenario.Names() {
		if out := p.must("chaos", "list"); !strings.Contains(out, name) {
			t.Errorf("the list lacks %s:\n%s", name, out)
		}
	}
	if out := p.must("chaos", "list", "--faults"); !strings.Contains(out, "power-cut") {
		t.Errorf("the faults are\n%s", out)
	}
	if code, _, errs := p.run("chaos", "run", "nothing"); code != 2 || !strings.Contains(errs, "smoke") {
		t.Errorf("a scenario that is not there: exit %d, %s", code, errs)
	}
	file := p.write("wrong.yaml", "duration: 1s\nfaults: [{fault: kill, who: nobody}]\n")
	if code, _, errs := p.run("chaos", "run", file); code != 2 || !strings.Contains(errs, "faults[0].who") {
		t.Errorf("a scenario that is wrong: exit %d, %s", code, errs)
	}
}
