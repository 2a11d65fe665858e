package placer_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// cell is a placer with nodes and jobs that do as real ones: nodes refuse what does not fit, jobs give up what they are
// asked for.
type cell struct {
	*bench
	held    map[model.NodeID]map[model.StageID]int
	plans   map[model.StageID]*model.StagePlan
	free    map[model.NodeID]int64 // milli-cores
	serials map[model.NodeID]uint64
	evicts  []*msg.Evict
	deaf    bool // jobs do not hear what they are asked for
	hears   func(*msg.Evict)
	uses    map[string]*msg.QueueUse
	views   map[model.NodeID]func(func(*msg.NodeView))
	refused int
	// stubborn lets nodes refuse a third of what they are asked for.
	stubborn *rand.Rand
	last     map[model.StageID]*msg.Demand // as it was said last
	shares   []*msg.QueueShare
}

func newCell(t *testing.T) *cell {
	c := &cell{
		bench: newBench(t), held: map[model.NodeID]map[model.StageID]int{}, plans: map[model.StageID]*model.StagePlan{},
		free: map[model.NodeID]int64{}, serials: map[model.NodeID]uint64{}, uses: map[string]*msg.QueueUse{},
		views: map[model.NodeID]func(func(*msg.NodeView)){}, last: map[model.StageID]*msg.Demand{},
	}
	c.env.Refs.Queues = c.sys.Port("queues", func(m any, _ kit.Ref) {
		if to, ok := m.(*msg.ToQueue); ok {
			c.uses[to.Name] = to.Message.(*msg.QueueUse)
		}
	})
	return c
}

// machine adds a node of so many cores.
func (c *cell) machine(id model.NodeID, cores int64) {
	c.free[id], c.held[id] = cores*1000, map[model.StageID]int{}
	info := &v1.NodeInfo{Id: string(id), CpuMilli: cores * 1000, Drivers: []string{"process"}}
	var ref kit.Ref
	view := func(change func(*msg.NodeView)) {
		v := &msg.NodeView{Node: id, NodeRef: ref, Open: true, Info: info, Through: c.serials[id]}
		for _, stage := range sortedStages(c.held[id]) {
			v.Held = append(v.Held, msg.HeldStage{Stage: stage, Each: c.plans[stage].Resources, Count: c.held[id][stage], Since: c.step.Now()})
		}
		if change != nil {
			change(v)
		}
		c.sys.Tell(c.placer, v)
	}
	ref = c.sys.Port("machine-"+string(id), func(m any, _ kit.Ref) {
		switch m := m.(type) {
		case *msg.Reserve:
			c.serials[id] = m.Serial
			fit, need := 0, m.Each[model.CPU]
			if c.stubborn != nil && c.stubborn.IntN(3) == 0 {
				need = 1 << 60 // as if somebody else had come first
			}
			for ; fit < len(m.Slots) && need <= c.free[id]; fit++ {
				c.free[id] -= need
			}
			c.held[id][m.Stage] += fit
			c.refused += len(m.Slots) - fit
			c.order = append(c.order, m.ID.Name)
			c.sys.Tell(c.placer, &msg.Reserved{Node: id, Serial: m.Serial, Refused: len(m.Slots) - fit})
		case *msg.ViewRequest:
			view(nil)
		}
	})
	c.nodes[string(id)], c.views[id] = ref, view
	c.resent = append(c.resent, func() { view(nil) })
	view(nil)
}

func sortedStages(held map[model.StageID]int) (list []model.StageID) {
	for id, n := range held {
		if n > 0 {
			list = append(list, id)
		}
	}
	slices.SortFunc(list, func(x, y model.StageID) int { return int(x.Job) - int(y.Job) })
	return list
}

// ask lets a stage of a queue want slots of so many cores.
func (c *cell) ask(queue string, uid model.UID, p model.Priority, target uint64, cores int64, change func(*msg.Demand)) {
	stage := model.StageID{Job: uid}
	plan := &model.StagePlan{
		Name: "s", Driver: "process", Resources: model.Resources{cores * 1000}, Instances: target, Parallel: max(target, 1), Attempts: 3,
		MaxUnavailable: max(target, 1), Grace: 10 * time.Second,
	}
	d := &msg.Demand{
		Stage: stage, ID: model.JobID{Queue: queue, Name: fmt.Sprintf("j%d", uid)}, Priority: p, Target: target, Plan: plan,
		Job: c.sys.Port(fmt.Sprintf("job-%d-%d", uid, len(c.plans)), func(m any, _ kit.Ref) {
			e, ok := m.(*msg.Evict)
			if ok && c.hears != nil {
				c.hears(e)
			}
			if ok && !c.deaf {
				c.evicts = append(c.evicts, e)
				c.give(e.Node, e.Stage, e.Count, e.Count)
			}
		}),
	}
	if change != nil {
		change(d)
	}
	c.plans[stage], c.last[stage] = plan, d
	c.sys.Tell(c.placer, d)
}

// give takes slots off a node; yielded of them are still wanted.
func (c *cell) give(id model.NodeID, stage model.StageID, n, yielded int) {
	n = min(n, c.held[id][stage])
	c.held[id][stage] -= n
	c.free[id] += int64(n) * c.plans[stage].Resources[model.CPU]
	c.sys.Tell(c.placer, &msg.Freed{Node: id, Stage: stage, Each: c.plans[stage].Resources, Count: n, Yielded: min(yielded, n)})
}

// of is how many slots a job holds.
func (c *cell) of(uid model.UID) (n int) {
	for _, held := range c.held {
		n += held[model.StageID{Job: uid}]
	}
	return n
}

// pass runs for so long.
func (c *cell) pass(d time.Duration) {
	c.step.AfterFunc(d, func() {})
	for until := c.step.Now().Add(d); c.step.Step(until); {
	}
}

func (c *cell) share(queue string, plan model.QueuePlan) {
	plan.Name = queue
	c.shares = append(c.shares, &msg.QueueShare{Queue: queue, Plan: &plan})
	c.sys.Tell(c.placer, c.shares[len(c.shares)-1])
}

func cores(n int64) []model.Amount { return []model.Amount{{Name: "cpu", N: n * 1000}} }

var (
	production = model.Priority{Band: model.Production}
	batch      = model.Priority{Band: model.Batch}
	free       = model.Priority{Band: model.Free}
)
