package placer

import (
	"maps"
	"math/bits"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/backfill"
	"github.com/troupe-sched/troupe/actors/policy/share"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// loansKept is how many loans that have come back are remembered.
	loansKept = 1000
	// unitsMax bounds the names of custom units and devices that quotas are about; what is named beyond is not limited.
	unitsMax = 64
	// usesEvery is how often queues hear of what they use, if it has changed.
	usesEvery = 500 * time.Millisecond
)

// queue is what the placer knows of one queue.
type queue struct {
	name  string
	plan  *model.QueuePlan // nil until it was told
	order backfill.Order
	fill  backfill.Fill
	part  share.Queue
	// stages that the placer keeps a record of.
	stages int
	// stopped is the turn in which its first demand did not fit, if nothing of it may go ahead of that.
	stopped uint64
	told    *msg.QueueUse // what it was told that it uses
}

// accounts is the division of the cell among its queues. It counts always, and divides only if anything is limited.
type accounts struct {
	*share.Division
	ledger *share.Ledger
	units  []string // names of its dimensions beyond resources
	stale  bool     // queues will hear of what has changed
}

func newAccounts(units []string) accounts {
	return accounts{
		Division: share.New(slices.Concat(model.ResourceNames[:], units)...), ledger: share.NewLedger(loansKept), units: units,
	}
}

// vector is an amount in the dimensions of the division.
func (s *accounts) vector(each model.Resources, extra *model.Extra) []int64 {
	return vector(s.units, each, extra)
}

// capacity is what a node adds to the cell.
func (s *accounts) capacity(i *v1.NodeInfo) []int64 { return capacity(s.units, i) }

// limits are amounts by name in the dimensions of the division; what is not named is not limited.
func (s *accounts) limits(named []model.Amount) []int64 {
	v := make([]int64, model.NumResources+len(s.units))
	for i, name := range slices.Concat(model.ResourceNames[:], s.units) {
		v[i] = share.Unset
		if at := slices.IndexFunc(named, func(n model.Amount) bool { return n.Name == name }); at >= 0 {
			v[i] = named[at].N
		}
	}
	return v
}

// queueOf finds or makes the record of a queue.
func (a *Actor) queueOf(name string) *queue {
	q := a.queues[name]
	if q == nil {
		q = &queue{name: name, part: a.accounts.Add(name)}
		a.queues[name] = q
	}
	return q
}

// share takes in what a queue is promised, and how its work is ordered.
func (a *Actor) share(ctx *kit.Context, m *msg.QueueShare) {
	q := a.queueOf(m.Queue)
	q.plan, q.order, q.fill = m.Plan, backfill.Fair, backfill.EASY
	if m.Plan != nil {
		q.order, q.fill = backfill.Order(m.Plan.Order), backfill.Fill(m.Plan.Backfill) // the same in both, see TestOrders
	}
	if !a.learnUnits(m.Plan) {
		a.limit(q)
	}
	for _, id := range slices.SortedFunc(maps.Keys(a.demands), compareStages) { //order: sorted
		if d := a.demands[id]; d.queue == q && d.classed {
			a.fleet.Change(d.slots, a.shape(&d.Demand))
			if d.line != nil {
				d.leave() // its place may be another
			}
			a.settle(ctx, d)
		}
	}
	q.told, a.accounts.stale = nil, true // what is promised is another, or who was told has restarted
	a.dropQueue(q)
	a.usesSoon(ctx)
	a.gain(ctx)
}

// limit tells the division what a queue is promised.
func (a *Actor) limit(q *queue) {
	switch {
	case q.part == share.NoQueue:
	case q.plan == nil:
		a.accounts.SetLimits(q.part, nil, nil)
	default:
		a.accounts.SetLimits(q.part, a.accounts.limits(q.plan.Quota), a.accounts.limits(q.plan.Max))
	}
}

// learnUnits begins a new division if a plan names units that are not known, and reports whether it has.
func (a *Actor) learnUnits(plan *model.QueuePlan) bool {
	if plan == nil {
		return false
	}
	units := slices.Clone(a.accounts.units)
	for _, n := range slices.Concat(plan.Quota, plan.Max) {
		if !slices.Contains(model.ResourceNames[:], n.Name) && !slices.Contains(units, n.Name) && len(units) < unitsMax {
			units = append(units, n.Name)
		}
	}
	if len(units) == len(a.accounts.units) {
		return false
	}
	a.accounts, a.victims = newAccounts(units), nil
	a.total = a.accounts.capacity(nil)
	for _, name := range slices.Sorted(maps.Keys(a.queues)) { //order: sorted
		q := a.queues[name]
		q.part = a.accounts.Add(name)
		a.limit(q)
	}
	for _, nd := range a.nodes { //order: sums
		nd.capacity = nil
		a.resize(nd, nd.info)
	}
	for _, d := range a.demands { //order: each for itself
		d.counted = counted{}
		a.account(d)
	}
	return true
}

// resize notes what a node has; nothing if it is gone.
func (a *Actor) resize(nd *node, info *v1.NodeInfo) {
	now := a.accounts.capacity(info)
	for i := range a.total {
		if i < len(nd.capacity) {
			a.total[i] -= nd.capacity[i]
		}
		a.total[i] += now[i]
	}
	nd.capacity, nd.info = now, info
	a.accounts.SetCapacity(a.total)
	a.accounts.stale = true
}

