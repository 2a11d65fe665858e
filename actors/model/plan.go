package model

import (
	"time"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Plan is a job spec compiled: every quantity an integer, every default filled in. It is frozen once made.
type Plan struct {
	ID       JobID
	Service  bool
	Priority Priority
	// TimeLimit of the whole job; 0 means none.
	TimeLimit time.Duration
	Stages    []StagePlan
	// Spec is the submitted spec with all defaults written in.
	Spec *v1.JobSpec
}

// StagePlan is one stage of a Plan.
type StagePlan struct {
	Name string
	// After are indexes of stages that must succeed first, ascending.
	After     []int
	Instances uint64
	// Parallel is the most slots worth holding: at least 1, at most Instances.
	Parallel    uint64
	Driver      string
	Resources   Resources
	Constraints []Constraint
	Spread      string
	// Attempts is the most attempts of one instance; 0 means no limit (services).
	Attempts            uint32
	Backoff, BackoffMax time.Duration
	Timeout             time.Duration
	StopSignal          string
	Grace               time.Duration
}

// Constraint over a node attribute.
type Constraint struct {
	Attribute string
	Op        Op
	Values    []string
}

// Op compares an attribute.
type Op uint8

// The comparisons.
const (
	OpEqual Op = iota
	OpNotEqual
	OpIn
	OpExists
)

// Band is the coarse priority; a smaller band goes first.
type Band uint8

// The bands, high to low.
const (
	Monitoring Band = iota
	Production
	Batch
	Free
)

// Priority orders work: band, then rank, then order of submission (the uid). Smaller goes first.
type Priority struct {
	Band Band
	Rank int32
}

// Compare returns a negative number if p goes before o, zero if they are equal.
func (p Priority) Compare(o Priority) int {
	if p.Band != o.Band {
		return int(p.Band) - int(o.Band)
	}
	switch {
	case p.Rank < o.Rank:
		return -1
	case p.Rank > o.Rank:
		return 1
	}
	return 0
}
