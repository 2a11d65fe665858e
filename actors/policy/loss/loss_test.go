package loss

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-sched/troupe/actors/model"
)

var zero = time.Unix(1_000_000, 0)

func id(i int) model.NodeID { return model.NodeID(fmt.Sprintf("n%04d", i)) }

// slow judges from the whole history of what was said, each time anew.
type slow struct {
	rules    Rules
	nodes    int
	events   []event
	verdicts []event
	isolated time.Time
	over     time.Time // when isolation was over, as far as it was
}

type event struct {
	at   time.Time
	node model.NodeID
	kind string
}

// standing is how a node stands by what was said of it last.
func (s *slow) standing() (silent, line, recent []model.NodeID, now time.Time) {
	now = s.events[len(s.events)-1].at
	order := map[model.NodeID]int{}
	at := map[model.NodeID]event{}
	for i, e := range s.events {
		was := at[e.node]
		switch {
		case e.node == "":
			continue
		case e.kind == "heard", e.kind == "believed":
			delete(at, e.node)
			continue
		case was.kind == "lost" && s.stillLately(was, i), was.kind == "overdue" && e.kind != "lost":
			continue // an echo
		case e.kind == "overdue":
			order[e.node] = i
		}
		at[e.node] = e
	}
	for _, e := range at {
		switch e.kind {
		case "silent":
			silent = append(silent, e.node)
		case "overdue":
			line = append(line, e.node)
		case "lost":
			if now.Sub(e.at) <= time.Minute {
				recent = append(recent, e.node)
			}
		}
	}
	slices.SortFunc(line, func(x, y model.NodeID) int { return order[x] - order[y] })
	return silent, line, recent, now
}

// stillLately: nobody has asked for verdicts since a lost node's minute was over, up to event i.
func (s *slow) stillLately(was event, i int) bool {
	for _, e := range s.events[:i] {
		if e.kind == "asked" && e.at.Sub(was.at) > time.Minute {
			return false
		}
	}
	return true
}

// may reports whether one more loss now keeps every period within burst and rate.
func (s *slow) may(now time.Time) bool {
	rate, burst := s.rules.Rate, max(3, s.nodes/50)
	if rate == 0 {
		rate = max(1, s.nodes/10)
	}
	cost := time.Minute / time.Duration(rate)
	for i, v := range s.verdicts {
		n := len(s.verdicts) - i + 1
		if time.Duration(n-burst)*cost > now.Sub(v.at) {
			return false
		}
	}
	return true
}

func (s *slow) ask(now time.Time) (out []model.NodeID, isolated bool) {
	s.events = append(s.events, event{at: now, kind: "asked"})
	silent, line, recent, _ := s.standing()
	n := len(silent) + len(line) + len(recent)
	if n < 3 || s.rules.Share == 0 || n*100 <= s.rules.Share*s.nodes {
		if !s.isolated.IsZero() {
			s.over = now
		}
		s.isolated = time.Time{}
	} else if s.isolated.IsZero() {
		s.isolated = now
	}
	if !s.isolated.IsZero() && now.Sub(s.isolated) <= s.rules.Patience {
		return nil, true
	}
	if !s.over.IsZero() && now.Sub(s.over) < s.rules.Grace {
		return nil, false
	}
	for _, id := range line {
		if !s.may(now) {
			break
		}
		s.verdicts = append(s.verdicts, event{now, id, "lost"})
		s.events = append(s.events, event{now, id, "lost"})
		out = append(out, id)
	}
	return out, false
}

// The judge decides as one that looks at the whole history each time.
func TestB43_TheJudgeEqualsTheHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.IntRange(1, 40).Draw(t, "nodes")
		r := Rules{
			Rate: rapid.IntRange(0, 5).Draw(t, "rate"), Share: rapid.SampledFrom([]int{0, 20, 30, 60}).Draw(t, "share"),
			Patience: time.Duration(rapid.IntRange(0, 300).Draw(t, "patience")) * time.Second,
			Grace:    time.Duration(rapid.IntRange(0, 20).Draw(t, "grace")) * time.Second,
		}
		fast, model := New(r), &slow{rules: r, nodes: nodes}
		fast.Nodes(nodes)
		now := zero
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20_000).Draw(t, "ms")) * time.Millisecond)
			node := id(rapid.IntRange(0, nodes-1).Draw(t, "node"))
			kind := rapid.SampledFrom([]string{"silent", "silent", "overdue", "overdue", "overdue", "heard", "ask", "ask", "believed"}).Draw(t, "kind")
			switch kind {
			case "silent":
				fast.Silent(node)
			case "overdue":
				fast.Overdue(node)
			case "heard":
				fast.Heard(node)
			case "believed":
				knew := fast.Knows(node)
				if got := fast.Believe([]NodeID{node}); (len(got) == 1) != knew {
					t.Fatalf("believed %v of a node that is silent: %v", got, knew)
				}
				if !knew {
					continue
				}
			case "ask":
				got := fast.Verdicts(now)
				want, isolated := model.ask(now)
				if !slices.Equal(got, want) || isolated != fast.Isolated(now) {
					t.Fatalf("lost %v, isolated %v; want %v, %v", got, fast.Isolated(now), want, isolated)
				}
				_, line, _, _ := model.standing()
				if fast.Waiting() != len(line) {
					t.Fatalf("%d wait, want %v", fast.Waiting(), line)
				}
				continue
			}
			model.events = append(model.events, event{now, node, kind})
		}
	})
}

