package placer

import (
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/place"
)

const (
	// grantsMax bounds the slots granted in one turn, so that the actor stays open to questions.
	grantsMax = 16_384
	// turn is how many slots a job gets before the next of the same priority, when several wait.
	turn = 4
	// viewsWait bounds how long a restarted placer waits for the nodes' views.
	viewsWait = 5 * time.Second
)

// Actor is the placer.
type Actor struct {
	env     *msg.Env
	fleet   *place.Fleet
	nodes   map[model.NodeID]*node
	demands map[model.StageID]*demand
	levels  []*level // by priority
	woken   bool     // a grant is on its way to this actor itself
	views   int      // views still to come after a restart
	found   []place.Assignment
}

// node is one machine in the view.
type node struct {
	id      model.NodeID
	ref     kit.Ref
	index   place.NodeIndex
	open    bool
	held    map[model.StageID]*held
	pending []pending // reserves not answered yet, oldest first
}

type held struct {
	each  model.Resources
	count int
}

type pending struct {
	serial uint64
	stage  model.StageID
	each   model.Resources
	count  int
}

// demand is what one stage of one job may hold, and holds.
type demand struct {
	msg.Demand
	class   place.ClassID
	classed bool // class is held
	held    uint64
	byNode  map[place.NodeIndex]int
	queued  bool // stands in its class's line
}

func (d *demand) outstanding() uint64 {
	if d.held >= d.Target {
		return 0
	}
	return d.Target - d.held
}

// level is all waiting demands of one priority, by class: what fits one demand of a class fits all.
type level struct {
	priority model.Priority
	classes  []*line
}

// line is the demands of one class that wait, in the order of their turns.
type line struct {
	class   place.ClassID
	waiting []*demand
}

// grant is the actor's message to itself to go on granting; it travels behind everything else.
type grant struct{}

// Lane implements kit.Laned.
func (grant) Lane() kit.Lane { return kit.Bulk }

// viewsOver is the timer that ends the waiting for views.
type viewsOver struct{}

// New makes the actor.
func New(env *msg.Env) *Actor {
	return &Actor{env: env, fleet: place.NewFleet(), nodes: map[model.NodeID]*node{}, demands: map[model.StageID]*demand{}}
}

// Receive implements kit.Behavior.
func (a *Actor) Receive(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case kit.Started:
		if m.Incarnation > 1 {
			a.views = -1 // not known yet how many
			ctx.Tell(a.env.Refs.Nodes, &msg.ViewRequest{})
			ctx.Tell(a.env.Refs.Queues, &msg.DemandRequest{})
			ctx.After("views", viewsWait, viewsOver{})
		}
	case *msg.ViewsComing:
		a.views += m.Nodes + 1
		a.wake(ctx)
	case viewsOver:
		a.views = 0
		a.wake(ctx)
	case *msg.Demand:
		a.demand(ctx, m)
	case *msg.QueueReset:
		a.void(m.Queue)
	case *msg.NodeView:
		a.view(ctx, m)
	case *msg.Reserved:
		a.reserved(ctx, m)
	case *msg.Freed:
		a.freed(ctx, m)
	case grant:
		a.woken = false
		a.grant(ctx)
	case *msg.ExplainStages:
		a.explain(ctx, m)
	case *msg.CellFacts:
		a.facts(m)
		ctx.Forward(a.env.Refs.Journal, m)
	case *kit.Busy:
		a.undelivered(ctx, m.Message)
	case *kit.Lost:
		a.undelivered(ctx, m.Message)
	}
}

// wake makes sure that a grant follows when everything that waits now is handled.
func (a *Actor) wake(ctx *kit.Context) {
	if !a.woken && a.views == 0 {
		a.woken = true
		ctx.Tell(ctx.Self(), grant{})
	}
}

// record finds or makes the record of a stage.
func (a *Actor) record(id model.StageID) *demand {
	d := a.demands[id]
	if d == nil {
		d = &demand{Demand: msg.Demand{Stage: id}, byNode: map[place.NodeIndex]int{}}
		a.demands[id] = d
	}
	return d
}

// forget drops the record of a stage that wants nothing and holds nothing.
func (a *Actor) forget(d *demand) {
	if d.Target == 0 && d.held == 0 {
		delete(a.demands, d.Stage)
		if d.classed {
			a.fleet.Release(d.class)
			d.classed = false
		}
	}
}

func shape(p *model.StagePlan) place.Shape {
	return place.Shape{Resources: p.Resources, Constraints: p.Constraints, Driver: p.Driver, Spread: p.Spread}
}

func (a *Actor) demand(ctx *kit.Context, m *msg.Demand) {
	d := a.record(m.Stage)
	if m.Target == 0 {
		d.Target = 0
		a.forget(d)
		return
	}
	class := a.fleet.Class(shape(m.Plan))
	if d.classed {
		a.fleet.Release(d.class)
	}
	d.Demand, d.class, d.classed = *m, class, true
	a.queue(ctx, d)
}

