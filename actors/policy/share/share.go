// Package share divides a cell among queues: what each is guaranteed, what it may have of capacity that no quota claims,
// and what it may borrow of quotas that others leave unused; and it says who lends what to whom.
//
// Each dimension (cpu, memory, a device, a named unit) is divided by itself:
//
//  1. A queue is guaranteed what it wants, up to its quota; firm work (monitoring, production) is counted first.
//  2. Capacity that no quota claims goes to firm work beyond its quota, then to queues without a quota, both in equal
//     parts, then to queues with a quota in proportion to it. Firm work keeps what it holds of it, even if that is more
//     than its part has become: it could not be evicted.
//  3. What quotas leave unused is lent: first to queues with a quota, in proportion to it, then to those without, in
//     equal parts. Only loose work (batch, free) may borrow, so that all that is lent can be taken back by eviction.
//
// No queue gets more than it wants, nor more than its maximum. Nothing that somebody may use is left over. Quotas that
// promise more than the cell has stand as they are: who comes first is then decided by priority, nothing is unclaimed,
// and only what is really there is lent. In a dimension in which no queue has a quota nothing is limited but by a
// maximum.
//
// What a queue wants is what it holds and what it waits for. So a grant changes nothing in a division, and the answer
// of Fits stays right between two calls of Divide. What could not be placed even in an empty cell should not be counted
// as wanted: a quota would be kept for it in vain.
//
// It is pure: no clock, no chance, no order of a map. A Division belongs to one goroutine.
package share

import (
	"time"

	"github.com/troupe-sched/troupe/actors/model"
)

// Queue is the place of a queue in a division. It holds until the queue is removed.
type Queue int32

// NoQueue is no queue. As a lender it stands for the cell: capacity that no quota promised to anybody.
const NoQueue Queue = -1

// Unset is a quota or a maximum that is not given.
const Unset int64 = -1

// Limits of a division.
const (
	// QueuesMax is the most queues.
	QueuesMax = 4096
	// amountMax bounds every amount, given or added up: sums stop there. An exabyte, a thousand million million cores.
	amountMax = int64(1) << 60
	// unlimited is what may be held where nothing limits.
	unlimited = int64(1) << 62
)

// Tenure says whether work may hold what is lent.
type Tenure uint8

// The tenures.
const (
	// Firm work is never evicted, so it must not borrow.
	Firm Tenure = iota
	// Loose work may borrow, and lose it again.
	Loose
)

// TenureOf is the tenure of a band.
func TenureOf(b model.Band) Tenure {
	if b <= model.Production {
		return Firm
	}
	return Loose
}

// Division is the accounts of all queues in all dimensions.
type Division struct {
	dims    []dimension
	queues  []string // by Queue; "" where vacant
	index   map[string]Queue
	vacant  []Queue
	leaving []Queue // removed; vacant when their loans have ended
	limited int     // dimensions in which anything is limited
	scratch scratch
}

// dimension is the column of one resource.
type dimension struct {
	name     string
	capacity int64
	accounts []account // by Queue
	quotas   int       // queues with a quota
	limits   int       // quotas and maxima
	loans    []Loan    // by borrower, then lender
	// wants: somebody wants more or less, or limits have changed. holds: somebody holds more or less.
	wants, holds bool
	// open: nothing limits, and all accounts say so.
	open bool
}

// account is one queue in one dimension.
type account struct {
	quota, max int64
	held       [2]int64 // by Tenure
	waits      [2]int64
	// The division: own is guaranteed and unclaimed together, firm the part of it that is for firm work.
	guaranteed, firm, own, credit int64
	lent, borrowed                int64
}

// fresh is the account of a queue that nothing limits.
var fresh = account{quota: Unset, max: Unset, firm: unlimited, own: unlimited}

func (a *account) holds() int64 { return add(a.held[Firm], a.held[Loose]) }

// New is a division without queues and without capacity. Amounts of all its methods are in the order of the dimensions;
// those that are missing at the end are nothing. The names are for people.
func New(dimensions ...string) *Division {
	d := &Division{index: map[string]Queue{}, dims: make([]dimension, len(dimensions))}
	for i, name := range dimensions {
		d.dims[i].name = name
	}
	return d
}

