package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/node/nodetest"
	"github.com/troupe-sched/troupe/actors/tree"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// ProtocolOptions of the comparison.
type ProtocolOptions struct {
	// Instances of the large job, on so many nodes with a hundred slots each.
	Instances int64
	Nodes     int
	// Heartbeat is how often the full protocol repeats everything.
	Heartbeat time.Duration
}

// Protocol is what was counted.
type Protocol struct {
	HeartbeatS float64       `json:"heartbeat_s"`
	Runs       []ProtocolRun `json:"runs"`
}

// ProtocolRun is one workload under one protocol.
type ProtocolRun struct {
	Work string `json:"work"`
	// Protocol is "incremental" or "full".
	Protocol string `json:"protocol"`
	// Resource are the messages about demand and grants, by what they say; All is their sum.
	Resource map[string]uint64 `json:"resource"`
	All      uint64            `json:"all"`
	Granted  uint64            `json:"granted_slots"`
	Seconds  float64           `json:"virtual_seconds"`
}

// RunProtocol counts the messages about demand and grants that a workload needs, through the real actors in virtual time:
// once as they are, and once with everything repeated at every heartbeat, as a protocol must that has no memory. For that
// jobs are asked to say their whole demand again, and nodes all that they hold. These questions are not counted.
func RunProtocol(ctx context.Context, o ProtocolOptions) (*Protocol, error) {
	if o.Heartbeat <= 0 {
		o.Heartbeat = msg.DefaultLimits().Heartbeat
	}
	p := &Protocol{HeartbeatS: o.Heartbeat.Seconds()}
	works := []struct {
		name string
		play func(*counted, context.Context) error
	}{
		{"asks for 1000 slots: 200 fit now, 150 more after a minute", (*counted).example},
		{fmt.Sprintf("%d instances of ten seconds on %d slots", o.Instances, o.Nodes*slotsOfNode), func(c *counted, ctx context.Context) error {
			return c.large(ctx, o.Instances, o.Nodes)
		}},
	}
	for _, w := range works {
		for _, beat := range []time.Duration{0, o.Heartbeat} {
			c, err := newCounted(ctx, beat)
			if err == nil {
				err = w.play(c, ctx)
			}
			if err != nil {
				return nil, err
			}
			run := ProtocolRun{Work: w.name, Protocol: "incremental", Resource: c.seen, Granted: c.granted, Seconds: c.step.Now().Sub(c.began).Seconds()}
			if beat > 0 {
				run.Protocol = "full"
			}
			for _, n := range c.seen {
				run.All += n
			}
			p.Runs = append(p.Runs, run)
		}
	}
	return p, nil
}

// slotsOfNode is how many slots a node of the large workload has.
const slotsOfNode = 100

// counted is a master over scripted agents, in virtual time, whose messages are counted.
type counted struct {
	step    *kit.Stepper
	sys     *kit.System
	env     *msg.Env
	fleet   *nodetest.Fleet
	began   time.Time
	seen    map[string]uint64
	granted uint64
	outcome nodetest.Outcome
	beat    time.Duration // of the full protocol; 0 for none
	next    time.Time
}

func newCounted(ctx context.Context, beat time.Duration) (*counted, error) {
	began := time.Unix(0, 0)
	c := &counted{step: kit.NewStepper(1, began), began: began, seen: map[string]uint64{}, beat: beat, next: began}
	c.outcome.After = 10 * time.Second
	c.fleet = nodetest.New(nodetest.Config{
		Stepper: c.step, Script: func(*v1.Launch) nodetest.Outcome { return c.outcome },
		Deliver: func(m *v1.FromAgent) { c.sys.Tell(c.env.Refs.Nodes, &msg.FromAgent{Message: m}) },
	})
	log, snaps := memlog.New(memlog.Options{}), memlog.NewSnapshots()
	state, err := journal.Recover(ctx, log, snaps)
	if err == nil {
		_, err = journal.Begin(ctx, log, state, "bench", began)
	}
	if err != nil {
		return nil, err
	}
	c.sys = kit.New(kit.Config{Name: "bench", Stepper: c.step})
	c.step.OnFate(c.count)
	c.env, err = tree.Start(ctx, c.sys, tree.Config{
		Cell: "bench", Host: "bench", Limits: msg.DefaultLimits(), State: state, Log: log, Snap: unsaved{}, Fabric: c.fleet,
	})
	return c, err
}