type NodeID = model.NodeID

func TestB43_OneNodeIsLostAtOnceAndManyAtARate(t *testing.T) {
	j := New(Rules{Share: 30, Patience: time.Minute})
	j.Nodes(1000)
	for i := range 250 {
		j.Overdue(id(i))
	}
	if got := j.Verdicts(zero); len(got) != 20 || got[0] != id(0) {
		t.Fatalf("%d are lost at once: %v", len(got), got)
	}
	lost := 20
	for s := 1; s <= 60; s++ {
		lost += len(j.Verdicts(zero.Add(time.Duration(s) * time.Second)))
	}
	if lost != 120 || j.Waiting() != 130 {
		t.Fatalf("%d are lost after a minute, %d wait", lost, j.Waiting())
	}
	alone := New(Rules{Share: 30, Patience: time.Minute})
	alone.Nodes(1)
	alone.Overdue("n")
	if got := alone.Verdicts(zero); len(got) != 1 {
		t.Fatalf("the only node is not lost")
	}
}

func TestB43_AMassDisappearanceIsOurOwnIsolation(t *testing.T) {
	j := New(Rules{Share: 30, Patience: 10 * time.Minute})
	j.Nodes(10)
	for i := range 4 {
		j.Silent(id(i))
	}
	j.Overdue(id(0)) // the others are silent, their time is not over
	if got := j.Verdicts(zero); len(got) != 0 || !j.Isolated(zero) {
		t.Fatalf("%v are lost while so many are silent", got)
	}
	j.Heard(id(3))
	if got := j.Verdicts(zero.Add(time.Second)); len(got) != 1 || j.Isolated(zero.Add(time.Second)) {
		t.Fatalf("%v are lost when enough are back", got)
	}
	j.Silent(id(3)) // with the one just lost they are four again
	j.Overdue(id(1))
	if got := j.Verdicts(zero.Add(2 * time.Second)); len(got) != 0 {
		t.Fatalf("%v are lost one by one", got)
	}
	if got := j.Believe([]model.NodeID{id(1), id(7)}); !slices.Equal(got, []model.NodeID{id(1)}) {
		t.Fatalf("an operator's word counts for %v", got)
	}
	if got := j.Believe(nil); !slices.Equal(got, []model.NodeID{id(2), id(3)}) || j.Waiting() != 0 {
		t.Fatalf("an operator's word on all counts for %v", got)
	}
}

// Nodes do not speak all at the same moment: when isolation is over, those that were not heard yet have a while for it.
func TestB43_WhoWasCutOffListensBeforeItJudges(t *testing.T) {
	j := New(Rules{Share: 30, Patience: time.Hour, Grace: 5 * time.Second})
	j.Nodes(4)
	for i := range 4 {
		j.Silent(id(i))
		j.Overdue(id(i))
	}
	if got := j.Verdicts(zero); len(got) != 0 || !j.Isolated(zero) {
		t.Fatalf("lost %v of four that fell silent together", got)
	}
	j.Heard(id(0))
	j.Heard(id(1))
	if got := j.Verdicts(zero.Add(time.Second)); len(got) != 0 || j.Isolated(zero.Add(time.Second)) {
		t.Fatalf("lost %v a moment after the first were heard", got)
	}
	j.Heard(id(2))
	if got := j.Verdicts(zero.Add(7 * time.Second)); !slices.Equal(got, []NodeID{id(3)}) {
		t.Fatalf("lost %v, want the one that stays silent", got)
	}
}

func TestB43_PatienceEnds(t *testing.T) {
	j := New(Rules{Share: 30, Patience: 10 * time.Minute})
	j.Nodes(10)
	for i := range 10 {
		j.Overdue(id(i))
	}
	lost := 0
	for m := range 11 {
		if lost += len(j.Verdicts(zero.Add(time.Duration(m) * time.Minute))); lost > 0 != (m > 10) {
			t.Fatalf("after %d minutes %d are lost", m, lost)
		}
	}
	for m := 11; m < 40; m++ {
		lost += len(j.Verdicts(zero.Add(time.Duration(m) * time.Minute)))
	}
	if lost != 10 {
		t.Fatalf("%d of 10 are lost in the end", lost)
	}
}
