package backfill

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// world is a few nodes with running slots, as plain as can be.
type world struct {
	capacity []Amount
	slots    []worldSlot
	takes    []worldTake
	timeline Timeline
	calendar Calendar
	nextID   uint64
}

type worldSlot struct {
	node int32
	id   uint64
	each Amount
	end  int64
}

type worldTake struct {
	Take
	each Amount
	at   int64
}

// free is what a node has left at a time, by what is known to run then.
func (w *world) free(node int32, at int64) Amount {
	a := w.capacity[node]
	for _, s := range w.slots {
		if s.node == node && (s.end > at || s.end == Never) {
			a.plus(&s.each, -1)
		}
	}
	return a
}

func (w *world) now(node int32) Amount { return w.free(node, -1) }

func (w *world) start(node int32, each Amount, end int64) {
	w.nextID++
	w.slots = append(w.slots, worldSlot{node, w.nextID, each, end})
	w.timeline.Add(node, w.nextID, each, end)
}

// earliest tries every time at which anything ends. Everything that is reserved is held from now on.
func (w *world) earliest(need Need) int64 {
	times := []int64{-1}
	for _, s := range w.slots {
		if s.end != Never {
			times = append(times, s.end)
		}
	}
	slices.Sort(times)
	for _, at := range times {
		sum := 0
		for node := range w.capacity {
			a := w.free(int32(node), at)
			for _, t := range w.takes {
				if t.Node == int32(node) {
					a.plus(&t.each, -int64(t.Count))
				}
			}
			k := 0
			for k < need.Count && (need.PerNode == 0 || k < need.PerNode) {
				if a.plus(&need.Each, -1); a[0] < 0 || need.Each[1] > 0 && a[1] < 0 {
					break
				}
				k++
			}
			sum += k
		}
		if sum >= need.Count {
			return max(at, 0)
		}
	}
	return Never
}

// broken returns a time and a node at which more is held than is there, if what is reserved starts as promised.
func (w *world) broken() (at int64, node int32, ok bool) {
	times := []int64{0}
	for _, s := range w.slots {
		times = append(times, s.end)
	}
	for _, t := range w.takes {
		times = append(times, t.at)
	}
	for _, at := range times {
		for node := range w.capacity {
			a := w.free(int32(node), at)
			for _, t := range w.takes {
				if t.Node == int32(node) && t.at <= at && t.at != Never {
					a.plus(&t.each, -int64(t.Count))
				}
			}
			if a[0] < 0 || a[1] < 0 {
				return at, int32(node), true
			}
		}
	}
	return 0, 0, false
}

func drawWorld(r *rand.Rand) *world {
	w := &world{}
	for range 1 + r.IntN(4) {
		w.capacity = append(w.capacity, Amount{0: 2 + r.Int64N(8), 1: 2 + r.Int64N(8)})
	}
	for range r.IntN(14) {
		node := int32(r.IntN(len(w.capacity)))
		each := drawEach(r)
		free := w.now(node)
		if !each.Fits(&free) {
			continue
		}
		end := r.Int64N(12)
		if r.IntN(8) == 0 {
			end = Never
		}
		w.start(node, each, end)
	}
	return w
}

func drawEach(r *rand.Rand) Amount {
	if r.IntN(4) == 0 {
		return Amount{0: 1 + r.Int64N(8), 1: r.Int64N(8)}
	}
	return Amount{0: 1 + r.Int64N(3), 1: r.Int64N(3)}
}

func (w *world) nodes(yield func(int32) bool) {
	for node := range w.capacity {
		if !yield(int32(node)) {
			return
		}
	}
}

