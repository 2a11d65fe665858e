package sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Moment is a phase of the protocol in which a fault can strike.
type Moment uint8

// The moments. Several can be at once.
const (
	Beginning Moment = iota // the master has begun lately; not all nodes have said what they hold
	Down                    // no master is there
	Appending               // records are on their way to the disk
	Writing                 // an agent's ledger is being written
	Running                 // attempts run
	Ending                  // ends of attempts are not settled
	Stopping                // a job is to stop and has not ended
	Draining                // slots are being released
	Idle                    // none of these
	Moments
)

var momentNames = [Moments]string{"beginning", "down", "appending", "writing", "running", "ending", "stopping", "releasing", "idle"}

// String is the name of the moment.
func (m Moment) String() string { return momentNames[m] }

// Coverage counts faults by the moments in which they struck.
type Coverage [Faults][Moments]uint64

// Add adds the counts of another run.
func (c *Coverage) Add(o *Coverage) {
	for f := range c {
		for m := range c[f] {
			c[f][m] += o[f][m]
		}
	}
}

// String is the table.
func (c *Coverage) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-14s", "fault")
	for m := range Moments {
		fmt.Fprintf(&b, "%11s", m)
	}
	for f := range Faults {
		fmt.Fprintf(&b, "\n%-14s", f)
		for m := range Moments {
			fmt.Fprintf(&b, "%11d", c[f][m])
		}
	}
	return b.String()
}

// Table is the same for programs: by fault, by moment.
func (c *Coverage) Table() map[string]map[string]uint64 {
	table := map[string]map[string]uint64{}
	for f := range Faults {
		table[f.String()] = map[string]uint64{}
		for m := range Moments {
			table[f.String()][m.String()] = c[f][m]
		}
	}
	return table
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
