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
	// Owner is whose past runs predict this one; the job's name if the spec names none.
	Owner string
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
	Parallel  uint64
	Driver    string
	Resources Resources
	// Extra is what a slot needs beyond Resources; nil for most stages.
	Extra *Extra
	Rules
	// Gang says that all instances are placed together or not at all; GangHold bounds how long a part is held.
	Gang     bool
	GangHold time.Duration
	// Duration that one attempt is expected to run; 0 if nothing is stated.
	Duration time.Duration
	// MaxUnavailable is the most instances that evictions may have down at once, at least 1.
	MaxUnavailable uint64
	// Attempts is the most attempts of one instance; 0 means no limit (services).
	Attempts            uint32
	Backoff, BackoffMax time.Duration
	Timeout             time.Duration
	StopSignal          string
	Grace               time.Duration
}

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
