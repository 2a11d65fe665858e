// Package node puts the agent of one machine together for a real process: the tree of actors of package agent, its
// ledger on disk, the drivers, the meter and the inputs. What it is not given is how to reach the master: that is
// Options.Connect.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/node/agent"
	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/driver/gofunc"
	"github.com/troupe-sched/troupe/node/driver/process"
	"github.com/troupe-sched/troupe/node/ledger"
	"github.com/troupe-sched/troupe/node/meter"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// ResultsFunc calls fn with every result of one stage of a job. fn's error ends it and is returned.
type ResultsFunc func(ctx context.Context, uid uint64, queue, job, stage string, fn func(*v1.InstanceResult) error) error

// Options of a node. Cell, ID and Connect are required.
type Options struct {
	// Cell is the name of the cell, ID that of this machine in it.
	Cell, ID string
	// Dir keeps ledger, slots, logs and inputs; one process at a time has it. If it is empty all is in memory, and only
	// functions run.
	Dir string
	Log *slog.Logger
	// Clock is the time as the agent sees it; nil means the machine's.
	Clock kit.Clock
	// Connect makes the way to the master, before the agent starts. What the master sends goes to Node.Deliver, requests
	// for output to Node.Logs; both may be called at once. Close does not close it.
	Connect func(n *Node) (agent.Uplink, error)
	// Results reads results of the cell; nil means that stages after others cannot run here.
	Results ResultsFunc
	// Funcs are the Go functions that run here; nil means none.
	Funcs *gofunc.Registry
	// Process are options of driver process; Dir and Log in them are set by Open.
	Process process.Options
	// Capacity is what the node hands out; where it is zero, what the machine has.
	Capacity model.Resources
	// Attributes are added to those of the machine, and win over them.
	Attributes map[string]string
	// Pool of nodes that it belongs to; empty for the default one.
	Pool string
	// Taints that keep work away which does not tolerate them.
	Taints []*v1.Taint
	// Devices in the order of their numbers, and units of the cell's own kinds.
	Devices []*v1.Device
	Custom  map[string]int64
	// PortFrom and PortTo are the range of dynamic ports, both inclusive; 0 and 0 for none.
	PortFrom, PortTo int32
	// Packages that are there.
	Packages []string
	// Limits of the agent; those that are zero are the default.
	Limits agent.Limits
	// Count is told of the agent's events; see agent.Ports.
	Count func(event string)
}

// Node is the running agent of one machine.
type Node struct {
	opts   Options
	boot   string
	info   *v1.NodeInfo
	uplink agent.Uplink
	life   atomic.Pointer[life]
	done   chan struct{}
	// closing is closed by Close: a drill that holds the agent down ends.
	closing chan struct{}
	once    sync.Once
	waiting sync.WaitGroup // for what watches over lives

	mu  sync.Mutex
	err error
	// drilled is the life that a drill ends; nil if none does.
	drilled *life
	// early came before the agent had started: the answer to its Hello can be that fast.
	early []*v1.ToAgent
}

// earlyMax bounds them; more are lost, and the master sends them again.
const earlyMax = 64

