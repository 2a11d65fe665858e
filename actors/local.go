package actors

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/node/agent"
	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/driver/gofunc"
	"github.com/troupe-sched/troupe/node/driver/process"
	"github.com/troupe-sched/troupe/node/ledger"
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
	// Shim is the command under which processes run: this program with an argument at which it calls
	// process.ShimMain; "troupe shim" is one. Empty means this program with the argument "shim".
	Shim []string
	// Funcs by the names that stages give.
	Funcs map[string]Func
	// CPUMilli, MemoryBytes and DiskBytes are what it hands out; zero means what the machine has.
	CPUMilli, MemoryBytes, DiskBytes int64
	Attributes                       map[string]string
	// StopAll stops all attempts when the cell is closed; else those of driver process run on.
	StopAll bool
}

// localAgent is the agent in this process.
type localAgent struct {
	id    string
	opts  AgentOptions
	sys   *kit.System
	agent atomic.Pointer[agent.Agent]
}

func (c *Cell) openAgent(_ context.Context, o AgentOptions) error {
	if o.NodeID == "" {
		o.NodeID = "local"
	}
	l := &localAgent{id: o.NodeID, opts: o, sys: kit.New(kit.Config{Name: o.NodeID, Log: c.log.With("node", o.NodeID)})}
	info := &v1.NodeInfo{
		Id: o.NodeID, CpuMilli: o.CPUMilli, MemoryBytes: o.MemoryBytes, DiskBytes: o.DiskBytes,
		Attributes: map[string]string{"os": runtime.GOOS, "arch": runtime.GOARCH}, Drivers: []string{"func"},
	}
	if info.CpuMilli == 0 {
		info.CpuMilli = int64(runtime.NumCPU()) * 1000
	}
	if info.MemoryBytes == 0 {
		info.MemoryBytes = 4 << 30
	}
	registry := gofunc.NewRegistry()
	for name, f := range o.Funcs {
		if err := registry.Register(name, f); err != nil {
			return err
		}
	}
	funcs, err := gofunc.New(gofunc.Options{Registry: registry, Log: c.log})
	if err != nil {
		return err
	}
	drivers := map[string]driver.Driver{"func": funcs}
	if o.Dir != "" {
		p, err := process.New(process.Options{Dir: filepath.Join(o.Dir, "slots"), Shim: o.Shim, Log: c.log})
		if err != nil {
			return err
		}
		drivers["process"] = p
		info.Drivers = append(info.Drivers, "process")
	}
	c.local = l
	a, err := agent.Start(l.sys, agent.Config{Cell: c.opts.Name, Info: info, BootID: "x"}, agent.Ports{
		Uplink: uplink{c}, Ledger: ledger.Memory(), Drivers: drivers, Inputs: &inputs{cell: c, dir: o.Dir},
	})
	if err != nil {
		return err
	}
	l.agent.Store(a)
	return nil
}

type uplink struct{ c *Cell }

func (u uplink) Send(m *v1.FromAgent) { u.c.Deliver(m) }

type inputs struct {
	cell *Cell
	dir  string
	mu   sync.Mutex
}

func (in *inputs) Keep([]uint64) {}

func (in *inputs) Fetch(w agent.Wanted, done func(agent.Given, error)) {
	go func() {
		ctx := context.Background()
		results := map[string]map[uint64][]byte{}
		for _, stage := range w.Stages {
			m := map[uint64][]byte{}
			for from := uint64(0); ; {
				r, err := in.cell.Results(ctx, &v1.ResultsRequest{Queue: w.Queue, Name: w.Job, Stage: stage, From: from, Uid: w.JobUID})
				if err != nil {
					done(agent.Given{}, err)
					return
				}
				for _, x := range r.GetResults() {
					m[x.GetIndex()] = x.GetData()
				}
				if from = r.GetNext(); from == 0 {
					break
				}
			}
			results[stage] = m
		}
		g := agent.Given{Results: func(stage string) (map[uint64][]byte, error) { return results[stage], nil }}
		if in.dir != "" {
			g.Dir = filepath.Join(in.dir, "inputs", fmt.Sprint(w.JobUID))
			in.mu.Lock()
			defer in.mu.Unlock()
			for s, m := range results {
				d := filepath.Join(g.Dir, s)
				if err := os.MkdirAll(d, 0o755); err != nil {
					done(g, err)
					return
				}
				for i, data := range m {
					if err := os.WriteFile(filepath.Join(d, fmt.Sprint(i)), data, 0o644); err != nil {
						done(g, err)
						return
					}
				}
			}
		}
		done(g, nil)
	}()
}

func (l *localAgent) close(ctx context.Context) error {
	a := l.agent.Load()
	if a == nil {
		return nil
	}
	var err error
	if l.opts.StopAll {
		err = a.Drain(ctx, "the cell is closed")
	}
	return errors.Join(err, l.sys.Stop(ctx), a.Close())
}

func (l *localAgent) deliver(m *v1.ToAgent) {
	if a := l.agent.Load(); a != nil {
		a.Deliver(m)
	}
}

func (l *localAgent) tree() kit.Node { return l.sys.Tree() }

func (l *localAgent) logs(ctx context.Context, place *v1.LogPlace, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
	a := l.agent.Load()
	if a == nil {
		return model.Unavailable("the agent is starting")
	}
	r := &v1.LogsRequest{Queue: req.GetQueue(), Name: req.GetName(), Stage: req.GetStage(), Index: req.GetIndex(), Follow: req.GetFollow(), TailBytes: req.GetTailBytes(), Fence: place.GetFence(), Uid: place.GetUid()}
	return a.Logs(ctx, r, fn)
}

func unknownKind(kind string) error {
	return model.Invalid(fmt.Sprintf("there is no kind of actor %q: it must be queue, job or node", kind))
}
