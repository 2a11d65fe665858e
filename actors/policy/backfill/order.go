package backfill

import (
	"cmp"
	"fmt"
	"math"
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
	// Shortest takes what is expected to run shortest, aged.
	Shortest
	// Smallest takes what is expected to take the least area, duration times share of the cell, aged.
	Smallest
	// Slowdown takes the least duration times square root of share, aged. It is Smith's rule ("Various optimizers for
	// single-stage production", 1956) for the mean slowdown: an hour of waiting costs a demand 1/duration, and serving it
	// costs the others its area, so the least duration * area goes first; the root of that orders alike and ages better.
	Slowdown
)

// OrderNames are the orders as users write them.
var OrderNames = []string{"fair", "fifo", "shortest", "smallest", "slowdown"}

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
	// Share of the cell that it takes, of ShareUnit.
	Share int64
}

// Aging keeps Shortest, Smallest and Slowdown from starving anybody: a demand that has waited n hours counts as one of
// 1/(n+1) its size. So it is overtaken only by demands that are smaller by a factor that grows with its wait, and in the
// end by none. (A threshold instead, as Lelong, Reis and Trystram study in "Tuning EASY-backfilling queues", JSSPP 2017,
// turns any of these orders into first come, first served as soon as the load makes all waits long.)
//
// Waits are counted in whole ticks of the clock, so that keys change only when a tick begins.
const (
	// Tick is how long keys stay as they are.
	Tick = int64(60_000)
	// agingTicks is an hour.
	agingTicks = 60
	// longest is what longer durations count as, three hundred years: a key is one number.
	longest = int64(1) << 43
)

// Key tells which of two demands is looked at first. It changes with the fields of Waiting and, in an order that ages, when
// a Tick begins.
type Key struct {
	first  uint64
	since  int64
	serial uint64
}

// Key returns w's key at that time, which is not before w.Since.
func (o Order) Key(w *Waiting, now int64) Key {
	k := Key{since: w.Since, serial: w.Serial}
	share := uint64(min(max(w.Share, 1), ShareUnit))
	switch o {
	case Fair:
		k.first = w.Turns
		return k
	case FIFO:
		return k
	case Shortest:
		share = 1 << (shareBits / 2)
	case Slowdown:
		share = root(share << shareBits)
	}
	size := uint64(min(max(w.Duration, 1), longest)) * share
	k.first = size / (uint64(max(now/Tick-w.Since/Tick, 0)) + agingTicks)
	return k
}

// Ages reports whether keys of the order change as time goes by.
func (o Order) Ages() bool { return o >= Shortest }

// ChangesAt returns when keys change that were made now: when the next Tick begins, or Never in an order that does not age.
func (o Order) ChangesAt(now int64) int64 {
	if !o.Ages() {
		return Never
	}
	return (now/Tick + 1) * Tick
}

// root returns the square root of x, rounded down.
func root(x uint64) uint64 {
	r := uint64(0)
	for bit := uint64(1) << 31; bit > 0; bit >>= 1 {
		if c := r | bit; c*c <= x {
			r = c
		}
	}
	return r
}

// Key returns in which order demands behind a reservation are tried, if the queue's order gives them the key own. With
// None nobody is tried.
func (f Fill) Key(w *Waiting, own Key) Key {
	if f != ShortestFirst {
		return own
	}
	return Key{first: uint64(w.Duration), since: own.since, serial: own.serial}
}

// Compare returns a negative number if k goes first, a positive one if o does, and 0 for one key alone.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.first, o.first), cmp.Compare(k.since, o.since), cmp.Compare(k.serial, o.serial))
}