// Open opens the ledger and the drivers, which take over what still runs, and starts the agent. ctx bounds the opening.
func Open(ctx context.Context, o Options) (*Node, error) {
	if o.Connect == nil {
		return nil, errors.New("node: Options.Connect is missing: it makes the way to the master")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("node", o.ID)
	if o.Dir != "" {
		dir, err := filepath.Abs(o.Dir)
		if err != nil {
			return nil, fmt.Errorf("node: Options.Dir %q: %w", o.Dir, err)
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("node: %w", err)
		}
		o.Dir = dir
	}
	boot, err := meter.BootID()
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	drivers, err := o.drivers()
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	n := &Node{opts: o, boot: boot, info: o.info(drivers), done: make(chan struct{}), closing: make(chan struct{})}
	if problems := model.CheckNodeInfo(n.info); len(problems) > 0 {
		return nil, fmt.Errorf("node: %w", model.Invalid("this machine cannot join", problems...))
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	l, err := n.begin(drivers)
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	n.watch(l)
	return n, nil
}

// below is a path in Dir, or nothing if there is none.
func (o *Options) below(name string) string {
	if o.Dir == "" {
		return ""
	}
	return filepath.Join(o.Dir, name)
}

// disk is a directory on the file system that attempts use.
func (o *Options) disk() string {
	if o.Dir == "" {
		return os.TempDir()
	}
	return o.Dir
}

func (o *Options) ledger() (ledger.Store, error) {
	if o.Dir == "" {
		return ledger.Memory(), nil
	}
	store, err := ledger.Open(o.below("ledger"), o.Log)
	if err != nil {
		return nil, err
	}
	return store, nil
}

// survivor says of driver process what the agent must know: its shims outlive this process.
type survivor struct{ *process.Driver }

func (survivor) Survives() bool { return true }

func (o *Options) drivers() (map[string]driver.Driver, error) {
	drivers := map[string]driver.Driver{}
	if o.Funcs != nil {
		d, err := gofunc.New(gofunc.Options{Registry: o.Funcs, Log: o.Log})
		if err != nil {
			return nil, err
		}
		drivers[d.Name()] = d
	}
	if o.Dir != "" {
		p := o.Process
		p.Dir, p.Log = o.below("slots"), o.Log
		d, err := process.New(p)
		if err != nil {
			return nil, err
		}
		drivers[d.Name()] = survivor{d}
	}
	if len(drivers) == 0 {
		return nil, errors.New("nothing can run here: give Options.Dir for processes, or Options.Funcs")
	}
	return drivers, nil
}

// info is what the machine has, with what the options say instead.
func (o *Options) info(drivers map[string]driver.Driver) *v1.NodeInfo {
	info := meter.Host(o.disk())
	info.Id = o.ID
	for i, amount := range []*int64{&info.CpuMilli, &info.MemoryBytes, &info.DiskBytes, &info.NetBps} {
		if o.Capacity[i] != 0 {
			*amount = o.Capacity[i]
		}
	}
	maps.Copy(info.Attributes, o.Attributes)
	if o.Pool != "" {
		info.Attributes[model.PoolAttribute] = o.Pool
	}
	info.Taints, info.Devices, info.Custom = o.Taints, o.Devices, o.Custom
	info.PortFrom, info.PortTo = o.PortFrom, o.PortTo
	info.Packages = slices.Compact(slices.Sorted(slices.Values(o.Packages)))
	for _, name := range []string{"func", "process"} {
		if drivers[name] != nil {
			info.Drivers = append(info.Drivers, name)
		}
	}
	return info
}

// Info is what the node says of its machine; it must not be changed.
func (n *Node) Info() *v1.NodeInfo { return n.info }

// Deliver hands in a frozen message of the master, from any goroutine; it never blocks. It may be called as soon as
// Options.Connect is.
func (n *Node) Deliver(m *v1.ToAgent) {
	l := n.life.Load()
	if l == nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		if l = n.life.Load(); l == nil {
			if len(n.early) < earlyMax {
				n.early = append(n.early, m)
			}
			return
		}
	}
	l.agent.Deliver(m)
}

// Logs copies captured output of an attempt to fn; see driver.Driver.
func (n *Node) Logs(ctx context.Context, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
	l := n.life.Load()
	if l == nil {
		return model.Unavailable("node %s: the agent is starting", n.info.GetId())
	}
	return l.agent.Logs(ctx, req, fn)
}

// Tree is the live tree of actors; empty while a drill holds the agent down.
func (n *Node) Tree() kit.Node {
	if l := n.life.Load(); l != nil {
		return l.sys.Tree()
	}
	return kit.Node{}
}

// Done is closed when the agent has ended: after Close, or because its actors failed too often; Err says why.
func (n *Node) Done() <-chan struct{} { return n.done }

// Err is why the agent has ended; nil while it runs.
func (n *Node) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// Drain stops everything that runs, takes nothing new and waits until no slot is left, or until ctx, which needs a
// deadline, ends. Follow it with Close.
func (n *Node) Drain(ctx context.Context, reason string) error {
	l := n.life.Load()
	if l == nil {
		return model.Unavailable("node %s: the agent is starting", n.info.GetId())
	}
	return l.agent.Drain(ctx, reason)
}

// Close ends the agent. Attempts of driver process run on and are taken over by the next Open; functions are stopped.
// ctx bounds the wait for the actors.
func (n *Node) Close(ctx context.Context) error {
	n.once.Do(func() { close(n.closing) })
	var err error
	if l := n.life.Load(); l != nil {
		err = l.end(ctx)
	}
	n.waiting.Wait()
	if l := n.life.Load(); l != nil { // a drill was just beginning it anew
		err = errors.Join(err, l.end(ctx))
	}
	return err
}
