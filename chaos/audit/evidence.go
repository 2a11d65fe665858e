package audit

import (
	"time"

	"github.com/troupe-sched/troupe/chaos/history"
	"github.com/troupe-sched/troupe/chaos/load"
	"github.com/troupe-sched/troupe/chaos/proc"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Evidence is what all witnesses say.
type Evidence struct {
	// Acks are submits that the cell has acknowledged.
	Acks []load.Ack
	// Attempts are what they left in the world.
	Attempts []load.Attempt
	// Jobs is what the cell says of acknowledged jobs when all is quiet, by name; nil for one that it does not know.
	Jobs map[string]*v1.JobStatus
	// Results are those of the one stage of acknowledged jobs, by name and index.
	Results map[string][]*v1.InstanceResult
	// Processes is how many of the cell's processes were watched; 0 if it is elsewhere, and nothing is known of the machines.
	Processes int
	// Journal is what it holds; nil if it could not be read, and JournalErr says why, or if nobody tried.
	Journal    *Journal
	JournalErr error
	// Moments are what ran at some times.
	Moments []Moment
	// CapacityMilli is the cores of each node, CPUMilli what an attempt takes.
	CapacityMilli, CPUMilli int64
	// Known are the fences that the cell says run when all is quiet, Running those that do; both of live jobs.
	Known, Running []uint64
	// AfterStop are the attempts that still ran after every job was stopped and had ended.
	AfterStop []proc.Attempt
	// Ends are the ends of processes that nobody asked for; Panics lines of logs that tell of a crash of ours.
	Ends   []proc.Event
	Panics []string
	// Disorder is what did not end in order when it was asked to, Left what still ran of the cell after all had ended.
	Disorder []string
	Left     []int
	// Ledgers are those of the agents, read when they had ended.
	Ledgers []Ledger
	// History is what the clients that are judged were told.
	History []history.Op
	// RestartsAllowed says that faults may have killed attempts.
	RestartsAllowed bool
	// Quiet is how long the cell was given to end everything, Ended whether it did.
	Quiet time.Duration
	Late  []string
	// Rows is how many sizes of processes were taken over time, Growth those that grew; both empty if nobody looked long
	// enough to tell.
	Rows   int
	Growth []string
	// Seen are epochs that the cell has told, in order of time.
	Seen []Seen
}

// Moment is what ran on the machine at one time.
type Moment struct {
	At       time.Time
	Attempts []proc.Attempt
}

// Seen is what the cell said of itself at one time.
type Seen struct {
	At    time.Time
	Epoch uint64
	Seq   uint64
	// Master is the one that leads, State what it says of its state.
	Master, State string
	// Err is set instead if nobody answered.
	Err string
}

// Ledger is what an agent keeps.
type Ledger struct {
	Node string
	// Epoch is the highest it has seen.
	Epoch uint64
	// Slots are those that it still holds, HeldMilli the cores of those.
	Slots     int
	HeldMilli int64
	Err       error
}

// Check is one promise after the judgement.
type Check struct {
	// Name in a few words, Promise in a sentence.
	Name    string `json:"name"`
	Promise string `json:"promise"`
	// Invariants are the numbers of what never breaks that it looks after, as in ARCHITECTURE.md.
	Invariants []int `json:"invariants,omitempty"`
	// Checked is how much it has looked at, Broken how often it was broken; Violations tell of the first ones.
	Checked    int      `json:"checked"`
	Broken     int      `json:"broken"`
	Violations []string `json:"violations,omitempty"`
	// Note is for a reader, such as why nothing was checked.
	Note string `json:"note,omitempty"`
}

// violationsMax is how many violations of a check are told; the others are counted.
const violationsMax = 20

// broke notes a violation.
func (c *Check) broke(text string) {
	c.Broken++
	if len(c.Violations) < violationsMax {
		c.Violations = append(c.Violations, text)
	}
}
