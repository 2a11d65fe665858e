package placer

import (
	"fmt"
	"slices"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/place"
	"github.com/troupe-sched/troupe/actors/policy/preempt"
	"github.com/troupe-sched/troupe/actors/policy/share"
)

// claim is room on a node that is being made for slots of a demand. It is kept from all others until the slots are
// granted, or the deadline has passed: then it is decided anew.
type claim struct {
	demand   *demand
	node     *node
	count    int // slots that are still to be granted
	deadline int64
}

// preempt makes room for slots of a demand that fit nowhere, and returns for how many. Its rights are asked in the order
// in which policy preempt shows that evictions come to an end.
func (p *pass) preempt(d *demand, n int) (claimed int) {
	if n = min(n, p.evictions); n <= 0 || p.now < p.quiet || d.Job == nil || d.picky() && len(d.claims) > 0 {
		return 0
	}
	if (d.picky() || d.needsDevices()) && !d.Plan.Gang {
		n = 1 // where the next may go depends on where this one went
	}
	whole := d.Plan.Gang
	left := func() int { return n - claimed }
	outranks := p.outranks(d)
	if outranks {
		claimed = p.claim(d, n, p.allowed(d).Own, msg.RulePriority, preempt.Claim{})
	}
	if !p.accounts.Limited() || whole && claimed > 0 || plant.Is(plant.LoanNotReturned) {
		return claimed
	}
	for _, reach := range []share.Reach{share.FromOver, share.FromBorrowers} {
		if own := p.allowed(d).Own; left() > 0 && own > 0 {
			p.recall = p.accounts.Recall(d.counted.each, reach, p.recall)
			claimed += p.claim(d, left(), own, msg.RuleQuota, preempt.Claim{Recall: p.recall, AnyRank: true})
		}
	}
	if borrowed := p.allowed(d).Borrowed; outranks && left() > 0 && borrowed > 0 {
		p.recall = p.accounts.Recall(d.counted.each, share.FromBorrowers, p.recall)
		claimed += p.claim(d, left(), borrowed, msg.RulePriority, preempt.Claim{Recall: p.recall})
	}
	if outranks && left() > 0 {
		claimed += p.claim(d, left(), p.allowed(d).Yielded, msg.RulePriority, preempt.Claim{Within: true})
	}
	return claimed
}

// picky reports whether where its slots may go depends on where others of its own are.
func (d *demand) picky() bool {
	return len(d.Plan.Spreads)+len(d.Plan.Affinity)+len(d.Plan.AntiAffinity) > 0
}

// outranks reports whether anything runs that a demand may evict by priority.
func (p *pass) outranks(d *demand) bool {
	for priority := range p.running { //order: any will do
		if preempt.Evicts(d.Priority, priority) || plant.Is(plant.EqualEvicted) {
			return true
		}
	}
	return false
}

// claim finds victims for up to n slots by one right, as far as the queue may hold them, and has them evicted.
func (p *pass) claim(d *demand, n int, room int64, rule string, c preempt.Claim) (claimed int) {
	whole := d.Plan.Gang
	if room < int64(n) {
		if whole {
			return 0
		}
		n = int(room)
	}
	if n <= 0 {
		return 0
	}
	v := p.index(d)
	c.Priority, c.Need, c.Slots, c.Whole, c.Queue = d.Priority, v.vector(d.Plan.Resources, d.Plan.Extra), n, whole, int32(d.queue.part)
	if plant.Is(plant.EqualEvicted) {
		c.Priority.Rank--
	}
	c.Admits = func(i preempt.NodeIndex, _ []preempt.Choice) bool {
		if !whole && covers(v.Free(i), c.Need) {
			return false // there is room, but not for this: nothing that is evicted would help
		}
		n := place.NodeIndex(i)
		return p.now >= d.spurned[n] && p.fleet.Admits(d.slots, n) && p.devicesUnclaimed(d, n)
	}
	if p.choices = p.find(d, &c); len(p.choices) == 0 {
		return 0
	}
	for _, choice := range p.choices {
		p.carryOut(d, choice, rule)
	}
	return len(p.choices)
}

// findMax bounds how often victims are looked for again because the devices that they hold would not do.
const findMax = 8

// find looks for victims, and again without the nodes whose devices would not do: the index knows sums, and devices do not
// add up. It finds all or nothing for a gang, and nothing if nobody has to go.
func (p *pass) find(d *demand, c *preempt.Claim) []preempt.Choice {
	for range findMax {
		choices := p.victims.Find(c, p.choices[:0])
		if !slices.ContainsFunc(choices, func(c preempt.Choice) bool { return len(c.Victims) > 0 }) {
			return nil
		}
		useless := slices.IndexFunc(choices, func(c preempt.Choice) bool { return !p.freesDevices(d, c) })
		if useless < 0 {
			return choices
		}
		d.spurn(place.NodeIndex(choices[useless].Node), p.now+evictWait.Milliseconds())
	}
	return nil
}

