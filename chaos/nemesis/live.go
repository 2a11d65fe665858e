package nemesis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/troupe-sched/troupe/chaos/pause"
	"github.com/troupe-sched/troupe/chaos/scenario"
	"github.com/troupe-sched/troupe/cluster/api"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// drills are the faults that a cell can be asked to have, by their names in scenarios: each ends by itself. That of a node
// strikes it by the agent's own hand.
var drills = map[string]struct {
	kind string
	node bool
}{
	"resign":       {},
	"leader-stall": {kind: "leader-stall"},
	"partition":    {kind: "partition", node: true},
	"kill":         {kind: "agent-restart", node: true},
}

// CheckLive says which fault of a scenario a cell cannot be asked to have; nil if it can have all.
func CheckLive(s scenario.Scenario) error {
	check := func(at string, f scenario.Fault) error {
		d, ok := drills[f.Fault]
		if !ok {
			return fmt.Errorf("%s.fault: a cell that is not the run's own cannot be struck by %s; right would be resign, leader-stall, or partition or kill of a node, which are drills of its agent", at, f.Fault)
		}
		if !d.node {
			return nil
		}
		picks, err := f.Who.Picks()
		if err == nil && (len(picks) != 1 || picks[0].Role != "node" || picks[0].ID != "" || picks[0].Count != 1) {
			err = fmt.Errorf("in a cell that is not the run's own it must be any node")
		}
		if err != nil {
			return fmt.Errorf("%s.who: %w", at, err)
		}
		return nil
	}
	for i, f := range s.Faults {
		if err := check(fmt.Sprintf("faults[%d]", i), f); err != nil {
			return err
		}
	}
	for i, f := range s.Random.Of {
		if err := check(fmt.Sprintf("random.of[%d]", i), f); err != nil {
			return err
		}
	}
	return nil
}

// RunLive asks a cell for the faults of a plan, counted from start, and returns when the last is over. Nothing has to be undone:
// what it asks for is bounded by the one that has it. When ctx ends no more is asked for.
func RunLive(ctx context.Context, c api.Cell, seed uint64, start time.Time, plan []scenario.Fault) []Strike {
	strikes := make([]Strike, len(plan))
	var all sync.WaitGroup
	for i, f := range plan {
		all.Add(1)
		go func() {
			defer all.Done()
			s := &strikes[i]
			s.Fault = f
			if pause.For(ctx, time.Until(start.Add(f.At.Std()))) != nil {
				s.Skipped = "the run ended before"
				return
			}
			s.Begun = time.Now()
			s.Parts, s.Failed = ask(ctx, c, f, rand.New(rand.NewPCG(seed, uint64(i))))
			_ = pause.For(ctx, time.Until(s.Begun.Add(f.For.Std())))
			s.Ended = time.Now()
		}()
	}
	all.Wait()
	return strikes
}

// ask asks the cell for one fault and tells whom it strikes.
func ask(ctx context.Context, c api.Cell, f scenario.Fault, r *rand.Rand) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, undoWithin)
	defer cancel()
	d := drills[f.Fault]
	if f.Fault == "resign" {
		reply, err := c.Resign(ctx, &v1.ResignRequest{Reason: "chaos"})
		return strings.Fields(reply.GetFrom()), err
	}
	request := &v1.DrillRequest{Kind: d.kind, ForMs: f.For.Std().Milliseconds(), Reason: "chaos"}
	if d.kind == "agent-restart" {
		request.ForMs = max(request.ForMs, time.Second.Milliseconds())
	}
	if d.node {
		nodes, err := c.ListNodes(ctx, &v1.ListNodesRequest{})
		if err != nil {
			return nil, err
		}
		if len(nodes.GetNodes()) == 0 {
			return nil, fmt.Errorf("the cell has no node")
		}
		request.Node = nodes.GetNodes()[r.IntN(len(nodes.GetNodes()))].GetInfo().GetId()
	}
	reply, err := c.Drill(ctx, request)
	return strings.Fields(reply.GetTarget()), err
}
