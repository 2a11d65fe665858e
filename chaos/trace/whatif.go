package trace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/tree"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Change is what is changed of a cell in one of two plays that are the same otherwise.
type Change struct {
	// Without are nodes that go: names, or attribute=value for all that have it.
	Without []string
	// Add so many nodes like the one named Like; like the first if Like is empty.
	Add  int
	Like string
	// Queues that are made or changed: what a spec does not say stays as it is.
	Queues []*v1.QueueSpec
	Policy Policy
}

// WhatIfOptions of two plays of a cell.
type WhatIfOptions struct {
	Change Change
	// Horizon is how long is played on after the change; an hour if zero.
	Horizon time.Duration
	// Assume is how long an attempt runs whose stage does not state it; 0 for until it is stopped.
	Assume time.Duration
	Seed   uint64
	// Progress hears of both plays; nil if nobody wants to know.
	Progress func(Progress)
	// Configure completes the configuration of both masters; nil for the default.
	Configure func(*tree.Config)
}

// WhatIf is what two plays from one state have shown.
type WhatIf struct {
	// Base is the cell as it is, Changed the cell with the change, after the horizon.
	Base    *Report `json:"base"`
	Changed *Report `json:"changed"`
	// Interrupted are attempts that the change ended before their time, by the name of the queue.
	Interrupted map[string]uint64 `json:"interrupted"`
}

// warmUp is how long both plays run before the change: the master waits for its nodes and places what fits.
const warmUp = 2 * time.Minute

// PlayWhatIf plays on from the durable state of a cell, once as it is and once with a change, and compares. The state
// does not say what runs where, so both plays begin by placing all that lives; the change comes when that has settled. The
// state is not changed.
func PlayWhatIf(ctx context.Context, state *model.State, o WhatIfOptions) (*WhatIf, error) {
	if o.Horizon == 0 {
		o.Horizon = time.Hour
	}
	base, err := playOn(ctx, state, o, Change{})
	if err != nil {
		return nil, err
	}
	changed, err := playOn(ctx, state, o, o.Change)
	if err != nil {
		return nil, err
	}
	w := &WhatIf{Base: base, Changed: changed, Interrupted: map[string]uint64{}}
	for i, q := range changed.Queues {
		if more := q.Evicted - min(q.Evicted, base.Queues[i].Evicted); more > 0 {
			w.Interrupted[q.Queue] = more
		}
	}
	return w, nil
}

// playOn plays a state to the horizon, with a change after the cell has settled.
func playOn(ctx context.Context, state *model.State, o WhatIfOptions, c Change) (*Report, error) {
	state = state.Clone()
	nodes := nodesOf(state)
	gone, err := c.leaving(nodes)
	if err != nil {
		return nil, err
	}
	added, err := c.added(nodes)
	if err != nil {
		return nil, err
	}
	rec := newRecorder(nodes, birth)
	if err := rec.resume(state, o.Assume); err != nil {
		return nil, err
	}
	specs := queuesOf(state)
	world, err := newWorld(o.Seed, birth, state, state.LiveJobs(), len(rec.tries), o.Configure)
	if err != nil {
		return nil, err
	}
	defer world.close()
	world.watch(rec)
	p := &player{w: &Workload{Nodes: nodes}, o: Options{Seed: o.Seed, Progress: o.Progress}, world: world, rec: rec}
	if err := world.join(nodes); err != nil {
		return nil, err
	}
	if err := p.pass(ctx, warmUp); err != nil {
		return nil, err
	}
	if err := p.change(c, specs, gone, added); err != nil {
		return nil, err
	}
	if err := p.pass(ctx, o.Horizon); err != nil {
		return nil, err
	}
	p.w.Nodes = slices.Concat(nodes, added)
	rec.fullest = rec.look(world.step.Now(), world.fleet.list) // here it is the end that counts
	return p.report()
}

// pass lets time pass, in which attempts end.
func (p *player) pass(ctx context.Context, d time.Duration) error {
	until := p.world.step.Now().Add(d)
	for {
		at, more := p.world.fleet.next()
		if !more || at.After(until) {
			at = until
		}
		if err := p.world.until(at); err != nil {
			return err
		}
		if err := p.ends(ctx, at); err != nil {
			return err
		}
		if err := p.step(ctx); err != nil {
			return err
		}
		if !at.Before(until) {
			return nil
		}
	}
}