// spurn keeps a demand from evicting on a node until a time.
func (d *demand) spurn(n place.NodeIndex, until int64) {
	if d.spurned == nil || len(d.spurned) >= spurnedMax {
		d.spurned = map[place.NodeIndex]int64{}
	}
	d.spurned[n] = until
}

// spurnedMax bounds the nodes that one demand remembers.
const spurnedMax = 256

func covers(free, need []int64) bool {
	for i, n := range need {
		if n > 0 && free[i] < n {
			return false
		}
	}
	return true
}

// carryOut keeps the room for one slot and asks for what stands in it.
func (p *pass) carryOut(d *demand, choice preempt.Choice, rule string) {
	nd := p.nodes[p.fleet.ID(place.NodeIndex(choice.Node))]
	at := slices.IndexFunc(nd.claims, func(c *claim) bool { return c.demand == d })
	if at < 0 {
		at = len(nd.claims)
		c := &claim{demand: d, node: nd, deadline: p.now + evictWait.Milliseconds()}
		nd.claims, d.claims = append(nd.claims, c), append(d.claims, c)
		p.unrest[nd.id] = nd
	}
	c := nd.claims[at]
	for _, e := range choice.Victims {
		victim := p.demands[p.victims.stages[e.Stage]]
		p.evict(p.ctx, nd, victim, msg.Evict{Count: e.Count, For: d.ID, Rule: rule, Reason: reason(rule, victim, d)}, c)
		p.evictions -= e.Count
	}
	p.keep(c, 1)
	p.settle(p.ctx, d)
}

// reason says why slots of a victim had to go. What is taken back goes for its queue's sake, whatever its priority is.
func reason(rule string, victim, winner *demand) string {
	if rule == msg.RuleQuota {
		return fmt.Sprintf("queue %s holds more than its own, and queue %s wants its quota", victim.ID.Queue, winner.ID.Queue)
	}
	v, w := victim.Priority, winner.Priority
	return fmt.Sprintf("%v/%d < %v/%d", v.Band, v.Rank, w.Band, w.Rank)
}

// keep changes for how many slots a claim keeps room; without any it is over.
func (a *Actor) keep(c *claim, by int) {
	d, nd := c.demand, c.node
	c.count += by
	d.claimed += by
	if v := a.victims; v != nil {
		v.Promise(preempt.NodeIndex(nd.index), v.vector(d.Plan.Resources, d.Plan.Extra), by)
	}
	if c.count > 0 || !plant.Is(plant.ClaimNeverEnds) {
		a.fleet.Withhold(nd.index, d.slots, times(d.Plan.Resources, c.count), false)
	}
	if c.count > 0 {
		return
	}
	nd.claims = slices.DeleteFunc(nd.claims, func(o *claim) bool { return o == c })
	d.claims = slices.DeleteFunc(d.claims, func(o *claim) bool { return o == c })
}

func times(each model.Resources, n int) model.Resources {
	for i := range each {
		each[i] *= int64(n)
	}
	return each
}

// drop gives up a claim: what was kept for it is free for all, and its demand waits as before.
func (a *Actor) drop(ctx *kit.Context, c *claim) {
	a.keep(c, -c.count)
	a.settle(ctx, c.demand)
	a.gain(ctx)
}

// trim gives up claims of a demand that wants less than they are for.
func (a *Actor) trim(ctx *kit.Context, d *demand) {
	for len(d.claims) > 0 && uint64(d.claimed) > d.missing() {
		c := d.claims[len(d.claims)-1]
		a.keep(c, -min(c.count, d.claimed-int(d.missing())))
		a.gain(ctx)
	}
}

// redeem grants what claims were made for, on nodes from which something has gone.
func (p *pass) redeem() {
	ready := p.ready
	p.ready = nil
	for _, nd := range ready {
		nd.ready = false
		for _, c := range slices.Clone(nd.claims) {
			if c.count == 0 {
				continue
			}
			if d := c.demand; !d.Plan.Gang {
				p.convert(c)
			} else if d.cleared() {
				for _, c := range slices.Clone(d.claims) {
					p.convert(c)
				}
			}
		}
	}
}

// cleared reports whether all is gone that had to make room for a demand: a gang is granted when there is room for all of
// it.
func (d *demand) cleared() bool {
	return !slices.ContainsFunc(d.claims, func(c *claim) bool { return len(c.node.evictions) > 0 })
}

// convert turns a claim into slots as far as there is room now. If nothing more leaves the node, what there is was not
// known well enough: the claim is given up, and for a while nobody has to go there for this demand.
func (p *pass) convert(c *claim) {
	d := c.demand
	if got := p.fleet.PlaceOn(d.slots, c.node.index, c.count); got.Count > 0 {
		p.keep(c, -got.Count)
		p.reserve(d, got)
	}
	if c.count > 0 && len(c.node.evictions) == 0 {
		d.spurn(c.node.index, p.now+evictWait.Milliseconds())
		p.drop(p.ctx, c)
	}
}
