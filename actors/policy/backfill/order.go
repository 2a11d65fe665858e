package backfill

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
)

// Never is the time of what is not expected to happen, and the duration of what nobody can tell.
const Never = int64(math.MaxInt64)

// After returns the time a duration after start; Never if either is Never or the sum is too large.
func After(start, duration int64) int64 {
	if start > Never-duration {
		return Never
	}
	return start + duration
}

// Order is the order in which waiting demands of one priority are looked at.
type Order uint8

// The orders.
const (
	// Fair lets jobs take turns: least turns had first.
	Fair Order = iota
	// FIFO takes what has waited longest.
	FIFO
	// Shortest takes what is expected to run shortest.
	Shortest
	// Smallest takes what is expected to take the least area: duration times share of the cell.
	Smallest
)

// OrderNames are the orders as users write them.
var OrderNames = []string{"fair", "fifo", "shortest", "smallest"}

// ParseOrder returns the order of that name; none means fair.
func ParseOrder(name string) (Order, error) {
	i, err := parse("order", name, OrderNames)
	return Order(i), err
}

// String returns the order's name.
func (o Order) String() string { return OrderNames[o] }

// Fill is how demands behind a reservation are tried.
type Fill uint8

// The ways to fill.
const (
	// EASY tries them in the queue's order.
	EASY Fill = iota
	// ShortestFirst tries what is expected to run shortest first (SJBF: Tsafrir, Etsion and Feitelson, "Backfilling using
	// system-generated predictions rather than user runtime estimates", TPDS 2007).
	ShortestFirst
	// None tries none of them: strict order.
	None
)

// FillNames are the ways to fill as users write them.
var FillNames = []string{"easy", "shortest", "none"}

// ParseFill returns the way of that name; none means easy.
func ParseFill(name string) (Fill, error) {
	i, err := parse("backfill", name, FillNames)
	return Fill(i), err
}

// String returns the name of the way.
func (f Fill) String() string { return FillNames[f] }

func parse(field, name string, names []string) (int, error) {
	if name == "" {
		return 0, nil
	}
	for i, n := range names {
		if n == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%s: %q is not known; there are %q", field, name, names)
}

// Waiting is what orders see of one demand.
type Waiting struct {
	// Since is when it began to wait.
	Since int64
	// Serial is unique and grows with submission; it decides ties.
	Serial uint64
	// Turns that its job has had, for Fair.
	Turns uint64
	// Duration that it is expected to run; Never if nobody can tell.
	Duration int64
	// Share of the cell that it takes, of ShareUnit, at least 1.
	Share int64
}

// Patience bounds how long Shortest and Smallest may let a demand wait for others that came later: after it the demand
// goes ahead of all that are not late themselves, and late ones go by Since. Lelong, Reis and Trystram ("Tuning
// EASY-backfilling queues", JSSPP 2017) show that such a threshold keeps most of the gain and takes the starvation.
const Patience = int64(72 * 3600 * 1000)

// LateAt returns when w will be late.
func (w *Waiting) LateAt() int64 { return After(w.Since, Patience) }

// Key tells which of two demands is looked at first. It changes at LateAt and with the fields of Waiting, and at no other
// time, so that a sorted list of keys stays sorted while time goes by.
type Key struct {
	group  uint8 // 0 is late
	hi, lo uint64
	since  int64
	serial uint64
}

// Key returns w's key at that time.
func (o Order) Key(w *Waiting, now int64) Key {
	k := Key{group: 1, since: w.Since, serial: w.Serial}
	switch o {
	case Fair:
		k.lo = w.Turns
		return k
	case FIFO:
		return k
	case Shortest:
		k.lo = uint64(w.Duration)
	case Smallest:
		k.hi, k.lo = bits.Mul64(uint64(w.Duration), uint64(max(w.Share, 1)))
	}
	if now >= w.LateAt() {
		k.group, k.hi, k.lo = 0, 0, 0
	}
	return k
}

// Key returns in which order demands behind a reservation are tried, if the queue's order gives them the key own. With
// None nobody is tried.
func (f Fill) Key(w *Waiting, own Key) Key {
	if f != ShortestFirst {
		return own
	}
	return Key{lo: uint64(w.Duration), since: own.since, serial: own.serial}
}

// Compare returns a negative number if k goes first, a positive one if o does, and 0 for one key alone.
func (k Key) Compare(o Key) int {
	return cmp.Or(
		cmp.Compare(k.group, o.group), cmp.Compare(k.hi, o.hi), cmp.Compare(k.lo, o.lo),
		cmp.Compare(k.since, o.since), cmp.Compare(k.serial, o.serial),
	)
}
