package sim

// Check is one thing that must never be broken. Each counts how often it had something to look at: one that never has
// shows nothing.
type Check uint8

// The checks. The numbers are those of the invariants in ARCHITECTURE.md.
const (
	AckedIsDurable      Check = iota // 1: a submit is acknowledged after its record is durable
	AckedIsKept                      // 1: an acknowledged job is there in every later state, or forgotten after its end
	ResultIsTrue                     // 1: a result that is served is what the accepted attempt has left
	ResultIsKept                     // 1: every durable result is served
	AcceptedOnce                     // 2: of one instance the result of one attempt is accepted, and that has succeeded
	AcceptedIsValid                  // 2: no result is accepted of an attempt that the same actor has replaced
	FailureIsTrue                    // 2: a failure is counted once, and the attempt has failed
	BegunOnce                        // 3: no fence begins twice
	FencesGrow                       // 3: fences of one instance grow on each node, those of one slot too
	LaunchPersisted                  // 3: an attempt is in the agent's ledger before it begins
	EpochsGrow                       // 3: an agent never goes back to a lower epoch, neither does the journal
	EpochObeyed                      // 3: an agent begins nothing for a master that it knows to be deposed
	EndPersisted                     // 3: an end is in the agent's ledger before it is told
	CapacityHeld                     // 5: what lives on a machine fits into it
	LedgerFits                       // 5: what an agent's ledger holds fits into its machine
	PortsUnique                      // 5: no port of a machine is held by two slots
	DevicesHeld                      // 5: devices and custom units are never held beyond what the machine has
	OneTerminal                      // 6: one terminal record a job and an instance, and nothing after it
	PhaseIsFinal                     // 6: a client that has seen an end sees the same end ever after
	AttemptsKnown                    // 7: once quiet, what runs is what jobs and nodes believe to run
	RestartIsReplay                  // 8: the state after a restart is that of the replay of everything
	SnapshotIsReplay                 // 8: a snapshot holds what the records up to it make, and loads
	LiveIsReplay                     // 8: the state in memory is what the records make
	RecordsApply                     // 8: every record that is stored can be replayed
	ViewsAgree                       // 11: once quiet, the placer's view is the sum of the nodes', and that of the machines
	AccountsAgree                    // 11: once quiet, queues are said to use what their slots hold on the machines
	QuotaMax                         // 12: no queue gets beyond its maximum
	QuotaFirm                        // 12: what is never evicted holds nothing that is lent
	QuotaReturned                    // 12: what is lent comes back when its owner wants it
	NothingWithheld                  // 13: once quiet, nothing is kept from those who wait
	NotNegative                      // 14: no amount in an answer is negative
	GangTogether                     // 15: the attempts of a gang begin together
	GangWhole                        // 15: once quiet, no gang holds a part of its slots
	VictimsLower                     // 16: victims are batch or free, and of lower priority or borrowers
	NoCycle                          // 16: of two jobs not each evicts the other by priority
	MovedAway                        // 16: a node is emptied only if somebody wants that
	InputsAreTrue                    // 17: a stage begins after those before it, with their results
	OneKeyOneJob                     // 19: one idempotency key makes one job
	JobsEnd                          // 22: when faults stop, every job that can end ends
	EndsAsItMust                     // 22: a job whose attempts are bound to succeed succeeds, and one bound to fail fails
	ServicesRun                      // 22: when faults stop, services run in full
	AvoidanceEnds                    // 25: what failed on the only node that will do is tried there again
	RulesHold                        // B16: rules between slots hold on the machines
	EvictionIsNoFailure              // B39: what is evicted is not counted as failed
	DisruptionBound                  // B41: no more of a stage is on its way out than it allows
	RunsOnce                         // B46: without loss of machines and links no instance is begun again without a failure
	Answered                         // without faults every request is answered
	NothingLeft                      // after all jobs have ended no slot, attempt, end or waiting message is left
	NothingUnknown                   // no actor gets a message that it does not know
	NothingStuck                     // the actors come to rest between two moments
	NoPanic                          // no actor fails of itself
	FollowersAgree                   // 8: what a follower has applied is what the records make
	LeaderStays                      // without faults nobody takes over from a leader that lives
	DeposedSilent                    // 4: who comes to a deposed master after its successor has answered gets no answer
	DamageFound                      // 10: a record that is damaged, missing, doubled or misplaced is not replayed
	UnknownRefused                   // 9: what a version to come has written is refused, and not passed over
	CountsAgree                      // 18: every end counts once, in what is said of a job
	WatchInOrder                     // 20: watchers are told what is durable, in order, all of it
	StopIsStop                       // 21: nothing begins that was decided after a stop was acknowledged
	Bounded                          // 24: actors, snapshots and records kept are bounded
	AttemptsSurvive                  // 26: without loss of machines no attempt ends because a master or an agent does
	TenantsApart                     // 27: what is asked of one queue is answered with nothing of another
	HistoriesHold                    // 20: there is an order of all requests about one job that explains all answers
	ReadsAgree                       // 20: what a client was told by whichever master is so for all who ask later
	Checks
)

var checkNames = [Checks]string{
	"acknowledged submits are durable", "acknowledged jobs are kept", "results served are true", "results are kept",
	"one attempt is accepted", "the valid attempt is accepted", "failures are true", "a fence begins once", "fences grow",
	"launches are persisted first", "epochs grow", "deposed masters are not obeyed", "ends are persisted first",
	"machines are not overfull", "ledgers are not overfull", "a port is held once", "devices and units are not overfull",
	"one terminal record", "ends are final for clients",
	"attempts are known", "restart equals replay", "snapshot equals replay", "memory equals replay", "records replay",
	"views agree", "accounts agree", "maxima hold", "firm work borrows nothing", "what is lent comes back", "nothing is withheld",
	"no amount is negative", "gangs begin together", "no gang holds a part", "victims are lower", "evictions have no cycle",
	"nodes are emptied on request", "inputs are true", "one key one job", "jobs end", "jobs end as they must", "services run",
	"avoidance ends", "rules between slots hold", "an eviction is no failure", "disruption is bounded", "instances run once", "requests are answered", "nothing is left", "messages are known", "nothing is stuck", "actors do not fail",
	"followers equal replay", "leaders stay", "deposed masters are silent",
	"damage is found", "unknown records are refused", "ends count once", "watches have no gap", "a stop is a stop", "what is kept is bounded",
	"attempts survive", "tenants are apart", "histories are linearizable", "reads go forward",
}

// String says what the check demands.
func (c Check) String() string { return checkNames[c] }