// unsaved are snapshots that are never taken.
type unsaved struct{}

func (unsaved) Save(uint64, [][]byte, func(error)) bool { return false }
func (unsaved) Newest() uint64                          { return 0 }

// count looks at every message that an actor is about to handle.
func (c *counted) count(_ string, m any) kit.Fate {
	switch m := m.(type) {
	case *msg.Want:
		c.seen["want"]++
	case *msg.Demand:
		c.seen["demand"]++
	case *msg.Reserve:
		c.seen["reserve"]++
	case *msg.Reserved:
		c.seen["reserved"]++
	case *msg.Granted:
		c.seen["granted"]++
		c.granted += uint64(len(m.Slots))
	case *msg.Freed:
		c.seen["freed"]++
	case *msg.NodeView:
		c.seen["view"]++
	}
	return kit.Lives
}

// pass lets time pass, for so long or until ok says yes.
func (c *counted) pass(ctx context.Context, d time.Duration, ok func() bool) error {
	for until := c.step.Now().Add(d); (ok == nil || !ok()) && ctx.Err() == nil; {
		at := until
		if c.beat > 0 && c.next.Before(until) {
			at = c.next
		}
		if c.step.Step(at) {
			continue
		}
		if at.Equal(until) {
			break
		}
		c.next = c.next.Add(c.beat)
		c.sys.Tell(c.env.Refs.Jobs, &msg.ToAllJobs{Message: &msg.WantRequest{Queue: model.DefaultQueue}})
		c.sys.Tell(c.env.Refs.Nodes, &msg.ViewRequest{})
	}
	return ctx.Err()
}

func (c *counted) join(name string, slots int64) {
	c.fleet.Join(&v1.NodeInfo{Id: name, CpuMilli: 100 * slots, MemoryBytes: slots << 20, Drivers: []string{"process"}})
}

func (c *counted) submit(instances int64) {
	c.sys.Tell(c.env.Refs.Gateway, &msg.Request{Call: &v1.SubmitRequest{Job: &v1.JobSpec{Name: "job", Stages: []*v1.StageSpec{{
		Name: "all", Instances: instances, Command: []string{"work"}, Resources: &v1.Resources{Cpu: "100m", Memory: "1Mi"},
	}}}}})
}

// example is one job that wants far more than fits, and gets more as a node joins.
func (c *counted) example(ctx context.Context) error {
	c.outcome.Hold = true
	c.join("a", 200)
	c.submit(1000)
	if err := c.pass(ctx, time.Minute, nil); err != nil {
		return err
	}
	if c.granted != 200 {
		return fmt.Errorf("bench: %d slots are granted at once, 200 fit", c.granted)
	}
	c.join("b", 150)
	if err := c.pass(ctx, time.Minute, nil); err != nil {
		return err
	}
	if c.granted != 350 {
		return fmt.Errorf("bench: %d slots are granted, 350 fit", c.granted)
	}
	return nil
}

// large is one job of many rounds.
func (c *counted) large(ctx context.Context, instances int64, nodes int) error {
	for i := range nodes {
		c.join(fmt.Sprintf("n%d", i), slotsOfNode)
	}
	c.submit(instances)
	rounds := instances/int64(nodes*slotsOfNode) + 2
	if err := c.pass(ctx, time.Duration(rounds)*time.Minute, func() bool { return c.fleet.Begun() == int(instances) }); err != nil {
		return err
	}
	if begun := c.fleet.Begun(); begun != int(instances) {
		return fmt.Errorf("bench: %d of %d instances have begun", begun, instances)
	}
	return c.pass(ctx, 30*time.Second, nil)
}
