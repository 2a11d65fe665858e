package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/troupe-sched/troupe/chaos/cell"
	"github.com/troupe-sched/troupe/chaos/pause"
	"github.com/troupe-sched/troupe/chaos/proc"
	"github.com/troupe-sched/troupe/chaos/scenario"
)

const (
	// undoWithin bounds the undoing of a fault.
	undoWithin = 30 * time.Second
	// askWithin bounds the question who leads.
	askWithin = 3 * time.Second
)

// Strike is one fault as it came about.
type Strike struct {
	Fault scenario.Fault
	// Parts are those that it struck.
	Parts []string
	// Begun and Ended are when it was done and undone; zero if it was not.
	Begun, Ended time.Time
	// Skipped says why it was not done: who was to be struck is struck already, or is not there.
	Skipped string
	// Failed says what went wrong in doing or undoing it.
	Failed error
}

// Nemesis strikes one cell.
type Nemesis struct {
	cell *cell.Cell
	seed uint64

	mu sync.Mutex
	// claimed are the parts under a fault, by the side of them that it takes: two faults never hold the same.
	claimed map[string]bool
}

// New makes a nemesis that draws whom it strikes from seed.
func New(c *cell.Cell, seed uint64) *Nemesis {
	return &Nemesis{cell: c, seed: seed, claimed: map[string]bool{}}
}

// Run does the faults of a plan, counted from start, and returns them all when the last is undone. When ctx ends no more are
// begun, and those under way are undone at once.
func (n *Nemesis) Run(ctx context.Context, start time.Time, plan []scenario.Fault) []Strike {
	strikes := make([]Strike, len(plan))
	var all sync.WaitGroup
	for i, f := range plan {
		all.Add(1)
		go func() {
			defer all.Done()
			strikes[i] = Strike{Fault: f}
			if pause.For(ctx, time.Until(start.Add(f.At.Std()))) == nil {
				n.strike(ctx, &strikes[i], rand.New(rand.NewPCG(n.seed, uint64(i))))
			} else {
				strikes[i].Skipped = "the run ended before"
			}
		}()
	}
	all.Wait()
	return strikes
}

// target is whom a fault strikes: a part, or one process behind it.
type target struct {
	part *cell.Part
	pid  int // of a shim, else 0
}

func (t target) String() string {
	if t.pid != 0 {
		return fmt.Sprintf("%s/shim-%d", t.part.ID, t.pid)
	}
	return t.part.ID
}

// strike does one fault and undoes it.
func (n *Nemesis) strike(ctx context.Context, s *Strike, r *rand.Rand) {
	a := acts[s.Fault.Fault]
	targets, err := n.targets(ctx, s.Fault.Who, r)
	if err != nil {
		s.Skipped = err.Error()
		return
	}
	free, ok := n.claim(a.side, targets)
	if !ok {
		s.Skipped = "another fault holds it"
		return
	}
	defer free()
	for _, t := range targets {
		s.Parts = append(s.Parts, t.String())
	}
	s.Begun = time.Now()
	e := &effort{nemesis: n, fault: s.Fault, targets: targets}
	e.ctx, e.stop = context.WithCancel(ctx)
	err = a.do(e)
	if err == nil {
		_ = pause.For(ctx, time.Until(s.Begun.Add(s.Fault.For.Std())))
	}
	e.stop()
	e.during.Wait()
	undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWithin)
	defer cancel()
	for _, undo := range slices.Backward(e.undo) {
		err = errors.Join(err, undo(undoing))
	}
	s.Ended, s.Failed = time.Now(), errors.Join(err, e.failed())
}

// claim takes a side of every target, or of none.
func (n *Nemesis) claim(side string, targets []target) (free func(), ok bool) {
	if side == noSide {
		return func() {}, true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var keys []string
	for _, t := range targets {
		key := side + " of " + t.String()
		if n.claimed[key] {
			return nil, false
		}
		keys = append(keys, key)
	}
	for _, key := range keys {
		n.claimed[key] = true
	}
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, key := range keys {
			delete(n.claimed, key)
		}
	}, true
}

// targets finds those whom a fault is to strike, each once.
func (n *Nemesis) targets(ctx context.Context, who scenario.Who, r *rand.Rand) ([]target, error) {
	if who == "" {
		return nil, nil
	}
	picks, err := who.Picks()
	if err != nil {
		return nil, err
	}
	var all []target
	for _, p := range picks {
		found, err := n.pick(ctx, p)
		if err != nil {
			return nil, err
		}
		r.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
		if p.Count > 0 {
			found = found[:min(p.Count, len(found))]
		}
		for _, t := range found {
			if !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: nobody of that kind is there", who)
	}
	slices.SortFunc(all, func(a, b target) int { return compare(a.String(), b.String()) })
	return all, nil
}

func (n *Nemesis) pick(ctx context.Context, p scenario.Pick) ([]target, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	one := func(part *cell.Part, err error) ([]target, error) {
		if err != nil {
			return nil, err
		}
		return []target{{part: part}}, nil
	}
	switch {
	case p.ID != "":
		if part := n.cell.Part(p.ID); part != nil {
			return []target{{part: part}}, nil
		}
		return nil, fmt.Errorf("there is no %s", p.ID)
	case p.Leader && p.Role == "nats":
		return one(n.cell.NATSLeader(ctx))
	case p.Leader:
		return one(n.cell.Leader(ctx))
	case p.Role == "shim":
		var all []target
		for _, node := range n.cell.Role("node") {
			for _, pid := range proc.Shims(node.Data) {
				all = append(all, target{node, pid})
			}
		}
		return all, nil
	}
	var all []target
	var leader *cell.Part
	if p.Follower {
		var err error
		if leader, err = n.cell.Leader(ctx); err != nil {
			return nil, err
		}
	}
	for _, part := range n.cell.Role(p.Role) {
		if part != leader {
			all = append(all, target{part: part})
		}
	}
	return all, nil
}
