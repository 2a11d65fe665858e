package model

import v1 "github.com/troupe-sched/troupe/protos/v1"

// QueuePlan is a queue's spec compiled: every quantity an integer, every default filled in. It is frozen once made.
type QueuePlan struct {
	Name string
	// MaxJobs live at once and MaxSlots held together; 0 means no limit.
	MaxJobs, MaxSlots uint64
	// Quota is what the queue is sure to get, Max the most that it may hold, borrowed or not: amounts by name, sorted, of
	// ResourceNames, custom units and kinds of devices (in milli). What is not named is not promised, or not limited.
	Quota, Max []Amount
	Order      QueueOrder
	Backfill   Backfilling
	Predict    Prediction
	// Score is how nodes are chosen for stages that do not say.
	Score ScorePlan
	// Spec is a copy of the spec that was compiled.
	Spec *v1.QueueSpec
}

// QueueOrder is the order of waiting work of one priority.
type QueueOrder uint8

// The orders: in turns, by age, by expected duration, by size, by what lowers the mean slowdown.
const (
	OrderFair QueueOrder = iota
	OrderFIFO
	OrderShortest
	OrderSmallest
	OrderSlowdown
)

// Backfilling says what may go ahead of work that waits for room.
type Backfilling uint8

// The ways of backfilling: what delays nothing in the queue's order, the same shortest first, or nothing.
const (
	BackfillEasy Backfilling = iota
	BackfillShortest
	BackfillNone
)

// Prediction says how it is foreseen how long work runs.
type Prediction uint8

// The predictions: by the owner's last five runs and always anew, by the last two when the work comes, by what is stated.
const (
	PredictLearned Prediction = iota
	PredictRecent
	PredictStated
)
