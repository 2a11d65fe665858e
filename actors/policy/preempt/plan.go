// Package preempt decides which slots are evicted so that work of a higher priority, or of a queue that claims its quota,
// finds room.
//
// By priority a victim is strictly lower in band and rank than the work it makes room for. By quota a victim is a slot
// that another queue holds on borrowed quota, of whatever rank. Work of the bands monitoring and production is never a
// victim. No more is evicted of a stage than its disruption limit leaves, and nothing if the room would not suffice.
//
// Victims are chosen from the lowest priority upward: of all sets that make room, the one with the fewest victims of the
// highest priority, then the fewest of the next, and so on; then the one that frees least beyond what is needed, as a
// part of the node. Among slots of one priority and size the youngest goes first.
//
// A cell with quotas asks in this order, for as many slots as each right covers (share.Room):
//
//  1. Room of its own: victims by priority, whosever they are; then by quota, of any rank.
//  2. Room that is borrowed: what is free; then victims of a lower priority among what is borrowed. Work on borrowed room
//     never evicts work that is within its own quota.
//  3. Firm work whose queue is full of loose work: victims by priority within the queue.
//
// So evictions come to an end: what a queue holds as its own goes only to higher priorities, and what it has borrowed to
// higher priorities or to owners. Without quotas there are victims by priority alone, and each eviction raises the list
// of priorities that run, highest first.
//
// It is pure: no clock, no chance, no order of a map.
package preempt

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/troupe-sched/troupe/actors/model"
)

// Victimable reports whether work of a band may ever be evicted for other work.
func Victimable(b model.Band) bool { return b >= model.Batch }

// Evicts reports whether work of priority p may evict work of priority victim.
func Evicts(p, victim model.Priority) bool { return Victimable(victim.Band) && p.Compare(victim) < 0 }

// Group is slots of one size and priority on a node.
type Group struct {
	Priority model.Priority
	Each     []int64
	// Evictable is how many may be evicted: all that there are, unless a limit protects some.
	Evictable int
	// Serial grows with the time when the last of them was granted.
	Serial uint64
}

// Victim is slots of one group that are to be evicted.
type Victim struct {
	// Group is the place of the group in the list that was given.
	Group, Count int
}

// Class is the number of victims of one priority.
type Class struct {
	Priority model.Priority
	Victims  int
}

// Cost is how bad a set of victims is.
type Cost struct {
	// Classes are the priorities of the victims, highest first.
	Classes []Class
	// Waste is what is freed beyond need, summed over the dimensions, in parts of 2^20 of the node's capacity.
	Waste int64
}

// Victims is the number of victims.
func (c Cost) Victims() (n int) {
	for _, class := range c.Classes {
		n += class.Victims
	}
	return n
}

// Compare is negative if a is the better choice: fewer victims of the highest priority in which a and b differ, then less
// waste. It orders plans for one node as well as for several.
func Compare(a, b Cost) int {
	for i := range min(len(a.Classes), len(b.Classes)) {
		x, y := a.Classes[i], b.Classes[i]
		if c := y.Priority.Compare(x.Priority); c != 0 {
			return c // the one without victims of the higher priority
		}
		if c := cmp.Compare(x.Victims, y.Victims); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(len(a.Classes), len(b.Classes)), cmp.Compare(a.Waste, b.Waste))
}

// StepsMax bounds the search for victims on one node. A search that would need more steps, which takes dozens of
// different sizes on one node, ends with the best set found so far: one that makes room without a victim of a
// needlessly high priority, but perhaps with more victims than need be.
const StepsMax = 4096

// Planner chooses victims. Its answers hold until it is asked again; it belongs to one goroutine.
type Planner struct {
	kinds []kind
	// Vectors of the dimensions, one after the other: what the kinds from here on have in all.
	suffix []int64
	lack   []int64 // still, in the search
	first  []int64 // lack before the search
	cap    []int64
	counts []int // victims by class, in the search
	takes  []int // by kind, in the search

	found      bool
	bestCounts []int
	bestTakes  []int
	bestWaste  int64
	steps      int

	order   []int // of groups
	victims []Victim
	classes []Class
}

// kind is all slots of one priority and size, whatever stage they are of.
type kind struct {
	each   []int64
	avail  int
	class  int
	last   bool // class is the lowest
	groups []int
	prior  model.Priority
}