// Add finds or adds a queue, without quota and maximum. It returns NoQueue when there are QueuesMax.
func (d *Division) Add(name string) Queue {
	if q, known := d.index[name]; known {
		return q
	}
	q := Queue(len(d.queues))
	if last := len(d.vacant) - 1; last >= 0 {
		q = d.vacant[last]
		d.vacant = d.vacant[:last]
		d.queues[q] = name
	} else if len(d.queues) == QueuesMax {
		return NoQueue
	} else {
		d.queues = append(d.queues, name)
	}
	d.index[name] = q
	for i := range d.dims {
		dim := &d.dims[i]
		if int(q) == len(dim.accounts) {
			dim.accounts = append(dim.accounts, account{})
		}
		dim.accounts[q] = fresh
		dim.wants = true
	}
	return q
}

// Remove forgets a queue with all that it holds and wants.
func (d *Division) Remove(q Queue) {
	d.SetLimits(q, nil, nil)
	delete(d.index, d.queues[q])
	d.leaving = append(d.leaving, q)
	lent := false
	for i := range d.dims {
		dim := &d.dims[i]
		dim.accounts[q] = fresh
		dim.wants = true
		lent = lent || len(dim.loans) > 0
	}
	if !lent { // else its name is still needed, until Divide has ended its loans
		d.vacate()
	}
}

func (d *Division) vacate() {
	for _, q := range d.leaving {
		d.queues[q] = ""
		d.vacant = append(d.vacant, q)
	}
	d.leaving = d.leaving[:0]
}

// Find finds a queue by name.
func (d *Division) Find(name string) (Queue, bool) {
	q, known := d.index[name]
	if !known {
		return NoQueue, false
	}
	return q, true
}

// Name is the name of a queue; empty for NoQueue.
func (d *Division) Name(q Queue) string {
	if q == NoQueue {
		return ""
	}
	return d.queues[q]
}

// SetCapacity says what the cell has.
func (d *Division) SetCapacity(amounts []int64) {
	for i := range d.dims {
		if c := clamp(at(amounts, i, 0)); c != d.dims[i].capacity {
			d.dims[i].capacity, d.dims[i].wants = c, true
		}
	}
}

// SetLimits gives a queue its quota, and a maximum that it never passes, borrowed or not. What is negative or missing is
// Unset. A quota of nothing is none of its own, yet it makes the dimension one that is divided.
func (d *Division) SetLimits(q Queue, quota, max []int64) {
	d.limited = 0
	for i := range d.dims {
		dim := &d.dims[i]
		a := &dim.accounts[q]
		dim.count(a, -1)
		a.quota, a.max = limit(at(quota, i, Unset)), limit(at(max, i, Unset))
		dim.count(a, +1)
		dim.wants = true
		if dim.limits > 0 {
			d.limited++
		}
	}
}

func (dim *dimension) count(a *account, sign int) {
	if a.quota >= 0 {
		dim.quotas += sign
		dim.limits += sign
	}
	if a.max >= 0 {
		dim.limits += sign
	}
}

// Limited reports whether any queue has any quota or maximum. If none has, all else can be left out.
func (d *Division) Limited() bool { return d.limited > 0 }

// Wait adds n slots of a size to what a queue waits for; a negative n takes them off.
func (d *Division) Wait(q Queue, t Tenure, each []int64, n int64) {
	for i := range d.dims {
		if amount := times(at(each, i, 0), n); amount != 0 {
			w := &d.dims[i].accounts[q].waits[t]
			*w = shift(*w, amount)
			d.dims[i].wants = true
		}
	}
}

// Hold adds n slots of a size to what a queue holds; a negative n takes them off.
func (d *Division) Hold(q Queue, t Tenure, each []int64, n int64) {
	for i := range d.dims {
		if amount := times(at(each, i, 0), n); amount != 0 {
			h := &d.dims[i].accounts[q].held[t]
			*h = shift(*h, amount)
			d.dims[i].wants = true
		}
	}
}

// Grant turns n slots that a queue waits for into slots that it holds. It wants the same as before, so that within its
// room the division stays as it is.
func (d *Division) Grant(q Queue, t Tenure, each []int64, n int64) {
	for i := range d.dims {
		if amount := times(at(each, i, 0), n); amount != 0 {
			dim := &d.dims[i]
			a := &dim.accounts[q]
			more := a.waits[t] < amount // than it asked for
			a.waits[t], a.held[t] = shift(a.waits[t], -amount), shift(a.held[t], amount)
			dim.wants = dim.wants || more || a.held[Firm] > a.firm // or than it may, and firm work keeps it
			dim.holds = true
		}
	}
}

