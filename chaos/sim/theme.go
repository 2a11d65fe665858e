package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// The themes of the load that Options.Focus names beside a family of faults, as in "calm/gang".
const (
	Plain   = "plain"   // nothing but resources, one constraint and one spread
	Mixed   = "mixed"   // a little of everything
	Quota   = "quota"   // queues with quotas that borrow, lend and take back
	Preempt = "preempt" // bands that evict each other, nodes that are emptied
	Gang    = "gang"    // stages that start together
	Rules   = "rules"   // rules where slots go, ports, devices, custom units
)

// rich says how often, of a thousand, a run's jobs and operators ask for something.
type rich struct {
	rules, extras, gangs int
	urgent               int // priorities that evict others
	quotas               int // queues that are promised something
	upset                int // operators that taint and empty nodes; machines that come back changed
	refuse               int // writes of agents that fail, so that they refuse a launch
}

var themes = map[string]rich{
	Plain:   {},
	Mixed:   {rules: 120, extras: 120, gangs: 100, urgent: 200, quotas: 300, upset: 200, refuse: 5},
	Quota:   {rules: 20, extras: 60, gangs: 20, urgent: 300, quotas: 900, upset: 50},
	Preempt: {rules: 50, extras: 50, gangs: 50, urgent: 900, quotas: 50, upset: 400},
	Gang:    {rules: 50, extras: 50, gangs: 600, urgent: 200, quotas: 50, upset: 100, refuse: 20},
	Rules:   {rules: 500, extras: 400, gangs: 50, urgent: 50, upset: 200, refuse: 5},
}

// Themes are the names of loads that Options.Focus may have.
func Themes() []string { return sortedKeys(themes) }

// split reads a focus: a family of faults, a theme of the load, or both with a slash between them.
func split(focus string) (family, theme string, err error) {
	for _, word := range strings.Split(focus, "/") {
		_, isFamily := families[word]
		_, isTheme := themes[word]
		switch {
		case isFamily && family == "":
			family = word
		case isTheme && theme == "":
			theme = word
		case word != "":
			return "", "", fmt.Errorf("there is no focus %q; right would be one of %v, one of %v, or both with a slash between them", focus, Families(), Themes())
		}
	}
	return family, theme, nil
}

// CheckFocus says what is wrong with a focus; nil if nothing.
func CheckFocus(focus string) error {
	_, _, err := split(focus)
	return err
}

// chanceOf is true n times of a thousand, of a source of chance.
func chanceOf(r *rand.Rand, n int) bool { return n > 0 && r.IntN(1000) < n }
