package sim

// Scenario is a seed that has found something once, or nearly. What a seed plays depends on the actors, too, so it is no
// proof that the same thing would be found again; it is a run that was worth keeping.
type Scenario struct {
	Seed  uint64
	Focus string
	// Steps of the part with faults, if not those that the seed draws.
	Steps uint64
	// Why it is kept.
	Why string
}

// Scenarios are the kept seeds. Every run that breaks is added here with what was wrong.
func Scenarios() []Scenario {
	list := []Scenario{
		{Seed: 1, Focus: Calm, Why: "the stop of a job that does not exist was acknowledged"},
		{Seed: 2, Focus: Calm, Why: "a stopping job whose last commit outlived its last slot never ended"},
		{Seed: 13, Focus: Calm, Why: "a retry that was due while all slots were busy woke its job a thousand times a second"},
		{Seed: 128, Focus: Calm, Why: "the journal failed when it forgot a job that had gone with its queue"},
		{Seed: 149, Focus: Calm, Why: "a failure told again in a new session was counted twice"},
		{Seed: 18, Focus: Agents, Why: "a grant overtook the inventory before it, and the slot was held by nobody for ever"},
		{Seed: 41, Focus: Agents, Why: "a slot that went while no session was open was counted as freed twice, and granted for ever"},
		{Seed: 1875, Focus: Agents, Why: "an inventory overtaken by the end of a slot brought it back as a ghost"},
		{Seed: 1, Focus: Master, Why: "what had ended while no master was there was run again"},
		{Seed: 66, Focus: Master, Why: "news of a running attempt came before the inventory, and the attempt was stopped"},
		{Seed: 174, Focus: Master, Why: "jobs were not told of slots that a cut-short session had found"},
		{Seed: 1203, Focus: Master, Why: "a job whose time was over launched once more after a restart"},
		{Seed: 96, Focus: Network, Why: "ends of a job whose actor had retired were kept by the agent for ever"},
		{Seed: 31, Focus: Hosts, Why: "an attempt that an earlier master had replaced comes back and is the one that counts"},
		{Seed: 998635544823, Why: "the answer to the claim of an actor that was gone was taken for one's own"},
		{Seed: 368615903809, Why: "an agent took a new master's first commands for repetitions of the old one's"},
		{Seed: 868225522669, Focus: Actors, Why: "a grant that reached nobody was freed, and granted to nobody again, for ever"},
		{Seed: 171595912041, Why: "a job declined slots that the placer granted again and again"},
		{Seed: 212, Focus: Hosts, Why: "a deposed master serves results that are not all"},
	}
	for i := range list {
		list[i].Focus += "/" + Plain // they are older than the other themes
	}
	list = append(list,
		Scenario{Seed: 472234027248, Why: "a queue was not told that it still held what it had not given up in time"},
		Scenario{Seed: 65568793434, Focus: Calm + "/" + Gang, Why: "a gang that wants itself on one rack was never placed, because its first slot liked another one"},
		Scenario{Seed: 362241334260, Focus: Actors, Why: "an inventory for an ended job was lost with the supervisor of jobs, and its slot was held for ever"},
		Scenario{Seed: 149, Focus: Quota, Why: "a session was opened twice under one number, and commands of the first opening were taken for those of the second"},
		Scenario{Seed: 233271258599, Focus: Calm, Why: "a slot whose launch was refused was granted elsewhere before its machine had given it up"},
		Scenario{Seed: 662067871629, Focus: All + "/" + Mixed, Why: "a slot on a device that was taken out was held of nothing"},
		Scenario{Seed: 459537276984, Focus: Actors + "/" + Gang, Why: "a queue that used nothing any more was never told so by a placer that had restarted"},
		Scenario{Seed: 1004302992565, Why: "a slot whose launch was refused was taken for one evicted, and another was evicted beyond the limit"},
		Scenario{Seed: 774260991419, Focus: Calm + "/" + Mixed, Why: "what no node can hold was promised all that no quota claims, for ever"},
		Scenario{Seed: 107942727782, Focus: Calm + "/" + Rules, Why: "room was kept at once and for ever for work that lacked what no calendar knows"},
	)
	for i := range list {
		list[i].Focus += "/" + Alone // they are older than elections
	}
	return append(list,
		Scenario{Seed: 3, Focus: Odd + "/" + Plain, Why: "what only a newer agent knows went into the journal, whose writer then refused it"},
		Scenario{Seed: 12, Focus: Odd + "/" + Plain, Why: "a node whose name a second agent had used was never heard again"},
		Scenario{Seed: 1010636891724, Steps: 10_000, Why: "a node that was heard a moment after the others, when a master was not cut off any more, was lost"},
		Scenario{Seed: 1011602833437, Steps: 10_000, Why: "a node was lost before others could be found as silent, where it was lost too soon for that"},
		Scenario{Seed: 41870835784, Steps: 10_000, Why: "what was evicted from a node that was lost meanwhile was still counted as on its way out"},
	)
}