// Divide brings the division up to date, and writes loans that have come back by now into the ledger (nil for none).
// Dimensions in which nothing has changed, or nothing is limited, cost nothing. Others cost a few passes over the queues; in the worst case, when
// each queue wants a little less than an equal part of what the ones before it leave, one pass a queue.
func (d *Division) Divide(now time.Time, ledger *Ledger) {
	for i := range d.dims {
		dim := &d.dims[i]
		if !dim.open || dim.limits > 0 {
			if dim.wants {
				d.divide(dim)
			}
			if dim.wants || dim.holds {
				d.settle(i, now, ledger)
			}
			dim.open = dim.limits == 0
		}
		dim.wants, dim.holds = false, false
	}
	d.vacate()
}

// Room is how many more slots of one size a queue may take now.
type Room struct {
	// Own are within its quota and what is unclaimed.
	Own int64
	// Borrowed are further ones, on quotas that others leave unused.
	Borrowed int64
	// Yielded are further ones for firm work if loose work of the same queue is evicted for them.
	Yielded int64
}

// RoomMax is the room where nothing limits.
const RoomMax = int64(1) << 40

// Fits says how many more slots of a size a queue may take, as of the last Divide and with all grants since. It does not
// ask whether they fit on any node.
func (d *Division) Fits(q Queue, t Tenure, each []int64) Room {
	own, all, firm := RoomMax, RoomMax, RoomMax
	for i := range d.dims {
		dim, size := &d.dims[i], at(each, i, 0)
		if size <= 0 || dim.limits == 0 {
			continue
		}
		a := &dim.accounts[q]
		held := a.holds()
		own = min(own, max(a.own-held, 0)/size)
		all = min(all, max(a.own+a.credit-held, 0)/size)
		firm = min(firm, max(a.firm-a.held[Firm], 0)/size)
	}
	if t == Loose {
		return Room{Own: own, Borrowed: all - own}
	}
	own = min(own, firm)
	return Room{Own: own, Yielded: firm - own}
}

// Account is what a queue has in one dimension, as of the last Divide.
type Account struct {
	// Quota and Max are Unset where they are not given.
	Quota, Max int64
	// Held is what it holds, Waiting what it wants beyond that.
	Held, Waiting int64
	// Guaranteed is what it may hold of its quota, Unclaimed what it may hold of capacity that no quota claims, Credit
	// what it may borrow. Where nothing limits all are nothing.
	Guaranteed, Unclaimed, Credit int64
	// Allowed is the sum of the three; Unset where nothing limits.
	Allowed int64
	// Borrowed is what it holds beyond its own, be it quota or unclaimed; Lent what others hold of its quota; Over what it
	// holds beyond Allowed, and has to give back when somebody claims it.
	Borrowed, Lent, Over int64
}

// Account is the account of a queue in one dimension.
func (d *Division) Account(q Queue, dimension int) Account {
	dim := &d.dims[dimension]
	a := &dim.accounts[q]
	x := Account{
		Quota: a.quota, Max: a.max, Held: a.holds(), Waiting: add(a.waits[Firm], a.waits[Loose]),
		Guaranteed: a.guaranteed, Unclaimed: a.own - a.guaranteed, Credit: a.credit, Allowed: a.own + a.credit,
		Borrowed: a.borrowed, Lent: a.lent, Over: max(a.holds()-a.own-a.credit, 0),
	}
	if a.own >= unlimited {
		x.Unclaimed, x.Allowed = 0, Unset
	}
	return x
}

// at is the amount in a dimension.
func at(amounts []int64, i int, missing int64) int64 {
	if i < len(amounts) {
		return amounts[i]
	}
	return missing
}

func clamp(amount int64) int64 { return min(max(amount, 0), amountMax) }

func limit(amount int64) int64 { return max(min(amount, amountMax), Unset) }

// add adds two amounts. Both are bounded, so that the sum does not wrap.
func add(a, b int64) int64 { return min(a+b, amountMax) }

// times is n slots of a size, of both signs.
func times(each, n int64) int64 {
	each = clamp(each)
	if each == 0 {
		return 0
	}
	most := amountMax / each
	return each * min(max(n, -most), most)
}

func shift(amount, by int64) int64 { return clamp(amount + by) }
