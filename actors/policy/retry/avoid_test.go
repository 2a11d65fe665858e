package retry

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-sched/troupe/actors/model"
)

// history is the oracle: it keeps everything that happened and works out from that what is avoided.
type history struct {
	fails []struct {
		index uint64
		node  model.NodeID
		at    time.Time
	}
	waiting map[uint64]bool
	ends    []struct {
		node model.NodeID
		ok   bool
		at   time.Time
	}
}

// of is the nodes on which an instance has failed of late, each once, at most failuresKept, by the newest failure.
func (h *history) of(index uint64) (nodes []model.NodeID, at []time.Time) {
	for _, f := range h.fails {
		if f.index != index {
			continue
		}
		if i := slices.Index(nodes, f.node); i >= 0 {
			nodes, at = slices.Delete(nodes, i, i+1), slices.Delete(at, i, i+1)
		}
		for i := 0; i < len(nodes); {
			if f.at.Sub(at[i]) > avoidFor {
				nodes, at = slices.Delete(nodes, i, i+1), slices.Delete(at, i, i+1)
			} else {
				i++
			}
		}
		nodes, at = append(nodes, f.node), append(at, f.at)
		if len(nodes) > failuresKept {
			nodes, at = nodes[1:], at[1:]
		}
	}
	return nodes, at
}

// bad is whether a node is avoided by all: its newest attempts have failed, and when one beyond the second did, an attempt
// on another node was the newest to succeed.
func (h *history) bad(node model.NodeID, now time.Time) bool {
	n, good, until := 0, model.NodeID(""), time.Time{}
	for _, e := range h.ends {
		switch {
		case e.ok:
			good = e.node
			if e.node == node {
				n, until = 0, time.Time{}
			}
		case e.node == node:
			if !until.IsZero() && !e.at.Before(until) {
				n, until = 0, time.Time{}
			}
			if n++; n >= strikesOut && good != "" && good != node {
				until = e.at.Add(avoidFor)
			}
		}
	}
	return now.Before(until)
}

func (h *history) list(now time.Time) (nodes []model.NodeID) {
	for i := range 6 {
		node := name(i)
		avoided := h.bad(node, now)
		for index := range h.waiting {
			of, _ := h.of(index)
			avoided = avoided || slices.Contains(of, node)
		}
		if avoided {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

func name(i int) model.NodeID { return model.NodeID(fmt.Sprint("n", i)) }

func TestB44_WhatIsAvoidedIsWhatHappened(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var v Avoidance
		h := &history{waiting: map[uint64]bool{}}
		now := time.Unix(1000, 0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			index, node := rapid.Uint64Range(0, 4).Draw(t, "index"), name(rapid.IntRange(0, 5).Draw(t, "node"))
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0, 1: // an instance that does not wait fails, and waits
				if h.waiting[index] {
					continue
				}
				h.fails = append(h.fails, struct {
					index uint64
					node  model.NodeID
					at    time.Time
				}{index, node, now})
				h.ends = append(h.ends, struct {
					node model.NodeID
					ok   bool
					at   time.Time
				}{node, false, now})
				v.Strike(node, now)
				v.Fail(index, node, now)
				v.Queued(index)
				h.waiting[index] = true
			case 2: // one that waits is launched
				if h.waiting[index] {
					v.Unqueued(index)
					delete(h.waiting, index)
				}
			case 3:
				v.Succeed(node)
				h.ends = append(h.ends, struct {
					node model.NodeID
					ok   bool
					at   time.Time
				}{node, true, now})
			case 4:
				now = now.Add(time.Duration(rapid.Int64Range(1, int64(avoidFor)).Draw(t, "time")))
				v.Expire(now)
			}
			now = now.Add(avoidEvery)
			v.Refresh(now)
			said, stale := v.Said()
			if want := h.list(now); !slices.Equal(said, want) && !stale {
				// What has run out of time by itself is taken back by Expire.
				if v.Expire(now); true {
					v.Refresh(now.Add(avoidEvery))
				}
				if said, _ = v.Said(); !slices.Equal(said, want) {
					t.Fatalf("avoids %v, want %v", said, want)
				}
			}
			nodes, at := h.of(index)
			i := slices.Index(nodes, node)
			if got, want := v.Avoids(index, node, 0, now), i >= 0 && now.Sub(at[max(i, 0)]) < avoidFor; i >= 0 && got != want || i < 0 && got {
				t.Fatalf("instance %d avoids %s: %v, want %v", index, node, got, want)
			}
			if got, want := v.Bad(node, 0, now), h.bad(node, now); got != want {
				t.Fatalf("%s is bad: %v, want %v", node, got, want)
			}
		}
	})
}

func TestB44_WhatIsGrantedAllTheSameIsTaken(t *testing.T) {
	var v Avoidance
	now := time.Unix(1000, 0)
	v.Fail(1, "n", now)
	v.Queued(1)
	v.Yield("n", 7)
	if !v.Avoids(1, "n", 6, now) || v.Avoids(1, "n", 8, now) {
		t.Error("a slot that was granted after another was given back is not taken, or one before it is")
	}
	v.Strike("n", now)
	if !v.Avoids(1, "n", 8, now) {
		t.Error("a slot that was tried is taken again")
	}
	v.Clear()
	if v.Avoids(1, "n", 6, now) || v.Any() {
		t.Error("something is avoided after a Clear")
	}
	v.Unqueued(1)
}

func TestB44_WhatIsSaidIsBounded(t *testing.T) {
	var v Avoidance
	now := time.Unix(1000, 0)
	for i := range 100 {
		v.Fail(uint64(i), model.NodeID(fmt.Sprintf("n%02d", i)), now)
		v.Queued(uint64(i))
	}
	v.Fail(200, "n99", now)
	v.Queued(200)
	if !v.Refresh(now) || v.Refresh(now) {
		t.Error("said twice, or never")
	}
	said, _ := v.Said()
	if len(said) != avoidMax || !slices.IsSorted(said) || !slices.Contains(said, "n99") {
		t.Errorf("%v", said)
	}
	if v.Heard("n99", now) || !v.Heard("n99", now.Add(avoidHeard)) {
		t.Error("what was said is heard after its time")
	}
}