// void ends the demands of a queue that has restarted: those of jobs that still live come again.
func (a *Actor) void(queue string) {
	for _, d := range a.demands { //order: each for itself
		if d.ID.Queue == queue {
			d.Target = 0
			a.forget(d)
		}
	}
}

// level finds or makes the level of a priority.
func (a *Actor) level(p model.Priority) *level {
	i, found := slices.BinarySearchFunc(a.levels, p, func(l *level, p model.Priority) int { return l.priority.Compare(p) })
	if !found {
		a.levels = slices.Insert(a.levels, i, &level{priority: p})
	}
	return a.levels[i]
}

// queue puts a demand at the end of its line if it waits for anything.
func (a *Actor) queue(ctx *kit.Context, d *demand) {
	if d.queued || d.outstanding() == 0 {
		return
	}
	d.queued = true
	at := a.level(d.Priority)
	for _, l := range at.classes {
		if l.class == d.class {
			l.waiting = append(l.waiting, d)
			a.wake(ctx)
			return
		}
	}
	at.classes = append(at.classes, &line{class: d.class, waiting: []*demand{d}})
	a.wake(ctx)
}

// grant goes through the levels from high to low and gives each line what fits, its demands taking turns.
func (a *Actor) grant(ctx *kit.Context) {
	budget := grantsMax
	for _, l := range a.levels {
		for _, ln := range l.classes {
			budget = a.serve(ctx, ln, budget)
			if budget <= 0 {
				a.wake(ctx)
				return
			}
		}
		l.classes = slices.DeleteFunc(l.classes, func(ln *line) bool { return len(ln.waiting) == 0 })
	}
	a.levels = slices.DeleteFunc(a.levels, func(l *level) bool { return len(l.classes) == 0 })
}

// serve grants to one line until nothing more fits or the budget is used up.
func (a *Actor) serve(ctx *kit.Context, ln *line, budget int) (left int) {
	for len(ln.waiting) > 0 && budget > 0 {
		d := ln.waiting[0]
		if d.outstanding() == 0 || !d.classed || d.class != ln.class {
			d.queued = false
			ln.waiting = ln.waiting[1:]
			a.queue(ctx, d)
			continue
		}
		n := uint64(turn)
		if len(ln.waiting) == 1 {
			n = uint64(budget)
		}
		n = min(n, d.outstanding(), uint64(budget))
		got := a.reserve(ctx, d, int(n))
		budget -= got
		if got < int(n) {
			return budget // nothing more of this class fits anywhere
		}
		ln.waiting = ln.waiting[1:]
		if d.outstanding() > 0 {
			ln.waiting = append(ln.waiting, d)
		} else {
			d.queued = false
		}
	}
	return budget
}

// reserve places n slots of a demand and asks the nodes to hold them. It returns how many were placed.
func (a *Actor) reserve(ctx *kit.Context, d *demand, n int) (placed int) {
	a.found = a.fleet.Place(d.class, n, func(i place.NodeIndex) int { return d.byNode[i] }, a.found[:0])
	each := d.Plan.Resources
	for _, f := range a.found {
		nd := a.nodes[a.fleet.ID(f.Node)]
		// The serial grows over restarts of this actor: a node must not take a Reserve for one that it knows.
		r := &msg.Reserve{Serial: a.env.IDs.Order(), Stage: d.Stage, ID: d.ID, Job: d.Job, Each: each, Slots: make([]model.SlotID, f.Count)}
		for i := range r.Slots {
			r.Slots[i] = a.env.IDs.Slot()
		}
		nd.pending = append(nd.pending, pending{r.Serial, d.Stage, each, f.Count})
		a.take(nd, d, each, f.Count)
		ctx.Tell(nd.ref, r)
		placed += f.Count
	}
	return placed
}

// take books slots on a node, give takes them off again.
func (a *Actor) take(nd *node, d *demand, each model.Resources, n int) {
	h := nd.held[d.Stage]
	if h == nil {
		h = &held{each: each}
		nd.held[d.Stage] = h
	}
	h.count += n
	d.held += uint64(n)
	d.byNode[nd.index] += n
	a.fleet.Take(nd.index, each, n)
}

func (a *Actor) give(nd *node, d *demand, each model.Resources, n int) {
	h := nd.held[d.Stage]
	if h == nil {
		return
	}
	n = min(n, h.count)
	if h.count -= n; h.count == 0 {
		delete(nd.held, d.Stage)
	}
	d.held -= uint64(n)
	if d.byNode[nd.index] -= n; d.byNode[nd.index] <= 0 {
		delete(d.byNode, nd.index)
	}
	a.fleet.Give(nd.index, each, n)
}

