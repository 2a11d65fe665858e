package agent

import (
	"time"

	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/ledger"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Ports are what the agent needs of the world. Callbacks may come from any goroutine, also from within the call.
type Ports struct {
	Uplink Uplink
	Ledger Ledger
	// Drivers by name.
	Drivers map[string]driver.Driver
	// Inputs may be nil: attempts of stages that come after others then fail.
	Inputs Inputs
	// Meter may be nil: no usage is reported then.
	Meter Meter
	// Count is told of every event that one of the Count constants names; nil means that nobody counts.
	Count func(event string)
	// Restart ends the agent as if its process had been killed, and begins it anew after so long; it returns at once. nil
	// means that this cannot be done without ending what the agent runs.
	Restart func(down time.Duration)
}

// Events that are counted: each is harmless alone, and a sign of trouble if there are many.
const (
	CountStaleEpoch     = "stale_epoch"     // a message of a deposed master, ignored
	CountForeignSession = "foreign_session" // a message of another session, ignored
	CountForeignNode    = "foreign_node"    // a message for another node, ignored
	CountGap            = "gap"             // items of the master missing in between, not taken
	CountHeld           = "held"            // items not taken because too many wait for the ledger
	CountSession        = "session"         // a new session begun
	CountResent         = "resent"          // items sent again
	CountLedgerFailed   = "ledger_failed"   // a write of the ledger that failed
	CountMailboxFull    = "mailbox_full"    // a message refused by a sibling
	CountStranger       = "stranger"        // a slot that only a driver knew, released
	CountDrill          = "drill"           // a drill begun
	CountDrillRefused   = "drill_refused"   // an order of a drill that was wrong
	CountRefused        = "refused"         // a Hello refused because another agent has this id
	CountUnexpected     = "unexpected"      // a message that an actor has no use for
)

// Uplink carries messages to the master.
type Uplink interface {
	// Send hands over a frozen message and returns at once. It may be lost, doubled, delayed or overtaken.
	Send(*v1.FromAgent)
}

// Ledger is the store of the agent; every ledger.Store is one.
type Ledger interface {
	// Load reads all entries, sorted by key. Start calls it, and the ledger actor when it begins, after an empty write
	// has shown that none is under way.
	Load() ([]ledger.Entry, error)
	// Write makes all changes durable or none, after those of the writes before, and returns at once.
	Write(changes []ledger.Entry, done func(error))
}

var _ Ledger = ledger.Store(nil)

// Wanted names the results that an attempt needs before it starts.
type Wanted struct {
	JobUID     uint64
	Queue, Job string
	// Stages that came before.
	Stages []string
}

// Given is what was fetched for Wanted; see driver.Task for both fields.
type Given struct {
	Dir     string
	Results func(stage string) (map[uint64][]byte, error)
}

// Inputs fetches the results of earlier stages. It keeps what it has, by job and stage: attempts of one stage share it.
type Inputs interface {
	// Fetch returns at once and calls done once.
	Fetch(w Wanted, done func(Given, error))
	// Keep drops what is kept for jobs other than these: none of them has a slot here.
	Keep(jobs []uint64)
}

// Meter measures the machine.
type Meter interface {
	// Usage is the newest sample; it returns at once and must not be changed.
	Usage() *v1.Usage
}

// Survivor is implemented by drivers whose attempts outlive the process: such a driver finds every attempt again that
// it ever began, until the machine boots anew. An attempt that it does not find was never begun, and may be begun after
// a restart of the agent. Of other drivers nobody can know, so such attempts are lost.
type Survivor interface {
	Survives() bool
}
