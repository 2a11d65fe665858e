package placer

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/troupe-sched/troupe/actors/policy/place"
	"github.com/troupe-sched/troupe/actors/policy/share"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// remedies are changes that would each place one more slot, or a whole gang.
func (a *Actor) remedies(e *v1.StageExplain, d *demand, x *place.Explanation) []string {
	list := x.Remedies
	if d != nil && a.atOnce(d) > 1 {
		list = a.gather(d)
	}
	switch e.GetWaitsFor() {
	case waitsStarting:
		return nil // nothing has to change
	case waitsQuota, waitsMax:
		list = both(a.returns(d), list)
	case waitsMaxSlots:
		list = both([]string{fmt.Sprintf("queue %s gets a limit of more than %d slots", d.ID.Queue, d.queue.slots())}, list)
	}
	return list[:min(len(list), place.MaxRemedies)]
}

// both are the changes of two kinds of which one of each is needed; if only one kind is, those.
func both(limits, room []string) []string {
	if len(room) == 0 || len(limits) == 0 {
		return slices.Concat(limits, room)
	}
	list := make([]string, len(limits))
	for i, text := range limits {
		list[i] = text + ", and for room: " + room[0]
	}
	return list
}

func (q *queue) slots() uint64 {
	if q.plan == nil {
		return 0
	}
	return q.plan.MaxSlots
}

// gather says what a gang lacks that has no room as a whole.
func (a *Actor) gather(d *demand) []string {
	all := int(a.atOnce(d))
	if most := sort.Search(all, func(n int) bool { return !a.fleet.Possible(d.slots, n+1) }); most < all {
		return []string{fmt.Sprintf("the nodes that it may use hold at most %d of its %d slots at one time even when nothing else is there: fewer or smaller instances, or more nodes",
			most, all)}
	}
	now := 0
	for _, f := range a.fleet.Place(d.slots, place.Ask{Slots: all}, nil) {
		now += f.Count
		a.fleet.Give(d.slots, f.Node, d.slots.Slots(f))
	}
	if now >= all {
		return nil
	}
	return []string{fmt.Sprintf("room for %d of its %d slots is there now: it starts when there is room for %d more at the same time", now, all, all-now)}
}

// returns says what others would have to give back, or the queue to be promised, for what a demand gets next: what is
// needed together in one.
func (a *Actor) returns(d *demand) (list []string) {
	firm := share.TenureOf(d.Priority.Band) == share.Firm
	var ceiling, lenders, quota, more []string
	lent := true // what others have borrowed would do
	for i, each := range d.counted.each {
		x := a.accounts.Account(d.queue.part, i)
		allowed, need := x.Allowed, x.Held+each*a.atOnce(d)
		if firm && allowed != share.Unset {
			allowed = x.Guaranteed + x.Unclaimed // what is lent is not for it
		}
		if each == 0 || allowed == share.Unset || need <= allowed {
			continue
		}
		name := a.dimension(i)
		if x.Max != share.Unset && need > x.Max {
			ceiling = append(ceiling, amount(i, need-x.Max, name))
			if allowed >= x.Max {
				continue
			}
		}
		most, who := a.mostBorrowed(d.queue, i)
		if lent = lent && most >= need-allowed && (!firm || x.Quota != share.Unset && need <= x.Quota); lent {
			lenders = append(lenders, fmt.Sprintf("queue %s returns %s", who, amount(i, need-allowed, name)))
		}
		if x.Quota == share.Unset {
			quota = append(quota, amount(i, need, name))
		} else if need > x.Quota {
			more = append(more, amount(i, need-x.Quota, name))
		}
	}
	say := func(format string, amounts []string) (parts []string) {
		if len(amounts) > 0 {
			parts = []string{fmt.Sprintf(format, d.ID.Queue, strings.Join(amounts, " and "))}
		}
		return parts
	}
	raised := say("the maximum of queue %s is %s higher", ceiling)
	promised := slices.Concat(say("queue %s gets a quota of %s", quota), say("the quota of queue %s is %s higher", more))
	if lent && len(lenders) > 0 {
		list = append(list, strings.Join(slices.Concat(raised, lenders), " and "))
	}
	if len(promised) > 0 || len(lenders) == 0 && len(raised) > 0 {
		list = append(list, strings.Join(slices.Concat(raised, promised), " and "))
	}
	return list
}

// mostBorrowed is the queue beside q that has borrowed most in a dimension.
func (a *Actor) mostBorrowed(q *queue, dimension int) (most int64, who string) {
	for _, name := range slices.Sorted(maps.Keys(a.queues)) { //order: sorted
		if other := a.queues[name]; other != q && other.part != share.NoQueue {
			if b := a.accounts.Account(other.part, dimension).Borrowed; b > most {
				most, who = b, name
			}
		}
	}
	return most, who
}
