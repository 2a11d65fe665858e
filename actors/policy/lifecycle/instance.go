package lifecycle

// InstancePhase is where one instance of a stage stands. The zero value is no instance.
type InstancePhase uint8

// The phases of an instance.
const (
	InstanceNone     InstancePhase = iota
	InstanceWaiting                // for a slot, or for its backoff to pass
	InstanceStarting               // launched in a slot; not heard of yet
	InstanceRunning                // its attempt runs
	InstanceStopping               // its attempt is being ended for good
	InstanceDone                   // succeeded
	InstanceDead                   // will not be tried again
	instancePhases
)

// InstanceEvent moves an instance.
type InstanceEvent uint8

// The events of an instance.
const (
	InstanceSubmit   InstanceEvent = iota // its job was admitted, or its stage is unblocked
	InstanceSchedule                      // an attempt was launched under a new fence
	InstanceStart                         // the attempt runs
	InstanceUpdate                        // its spec was changed in a way that needs no new attempt
	InstanceEvict                         // the attempt was ended from outside: its slot was taken, its node drained
	InstanceFail                          // the attempt failed; there are tries left
	InstanceGiveUp                        // the last try failed
	InstanceKill                          // its job ends
	InstanceLost                          // the end of the attempt could not be learned
	InstanceFinish                        // the attempt succeeded
	instanceEvents
)

// instanceMoves is the whole machine. What ends an attempt that is being stopped for good leaves the instance dead,
// however it ended; only success counts even then. Eviction and loss are nobody's failure: they void the fence and cost
// no try.
var instanceMoves = [instancePhases][instanceEvents]InstancePhase{
	InstanceNone: {InstanceSubmit: InstanceWaiting},
	InstanceWaiting: {
		InstanceSchedule: InstanceStarting, InstanceUpdate: InstanceWaiting, InstanceKill: InstanceDead,
		InstanceFinish: InstanceDone, // a result that was already accepted, found again on replay
	},
	InstanceStarting: {
		InstanceStart: InstanceRunning, InstanceUpdate: InstanceStarting, InstanceEvict: InstanceWaiting, InstanceFail: InstanceWaiting,
		InstanceGiveUp: InstanceDead, InstanceKill: InstanceStopping, InstanceLost: InstanceWaiting, InstanceFinish: InstanceDone,
	},
	InstanceRunning: {
		InstanceStart: InstanceRunning, InstanceUpdate: InstanceRunning, InstanceEvict: InstanceWaiting, InstanceFail: InstanceWaiting,
		InstanceGiveUp: InstanceDead, InstanceKill: InstanceStopping, InstanceLost: InstanceWaiting, InstanceFinish: InstanceDone,
	},
	InstanceStopping: {
		InstanceStart: InstanceStopping, InstanceKill: InstanceStopping, InstanceEvict: InstanceDead, InstanceFail: InstanceDead, InstanceGiveUp: InstanceDead,
		InstanceLost: InstanceDead, InstanceFinish: InstanceDone,
	},
}

// Next is the phase after e, and whether e is possible in p at all; if not, the phase stays p.
func (p InstancePhase) Next(e InstanceEvent) (InstancePhase, bool) {
	if p >= instancePhases || e >= instanceEvents || instanceMoves[p][e] == InstanceNone {
		return p, false
	}
	return instanceMoves[p][e], true
}

// Terminal reports whether the instance is done or dead; nothing moves it any more.
func (p InstancePhase) Terminal() bool { return p == InstanceDone || p == InstanceDead }

// Live reports whether the instance has an attempt.
func (p InstancePhase) Live() bool {
	return p == InstanceStarting || p == InstanceRunning || p == InstanceStopping
}

var instancePhaseNames = [instancePhases]string{"none", "waiting", "starting", "running", "stopping", "done", "dead"}

// String is the phase as the API spells it.
func (p InstancePhase) String() string { return nameOf(instancePhaseNames[:], int(p)) }

// ParseInstancePhase reads what String writes.
func ParseInstancePhase(s string) (InstancePhase, bool) {
	i, ok := indexOf(instancePhaseNames[:], s)
	return InstancePhase(i), ok
}

var instanceEventNames = [instanceEvents]string{
	"submit", "schedule", "start", "update", "evict", "fail", "give up", "kill", "lost", "finish",
}

// String is the name of the event.
func (e InstanceEvent) String() string { return nameOf(instanceEventNames[:], int(e)) }
