package main

// rules are the house rules as data. Adding a line means giving its reason.
type rules struct {
	rooms   []room
	fences  []fence
	noone   []grant
	pure    []pureRoom
	policy  policyRule
	layout  []string
	exempt  []exemption
	fileMax int // lines
	funcMax int // lines, tables not counted
}

// room is a set of folders that may import the same. Each folder, with what is below it if it ends in "/...", is a
// whole: its packages may import each other.
type room struct {
	dirs []string
	may  []grant
}

// grant lets a room import a folder. Folders that end in "/..." include what is below.
type grant struct{ dir, why string }

// fence keeps a module to the folders that are there to wrap it.
type fence struct {
	module string
	dirs   []string
	why    string
}

// pureRoom is a folder whose packages decide the same for the same inputs.
type pureRoom struct {
	dir string
	// io: the room may import the packages that reach outside.
	io bool
}

// policyRule is the allow-list of the decisions.
type policyRule struct {
	dir  string
	std  []string
	rest []string // folders of the project
}

// exemption lets one place break one rule. One that excuses nothing any more is itself a finding.
type exemption struct {
	check string
	// at is a file, or file:Function.
	at  string
	why string
}

// houseRules are the rules of this project.
func houseRules() rules {
	return rules{
		rooms:   houseRooms(),
		noone:   houseNoone(),
		fences:  houseFences(),
		pure:    housePure(),
		policy:  housePolicy(),
		layout:  houseLayout(),
		exempt:  houseExemptions(),
		fileMax: 500,
		funcMax: 70,
	}
}

func houseRooms() []room { return append(innerRooms(), outerRooms()...) }

// innerRooms are those of the actors and what they are made of.
func innerRooms() []room {
	return []room{
		{[]string{"protos/..."}, nil},
		{[]string{"actors/model/..."}, []grant{
			{"protos/...", "compiled values keep the words they came from"},
		}},
		{[]string{"actors/policy/..."}, []grant{
			{"actors/model/...", "decisions are about plain values"},
			{"actors/kit/plant", "bugs can be planted in decisions, too"},
		}},
		{[]string{"actors/msg/..."}, []grant{
			{"actors/kit/...", "messages carry references to answer to"},
			{"actors/model/...", "messages carry plain values"},
			{"protos/...", "and the events that the journal keeps"},
		}},
		{[]string{"actors/jobfile/..."}, []grant{
			{"actors/model/...", "faults name the field"},
			{"protos/...", "a job file is the protos in another dress"},
		}},
		// kit stands beside model: it knows actors, not what they are for.
		{[]string{"actors/kit/..."}, nil},
		{[]string{
			"actors/gateway/...", "actors/queue/...", "actors/job/...", "actors/node/...", "actors/placer/...",
			"actors/journal/...", "actors/names/...",
		}, []grant{
			{"actors/kit/...", "an actor is a behaviour of kit"},
			{"actors/model/...", "state is plain values"},
			{"actors/msg/...", "actors know each other's messages, never each other"},
			{"actors/policy/...", "an actor asks its policy and performs the answer"},
			{"protos/...", "specs and events"},
		}},
		{[]string{"actors/tree/..."}, []grant{
			{"actors/gateway/...", "the tree starts every actor"},
			{"actors/queue/...", "the tree starts every actor"},
			{"actors/job/...", "the tree starts every actor"},
			{"actors/node/...", "the tree starts every actor"},
			{"actors/placer/...", "the tree starts every actor"},
			{"actors/journal/...", "the tree starts every actor"},
			{"actors/names/...", "the tree starts every actor"},
			{"actors/kit/...", "supervisors are made by kit"},
			{"actors/model/...", "what the tree is given"},
			{"actors/msg/...", "to reach the gateway"},
			{"actors/policy/...", "policies are chosen where actors are made"},
			{"protos/...", "what the tree is asked"},
		}},
		{[]string{"actors"}, []grant{
			{"actors/...", "the embedded API opens the tree"},
			{"cluster/...", "an embedded cell has a store, and may serve NATS"},
			{"node/...", "and an agent in the same process"},
			{"protos/...", "jobs and answers"},
		}},
	}
}