// Plan chooses victims among groups so that need fits on a node with so much free, which may be negative. Vectors are as
// long as need, in any dimensions that add up (each device may be one); capacity is the measure of waste. Amounts are at
// most model.MaxAmount, and slots at most SlotsMax in all. It returns false if evicting all would not do, and no victims
// if none are needed. Whether a group may be a victim at all is for the caller to say by its Evictable.
func (p *Planner) Plan(capacity, free, need []int64, groups []Group) ([]Victim, Cost, bool) {
	p.victims, p.classes = p.victims[:0], p.classes[:0]
	p.first, p.cap = append(p.first[:0], need...), capacity
	enough := true
	for d := range p.first {
		p.first[d] -= free[d]
		if need[d] <= 0 { // a node that holds too much of one resource can still give others
			p.first[d] = 0
		}
		enough = enough && p.first[d] <= 0
	}
	if enough {
		return nil, Cost{}, true
	}
	p.sort(groups)
	if !p.feasible(0, p.first) {
		return nil, Cost{}, false
	}
	p.lack = append(p.lack[:0], p.first...)
	p.takes, p.bestTakes = zeros(p.takes, len(p.kinds)), zeros(p.bestTakes, len(p.kinds))
	classes := 0
	if n := len(p.kinds); n > 0 {
		classes = p.kinds[n-1].class + 1
	}
	p.counts, p.bestCounts = zeros(p.counts, classes), zeros(p.bestCounts, classes)
	p.found, p.steps = false, 0
	p.search(0)
	cost := p.result(groups)
	return p.victims, cost, true
}

// sort makes kinds of the groups: the highest priority first, within one the smallest first, so that a search which
// takes as few as it can of each takes the greatest; and adds up what they have.
func (p *Planner) sort(groups []Group) {
	p.order, p.kinds = p.order[:0], p.kinds[:0]
	for i := range groups {
		if groups[i].Evictable > 0 && p.helps(groups[i].Each) {
			p.order = append(p.order, i)
		}
	}
	slices.SortFunc(p.order, func(i, j int) int {
		a, b := &groups[i], &groups[j]
		return cmp.Or(a.Priority.Compare(b.Priority), slices.Compare(a.Each, b.Each), cmp.Compare(b.Serial, a.Serial), i-j)
	})
	for at, i := range p.order {
		g := &groups[i]
		if last := len(p.kinds) - 1; last >= 0 && p.kinds[last].prior == g.Priority && slices.Equal(p.kinds[last].each, g.Each) {
			k := &p.kinds[last]
			k.avail, k.groups = k.avail+g.Evictable, p.order[at-len(k.groups):at+1]
			continue
		}
		k := kind{each: g.Each, avail: g.Evictable, prior: g.Priority, groups: p.order[at : at+1]}
		if last := len(p.kinds) - 1; last >= 0 {
			k.class = p.kinds[last].class
			if p.kinds[last].prior != g.Priority {
				k.class++
			}
		}
		p.kinds = append(p.kinds, k)
	}
	dims := len(p.first)
	p.suffix = zeros(p.suffix, (len(p.kinds)+1)*dims)
	for i := len(p.kinds) - 1; i >= 0; i-- {
		k := &p.kinds[i]
		k.last = k.class == p.kinds[len(p.kinds)-1].class
		for d := range dims {
			p.suffix[i*dims+d] = sum(p.suffix[(i+1)*dims+d], product(k.each[d], k.avail))
		}
	}
}

// helps reports whether slots of a size have anything of what is lacked.
func (p *Planner) helps(each []int64) bool {
	for d, lack := range p.first {
		if lack > 0 && each[d] > 0 {
			return true
		}
	}
	return false
}

// feasible reports whether all kinds from one on would do.
func (p *Planner) feasible(from int, lack []int64) bool {
	for d, most := range p.suffix[from*len(lack) : (from+1)*len(lack)] {
		if lack[d] > most {
			return false
		}
	}
	return true
}

// search tries all counts of a kind and of those after it that could be better than the best. What is lacked can be had
// from the kinds from here on.
func (p *Planner) search(at int) {
	if p.steps++; p.steps > StepsMax && p.found {
		return
	}
	if at == len(p.kinds) || p.satisfied() {
		p.leaf()
		return
	}
	k := &p.kinds[at]
	if p.hopeless(at, k) {
		return
	}
	least, most := p.bounds(at, k)
	p.take(k, at, least)
	for n := least; ; n++ {
		p.search(at + 1)
		if n == most || (p.found && p.hopeless(at, k)) || p.steps > StepsMax {
			p.take(k, at, -n)
			return
		}
		p.take(k, at, 1)
	}
}

func (p *Planner) take(k *kind, at, n int) {
	p.takes[at] += n
	p.counts[k.class] += n
	for d := range p.lack {
		p.lack[d] -= k.each[d] * int64(n)
	}
}

