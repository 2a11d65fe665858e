// Package stream is the pure part of the agent protocol that both sides share: numbered items that are sent until they
// are acknowledged, taken in order exactly once, over a fabric that may lose, double, delay and reorder messages.
// One Outbox and one Inbox belong to one session; a new session starts with fresh ones.
package stream

// Outbox numbers items from 1 and keeps them until they are acknowledged.
type Outbox[T any] struct {
	items []T
	acked uint64 // number of the last item acknowledged; items[0] is acked+1
	sent  int    // how many of items have been sent since the last Rewind
	max   int
}

// NewOutbox makes an Outbox that holds at most max unacknowledged items.
func NewOutbox[T any](max int) *Outbox[T] { return &Outbox[T]{max: max} }

// Push adds an item. It returns false, and adds nothing, when max items wait: the session must start again.
func (o *Outbox[T]) Push(item T) bool {
	if len(o.items) >= o.max {
		return false
	}
	o.items = append(o.items, item)
	return true
}

// Len is the number of unacknowledged items.
func (o *Outbox[T]) Len() int { return len(o.items) }

// Ack forgets items up to number n. Numbers never given, or acknowledged before, change nothing.
func (o *Outbox[T]) Ack(n uint64) (progress bool) {
	if n <= o.acked || n > o.acked+uint64(len(o.items)) {
		return false
	}
	k := int(n - o.acked)
	clear(o.items[:k])
	o.items = o.items[k:]
	o.acked = n
	o.sent = max(o.sent-k, 0)
	if len(o.items) == 0 {
		o.items = nil
	}
	return true
}

// Next returns at most limit items that were not sent yet and the number of the first; none if all were.
// The slice is the caller's.
func (o *Outbox[T]) Next(limit int) (first uint64, items []T) {
	n := min(len(o.items)-o.sent, limit)
	if n <= 0 {
		return 0, nil
	}
	first = o.acked + uint64(o.sent) + 1
	items = append(items, o.items[o.sent:o.sent+n]...)
	o.sent += n
	return first, items
}

// Rewind makes Next begin again with the oldest unacknowledged item: nothing was heard for too long.
func (o *Outbox[T]) Rewind() { o.sent = 0 }

// Inbox knows the last item taken in order.
type Inbox struct{ taken uint64 }

// Take says what to do with n items numbered from first: skip the first so many, which were taken before, and handle
// the rest; ok is false when items are missing in between, and then nothing is taken: the sender will send again.
func (i *Inbox) Take(first uint64, n int) (skip int, ok bool) {
	if n == 0 || first == 0 {
		return n, true
	}
	if first > i.taken+1 {
		return 0, false
	}
	last := first + uint64(n) - 1
	if last <= i.taken {
		return n, true
	}
	skip = int(i.taken + 1 - first)
	i.taken = last
	return skip, true
}

// Taken is the number to acknowledge.
func (i *Inbox) Taken() uint64 { return i.taken }

// Held is one entry of what an agent holds, for comparing both sides' views.
type Held struct {
	Slot, Fence uint64
	// Ended: the attempt has ended and its end is not settled yet.
	Ended bool
}

// Digest hashes held, which must be sorted by slot and fence; never 0.
func Digest(held []Held) uint64 {
	h := uint64(14695981039346656037) // FNV-1a, 64 bits
	mix := func(v uint64) {
		for range 8 {
			h = (h ^ (v & 0xff)) * 1099511628211
			v >>= 8
		}
	}
	for _, e := range held {
		mix(e.Slot)
		mix(e.Fence)
		if e.Ended {
			mix(1)
		} else {
			mix(0)
		}
	}
	return h | 1
}
