package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/node/agent"
	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/ledger"
	"github.com/troupe-sched/troupe/node/meter"
)

// life is what one process of the agent has open. A drill ends one as if the process had been killed and begins the next.
type life struct {
	sys    *kit.System
	agent  *agent.Agent
	store  ledger.Store
	inputs *inputs
	cancel context.CancelFunc

	once sync.Once
	err  error
}

// begin opens the ledger, and starts the agent over it.
func (n *Node) begin(drivers map[string]driver.Driver) (*life, error) {
	o := &n.opts
	l := &life{sys: kit.New(kit.Config{Name: "agent", Log: o.Log, Clock: o.Clock})}
	if err := n.open(l, drivers); err != nil {
		return nil, errors.Join(err, l.end(context.Background()))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.life.Store(l)
	for _, m := range n.early {
		l.agent.Deliver(m)
	}
	n.early = nil
	return l, nil
}

func (n *Node) open(l *life, drivers map[string]driver.Driver) (err error) {
	o := &n.opts
	if l.store, err = o.ledger(); err != nil {
		return err
	}
	ports := agent.Ports{Ledger: l.store, Drivers: drivers, Meter: meter.New(o.disk()), Count: o.Count}
	inputsCtx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	if o.Results != nil {
		l.inputs = newInputs(inputsCtx, o.below("inputs"), o.Results, o.Log)
		if err := l.inputs.sweep(); err != nil {
			return fmt.Errorf("inputs: %w", err)
		}
		ports.Inputs = l.inputs
	}
	if n.uplink == nil {
		if n.uplink, err = o.Connect(n); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
	}
	ports.Uplink = n.uplink
	if o.Funcs == nil && o.Dir != "" { // functions live and die with this process
		ports.Restart = func(down time.Duration) { n.drill(l, down) }
	}
	l.agent, err = agent.Start(l.sys, agent.Config{
		Cell: o.Cell, Info: n.info, BootID: n.boot, Limits: o.Limits, Process: rand.Uint64(),
	}, ports)
	return err
}

// end gives back what was opened, last first.
func (l *life) end(ctx context.Context) error {
	l.once.Do(func() {
		l.err = l.sys.Stop(ctx)
		if l.err != nil {
			l.sys.Kill() // drivers and ledger must not be closed under actors that run
		}
		if l.agent != nil {
			l.err = errors.Join(l.err, l.agent.Close())
		}
		if l.cancel != nil {
			l.cancel()
		}
		if l.inputs != nil {
			l.inputs.wait()
		}
		if l.store != nil {
			l.err = errors.Join(l.err, l.store.Close())
		}
	})
	return l.err
}

// drill ends a life as a crash would, and begins the next after so long.
func (n *Node) drill(l *life, down time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.drilled != nil {
		return // one at a time
	}
	n.drilled = l
	timer := time.NewTimer(down)
	n.waiting.Go(func() {
		defer timer.Stop()
		l.sys.Kill()
		err := l.end(context.Background())
		select {
		case <-timer.C:
		case <-n.closing:
			n.ended(err)
			return
		}
		n.again(err)
	})
}

// again begins the life after a drill.
func (n *Node) again(err error) {
	drivers, failed := n.opts.drivers()
	if err = errors.Join(err, failed); failed == nil {
		var next *life
		if next, failed = n.begin(drivers); failed == nil {
			n.mu.Lock()
			n.drilled = nil
			n.mu.Unlock()
			n.watch(next)
			return
		}
		err = errors.Join(err, failed)
	}
	n.ended(fmt.Errorf("node: the agent does not begin again after a drill: %w", err))
}

// watch waits for the end of a life: unless a drill has ended it the node is done.
func (n *Node) watch(l *life) {
	n.waiting.Go(func() {
		<-l.sys.Done()
		n.mu.Lock()
		drilled := n.drilled == l
		n.mu.Unlock()
		if !drilled {
			n.ended(l.sys.Err())
		}
	})
}

func (n *Node) ended(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.done:
	default:
		n.err = err
		close(n.done)
	}
}