func (p *Planner) satisfied() bool {
	for _, lack := range p.lack {
		if lack > 0 {
			return false
		}
	}
	return true
}

// bounds are the fewest of a kind that are needed even with all kinds after it, and the most that are of any use.
func (p *Planner) bounds(at int, k *kind) (least, most int) {
	after := p.suffix[(at+1)*len(p.lack):]
	for d, lack := range p.lack {
		if each := k.each[d]; each > 0 && lack > 0 {
			most = max(most, min(k.avail, ceil(lack, each, k.avail)))
			least = max(least, ceil(lack-after[d], each, k.avail))
		}
	}
	return least, max(least, most)
}

// hopeless reports whether no completion from here on can be better than the best: by the victims of the classes so far,
// with those of this class that are needed whatever is taken of lower ones, and in the last class also by waste.
func (p *Planner) hopeless(at int, k *kind) bool {
	if !p.found {
		return false
	}
	if c := slices.Compare(p.counts[:k.class], p.bestCounts[:k.class]); c != 0 {
		return c > 0
	}
	least := p.counts[k.class] + p.neededOf(at, k)
	if least != p.bestCounts[k.class] {
		return least > p.bestCounts[k.class]
	}
	return k.last && p.waste(true) >= p.bestWaste
}

// neededOf is the least number of further victims of a class, if all lower ones were victims: no slot of it gives more in
// a dimension than its greatest.
func (p *Planner) neededOf(at int, k *kind) (least int) {
	dims := len(p.lack)
	end := at
	for end < len(p.kinds) && p.kinds[end].class == k.class {
		end++
	}
	for d, lack := range p.lack {
		lack -= p.suffix[end*dims+d]
		if lack <= 0 {
			continue
		}
		var greatest int64
		for _, other := range p.kinds[at:end] {
			greatest = max(greatest, other.each[d])
		}
		if greatest > 0 {
			least = max(least, ceil(lack, greatest, 1<<30))
		}
	}
	return least
}

// waste is what has been freed beyond need; with least, also if what is still lacked were freed to the unit.
func (p *Planner) waste(least bool) (total int64) {
	for d, lack := range p.lack {
		excess := -lack // what was free before counts for nothing
		if p.first[d] < 0 {
			excess += p.first[d]
		}
		if least {
			excess = max(excess, 0)
		}
		total += parts(excess, p.cap[d])
	}
	return total
}

// leaf compares what has been taken with the best.
func (p *Planner) leaf() {
	waste := p.waste(false)
	if p.found {
		if c := cmp.Or(slices.Compare(p.counts, p.bestCounts), cmp.Compare(waste, p.bestWaste)); c >= 0 {
			return
		}
	}
	p.found, p.bestWaste = true, waste
	copy(p.bestCounts, p.counts)
	copy(p.bestTakes, p.takes)
}

// result names the victims: of each kind those of the youngest groups.
func (p *Planner) result(groups []Group) Cost {
	for at := range p.kinds {
		k, n := &p.kinds[at], p.bestTakes[at]
		if n == 0 {
			continue
		}
		if last := len(p.classes) - 1; last >= 0 && p.classes[last].Priority == k.prior {
			p.classes[last].Victims += n
		} else {
			p.classes = append(p.classes, Class{k.prior, n})
		}
		for _, g := range k.groups {
			if count := min(n, groups[g].Evictable); count > 0 {
				p.victims = append(p.victims, Victim{g, count})
				n -= count
			}
		}
	}
	return Cost{Classes: p.classes, Waste: p.bestWaste}
}

// ceil is amount/each rounded up, nothing for what is not positive, and at most a bound.
func ceil(amount, each int64, most int) int {
	if amount <= 0 {
		return 0
	}
	return int(min((amount-1)/each+1, int64(most)))
}

// parts is an amount in parts of 2^20 of a capacity, bounded.
func parts(amount, capacity int64) int64 {
	const most = 1 << 50
	if amount <= 0 || capacity <= 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(amount), 1<<20)
	if high >= uint64(capacity) {
		return most
	}
	quotient, _ := bits.Div64(high, low, uint64(capacity))
	return int64(min(quotient, most))
}

// amountsMax bounds sums.
const amountsMax = int64(1) << 62

func sum(a, b int64) int64 { return min(a+b, amountsMax) }

func product(each int64, n int) int64 {
	if each > 0 && int64(n) > amountsMax/each {
		return amountsMax
	}
	return each * int64(n)
}

func zeros[T int | int64](list []T, n int) []T {
	if cap(list) < n {
		return make([]T, n, 2*n)
	}
	list = list[:n]
	clear(list)
	return list
}
