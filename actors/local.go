package actors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/node"
	"github.com/troupe-sched/troupe/node/agent"
	"github.com/troupe-sched/troupe/node/driver/gofunc"
	"github.com/troupe-sched/troupe/node/driver/process"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Func is a Go function that a stage of driver func runs, once for every attempt. An error or a panic is a failed
// attempt; it should return soon after ctx ends.
type Func = gofunc.Func

// Call is what a Func learns of its attempt, and how it answers.
type Call = gofunc.Call

// AgentOptions of an agent in the process of the cell.
type AgentOptions struct {
	// NodeID names the machine; "local" if empty.
	NodeID string
	// Dir keeps the agent's ledger, slots and logs; empty means that only functions run, without files.
	Dir string
	// Shim is the command under which processes run: a program with arguments at which it calls process.ShimMain;
	// "troupe shim" is one. Empty means this program with the argument "shim".
	Shim []string
	// Funcs by the names that stages give.
	Funcs map[string]Func
	// CPUMilli, MemoryBytes, DiskBytes and NetBps are what it hands out; zero means what the machine has.
	CPUMilli, MemoryBytes, DiskBytes, NetBps int64
	Attributes                               map[string]string
	// Pool of nodes that it belongs to; empty for the default one. Taints keep work away that does not tolerate them.
	Pool   string
	Taints []*v1.Taint
	// Devices in the order of their numbers, Custom units by name, the range of ports for those who ask for any (both
	// inclusive; 0 and 0 for none), and the packages that are there.
	Devices          []*v1.Device
	Custom           map[string]int64
	PortFrom, PortTo int32
	Packages         []string
	// StopAll stops all attempts when the cell is closed; else those of driver process run on, and an agent that is
	// opened on the same Dir takes them over.
	StopAll bool
}

// drainMax bounds the wait for attempts to stop when the context of Close has no deadline.
const drainMax = 30 * time.Second

// localAgent is the agent in the process of the cell; it reaches the master without a network.
type localAgent struct {
	id      string
	stopAll bool
	cell    *Cell
	node    *node.Node
}

func (c *Cell) openAgent(ctx context.Context, o AgentOptions) error {
	if o.NodeID == "" {
		o.NodeID = "local"
	}
	funcs := gofunc.NewRegistry()
	for name, f := range o.Funcs {
		if err := funcs.Register(name, f); err != nil {
			return fmt.Errorf("agent: %w", err)
		}
	}
	l := &localAgent{id: o.NodeID, stopAll: o.StopAll, cell: c}
	_, err := node.Open(ctx, node.Options{
		Cell: c.opts.Name, ID: o.NodeID, Dir: o.Dir, Log: c.log, Funcs: funcs, Attributes: o.Attributes,
		Pool: o.Pool, Taints: o.Taints, Devices: o.Devices, Custom: o.Custom,
		PortFrom: o.PortFrom, PortTo: o.PortTo, Packages: o.Packages,
		Process:  process.Options{Shim: o.Shim},
		Capacity: model.Resources{model.CPU: o.CPUMilli, model.Memory: o.MemoryBytes, model.Disk: o.DiskBytes, model.Net: o.NetBps},
		Results:  c.eachResult,
		Connect: func(n *node.Node) (agent.Uplink, error) {
			l.node = n
			c.local.Store(l)
			return l, nil
		},
	})
	if err != nil {
		c.local.Store(nil)
		return err
	}
	go c.watchAgent(l)
	return nil
}

// watchAgent ends the cell when its agent has failed past all limits: a cell whose machine runs nothing any more must not
// look as if it were well.
func (c *Cell) watchAgent(l *localAgent) {
	<-l.node.Done()
	if c.closing.Load() {
		return
	}
	err := fmt.Errorf("the agent of node %s has failed: %w", l.id, l.node.Err())
	c.postMortem("agent", "%v", err)
	c.log.Error("the cell ends", "reason", err)
	c.end(err)
}

// eachResult calls fn with every result of a stage; the agent hands them to the stages after it.
func (c *Cell) eachResult(ctx context.Context, uid uint64, queue, job, stage string, fn func(*v1.InstanceResult) error) error {
	for from := uint64(0); ; {
		page, err := c.Results(ctx, &v1.ResultsRequest{Uid: uid, Queue: queue, Name: job, Stage: stage, From: from})
		if err != nil {
			return err
		}
		for _, r := range page.GetResults() {
			if err := fn(r); err != nil {
				return err
			}
		}
		if from = page.GetNext(); from == 0 {
			return nil
		}
	}
}

// Send implements agent.Uplink.
func (l *localAgent) Send(m *v1.FromAgent) { l.cell.Deliver(m) }

func (l *localAgent) close(ctx context.Context) error {
	var err error
	if l.stopAll {
		draining, cancel := context.WithTimeout(ctx, drainMax)
		defer cancel()
		err = l.node.Drain(draining, "the cell is closed")
	}
	return errors.Join(err, l.node.Close(ctx))
}

func (l *localAgent) tree() kit.Node { return l.node.Tree() }

func (l *localAgent) logs(ctx context.Context, place *v1.LogPlace, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
	return l.node.Logs(ctx, &v1.LogsRequest{
		Queue: req.GetQueue(), Name: req.GetName(), Stage: req.GetStage(), Index: req.GetIndex(), Follow: req.GetFollow(),
		TailBytes: req.GetTailBytes(), Fence: place.GetFence(), Uid: place.GetUid(),
	}, fn)
}
