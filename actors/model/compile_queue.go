package model

import (
	"cmp"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Limits of queues.
const (
	// MaxQueueLimit is the greatest limit that a queue may be given.
	MaxQueueLimit  = 1 << 40
	MaxDescription = 1024
)

func orderNames() []string    { return []string{"fair", "fifo", "shortest", "smallest", "slowdown"} }
func backfillNames() []string { return []string{"easy", "shortest", "none"} }

// String is the order as users write it.
func (o QueueOrder) String() string {
	if int(o) >= len(orderNames()) {
		return fmt.Sprintf("order(%d)", uint8(o))
	}
	return orderNames()[o]
}

// String is the way of backfilling as users write it.
func (b Backfilling) String() string {
	if int(b) >= len(backfillNames()) {
		return fmt.Sprintf("backfill(%d)", uint8(b))
	}
	return backfillNames()[b]
}

// CompileQueue checks a queue spec and turns it into a plan. Either the plan or the list of what is wrong is nil. In the
// plan's copy of the spec nothing is filled in: what is not said is up to the cell, and may change.
func CompileQueue(spec *v1.QueueSpec) (*QueuePlan, []*v1.FieldError) {
	c := &checker{}
	if spec == nil {
		c.add("", "no queue", "give a queue spec")
		return nil, c.result()
	}
	c.known("", spec)
	spec = proto.CloneOf(spec)
	plan := &QueuePlan{Name: spec.Name, MaxJobs: uint64(spec.MaxJobs), MaxSlots: uint64(spec.MaxSlots), Spec: spec}
	c.wrong("name", checkName(spec.Name))
	c.count("max_jobs", spec.MaxJobs, 0, MaxQueueLimit)
	c.count("max_slots", spec.MaxSlots, 0, MaxQueueLimit)
	c.wrong("description", checkText(spec.Description, MaxDescription))
	plan.Quota = c.allotment("quota", spec.Quota)
	plan.Max = c.allotment("max", spec.Max)
	c.within(plan)
	plan.Order = QueueOrder(c.word("order", spec.Order, orderNames()))
	plan.Backfill = Backfilling(c.word("backfill", spec.Backfill, backfillNames()))
	plan.Predict = Prediction(c.word("predict", spec.Predict, []string{"learned", "recent", "stated"}))
	if spec.Score != nil {
		c.known("score", spec.Score)
	}
	plan.Score = c.score("", spec.Score)
	if errs := c.result(); errs != nil {
		return nil, errs
	}
	return plan, nil
}

// word is the place of s among choices; the first is meant if it is empty.
func (c *checker) word(at, s string, choices []string) int {
	if s == "" {
		return 0
	}
	i, wrong := oneOf(s, choices)
	c.wrong(at, wrong)
	return i
}

// allotment compiles the amounts that are named, by name.
func (c *checker) allotment(at string, q *v1.Quota) []Amount {
	if q == nil {
		return nil
	}
	c.known(at, q)
	list := c.custom(at+".custom", q.Custom, 0)
	for i, text := range [NumResources]string{CPU: q.Cpu, Memory: q.Memory, Disk: q.Disk, Net: q.Net} {
		if text == "" {
			continue
		}
		n, err := ParseAmount(i, text)
		c.fail(at+"."+ResourceNames[i], err)
		list = append(list, Amount{ResourceNames[i], n})
	}
	slices.SortFunc(list, func(a, b Amount) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// within refuses a maximum below what is promised: the promise could not be kept.
func (c *checker) within(plan *QueuePlan) {
	for _, most := range plan.Max {
		i, named := slices.BinarySearchFunc(plan.Quota, most.Name, func(a Amount, name string) int { return cmp.Compare(a.Name, name) })
		if named && plan.Quota[i].N > most.N {
			field := FieldName("max", most.Name)
			if !slices.Contains(ResourceNames[:], most.Name) {
				field = FieldKey("max.custom", most.Name)
			}
			c.addf(field, "raise it, or lower the quota", "%s is below the quota of %s", formatUnit(most), formatUnit(plan.Quota[i]))
		}
	}
}
