package backfill

import "iter"

// Calendar holds the reservations of one pass over the waiting demands.
//
// A pass goes: Reset; for each demand in order, if it fits into Room it starts (Start), else it may Reserve; demands behind
// a reservation see only Room. The zero Calendar is ready.
type Calendar struct {
	holds []hold
	first []int32 // by node: 1 + index of its newest hold
	reach reach   // scratch

	timeline *Timeline // what memos are of
	memos    []*memo
	uses     uint64
}

// MaxReservations bounds the demands that have a reservation in one pass.
const MaxReservations = 64

// hold is what one reservation takes of one node.
type hold struct {
	node  int32
	next  int32 // 1 + index of the node's hold before
	at    int64
	taken Amount
	spare Amount // what is free beside all that is reserved at that time
	of    int32  // serial of the reservation
}

// Need is a demand that gets a reservation.
type Need struct {
	Each Amount
	// Count is how many slots it needs at one time: all of a gang, 1 for work that starts slot by slot.
	Count int
	// PerNode is the most of them on one node; 0 for no limit.
	PerNode int
	// Drain asks for a reservation even if it needs the end of slots of which nobody can tell when they end: then it is
	// kept from refilling the nodes where least of them stand in the way. For demands that have waited too long.
	Drain bool
}

// Take is what a reservation takes of one node.
type Take struct {
	Node  int32
	Count int
}

// Reservation is when and where a demand would start.
type Reservation struct {
	// At is Never if it waits for slots of which nobody can tell when they end.
	At    int64
	Takes []Take // by node, ascending
}

// Reset forgets all reservations.
func (c *Calendar) Reset() {
	for _, h := range c.holds {
		c.first[h.node] = 0
	}
	c.holds = c.holds[:0]
}

// Reservations returns how many demands have one.
func (c *Calendar) Reservations() int {
	if len(c.holds) == 0 {
		return 0
	}
	return int(c.holds[len(c.holds)-1].of)
}

// Room returns what of a node's free amount may be used until end: all of it by work that ends no later than what is
// reserved there begins, else what is left beside the reservations.
func (c *Calendar) Room(node int32, free Amount, end int64) Amount {
	for i := c.head(node); i > 0; i = c.holds[i-1].next {
		if h := &c.holds[i-1]; end > h.at || end == Never {
			free.lower(&h.spare)
		}
	}
	return free
}

// Start tells that work that was given Room takes n times each of a node until end.
func (c *Calendar) Start(node int32, each Amount, n int, end int64) {
	for i := c.head(node); i > 0; i = c.holds[i-1].next {
		if h := &c.holds[i-1]; end > h.at || end == Never {
			h.spare.plus(&each, -int64(n))
		}
	}
}

// Reserve keeps room for a demand that does not fit now, at the earliest time at which it will fit on the candidates, beside
// what is reserved before; free tells what is free on a node now. Ties go to the candidate that comes first. It reports
// false, and keeps nothing, if the demand will not fit by the ends that are known, or if there are MaxReservations.
//
// It looks at each candidate once, and at a candidate's running slots only until the time found so far: of n candidates and
// s slots a node at most n*s steps. What it learned of a node it remembers until that node changes, for the last few sizes
// asked for, so that asking again after each event costs about n steps for a single slot. The timeline is to be the same in
// all calls.
func (c *Calendar) Reserve(t *Timeline, need Need, now int64, candidates iter.Seq[int32], free func(node int32) Amount) (Reservation, bool) {
	if need.Count < 1 || c.Reservations() >= MaxReservations {
		return Reservation{At: Never}, false
	}
	r, m := &c.reach, c.memo(t, need.Each)
	r.begin(need, now)
	for node := range candidates {
		avail := free(node)
		for i := c.head(node); i > 0; i = c.holds[i-1].next {
			avail.plus(&c.holds[i-1].taken, -1)
		}
		r.visit(node, &avail, t.on(node), m.of(node))
	}
	if r.total < need.Count {
		return Reservation{At: Never}, false
	}
	res := r.reservation()
	serial := int32(c.Reservations() + 1)
	for _, take := range res.Takes {
		c.hold(take, need.Each, res.At, t.on(take.Node).slots, free(take.Node), serial)
	}
	return res, true
}

// memosMax is for how many sizes a calendar remembers what it learned of the nodes.
const memosMax = 4

// memo returns what is remembered for a size; it takes the place of the one that was used longest ago.
func (c *Calendar) memo(t *Timeline, each Amount) *memo {
	if c.timeline != t {
		c.timeline, c.memos = t, nil
	}
	c.uses++
	oldest := 0
	for i, m := range c.memos {
		if m.each == each {
			m.used = c.uses
			return m
		}
		if m.used < c.memos[oldest].used {
			oldest = i
		}
	}
	m := &memo{each: each, used: c.uses}
	if len(c.memos) < memosMax {
		c.memos = append(c.memos, m)
	} else {
		m.nodes = c.memos[oldest].nodes[:0]
		c.memos[oldest] = m
	}
	return m
}

// hold keeps a take. Spare is what is free then beside all that is reserved on the node; of slots of unknown end only as
// many count as have to go for the take to fit.
func (c *Calendar) hold(take Take, each Amount, at int64, slots []running, free Amount, serial int32) {
	for int(take.Node) >= len(c.first) {
		c.first = append(c.first, 0)
	}
	h := hold{node: take.Node, next: c.first[take.Node], at: at, of: serial}
	h.taken.plus(&each, int64(take.Count))
	for i := h.next; i > 0; i = c.holds[i-1].next {
		o := &c.holds[i-1]
		if o.at <= at {
			free.plus(&o.taken, -1)
		}
		if o.at >= at {
			o.spare.plus(&h.taken, -1)
		}
	}
	for i := range slots {
		if s := &slots[i]; s.end > at || s.end == Never && h.taken.Fits(&free) {
			break
		}
		free.plus(&slots[i].each, 1)
	}
	h.spare = free
	h.spare.plus(&h.taken, -1)
	c.holds = append(c.holds, h)
	c.first[take.Node] = int32(len(c.holds))
}

func (c *Calendar) head(node int32) int32 {
	if int(node) >= len(c.first) {
		return 0
	}
	return c.first[node]
}
