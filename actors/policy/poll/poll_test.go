package poll

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-sched/troupe/actors/model"
)

var zero = time.Unix(1_000_000, 0)

func id(i int) model.NodeID { return model.NodeID(fmt.Sprintf("n%05d", i)) }

// The window never has more under way than it says, counts slots as the sum of its flights, and stays within its bounds.
func TestB36_TheWindowKeepsItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, now := NewWindow(), zero
		type flying struct {
			at    time.Time
			slots int
		}
		slow := map[model.NodeID]*flying{}
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "ms")) * time.Millisecond)
			node := id(rapid.IntRange(0, 200).Draw(t, "node"))
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0, 1:
				ask := rapid.Bool().Draw(t, "ask")
				if w.Free(ask) && slow[node] == nil {
					w.Begin(node, ask, now)
					slow[node] = &flying{now, w.flights[node].slots}
				}
			case 2:
				w.Done(node, now)
				delete(slow, node)
			case 3:
				n := rapid.IntRange(0, 5000).Draw(t, "slots")
				w.Weigh(node, n)
				if slow[node] != nil {
					slow[node].slots = n
				}
			case 4:
				patience := w.patience
				w.Expire(now)
				for node, f := range slow {
					if now.Sub(f.at) > patience {
						delete(slow, node)
					}
				}
			}
			sum := 0
			for node, f := range slow {
				if !w.Flying(node) {
					t.Fatalf("%s is not under way", node)
				}
				sum += f.slots
			}
			if w.Under() != len(slow) || w.slots != sum {
				t.Fatalf("%d with %d slots are under way, want %d with %d", w.Under(), w.slots, len(slow), sum)
			}
			if w.size < windowMin || w.size > windowMax || w.patience < Late || w.patience > patienceMax || w.asked < 0 || w.asked > len(w.flights) || w.mean < 0 || w.mean > 5000 {
				t.Fatalf("size %d, mean %d", w.size, w.mean)
			}
			if w.Free(false) && (w.Under() >= w.size || w.Under() > 0 && w.slots+w.mean > slotsMax) {
				t.Fatal("free beyond its bounds")
			}
		}
	})
}

// storm plays n agents that all want a session of a master who opens so many a second, and of whom some are dead.
func storm(n, perSecond int, dead func(int) bool) (took time.Duration, peak int) {
	w, now := NewWindow(), zero
	w.Nodes(n)
	type answer struct {
		id model.NodeID
		at time.Time
	}
	var line []int
	for i := range n {
		line = append(line, i)
	}
	var under []answer
	free, alive := now, 0
	for i := range n {
		if !dead(i) {
			alive++
		}
	}
	for alive > 0 {
		w.Expire(now)
		for w.Free(true) && len(line) > 0 {
			i := line[0]
			line = line[1:]
			if w.Flying(id(i)) {
				continue
			}
			w.Begin(id(i), true, now)
			if dead(i) {
				line = append(line, i)
				continue
			}
			if free.Before(now) {
				free = now
			}
			free = free.Add(time.Second / time.Duration(perSecond))
			under = append(under, answer{id(i), free})
		}
		peak = max(peak, len(under))
		now = now.Add(10 * time.Millisecond)
		for len(under) > 0 && !under[0].at.After(now) {
			w.Done(under[0].id, now)
			under = under[1:]
			alive--
		}
	}
	return now.Sub(zero), peak
}

func TestB36_AStormIsTakenAsFastAsTheMasterCan(t *testing.T) {
	alive := func(int) bool { return false }
	for _, test := range []struct {
		perSecond, most int // most under way at once
		within          time.Duration
	}{
		{100_000, windowMax, time.Second},
		{5_000, windowMax, 1500 * time.Millisecond},
		{1_000, 700, 6 * time.Second},
		{100, 700, 60 * time.Second},
	} {
		took, peak := storm(5000, test.perSecond, alive)
		if took > test.within || peak > test.most {
			t.Errorf("at %d a second: %v, at most %d at once; want %v and %d", test.perSecond, took, peak, test.within, test.most)
		}
	}
}

