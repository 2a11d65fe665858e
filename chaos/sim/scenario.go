package sim

// Scenario is a seed that has found something once, or nearly. What a seed plays depends on the actors, too, so it is no
// proof that the same thing would be found again; it is a run that was worth keeping.
type Scenario struct {
	Seed  uint64
	Focus string
	// Why it is kept.
	Why string
}

// Scenarios are the kept seeds. Every run that breaks is added here with what was wrong.
func Scenarios() []Scenario {
	list := []Scenario{
		{1, Calm, "the stop of a job that does not exist was acknowledged"},
		{2, Calm, "a stopping job whose last commit outlived its last slot never ended"},
		{13, Calm, "a retry that was due while all slots were busy woke its job a thousand times a second"},
		{128, Calm, "the journal failed when it forgot a job that had gone with its queue"},
		{149, Calm, "a failure told again in a new session was counted twice"},
		{18, Agents, "a grant overtook the inventory before it, and the slot was held by nobody for ever"},
		{41, Agents, "a slot that went while no session was open was counted as freed twice, and granted for ever"},
		{1875, Agents, "an inventory overtaken by the end of a slot brought it back as a ghost"},
		{1, Master, "what had ended while no master was there was run again"},
		{66, Master, "news of a running attempt came before the inventory, and the attempt was stopped"},
		{174, Master, "jobs were not told of slots that a cut-short session had found"},
		{1203, Master, "a job whose time was over launched once more after a restart"},
		{96, Network, "ends of a job whose actor had retired were kept by the agent for ever"},
		{31, Hosts, "an attempt that an earlier master had replaced comes back and is the one that counts"},
		{998635544823, "", "the answer to the claim of an actor that was gone was taken for one's own"},
		{368615903809, "", "an agent took a new master's first commands for repetitions of the old one's"},
		{868225522669, Actors, "a grant that reached nobody was freed, and granted to nobody again, for ever"},
		{171595912041, "", "a job declined slots that the placer granted again and again"},
		{212, Hosts, "a deposed master serves results that are not all"},
	}
	for i := range list {
		list[i].Focus += "/" + Plain // they are older than the other themes
	}
	list = append(list,
		Scenario{472234027248, "", "a queue was not told that it still held what it had not given up in time"},
		Scenario{65568793434, Calm + "/" + Gang, "a gang that wants itself on one rack was never placed, because its first slot liked another one"},
		Scenario{362241334260, Actors, "an inventory for an ended job was lost with the supervisor of jobs, and its slot was held for ever"},
		Scenario{149, Quota, "a session was opened twice under one number, and commands of the first opening were taken for those of the second"},
		Scenario{233271258599, Calm, "a slot whose launch was refused was granted elsewhere before its machine had given it up"},
		Scenario{662067871629, All + "/" + Mixed, "a slot on a device that was taken out was held of nothing"},
		Scenario{459537276984, Actors + "/" + Gang, "a queue that used nothing any more was never told so by a placer that had restarted"},
		Scenario{1004302992565, "", "a slot whose launch was refused was taken for one evicted, and another was evicted beyond the limit"},
		Scenario{774260991419, Calm + "/" + Mixed, "what no node can hold was promised all that no quota claims, for ever"},
		Scenario{107942727782, Calm + "/" + Rules, "room was kept at once and for ever for work that lacked what no calendar knows"},
	)
	for i := range list {
		list[i].Focus += "/" + Alone // they are older than elections
	}
	return append(list,
		Scenario{3, Odd + "/" + Plain, "what only a newer agent knows went into the journal, whose writer then refused it"},
		Scenario{12, Odd + "/" + Plain, "a node whose name a second agent had used was never heard again"},
	)
}
