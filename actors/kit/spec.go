package kit

import "time"

// Spec says how to start one actor.
type Spec struct {
	// Name is unique among the siblings that live.
	Name string
	// Kind is what all actors alike are called in the tree and in metrics; Name if empty, right for one that exists once.
	Kind string
	// New makes the Behavior, once for every incarnation. It only allocates: a panic in it fails Spawn, or the restart.
	New func() Behavior
	// Mailbox bounds waiting messages a lane; DefaultMailbox if zero.
	Mailbox int
	// Control bounds waiting control messages and timers; DefaultControl if zero.
	Control int
	// Limit says how often the children of this actor may be restarted before it fails itself; DefaultLimit if zero.
	Limit Limit
	// Restart is what a failure of this actor leads to.
	Restart Restart
	// Tap hears what all incarnations of the actor hear and say; nil for none.
	Tap Tap
}

// DefaultMailbox bounds a lane of a mailbox.
const DefaultMailbox = 8192

// DefaultControl bounds the control lane.
const DefaultControl = 4096

// Limit of restarts: more than Max within Per escalates. Temporary children are not restarted and do not count.
type Limit struct {
	Max int
	Per time.Duration
}

// DefaultLimit is five restarts in ten seconds.
var DefaultLimit = Limit{Max: 5, Per: 10 * time.Second}

// Restart is what a failure of an actor leads to.
type Restart uint8

const (
	// Permanent actors are restarted, until their supervisor's Limit is passed.
	Permanent Restart = iota
	// Temporary actors are stopped; the parent hears ChildStopped.
	Temporary
	// Escalating actors take their supervisor down with them: what they hold cannot be rebuilt alone.
	Escalating
)

// Started is the first message of every incarnation.
type Started struct {
	// Incarnation is 1 for the first start, then one more with every restart.
	Incarnation int
}

// Stopping is the last message of an actor that ends in order; replies sent now still leave. An incarnation that failed
// does not get it.
type Stopping struct{}

// Crash is what a Trace shows where an incarnation failed; nobody receives it.
type Crash struct{ Reason, Message string }

// ChildStopped tells a parent that a child has ended for good. It comes once a child; from then its name is free.
type ChildStopped struct {
	Ref  Ref
	Name string
	// Failed says that it was stopped because it failed: a Temporary child, or one that was leaving.
	Failed bool
}

// Shutdown asks an actor to end once it has handled what came before it in the normal lane; it is never refused. A
// Supervisor, and a Behavior that embeds one, stops its children first, the last one first. Other actors just stop, and
// do not see it.
type Shutdown struct{}

// Lane of a message: control goes before normal, normal mostly before bulk. Order holds within a lane.
type Lane uint8

// The lanes.
const (
	Normal Lane = iota
	Control
	Bulk
	lanes
)

// Laned is implemented by messages that do not travel in the normal lane.
type Laned interface{ Lane() Lane }