func TestB36_DeadNodesDoNotHoldUpTheLiving(t *testing.T) {
	took, _ := storm(5000, 5_000, func(i int) bool { return i%3 == 0 })
	if took > 10*time.Second {
		t.Errorf("with a third of the nodes dead it takes %v", took)
	}
}

// A master that is so slow that every answer is late still gets through all of them.
func TestB36_AMasterThatIsStarvedGetsThrough(t *testing.T) {
	w, now := NewWindow(), zero
	w.Nodes(5000)
	type answer struct {
		id model.NodeID
		at time.Time
	}
	line, open := make([]int, 0, 5000), map[model.NodeID]bool{}
	for i := range 5000 {
		line = append(line, i)
	}
	var under []answer
	for len(open) < 5000 {
		if now.Sub(zero) > 2*time.Minute {
			t.Fatalf("%d of 5000 are open after two minutes", len(open))
		}
		w.Expire(now)
		for n := len(line); w.Free(true) && n > 0; n-- {
			i := line[0]
			line = line[1:]
			if open[id(i)] {
				continue
			}
			if w.Flying(id(i)) {
				line = append(line, i)
				continue
			}
			w.Begin(id(i), true, now)
			under = append(under, answer{id(i), now.Add(2500 * time.Millisecond)})
			line = append(line, i) // it goes on asking until it is open
		}
		now = now.Add(50 * time.Millisecond)
		for len(under) > 0 && !under[0].at.After(now) {
			w.Done(under[0].id, now)
			open[under[0].id] = true
			under = under[1:]
		}
	}
}

func TestB36_LateAnswersHalveTheWindowAndQuickOnesOpenItAgain(t *testing.T) {
	w, now := NewWindow(), zero
	round := func(took time.Duration) {
		for i := range w.Size() {
			w.Begin(id(i), false, now)
		}
		now = now.Add(took)
		for i := range w.Under() {
			w.Done(id(i), now)
		}
		w.Expire(now)
	}
	round(10 * time.Millisecond)
	if w.Size() <= windowFirst {
		t.Fatalf("%d after a quick round", w.Size())
	}
	for range 20 {
		round(2 * time.Second)
	}
	if w.Size() != windowMin {
		t.Fatalf("%d after many late rounds", w.Size())
	}
	before := w.Size()
	round(10 * time.Millisecond)
	if grown := w.Size() - before; grown < 0 || grown > 2 {
		t.Fatalf("grows by %d after it has halved", grown)
	}
}

func TestB35_ThePeriodFollowsNodesAndLoad(t *testing.T) {
	p := &Period{Base: time.Second, Max: 4 * time.Second}
	for _, step := range []struct {
		nodes int
		lag   time.Duration
		want  time.Duration
	}{
		{10, 0, time.Second}, {2000, 0, time.Second}, {2200, 0, time.Second}, {5000, 0, 2500 * time.Millisecond},
		{5200, 0, 2500 * time.Millisecond}, {100_000, 0, 4 * time.Second}, {10, 0, time.Second},
		{10, time.Second, 2 * time.Second}, {10, time.Second, 4 * time.Second}, {10, time.Second, 4 * time.Second},
		{10, 50 * time.Millisecond, 4 * time.Second},
	} {
		if got := p.Next(step.nodes, step.lag); got != step.want {
			t.Errorf("%d nodes, lag %v: %v, want %v", step.nodes, step.lag, got, step.want)
		}
	}
	for range 2 * calmFor {
		p.Next(10, 0)
	}
	if got := p.Next(10, 0); got != time.Second {
		t.Errorf("%v after calm", got)
	}
	slow := &Period{Base: 10 * time.Second, Max: 4 * time.Second}
	if got := slow.Next(5, time.Hour); got != 10*time.Second {
		t.Errorf("%v where the shortest is longer than the longest", got)
	}
}
