package model

import "time"

// Rules say on which nodes the slots of a stage may go, and which are better.
type Rules struct {
	Constraints []Constraint
	// Prefer are constraints with a weight: nodes that meet them are better, or worse if it is negative.
	Prefer []Constraint
	// Spread is the attribute over whose values slots are spread as evenly as room allows; empty for none.
	Spread string
	// Spreads are the rules beyond that: skew, limits and weights over further attributes.
	Spreads []SpreadRule
	// Affinity are jobs beside which slots go, AntiAffinity those beside which they do not.
	Affinity, AntiAffinity []Affinity
	// Pool is the pool of nodes: DefaultPool, a name, or AnyPool.
	Pool string
	// Tolerations are the taints that do not matter.
	Tolerations []Toleration
	// Packages that are better there already, sorted.
	Packages []string
	// Data are the bytes of input that nodes hold, sorted by node.
	Data  []NodeBytes
	Score ScorePlan
}

// Pools of nodes.
const (
	// PoolAttribute is the attribute that names the pool of a node.
	PoolAttribute = "pool"
	// DefaultPool is the pool of nodes that name none, and of stages that name none.
	DefaultPool = "default"
	// AnyPool lets a stage run in every pool.
	AnyPool = "*"
)

// Extra is what one slot needs beyond Resources. It is frozen.
type Extra struct {
	// Custom units, sorted by name, each at least 1.
	Custom []Amount
	Ports  []PortNeed
	// Devices; Count is 0 if none are needed.
	Devices DeviceNeed
}

// Amount of a custom unit.
type Amount struct {
	Name string
	N    int64
}

// PortNeed is one port of a slot: fixed, or dynamic if Number is 0.
type PortNeed struct {
	Name   string
	Number int32
}

// DeviceNeed is the devices of a slot: Count of one kind and one model, Milli of each; less than WholeDevice only for one.
type DeviceNeed struct {
	Kind   string
	Count  int32
	Milli  int32
	Models []string // sorted; none means any
}

// WholeDevice is all of one device.
const WholeDevice = 1000

// DeviceShare is a part of one device of a node, by its place among the node's devices.
type DeviceShare struct {
	Index int32
	Milli int32
}

// Constraint over a node attribute.
type Constraint struct {
	Attribute string
	Op        Op
	Values    []string
	// Weight of a preference, -100 to 100; 0 in a constraint that must hold.
	Weight int32
}

// Op compares an attribute.
type Op uint8

// The comparisons. Less to GreaterEqual compare numbers (decimal, by value); OpVersion compares dotted versions with all of
// a list of bounds; OpMatches takes a regular expression for the whole value. A node whose attribute is missing, or is no
// number or version, meets none of them.
const (
	OpEqual Op = iota
	OpNotEqual
	OpIn
	OpExists
	OpLess
	OpLessEqual
	OpGreater
	OpGreaterEqual
	OpVersion
	OpMatches
)

// SpreadRule is a rule over the domains that the values of an attribute make.
type SpreadRule struct {
	On string
	// MaxSkew is the most by which slots of the stage in two domains may differ; 0 for as even as room allows.
	MaxSkew int32
	// Max is the most slots of the stage in one domain; 0 for no limit.
	Max int64
	// Weight of evenness among other wishes, 1 to 100.
	Weight int32
}

// Affinity selects slots by the labels of their jobs, and the domain in which they count.
type Affinity struct {
	// Labels, sorted by name; all must be equal.
	Labels []Label
	On     string
	// Queue of the jobs; AnyQueue for all.
	Queue string
	// Weight is 0 if it must hold, else 1 to 100.
	Weight int32
}

// AnyQueue selects jobs of every queue.
const AnyQueue = "*"

// Label is a name and its value.
type Label struct{ Name, Value string }

// Toleration of taints with that key and value; any value if it is empty.
type Toleration struct{ Key, Value string }

// NodeBytes is how much data a node holds.
type NodeBytes struct {
	Node  NodeID
	Bytes int64
}

// ScorePlan names how nodes are chosen.
type ScorePlan struct {
	// By is the name of the score; empty for the queue's, and then the cell's.
	By string
	// Weights of modifiers, 0 to 100, sorted by name.
	Weights []Amount
}

// DefaultGangHold is how long a part of a gang is held if its stage does not say.
const DefaultGangHold = 30 * time.Second
