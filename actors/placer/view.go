package placer

import (
	"maps"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/backfill"
	"github.com/troupe-sched/troupe/actors/policy/place"
	"github.com/troupe-sched/troupe/actors/policy/preempt"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// node is one machine in the view.
type node struct {
	id    model.NodeID
	ref   kit.Ref
	index place.NodeIndex
	open  bool
	// doubted: it has refused something, and gets nothing before it has said what it holds.
	doubted bool
	info    *v1.NodeInfo
	// capacity is what the division was told that it has.
	capacity []int64
	held     map[model.StageID]*held
	slots    int       // how many it holds
	pending  []pending // reserves not answered yet, oldest first

	// evict says that all it holds is to be moved away, taints that what does not tolerate them is.
	evict     bool
	taints    []*v1.Taint
	claims    []*claim // oldest first
	evictions []*eviction
	ready     bool // stands in Actor.ready
	// ends says that the timeline of the node is as it was when it was made; see reserve.go.
	ends bool
	next int64 // the first end in it
}

// held is the slots of one stage on one node.
type held struct {
	// sizes are the slots by what each takes: of one size, unless the stage was changed while it held some. count is the
	// number of all.
	sizes []place.Slots
	one   [1]place.Slots // what sizes lies in while it is one
	count int
	// serial grows from grant to grant.
	serial uint64
	// leaving are those that the job was asked to give up, indexed those that preemption knows of.
	leaving, indexed int
	span             span
}

// pending is a Reserve that is on its way.
type pending struct {
	serial uint64
	stage  model.StageID
	slots  place.Slots
}

// take books slots that are on a node already.
func (a *Actor) take(ctx *kit.Context, nd *node, d *demand, slots place.Slots, since int64) {
	a.fleet.Take(d.slots, nd.index, slots)
	a.add(ctx, nd, d, slots, since)
}

// add adds slots that the fleet has booked to what node and demand hold.
func (a *Actor) add(ctx *kit.Context, nd *node, d *demand, slots place.Slots, since int64) {
	h := nd.held[d.Stage]
	if h == nil {
		h = &held{span: span{end: backfill.Never}}
		h.sizes = h.one[:0]
		nd.held[d.Stage] = h
	}
	h.add(slots)
	a.crowd(nd, slots.Count)
	a.serial++
	h.serial = a.serial
	d.held += uint64(slots.Count)
	nd.ends = false
	a.waits.count(&h.span, -1)
	h.span.begin(since, d)
	a.waits.count(&h.span, 1)
	a.indexSlots(nd, d.Stage)
	a.settle(ctx, d)
}

// give takes slots of one size off a node, with their devices if it is known which. Up to so many of them may have been
// evicted.
func (a *Actor) give(ctx *kit.Context, nd *node, stage model.StageID, slots place.Slots, evicted int) {
	if d := a.sub(nd, stage, slots); d != nil {
		a.vacated(ctx, nd, stage, evicted)
		a.settle(ctx, d)
		a.gain(ctx)
	}
}

// crowd counts the slots of a node. One that holds as many as it may gets no more: it would refuse them again, and again.
func (a *Actor) crowd(nd *node, by int) {
	before := nd.slots
	nd.slots += by
	if full := nd.slots >= model.MaxSlots; full != (before >= model.MaxSlots) {
		a.fleet.SetSchedulable(nd.id, nd.open && !nd.doubted && !full)
	}
}

// sub is the opposite of take; it returns the demand, or nil if the node holds nothing of the stage.
func (a *Actor) sub(nd *node, stage model.StageID, slots place.Slots) *demand {
	h, d := nd.held[stage], a.demands[stage]
	if h == nil || d == nil {
		return nil
	}
	gone := h.sub(slots)
	a.crowd(nd, -gone.Count)
	d.held -= uint64(gone.Count)
	nd.ends = false
	a.fleet.Give(d.slots, nd.index, gone)
	a.indexSlots(nd, stage)
	if h.count == 0 {
		delete(nd.held, stage)
		a.waits.count(&h.span, -1)
	}
	return d
}

// size finds the slots that take so much each; -1 if there are none.
func (h *held) size(each model.Resources) int {
	return slices.IndexFunc(h.sizes, func(s place.Slots) bool { return s.Each == each })
}

func (h *held) add(slots place.Slots) {
	h.count += slots.Count
	i := h.size(slots.Each)
	if i < 0 {
		slots.Devices = slices.Clone(slots.Devices)
		h.sizes = append(h.sizes, slots)
		return
	}
	h.sizes[i].Count += slots.Count
	h.sizes[i].Devices = append(h.sizes[i].Devices, slots.Devices...)
}

// sub takes slots of one size away, as many as there are, and returns them.
func (h *held) sub(slots place.Slots) (gone place.Slots) {
	i := h.size(slots.Each)
	if i < 0 {
		return place.Slots{}
	}
	s := &h.sizes[i]
	gone = *s
	gone.Count = min(slots.Count, s.Count)
	gone.Devices = without(s, slots.Devices, gone.Count)
	h.count -= gone.Count
	if s.Count -= gone.Count; s.Count == 0 {
		h.sizes = slices.Delete(h.sizes, i, i+1)
	}
	return gone
}

// without takes the devices of n slots out of what is held: those that are named, else the last.
func without(s *place.Slots, named [][]model.DeviceShare, n int) (gone [][]model.DeviceShare) {
	for _, devices := range named {
		if i := slices.IndexFunc(s.Devices, func(o []model.DeviceShare) bool { return slices.Equal(o, devices) }); i >= 0 && n > 0 {
			gone = append(gone, s.Devices[i])
			s.Devices = slices.Delete(s.Devices, i, i+1)
			n--
		}
	}
	last := max(len(s.Devices)-n, 0)
	gone = append(gone, s.Devices[last:]...)
	s.Devices = s.Devices[:last]
	return gone
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
		a.give(ctx, nd, p.stage, p.slots, 0)
	}
	if m.Refused == 0 {
		return
	}
	a.give(ctx, nd, p.stage, place.Slots{Each: p.slots.Each, Count: m.Refused}, 0)
	nd.doubted = true
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

// freed takes slots back. What a job has no use for it does not want: the Want that says so may be long on its way, and
// until then the same slots would be granted again, and again.
func (a *Actor) freed(ctx *kit.Context, m *msg.Freed) {
	nd, d := a.nodes[m.Node], a.demands[m.Stage]
	if nd == nil || d == nil {
		return
	}
	if m.Unused > 0 {
		kept := d.held - min(d.held, uint64(m.Count))
		d.Target = max(d.Target-min(d.Target, uint64(m.Unused)), min(d.Target, kept))
	}
	a.give(ctx, nd, m.Stage, place.Slots{Each: m.Each, Count: m.Count, Devices: m.Devices}, m.Yielded)
}

// view replaces what the placer thought of a node by what the node says, and adds the reserves it had not seen yet.
func (a *Actor) view(ctx *kit.Context, m *msg.NodeView) {
	if a.views > 0 {
		a.views--
	}
	nd := a.nodes[m.Node]
	before := map[model.StageID]int{}
	if nd != nil {
		for _, stage := range sortedStages(nd.held) {
			before[stage] = nd.held[stage].count
			for _, slots := range slices.Clone(nd.held[stage].sizes) {
				slots.Devices = nil
				a.sub(nd, stage, slots)
			}
		}
		nd.pending = slices.DeleteFunc(nd.pending, func(p pending) bool { return m.Gone || p.serial <= m.Through })
	}
	if m.Gone {
		a.lose(ctx, nd, before)
		return
	}
	if nd == nil {
		nd = &node{id: m.Node, held: map[model.StageID]*held{}}
		a.nodes[m.Node] = nd
	}
	a.know(nd, m)
	for _, h := range m.Held {
		slots := place.Slots{Each: h.Each, Extra: h.Extra, Count: h.Count, Devices: h.Devices}
		a.take(ctx, nd, a.record(h.Stage), slots, h.Since.UnixMilli())
	}
	for _, p := range nd.pending {
		a.take(ctx, nd, a.record(p.stage), p.slots, ctx.Now().UnixMilli())
	}
	for _, e := range nd.evictions {
		if h := nd.held[e.victim.Stage]; h != nil {
			h.leaving += e.count
			a.indexSlots(nd, e.victim.Stage)
		}
	}
	a.compare(ctx, nd, before)
	if m.Again && len(nd.pending) > 0 {
		a.askView(ctx, nd)
	}
	a.sweepSoon(ctx)
	a.gain(ctx)
}

// know takes in what a node is.
func (a *Actor) know(nd *node, m *msg.NodeView) {
	nd.ref, nd.open, nd.evict, nd.doubted = m.NodeRef, m.Open, m.Evict, false
	if i := m.Info; i != nd.info {
		a.resize(nd, i)
	}
	nd.taints = m.Taints
	if nd.emptying() {
		a.unrest[nd.id] = nd
	}
	nd.index = a.fleet.Put(m.Node, whatIs(m))
	a.fleet.SetSchedulable(m.Node, m.Open)
	a.indexNode(nd)
}

// compare settles the stages that a node held before its view came: what it holds no more has gone.
func (a *Actor) compare(ctx *kit.Context, nd *node, before map[model.StageID]int) {
	for stage, n := range before { //order: each for itself
		now := 0
		if h := nd.held[stage]; h != nil {
			now = h.count
		}
		if n > now {
			a.vacated(ctx, nd, stage, n-now)
		}
		if d := a.demands[stage]; d != nil {
			a.settle(ctx, d)
		}
	}
}

// lose forgets a node that is gone.
func (a *Actor) lose(ctx *kit.Context, nd *node, before map[model.StageID]int) {
	if nd == nil {
		a.wake(ctx)
		return
	}
	a.compare(ctx, nd, before)
	a.abandon(ctx, nd)
	if a.victims != nil {
		a.victims.RemoveNode(preempt.NodeIndex(nd.index))
	}
	a.fleet.Remove(nd.id)
	a.resize(nd, nil)
	delete(a.nodes, nd.id)
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

// undelivered takes back what did not reach a node or a job: its mailbox was full, or its actor has ended with its
// supervisor.
func (a *Actor) undelivered(ctx *kit.Context, m any) {
	switch m := m.(type) {
	case *msg.Evict:
		a.unsaid(ctx, m)
	case *msg.ViewRequest:
		ctx.After("ask", time.Second, askAgain{})
	case *msg.Reserve:
		for _, nd := range a.nodes { //order: at most one has that serial
			if slices.ContainsFunc(nd.pending, func(p pending) bool { return p.serial == m.Serial }) {
				a.reserved(ctx, &msg.Reserved{Node: nd.id, Serial: m.Serial, Refused: len(m.Slots)})
				return
			}
		}
	}
}

// askAgain is the timer that asks nodes once more for what they hold.
type askAgain struct{}

// askDoubted asks the nodes that have refused something and have not said yet what they hold.
func (a *Actor) askDoubted(ctx *kit.Context) {
	for _, id := range slices.Sorted(maps.Keys(a.nodes)) { //order: sorted
		if nd := a.nodes[id]; nd.doubted {
			a.askView(ctx, nd)
		}
	}
}
