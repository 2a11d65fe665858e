package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
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

// The casts of masters that Options.Focus names beside families and themes, as in "masters/plain/several".
const (
	// Alone is one master that leads without an election, and none of the faults that came with several: what the oldest
	// kept seeds play.
	Alone = "alone"
	// Several are one to three masters, of which one is elected.
	Several = "several"
)

// Casts are the names of casts that Options.Focus may have.
func Casts() []string { return []string{Alone, Several} }

// aim is a focus, read; what is empty is left to the seed.
type aim struct{ family, theme, cast string }

// split reads a focus: a family of faults, a theme of the load, a cast of masters, or some of them with slashes between.
func split(focus string) (a aim, err error) {
	for _, word := range strings.Split(focus, "/") {
		_, isFamily := families[word]
		_, isTheme := themes[word]
		switch {
		case isFamily && a.family == "":
			a.family = word
		case isTheme && a.theme == "":
			a.theme = word
		case slices.Contains(Casts(), word) && a.cast == "":
			a.cast = word
		case word != "":
			return aim{}, fmt.Errorf("there is no focus %q; right would be one of %v, of %v, of %v, or some of these with slashes between them", focus, Families(), Themes(), Casts())
		}
	}
	return a, nil
}

// CheckFocus says what is wrong with a focus; nil if nothing.
func CheckFocus(focus string) error {
	_, err := split(focus)
	return err
}

// chanceOf is true n times of a thousand, of a source of chance.
func chanceOf(r *rand.Rand, n int) bool { return n > 0 && r.IntN(1000) < n }