// dropQueue forgets a queue of which nothing is known but its name.
func (a *Actor) dropQueue(q *queue) {
	if q.stages > 0 || q.plan != nil {
		return
	}
	delete(a.queues, q.name)
	if q.part != share.NoQueue {
		a.accounts.Remove(q.part)
	}
}

// counted is what the division was told of a demand.
type counted struct {
	tenure      share.Tenure
	each        []int64
	held, waits int64
	// vain says that it could not be held in an empty cell, as of a state of its nodes; see account.
	vain  bool
	kinds uint64
}

// account tells the division what has changed about a demand. What its job was asked to give up it waits for, what room is
// being made for it holds already: what is decided is not decided twice. What would not fit if nothing else were there waits
// in vain: nothing is kept from others for it.
func (a *Actor) account(d *demand) {
	if d.Plan != nil {
		a.running[d.Priority] += int64(d.held) - d.ran
		if d.ran = int64(d.held); a.running[d.Priority] == 0 {
			delete(a.running, d.Priority)
		}
	}
	if d.queue == nil || d.queue.part == share.NoQueue {
		return
	}
	c, q := &d.counted, d.queue.part
	if c.each == nil {
		c.each, c.tenure = a.accounts.vector(d.Plan.Resources, d.Plan.Extra), share.TenureOf(d.Priority.Band)
	}
	held := int64(min(d.held, model.MaxInstances)) - int64(min(uint64(d.leaving), d.held)) + int64(d.claimed)
	waits := int64(min(d.outstanding(), model.MaxInstances)) + int64(d.leaving)
	if waits > 0 && a.inVain(d) {
		waits = 0
	}
	more, less := held-c.held, c.waits-waits
	switch {
	case more == 0 && less == 0:
		return
	case more > 0 && more == less:
		a.accounts.Grant(q, c.tenure, c.each, more)
	default:
		a.accounts.Hold(q, c.tenure, c.each, more)
		a.accounts.Wait(q, c.tenure, c.each, -less)
	}
	c.held, c.waits = held, waits
	a.accounts.stale = true
}

// wonder notes whether a stage holds slots without any queue having said that they are its own, as after a restart.
func (a *Actor) wonder(ctx *kit.Context, d *demand, strange bool) {
	switch {
	case d.strange == strange:
		return
	case strange:
		if a.strange++; a.strange == 1 {
			a.patient = true
			ctx.After("patience", viewsWait, patienceOver{})
		}
	default:
		if a.strange--; a.strange == 0 {
			a.patient = false
			ctx.Cancel("patience")
			a.gain(ctx)
		}
	}
	d.strange = strange
}

// unsure reports whether it is not known yet what queues hold, though it matters: then nothing is granted, or a queue would
// get again what it has. It ends when the nodes and the queues have spoken, and at the latest when their time is over.
func (a *Actor) unsure() bool {
	return a.accounts.Limited() && (a.awaited > 0 || a.patient && a.strange > 0)
}

// inVain reports whether a demand could not be held even in an empty cell. It matters only where something is limited.
func (a *Actor) inVain(d *demand) bool {
	if !a.accounts.Limited() || !d.classed {
		return false
	}
	if c := &d.counted; c.kinds != a.fleet.Kinds() {
		n := uint64(1)
		if d.Plan.Gang {
			n = min(d.Target, model.MaxInstances)
		}
		c.vain, c.kinds = !a.fleet.Possible(d.slots, int(n)), a.fleet.Kinds()
	}
	return d.counted.vain
}

// recount asks anew which demands wait in vain, when nodes are not what they were.
func (a *Actor) recount() {
	if kinds := a.fleet.Kinds(); a.kinds != kinds {
		a.kinds = kinds
		for _, d := range a.demands { //order: each for itself
			if d.line != nil {
				a.account(d)
			}
		}
	}
}

// uncount takes a demand out of the division.
func (a *Actor) uncount(d *demand) {
	c := &d.counted
	if d.queue == nil || d.queue.part == share.NoQueue || c.each == nil {
		return
	}
	a.accounts.Hold(d.queue.part, c.tenure, c.each, -c.held)
	a.accounts.Wait(d.queue.part, c.tenure, c.each, -c.waits)
	*c = counted{}
}

// part is what a queue holds of what it may hold, in the resource of which that is most, in parts of 2^20.
func (a *Actor) part(q *queue) (most int64) {
	if q.part == share.NoQueue {
		return 0
	}
	for i := range a.total {
		x := a.accounts.Account(q.part, i)
		of := a.total[i]
		if a.accounts.Limited() && x.Allowed != share.Unset {
			of = min(of, x.Allowed)
		}
		if x.Held > 0 {
			most = max(most, parts(x.Held, of))
		}
	}
	return most
}

// parts is an amount in parts of 2^20 of another, at most 2^30.
func parts(amount, of int64) int64 {
	high, low := bits.Mul64(uint64(amount), 1<<20)
	if of <= 0 || high >= uint64(of) {
		return 1 << 30
	}
	n, _ := bits.Div64(high, low, uint64(of))
	return int64(min(n, 1<<30))
}

// allowed is how many more slots a demand's queue may hold for it.
func (a *Actor) allowed(d *demand) share.Room {
	if !a.accounts.Limited() || d.queue.part == share.NoQueue || plant.Is(plant.MaximumForgotten) {
		return share.Room{Own: share.RoomMax}
	}
	return a.accounts.Fits(d.queue.part, d.counted.tenure, d.counted.each)
}
