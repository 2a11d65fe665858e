package backfill

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// gangWorld is a cell in which demands come, some of them gangs or as large as a node, and wait in the order in which they
// came. Durations are upper bounds, as stated ones are.
type gangWorld struct {
	world
	now      int64
	coming   []gangDemand
	waiting  []gangDemand
	ends     []gangEnd
	promised map[int]int64 // by demand: its reservation while it was first
	started  map[int]int64
	keep     bool // reservations are kept
	broken   int  // demands that started after what was promised
}

type gangDemand struct {
	id    int
	at    int64
	need  Need
	takes int64 // stated
	runs  int64 // in truth
}

type gangEnd struct {
	at   int64
	slot uint64
}

func drawGangWorld(seed uint64, keep bool) *gangWorld {
	r := rand.New(rand.NewPCG(seed, 11))
	g := &gangWorld{promised: map[int]int64{}, started: map[int]int64{}, keep: keep}
	for range 2 + r.IntN(5) {
		g.capacity = append(g.capacity, Amount{4 + r.Int64N(5), 8})
	}
	at := int64(0)
	for id := range 120 {
		d := gangDemand{id: id, at: at, need: Need{Each: Amount{1 + r.Int64N(2), r.Int64N(3)}, Count: 1}, takes: 1 + r.Int64N(40)}
		switch r.IntN(12) {
		case 0:
			d.need.Count = 2 + r.IntN(2*len(g.capacity))
		case 1:
			d.need.Each = Amount{4, 4}
		}
		d.runs = 1 + r.Int64N(d.takes)
		g.coming = append(g.coming, d)
		at += r.Int64N(6)
	}
	return g
}

// play runs until nothing comes and nothing ends any more.
func (g *gangWorld) play(t *testing.T) {
	for len(g.coming) > 0 || len(g.ends) > 0 {
		next := Never
		if len(g.coming) > 0 {
			next = g.coming[0].at
		}
		for _, e := range g.ends {
			next = min(next, e.at)
		}
		g.now = next
		g.ends = slices.DeleteFunc(g.ends, func(e gangEnd) bool {
			if e.at > g.now {
				return false
			}
			i := slices.IndexFunc(g.slots, func(s worldSlot) bool { return s.id == e.slot })
			if !g.timeline.Remove(g.slots[i].node, e.slot) {
				t.Fatalf("slot %d is not there", e.slot)
			}
			g.slots = slices.Delete(g.slots, i, i+1)
			return true
		})
		for len(g.coming) > 0 && g.coming[0].at <= g.now {
			g.waiting = append(g.waiting, g.coming[0])
			g.coming = g.coming[1:]
		}
		g.pass()
	}
}

func (g *gangWorld) pass() {
	g.calendar.Reset()
	first := true
	g.waiting = slices.DeleteFunc(g.waiting, func(d gangDemand) bool {
		if g.tries(d) {
			return true
		}
		if g.keep && g.calendar.Reservations() < 3 || first {
			res, ok := g.calendar.Reserve(&g.timeline, d.need, g.now, g.nodes, g.world.now)
			if !g.keep {
				g.calendar.Reset()
			}
			if before, told := g.promised[d.id]; ok && first && (!told || res.At < before) {
				g.promised[d.id] = res.At
			} else if first && told && res.At > before {
				g.broken++
			}
		}
		first = false
		return false
	})
}

// tries starts all slots of a demand, or none.
func (g *gangWorld) tries(d gangDemand) bool {
	end := g.now + d.takes
	before, ids := len(g.slots), g.nextID
	left := d.need.Count
	for node := range int32(len(g.capacity)) {
		room := g.calendar.Room(node, g.world.now(node), end)
		for ; left > 0 && d.need.Each.Fits(&room); left-- {
			room.plus(&d.need.Each, -1)
			g.start(node, d.need.Each, end)
		}
	}
	if left > 0 {
		for _, s := range g.slots[before:] {
			g.timeline.Remove(s.node, s.id)
		}
		g.slots, g.nextID = g.slots[:before], ids
		return false
	}
	for _, s := range g.slots[before:] {
		g.calendar.Start(s.node, s.each, 1, end)
		g.ends = append(g.ends, gangEnd{g.now + d.runs, s.id})
	}
	g.started[d.id] = g.now
	return true
}

// TestF23_LargeAndGangsAreNotStarvedBySmall lets three demands have reservations: what was first in line starts no later
// than it was once promised, however much small work comes. Without reservations it is passed again and again.
func TestF23_LargeAndGangsAreNotStarvedBySmall(t *testing.T) {
	promised, passed := 0, 0
	for seed := range uint64(60) {
		for _, keep := range []bool{true, false} {
			g := drawGangWorld(seed, keep)
			g.play(t)
			late := g.broken
			for id, at := range g.promised { //order: only counted
				if g.started[id] > at {
					late++
				}
			}
			if keep {
				if promised += len(g.promised); late > 0 {
					t.Errorf("seed %d: %d promises broken of %d", seed, late, len(g.promised))
				}
				if len(g.waiting) > 0 {
					for _, d := range g.waiting {
						if g.fitsAtAll(d) {
							t.Errorf("seed %d: %+v never started", seed, d)
						}
					}
				}
			} else {
				passed += late
			}
		}
	}
	if promised < 300 || passed < 300 {
		t.Errorf("%d promises, %d broken without reservations: the test shows nothing", promised, passed)
	}
}

func (g *gangWorld) fitsAtAll(d gangDemand) bool {
	n := int64(0)
	for node := range g.capacity {
		n += d.need.Each.Times(&g.capacity[node])
	}
	return n >= int64(d.need.Count)
}