// change does to the cell what is asked.
func (p *player) change(c Change, queues map[string]*v1.QueueSpec, gone []string, added []*v1.NodeInfo) error {
	for _, q := range c.Queues {
		old := queues[q.GetName()]
		if old == nil {
			old = &v1.QueueSpec{Name: q.GetName()}
		}
		merged := proto.CloneOf(old)
		proto.Merge(merged, q)
		queues[q.GetName()] = merged
	}
	for _, name := range sortedKeys(queues) {
		q := queues[name]
		c.Policy.apply(q)
		if _, err := p.world.call(q); err != nil {
			return fmt.Errorf("queue %s: %w", name, err)
		}
	}
	if err := p.world.join(added); err != nil {
		return err
	}
	for _, info := range added {
		p.rec.capacity = p.rec.capacity.add(capacityOf(info))
	}
	for _, id := range gone {
		if _, err := p.world.call(&v1.DrainRequest{Id: id, Drained: true, Force: true, Reason: "it is gone"}); err != nil {
			return fmt.Errorf("node %s: %w", id, err)
		}
	}
	for _, id := range gone {
		p.rec.capacity = p.rec.capacity.sub(capacityOf(p.world.fleet.agents[id].info))
		p.world.fleet.leave(id)
	}
	return p.world.settle()
}

// nodesOf are the machines of a state that the cell counts on, by name.
func nodesOf(state *model.State) []*v1.NodeInfo {
	var list []*v1.NodeInfo
	for _, n := range state.Nodes() {
		list = append(list, n.Info)
	}
	slices.SortFunc(list, func(a, b *v1.NodeInfo) int { return strings.Compare(a.GetId(), b.GetId()) })
	return list
}

func queuesOf(state *model.State) map[string]*v1.QueueSpec {
	m := map[string]*v1.QueueSpec{}
	for _, q := range state.Queues() {
		m[q.Spec.GetName()] = q.Spec
	}
	return m
}

func sortedKeys[V any](m map[string]V) []string {
	list := make([]string, 0, len(m))
	for k := range m { //order: sorted below
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// leaving are the names of the nodes that go.
func (c *Change) leaving(nodes []*v1.NodeInfo) ([]string, error) {
	var gone []string
	for _, want := range c.Without {
		key, value, selector := strings.Cut(want, "=")
		found := false
		for _, n := range nodes {
			if hit := n.GetId() == want || selector && n.GetAttributes()[key] == value; hit {
				found = true
				if !slices.Contains(gone, n.GetId()) {
					gone = append(gone, n.GetId())
				}
			}
		}
		if !found {
			return nil, fmt.Errorf("no node is %s", model.Quote(want))
		}
	}
	return gone, nil
}

// added are the nodes that come.
func (c *Change) added(nodes []*v1.NodeInfo) ([]*v1.NodeInfo, error) {
	if c.Add == 0 {
		return nil, nil
	}
	if c.Add < 0 || c.Add+len(nodes) > MaxNodes {
		return nil, fmt.Errorf("%d more nodes: there must be from 0 to %d in all", c.Add, MaxNodes)
	}
	i := slices.IndexFunc(nodes, func(n *v1.NodeInfo) bool { return c.Like == "" || n.GetId() == c.Like })
	if i < 0 {
		return nil, fmt.Errorf("no node is %s; name one that new nodes are like", model.Quote(c.Like))
	}
	list := make([]*v1.NodeInfo, c.Add)
	for k := range list {
		list[k] = proto.CloneOf(nodes[i])
		list[k].Id = fmt.Sprintf("added-%d", k+1)
	}
	return list, nil
}

// resume takes in the jobs of a state that live: what is done of them is done.
func (r *recorder) resume(state *model.State, assume time.Duration) error {
	for _, j := range state.Jobs() {
		if j.Ended() {
			continue
		}
		plan, problems := model.Compile(j.Spec)
		if len(problems) > 0 {
			return model.Invalid("job "+j.ID.String()+" is not understood by this version", problems...)
		}
		for stage := range plan.Stages {
			run := plan.Stages[stage].Duration
			switch {
			case plan.Service:
				run = Forever
			case run == 0 && assume > 0:
				run = assume
			case run == 0:
				run = Forever
			}
			if err := r.add(plan, stage, 0, run); err != nil {
				return err
			}
			rec := &r.jobs[len(r.jobs)-1]
			tries := r.triesOf(rec)
			for i := range tries {
				if tries[i].settled = j.Done(stage, uint64(i)) || j.Dead(stage, uint64(i)); !tries[i].settled {
					r.waiting++
				}
			}
		}
	}
	if len(r.jobs) == 0 {
		return errors.New("no job lives in that state: there is nothing to play on with")
	}
	r.measure()
	return nil
}