// reserved takes in a node's answer. A refusal shows that the view is wrong: the node is asked for all it holds, and
// gets nothing before it has answered.
func (a *Actor) reserved(ctx *kit.Context, m *msg.Reserved) {
	nd := a.nodes[m.Node]
	if nd == nil {
		return
	}
	i := slices.IndexFunc(nd.pending, func(p pending) bool { return p.serial == m.Serial })
	if i < 0 {
		return // a later view has answered already
	}
	p, lost := nd.pending[i], nd.pending[:i]
	nd.pending = slices.Clone(nd.pending[i+1:])
	for _, p := range lost { // a node answers in order, unless it failed over one
		a.giveBack(ctx, nd, p.stage, p.each, p.count)
	}
	if m.Refused == 0 {
		return
	}
	a.giveBack(ctx, nd, p.stage, p.each, m.Refused)
	a.fleet.SetSchedulable(nd.id, false)
	a.askView(ctx, nd)
}

// askView asks a node for all it holds, after all that it was asked to reserve.
func (a *Actor) askView(ctx *kit.Context, nd *node) {
	r := &msg.ViewRequest{}
	if n := len(nd.pending); n > 0 {
		r.Through = nd.pending[n-1].serial
	}
	ctx.Tell(nd.ref, r)
}

func (a *Actor) giveBack(ctx *kit.Context, nd *node, stage model.StageID, each model.Resources, n int) {
	d := a.demands[stage]
	if d == nil {
		return
	}
	a.give(nd, d, each, n)
	a.queue(ctx, d)
	a.forget(d)
	a.wake(ctx)
}

// freed takes slots back. What a job gives back unused it does not want: the Want that says so may be long on its way,
// and until then the same slots would be granted again and again.
func (a *Actor) freed(ctx *kit.Context, m *msg.Freed) {
	nd, d := a.nodes[m.Node], a.demands[m.Stage]
	if nd == nil || d == nil {
		return
	}
	if m.Unused > 0 {
		kept := d.held - min(d.held, uint64(m.Count))
		d.Target = max(d.Target-min(d.Target, uint64(m.Unused)), min(d.Target, kept))
	}
	a.giveBack(ctx, nd, m.Stage, m.Each, m.Count)
}

// view replaces what the placer thought of a node by what the node says, and adds the reserves it had not seen yet.
func (a *Actor) view(ctx *kit.Context, m *msg.NodeView) {
	if a.views > 0 {
		a.views--
	}
	nd := a.nodes[m.Node]
	if nd != nil {
		for _, stage := range sortedStages(nd.held) {
			h := nd.held[stage]
			d := a.demands[stage]
			a.give(nd, d, h.each, h.count)
			a.queue(ctx, d)
			a.forget(d)
		}
		nd.pending = slices.DeleteFunc(nd.pending, func(p pending) bool { return m.Gone || p.serial <= m.Through })
	}
	if m.Gone {
		if nd != nil {
			a.fleet.Remove(m.Node)
			delete(a.nodes, m.Node)
		}
		a.wake(ctx)
		return
	}
	if nd == nil {
		nd = &node{id: m.Node, held: map[model.StageID]*held{}}
		a.nodes[m.Node] = nd
	}
	nd.ref, nd.open = m.NodeRef, m.Open
	i := m.Info
	nd.index = a.fleet.Put(m.Node, model.Resources{i.GetCpuMilli(), i.GetMemoryBytes(), i.GetDiskBytes(), i.GetNetBps()}, i.GetAttributes(), i.GetDrivers())
	a.fleet.SetSchedulable(m.Node, m.Open)
	for _, h := range m.Held {
		a.take(nd, a.record(h.Stage), h.Each, h.Count)
	}
	for _, p := range nd.pending {
		a.take(nd, a.record(p.stage), p.each, p.count)
	}
	if m.Again && len(nd.pending) > 0 {
		a.askView(ctx, nd)
	}
	a.wake(ctx)
}

func sortedStages(m map[model.StageID]*held) []model.StageID {
	list := make([]model.StageID, 0, len(m))
	for id := range m { //order: sorted below
		list = append(list, id)
	}
	slices.SortFunc(list, compareStages)
	return list
}

func compareStages(x, y model.StageID) int {
	if x.Job != y.Job {
		if x.Job < y.Job {
			return -1
		}
		return 1
	}
	return int(x.Stage) - int(y.Stage)
}

// undelivered takes back what did not reach a node: its mailbox was full, or its actor has ended with its supervisor.
func (a *Actor) undelivered(ctx *kit.Context, m any) {
	r, ok := m.(*msg.Reserve)
	if !ok {
		return
	}
	for _, nd := range a.nodes { //order: at most one has that serial
		if slices.ContainsFunc(nd.pending, func(p pending) bool { return p.serial == r.Serial }) {
			a.reserved(ctx, &msg.Reserved{Node: nd.id, Serial: r.Serial, Refused: len(r.Slots)})
			return
		}
	}
}