// outerRooms are those around the actors.
func outerRooms() []room {
	return []room{
		{[]string{"cluster/..."}, []grant{
			{"actors/kit/...", "to reach actors"},
			{"actors/model/...", "plain values"},
			{"actors/msg/...", "what actors are told"},
			{"actors/policy/...", "the same decisions on both sides"},
			{"actors/journal/...", "stores implement its ports Log and Snapshots"},
			{"protos/...", "what crosses hosts"},
		}},
		{[]string{"node/..."}, []grant{
			{"actors/kit/...", "the agent is actors too"},
			{"actors/model/...", "plain values"},
			{"actors/msg/...", "what actors are told"},
			{"actors/policy/...", "the same decisions on both sides"},
			{"cluster/store/badgerdb/...", "the ledger lives in badger, behind the same guard for the disk"},
			{"protos/...", "what master and agent say"},
		}},
		{[]string{"chaos/..."}, []grant{
			{"actors/...", "chaos runs and breaks everything"},
			{"cluster/...", "chaos runs and breaks everything"},
			{"node/...", "chaos runs and breaks everything"},
			{"protos/...", "chaos runs and breaks everything"},
		}},
		{[]string{"tools/troupe/..."}, []grant{
			{"actors/...", "the binary is every role"},
			{"cluster/...", "the binary is every role"},
			{"node/...", "the binary is every role"},
			{"protos/...", "the binary is every role"},
			{"chaos/...", "troupe chaos, drill and sim break cells and play workloads"},
		}},
		{[]string{"tools/protogen/...", "tools/check/...", "tools/examples/..."}, nil},
	}
}

// houseNoone lists what no other room may import, not even a test.
func houseNoone() []grant {
	return []grant{
		{"tools/...", "tools stand on top of everything"},
		{"chaos/...", "what breaks the house is no part of it"},
	}
}

func houseFences() []fence {
	return []fence{
		{"github.com/asynkron/protoactor-go", []string{"actors/kit/..."}, "kit wraps it once and works around its traps"},
		{"github.com/nats-io", []string{"cluster/...", "tools/troupe/...", "chaos/..."}, "hosts meet in cluster alone"},
		{"github.com/dgraph-io/badger", []string{"cluster/store/...", "node/..."}, "stores and the agent's ledger only"},
		{"github.com/knadh/koanf", []string{"tools/troupe/..."}, "only the binary is configured; packages take options"},
		{"github.com/spf13", []string{"tools/troupe/..."}, "only the binary has a command line"},
		{"github.com/grafana/pyroscope-go", []string{"tools/troupe/..."}, "the binary decides what is profiled"},
	}
}

func housePure() []pureRoom {
	return []pureRoom{
		{dir: "actors/model"}, {dir: "actors/policy"}, {dir: "actors/msg"},
		{dir: "actors/gateway"}, {dir: "actors/queue"}, {dir: "actors/job"}, {dir: "actors/node"},
		{dir: "actors/placer"}, {dir: "actors/journal"}, {dir: "actors/names"},
		{dir: "node/agent", io: true},
	}
}

func housePolicy() policyRule {
	return policyRule{
		dir:  "actors/policy",
		rest: []string{"actors/model", "actors/policy", "actors/kit/plant"}, // planted bugs, in builds with that tag alone
		std: []string{
			"cmp", "container/heap", "errors", "fmt", "hash/fnv", "iter", "maps", "math", "math/bits", "slices", "sort",
			"strconv", "strings", "time", "unicode", "unicode/utf8",
		},
	}
}

// houseLayout is all that the top level may hold besides dot-files and what .gitignore names.
func houseLayout() []string {
	return []string{
		"actors", "chaos", "cluster", "node", "protos", "tools",
		"go.mod", "go.sum", "Makefile",
		"README.md", "ARCHITECTURE.md", "BENCHMARKS.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md",
		"LICENSE", "NOTICE",
	}
}

func houseExemptions() []exemption {
	return []exemption{
		{"purity", "actors/journal/recover.go", "runs before the tree of actors is there"},
		{"purity", "actors/journal/follower.go", "follows the log where there is no tree of actors"},
		{"purity", "actors/journal/keeper.go", "writes snapshots beside the actor, which only hears of the end"},
		{"purity", "actors/msg/env.go", "IDs is the one number that all actors of a master draw from; asking for it would cost a message a grant"},
	}
}