// TestF23_ReservationIsTheEarliest compares with a search over all times, also behind other reservations and for gangs.
func TestF23_ReservationIsTheEarliest(t *testing.T) {
	for seed := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := drawWorld(r)
		for range 3 {
			need := Need{Each: drawEach(r), Count: 1 + r.IntN(4), PerNode: r.IntN(3)}
			if r.IntN(2) == 0 {
				need.Count = 1
			}
			want := w.earliest(need)
			res, ok := w.calendar.Reserve(&w.timeline, need, 0, w.nodes, w.now)
			if ok != (want != Never) || res.At != want {
				t.Fatalf("seed %d: need %+v: reserved at %d (%v), can start at %d", seed, need, res.At, ok, want)
			}
			sum := 0
			for _, take := range res.Takes {
				if sum += take.Count; need.PerNode > 0 && take.Count > need.PerNode {
					t.Fatalf("seed %d: %+v takes more than %d of a node", seed, res, need.PerNode)
				}
				w.takes = append(w.takes, worldTake{take, need.Each, res.At})
			}
			if ok && sum != need.Count {
				t.Fatalf("seed %d: %+v reserves %d, not %d", seed, res, sum, need.Count)
			}
			if at, node, broken := w.broken(); broken {
				t.Fatalf("seed %d: reservations %+v hold more of node %d at %d than is there", seed, w.takes, node, at)
			}
		}
	}
}

// TestF24_NoBackfilledStartDelaysAReservation starts whatever Room allows behind up to three reservations: all of them can
// still start as promised, and Room refuses nothing that would keep the promises.
func TestF24_NoBackfilledStartDelaysAReservation(t *testing.T) {
	started, refused := 0, 0
	for seed := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, 2))
		w := drawWorld(r)
		for range 20 {
			node := int32(r.IntN(len(w.capacity)))
			each := drawEach(r)
			end := 1 + r.Int64N(14)
			if len(w.takes) < 6 && r.IntN(4) == 0 {
				need := Need{Each: each, Count: 1 + r.IntN(3)}
				if res, ok := w.calendar.Reserve(&w.timeline, need, 0, w.nodes, w.now); ok && res.At > 0 {
					for _, take := range res.Takes {
						w.takes = append(w.takes, worldTake{take, each, res.At})
					}
				} else if ok {
					break // it can start: a pass would not reserve
				}
				continue
			}
			free := w.now(node)
			if !each.Fits(&free) {
				continue
			}
			before := len(w.slots)
			room := w.calendar.Room(node, free, end)
			may := each.Fits(&room)
			w.start(node, each, end)
			_, _, broken := w.broken()
			if may == broken {
				t.Fatalf("seed %d: node %d, %v until %d beside %+v: room %v, breaks a promise: %v", seed, node, each, end, w.takes, room, broken)
			}
			if may {
				w.calendar.Start(node, each, 1, end)
				started++
				continue
			}
			refused++
			w.timeline.Remove(node, w.nextID)
			w.slots = w.slots[:before]
		}
	}
	if started < 1000 || refused < 1000 {
		t.Errorf("%d started and %d refused: the test shows nothing", started, refused)
	}
}

// TestF23_WhatIsRememberedIsTrue asks one calendar again and again while slots come, go and move, and a fresh one each time.
func TestF23_WhatIsRememberedIsTrue(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 3))
		w := drawWorld(r)
		sizes := []Amount{{1, 1}, {3, 0}, {2, 4}, {5, 5}, {8, 1}, {1}}
		now := int64(0)
		for range 60 {
			switch node := int32(r.IntN(len(w.capacity))); {
			case r.IntN(3) == 0 && len(w.slots) > 0:
				i := r.IntN(len(w.slots))
				s := w.slots[i]
				if w.slots = slices.Delete(w.slots, i, i+1); !w.timeline.Remove(s.node, s.id) {
					t.Fatalf("seed %d: slot %d is not there", seed, s.id)
				}
			case r.IntN(3) == 0 && len(w.slots) > 0:
				s := &w.slots[r.IntN(len(w.slots))]
				s.end = now + r.Int64N(20)
				w.timeline.Move(s.node, s.id, s.end)
			case r.IntN(8) == 0:
				w.capacity[node][r.IntN(2)]++ // what is free changes, no slot does
			default:
				if each, free := drawEach(r), w.now(node); each.Fits(&free) {
					w.start(node, each, now+r.Int64N(20))
				}
			}
			now += r.Int64N(2)
			w.calendar.Reset()
			var fresh Calendar
			for range 1 + r.IntN(3) {
				need := Need{Each: sizes[r.IntN(len(sizes))], Count: 1 + r.IntN(2)*r.IntN(4), PerNode: r.IntN(3), Drain: r.IntN(3) == 0}
				got, ok1 := w.calendar.Reserve(&w.timeline, need, now, w.nodes, w.now)
				want, ok2 := fresh.Reserve(&w.timeline, need, now, w.nodes, w.now)
				if ok1 != ok2 || got.At != want.At || !slices.Equal(got.Takes, want.Takes) {
					t.Fatalf("seed %d at %d: %+v: %+v (%v), a fresh calendar says %+v (%v)", seed, now, need, got, ok1, want, ok2)
				}
			}
		}
	}
}

