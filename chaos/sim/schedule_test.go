package sim

import (
	"encoding/json"
	"strings"
	"testing"
)

// A schedule with everything in it is a run of its own, the same each time; one with nothing in it asks for nothing.
func TestX1_ScheduleIsOneRun(t *testing.T) {
	first := Run(Options{Seed: 31, Focus: Hosts + "/" + Plain})
	s := Schedule{Seed: 31, Focus: Hosts + "/" + Plain, Steps: first.FaultSteps, Agents: first.agents, Jobs: upToN(first.jobs), Faults: first.Strikes}
	if len(s.Faults) == 0 {
		t.Fatal("no fault struck: this test shows nothing")
	}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	read, err := ReadSchedule(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	one, two := Run(Options{Seed: 31, Focus: s.Focus, Schedule: &s}), Run(Options{Seed: 31, Focus: s.Focus, Schedule: read})
	if one.Violation != nil || one.Hash != two.Hash {
		t.Errorf("played twice, a schedule is %016x and %016x, %v", one.Hash, two.Hash, one.Violation)
	}
	s.Salt, s.Faults, s.Jobs, s.SubmitsOnly = 1, nil, nil, true
	bare := Run(Options{Seed: 31, Focus: s.Focus, Schedule: &s})
	if bare.Hash == one.Hash || len(bare.Strikes) > 0 || bare.Jobs >= one.Jobs {
		t.Errorf("a schedule of nothing has %d faults and %d jobs, of %d", len(bare.Strikes), bare.Jobs, one.Jobs)
	}
}

func TestX1_WrongSchedulesAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		`{"seed":1,"steps":5,"agents":1,"jobs":[],"faults":[{"step":1,"fault":"rain"}]}`:                   `faults[0].fault: "rain" is none`,
		`{"seed":1,"steps":5,"agents":1,"faults":[{"step":2,"fault":"usurp"},{"step":1,"fault":"usurp"}]}`: "in order",
		`{"seed":1,"agents":1}`:                              "steps",
		`{"seed":1,"steps":5}`:                               "agents",
		`{"seed":1,"steps":5,"agents":1,"focus":"sunshine"}`: "sunshine",
		`{"sed":1}`: "sed",
		`{`:         "EOF",
	} {
		if _, err := ReadSchedule(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, it should say %q", text, err, want)
		}
	}
}

func TestX1_NothingToShrinkIsSaid(t *testing.T) {
	if _, err := Shrink(t.Context(), Options{Seed: 1, Focus: Calm + "/" + Plain}, ShrinkOptions{}); err == nil || !strings.Contains(err.Error(), "does not break") {
		t.Errorf("a run that does not break is shrunk: %v", err)
	}
}
