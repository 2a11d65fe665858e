package durability

import (
	"fmt"

	"github.com/troupe-sched/troupe/chaos/lossyfs"
)

// Options of a run. Zero counts mean none of that kind.
type Options struct {
	// Dir is a folder for mounts, logs and what is remembered outside of the stores.
	Dir string
	// Self is a program and its arguments that runs what RunChild does, with the arguments that are added to them.
	Self []string
	// Store is "jetstream", "badger" or "snapshots", where a record is a whole generation of snapshots in badger. Servers
	// are the NATS servers of the first: 1 or 3.
	Store   string
	Servers int
	// Records is how many must be acknowledged.
	Records uint64
	// Cuts of power, kills of processes and step-downs of stream leaders, spread over the records.
	Cuts, Kills, Stepdowns int
	// Window is how many appends are under way, 64 if zero.
	Window int
	// Rate is how many appends the writer to NATS servers begins in a second, 0 for as many as it can: what it writes while
	// the others wait for an election only makes the checks longer.
	Rate int
	// Lazy lets the stores acknowledge before data is on disk: then records must get lost, or the check is worth nothing.
	Lazy bool
	// Names is how much of a disk's names a cut takes.
	Names lossyfs.Names
	// Seed draws the faults.
	Seed uint64
	// Tell gets a line now and then; nil drops them.
	Tell func(string)
}

// Report tells what became of a run.
type Report struct {
	Store   string `json:"store"`
	Servers int    `json:"servers,omitempty"`
	Lazy    bool   `json:"lazy,omitempty"`
	// Records that were acknowledged; Stored are those that the log holds at the end, which may be more.
	Records uint64 `json:"records"`
	Stored  uint64 `json:"stored"`
	// Messages of the stream in which they are: appends that wait together share one.
	Messages uint64 `json:"messages,omitempty"`
	Cuts     int    `json:"cuts"`
	// CutsOfAll are those that took the power of all servers at once.
	CutsOfAll int `json:"cuts_of_all"`
	Kills     int `json:"kills"`
	Stepdowns int `json:"stepdowns"`
	// Torn are cuts that left parts of what was not synced.
	Torn int `json:"torn"`
	// Checks of the tail behind what was checked before, and of the whole log.
	Checks      int `json:"checks"`
	WholeChecks int `json:"whole_checks"`
	// Writers is how often a writer had to begin anew because an append had failed.
	Writers int `json:"writers"`
	// Lost are acknowledged records that are gone or replaced, Disorder breaks of the chain: records twice, out of order,
	// missing in the middle or damaged.
	Lost     uint64 `json:"lost"`
	Disorder uint64 `json:"disorder"`
	Example  string `json:"example,omitempty"`
	// LostBytes is what the cuts took from the disks, none of it acknowledged.
	LostBytes uint64  `json:"lost_bytes"`
	Seconds   float64 `json:"seconds"`
	// LongestGap is the longest time in which a writer to NATS servers heard of nothing.
	LongestGap float64 `json:"longest_gap_s,omitempty"`
}

// Kept reports whether everything that was acknowledged is there, once and in order.
func (r *Report) Kept() bool { return r.Lost == 0 && r.Disorder == 0 }

func (r *Report) add(l loss) {
	r.Lost += l.Lost
	r.Disorder += l.Disorder
	if r.Example == "" {
		r.Example = l.Example
	}
}

func (o *Options) fill() error {
	if o.Window == 0 {
		o.Window = 64
	}
	if o.Tell == nil {
		o.Tell = func(string) {}
	}
	switch {
	case o.Store != "jetstream" && o.Store != "badger" && o.Store != "snapshots":
		return fmt.Errorf("store %q: it must be jetstream, badger or snapshots", o.Store)
	case o.Store == "jetstream" && o.Servers != 1 && o.Servers != 3:
		return fmt.Errorf("%d servers: there must be 1 or 3", o.Servers)
	case o.Window < 1 || o.Window > 4096:
		return fmt.Errorf("window of %d appends: it must be from 1 to 4096", o.Window)
	case o.Records < 1:
		return fmt.Errorf("no records: there must be at least 1")
	case len(o.Self) == 0 || o.Dir == "":
		return fmt.Errorf("a run needs a folder, and a program for its processes")
	case o.Store != "jetstream" && o.Stepdowns > 0:
		return fmt.Errorf("%d step-downs: badger has no leader", o.Stepdowns)
	}
	return lossyfs.Supported()
}

// fault is one thing that is done to a store.
type fault string

const (
	cutFault      fault = "cut"
	killFault     fault = "kill"
	stepdownFault fault = "step-down"
)
