package placer

import (
	"slices"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/place"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// node is one machine in the view.
type node struct {
	id    model.NodeID
	ref   kit.Ref
	index place.NodeIndex
	open  bool
	info  *v1.NodeInfo
	// capacity is what the division was told that it has.
	capacity []int64
	held     map[model.StageID]*held
	pending  []pending // reserves not answered yet, oldest first
}

// held is the slots of one stage on one node.
type held struct {
	each  model.Resources
	extra *model.Extra
	count int
}

// pending is a Reserve that is on its way.
type pending struct {
	serial uint64
	stage  model.StageID
	each   model.Resources
	extra  *model.Extra
	count  int
}

// take books slots on a node, give takes them off again.
func (a *Actor) take(ctx *kit.Context, nd *node, d *demand, each model.Resources, extra *model.Extra, n int) {
	a.fleet.Take(d.slots, nd.index, place.Slots{Each: each, Extra: extra, Count: n})
	a.count(ctx, nd, d, each, extra, n)
}

// count adds slots that the fleet has booked to what the node and the demand hold.
func (a *Actor) count(ctx *kit.Context, nd *node, d *demand, each model.Resources, extra *model.Extra, n int) {
	h := nd.held[d.Stage]
	if h == nil {
		h = &held{each: each, extra: extra}
		nd.held[d.Stage] = h
	}
	h.count += n
	d.held += uint64(n)
	a.settle(ctx, d)
}

func (a *Actor) give(ctx *kit.Context, nd *node, stage model.StageID, n int) {
	h, d := nd.held[stage], a.demands[stage]
	if h == nil || d == nil {
		return
	}
	n = min(n, h.count)
	if h.count -= n; h.count == 0 {
		delete(nd.held, stage)
	}
	d.held -= uint64(n)
	a.fleet.Give(d.slots, nd.index, place.Slots{Each: h.each, Extra: h.extra, Count: n})
	a.settle(ctx, d)
	a.gain(ctx)
}

// gain notes that there may be more room than before.
func (a *Actor) gain(ctx *kit.Context) {
	a.room++
	a.wake(ctx)
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
		a.give(ctx, nd, p.stage, p.count)
	}
	if m.Refused == 0 {
		return
	}
	a.give(ctx, nd, p.stage, m.Refused)
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
	a.give(ctx, nd, m.Stage, m.Count)
}

// view replaces what the placer thought of a node by what the node says, and adds the reserves it had not seen yet.
func (a *Actor) view(ctx *kit.Context, m *msg.NodeView) {
	if a.views > 0 {
		a.views--
	}
	nd := a.nodes[m.Node]
	if nd != nil {
		for _, stage := range sortedStages(nd.held) {
			a.give(ctx, nd, stage, nd.held[stage].count)
		}
		nd.pending = slices.DeleteFunc(nd.pending, func(p pending) bool { return m.Gone || p.serial <= m.Through })
	}
	if m.Gone {
		if nd != nil {
			a.fleet.Remove(m.Node)
			a.resize(nd, nil)
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
	if i := m.Info; i != nd.info {
		a.resize(nd, i)
	}
	nd.index = a.fleet.Put(m.Node, whatIs(m))
	a.fleet.SetSchedulable(m.Node, m.Open)
	for _, h := range m.Held {
		a.take(ctx, nd, a.record(h.Stage), h.Each, h.Extra, h.Count)
	}
	for _, p := range nd.pending {
		a.take(ctx, nd, a.record(p.stage), p.each, p.extra, p.count)
	}
	if m.Again && len(nd.pending) > 0 {
		a.askView(ctx, nd)
	}
	a.gain(ctx)
}

// whatIs is the node as placement sees it. Taints in the message are all of them, the agent's own among them.
func whatIs(m *msg.NodeView) place.Node {
	i := m.Info
	n := place.Node{
		Capacity:   model.Resources{i.GetCpuMilli(), i.GetMemoryBytes(), i.GetDiskBytes(), i.GetNetBps()},
		Attributes: i.GetAttributes(), Drivers: i.GetDrivers(), Packages: i.GetPackages(), Custom: i.GetCustom(),
		PortFrom: i.GetPortFrom(), PortTo: i.GetPortTo(), Maintenance: m.Maintenance,
	}
	for _, d := range i.GetDevices() {
		n.Devices = append(n.Devices, place.Device{Kind: d.GetKind(), Model: d.GetModel()})
	}
	for _, t := range m.Taints {
		n.Taints = append(n.Taints, place.Taint{Key: t.GetKey(), Value: t.GetValue(), Effect: t.GetEffect()})
	}
	return n
}

func sortedStages(m map[model.StageID]*held) []model.StageID {
	list := make([]model.StageID, 0, len(m))
	for id := range m { //order: sorted below
		list = append(list, id)
	}
	slices.SortFunc(list, compareStages)
	return list
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
