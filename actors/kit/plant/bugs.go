// Package plant holds bugs that can be planted into the production actors, one at a time, to show that the seeded world
// finds each. Only builds with the tag "planted" have them; in all others Is is constantly false and the compiler
// removes what depends on it.
package plant

// Bug is one planted bug.
type Bug uint8

// The bugs.
const (
	None                 Bug = iota
	AckBeforeCommit          // a queue answers a submit before it is durable
	KeyForgotten             // a queue forgets its idempotency keys when it is built again
	SettleBeforeCommit       // a job lets the agent forget an end that is not durable yet
	RetryForgotten           // a job forgets instances whose slot was lost
	InventoryIgnored         // a restarted job does not take over what runs
	OutdatedAccepted         // a job accepts an attempt that it had given up
	RecoveryNotAwaited       // a restarted job launches before the nodes have said what they hold
	StopForgotten            // a restarted job does not know that it was asked to stop
	SessionUnchecked         // an agent takes commands of an old session
	ReleaseUnconfirmed       // a node frees a slot before the agent has
	NeverResent              // a node does not send again what was lost
	SnapshotAhead            // the journal saves a snapshot whose last record is not durable
	EpochUnchecked           // an agent obeys a deposed master
	StartBeforePersisted     // an agent starts what its ledger does not hold yet
	AdmissionOff             // an agent admits more than its machine has
	EqualEvicted             // the placer evicts by priority what has the same one
	ClaimNeverEnds           // the placer keeps room for ever that it has kept for a claim
	LoanNotReturned          // the placer takes nothing back that is lent
	MaximumForgotten         // the placer grants a queue as much as fits
	DisruptionUnbounded      // the placer evicts as many at once as it needs
	GangInPart               // a job launches the part of a gang that it holds
	EvictionIsFailure        // a job counts an evicted attempt as failed
	ExtrasUnbooked           // node and agent forget which ports and devices they gave out
	OwnSnapshotTaken         // a master begins from its own snapshot, also when the shared one is newer
	TakenBeforeTheEnd        // a follower hands over a state that lacks the last records
	TrimBehindOwn            // the log is trimmed behind what one master alone has kept
	LeaseForever             // an append vouches for reads for ever
	LeaseFromAnswer          // an append vouches for reads from its answer on, and not from its sending
	ReadsUnsure              // the gateway answers reads without asking whether this master leads
	FullForever              // the journal does not try again when it was full
	FullBelieved             // the journal takes a record that found no room for stored
	StrangerIgnored          // a node does not look at slots that it does not know
	LossUntold               // a node does not say that an agent lacks an attempt
	ForeignRefused           // a node whose name another agent has used is not heard again
	NewerKept                // what only a newer version knows goes into the journal
	IsolationIgnored         // a master that hears nobody takes all nodes for dead
	KeyOfEndedForgotten      // a queue forgets the key of a job that has ended
	TwinWelcomed             // an agent takes the welcome of another one of its name
	BeatsIgnored             // a follower does not listen to its leader
	LosersRest               // who has lost an election does not try again
	bugs
)

var names = [bugs]string{
	None: "none", AckBeforeCommit: "ack-before-commit", KeyForgotten: "key-forgotten", SettleBeforeCommit: "settle-before-commit",
	RetryForgotten: "retry-forgotten", InventoryIgnored: "inventory-ignored", OutdatedAccepted: "outdated-accepted",
	RecoveryNotAwaited: "recovery-not-awaited", StopForgotten: "stop-forgotten", SessionUnchecked: "session-unchecked",
	ReleaseUnconfirmed: "release-unconfirmed", NeverResent: "never-resent", SnapshotAhead: "snapshot-ahead",
	EpochUnchecked: "epoch-unchecked", StartBeforePersisted: "start-before-persisted", AdmissionOff: "admission-off",
	EqualEvicted: "equal-evicted", ClaimNeverEnds: "claim-never-ends", LoanNotReturned: "loan-not-returned",
	MaximumForgotten: "maximum-forgotten", DisruptionUnbounded: "disruption-unbounded", GangInPart: "gang-in-part",
	EvictionIsFailure: "eviction-is-failure", ExtrasUnbooked: "extras-unbooked",
	OwnSnapshotTaken:    "own-snapshot-taken",
	TakenBeforeTheEnd:   "taken-before-the-end",
	TrimBehindOwn:       "trim-behind-own",
	LeaseForever:        "lease-forever",
	LeaseFromAnswer:     "lease-from-answer",
	ReadsUnsure:         "reads-unsure",
	FullForever:         "full-forever",
	FullBelieved:        "full-believed",
	StrangerIgnored:     "stranger-ignored",
	LossUntold:          "loss-untold",
	ForeignRefused:      "foreign-refused",
	NewerKept:           "newer-kept",
	IsolationIgnored:    "isolation-ignored",
	KeyOfEndedForgotten: "key-of-ended-forgotten",
	TwinWelcomed:        "twin-welcomed",
	BeatsIgnored:        "beats-ignored",
	LosersRest:          "losers-rest",
}

// String is the name of a bug.
func (b Bug) String() string { return names[b] }

// All are the bugs that can be planted.
func All() []Bug {
	list := make([]Bug, 0, bugs-1)
	for b := None + 1; b < bugs; b++ {
		list = append(list, b)
	}
	return list
}