// TestF23_DrainKeepsANodeForALateDemand has slots of which nobody knows when they end: without Drain nothing can be
// reserved; with it the node is chosen where the fewest of them are in the way, and refilled no more by their like.
func TestF23_DrainKeepsANodeForALateDemand(t *testing.T) {
	w := &world{capacity: []Amount{{8, 8}, {8, 8}}}
	for range 4 {
		w.start(0, Amount{2}, Never)
	}
	w.start(1, Amount{4}, Never)
	w.start(1, Amount{2}, Never)
	w.start(1, Amount{1}, 100)
	need := Need{Each: Amount{6}, Count: 1}
	if res, ok := w.calendar.Reserve(&w.timeline, need, 0, w.nodes, w.now); ok || res.At != Never {
		t.Fatalf("reserved %+v though nobody knows when", res)
	}
	need.Drain = true
	res, ok := w.calendar.Reserve(&w.timeline, need, 0, w.nodes, w.now)
	if !ok || res.At != Never || !slices.Equal(res.Takes, []Take{{Node: 1, Count: 1}}) {
		t.Fatalf("reserved %+v (%v), want node 1", res, ok)
	}
	for _, test := range []struct {
		node int32
		end  int64
		each int64
		want bool
	}{
		{1, Never, 1, false}, // would stand in the way
		{1, 1000, 1, true},   // ends some day
		{0, Never, 1, true},  // is elsewhere
	} {
		room := w.calendar.Room(test.node, Amount{1, 8}, test.end)
		if each := (Amount{test.each}); each.Fits(&room) != test.want {
			t.Errorf("%+v: room %v", test, room)
		}
	}
}

func TestF23_LimitsOfACalendar(t *testing.T) {
	w := &world{capacity: []Amount{{1000, 1000}}}
	w.start(0, Amount{1000}, 5)
	for range MaxReservations {
		if _, ok := w.calendar.Reserve(&w.timeline, Need{Each: Amount{1}, Count: 1}, 0, w.nodes, w.now); !ok {
			t.Fatal("refused below the limit")
		}
	}
	if _, ok := w.calendar.Reserve(&w.timeline, Need{Each: Amount{1}, Count: 1}, 0, w.nodes, w.now); ok || w.calendar.Reservations() != MaxReservations {
		t.Error("more reservations than the limit")
	}
	w.calendar.Reset()
	if room := w.calendar.Room(0, Amount{7}, Never); w.calendar.Reservations() != 0 || room != (Amount{7}) {
		t.Errorf("after a reset: %d reservations, room %v", w.calendar.Reservations(), room)
	}
	if _, ok := w.calendar.Reserve(&w.timeline, Need{Each: Amount{1}}, 0, w.nodes, w.now); ok {
		t.Error("a demand of nothing has a reservation")
	}
	w.timeline.Clear(0)
	if w.timeline.Len(0) != 0 || w.timeline.Remove(0, 1) || w.timeline.Move(7, 1, 1) {
		t.Error("a cleared node, or one that never was, has slots")
	}
}
