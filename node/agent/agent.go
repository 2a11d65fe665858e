package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/node/ledger"
	"github.com/troupe-sched/troupe/node/rig"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Config of an agent. It is constant while the agent runs.
type Config struct {
	// Cell is the name of the cell.
	Cell string
	// Info is what the agent says of its machine. The amounts in it are what it hands out.
	Info *v1.NodeInfo
	// BootID changes with every boot of the machine.
	BootID string
	// Process is drawn when the agent's process begins, to tell two agents apart that have one id; 0 if it is not.
	Process uint64
	// Limits; those that are zero are the default.
	Limits Limits
}

// Limits of one agent. Each has an answer at the limit.
type Limits struct {
	// Slots live at once; launches beyond are refused.
	Slots int
	// Ends that are not settled, and their bytes; while there are more, launches are refused.
	Ends, EndBytes int
	// Templates remembered, their bytes together, and those of one. Unused ones make room; a launch whose template
	// found none is refused.
	Templates, TemplatesBytes, TemplateBytes int
	// Released slots remembered one by one; older ones are refused by their number.
	Released int
	// Commands taken from the master that wait for the ledger; more are not taken, and sent again by the master.
	Commands int
	// Facts that wait for the master; one more and a new session begins.
	Facts int
	// InputTries is how often the inputs of an attempt are fetched before it has failed.
	InputTries int
}

// DefaultLimits are right for one machine.
func DefaultLimits() Limits {
	return Limits{
		Slots: 2048, Ends: 4096, EndBytes: 64 << 20,
		Templates: 4096, TemplatesBytes: 64 << 20, TemplateBytes: 512 << 10,
		Released: 16_384, Commands: 4096, Facts: 16_384, InputTries: 5,
	}
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	for _, f := range []struct{ have, std *int }{
		{&l.Slots, &d.Slots}, {&l.Ends, &d.Ends}, {&l.EndBytes, &d.EndBytes}, {&l.Templates, &d.Templates},
		{&l.TemplatesBytes, &d.TemplatesBytes}, {&l.TemplateBytes, &d.TemplateBytes}, {&l.Released, &d.Released},
		{&l.Commands, &d.Commands}, {&l.Facts, &d.Facts}, {&l.InputTries, &d.InputTries},
	} {
		if *f.have <= 0 {
			*f.have = *f.std
		}
	}
	return l
}

func (c *Config) check() error {
	if c.Cell == "" {
		return errors.New("agent: Config.Cell is empty: name the cell")
	}
	if problems := model.CheckNodeInfo(c.Info); len(problems) > 0 {
		return fmt.Errorf("agent: Config.Info: %w", model.Invalid("the node cannot join", problems...))
	}
	return nil
}

// env is what the actors of one agent share, constant after the start.
type env struct {
	cfg   Config
	life  uint64
	ports Ports
	rig   *rig.Rig
}

func (e *env) count(event string) {
	if e.ports.Count != nil {
		e.ports.Count(event)
	}
}

// Agent is the running tree of one machine.
type Agent struct {
	sys *kit.System
	top kit.Ref
	rig *rig.Rig
}

// Start reads the ledger, opens the drivers, which take over what still runs, and starts the tree on sys. Once it has
// returned the agent introduces itself to the master through the uplink. The tree ends with sys; Close comes after that.
func Start(sys *kit.System, cfg Config, ports Ports) (*Agent, error) {
	cfg.Limits = cfg.Limits.orDefault()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if ports.Uplink == nil || ports.Ledger == nil {
		return nil, errors.New("agent: Ports.Uplink and Ports.Ledger are required")
	}
	life, err := nextLife(ports.Ledger, cfg.Info.GetId())
	if err != nil {
		return nil, err
	}
	r, err := rig.Open(context.Background(), ports.Drivers)
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	a := &Agent{sys: sys, rig: r}
	if a.top, err = sys.Start(treeOf(&env{cfg: cfg, life: life, ports: ports, rig: r})); err != nil {
		return nil, errors.Join(fmt.Errorf("agent: %w", err), r.Close())
	}
	r.Notify(func(slot uint64) { sys.Tell(a.top, &notice{slot}) })
	return a, nil
}

// nextLife checks that the ledger can be read and is this node's.
func nextLife(store Ledger, node string) (uint64, error) {
	entries, err := store.Load()
	if err != nil {
		return 0, fmt.Errorf("agent: load ledger: %w", err)
	}
	head := &v1.LedgerHead{}
	for _, e := range entries {
		if e.Key.Kind == ledger.Head {
			head = e.Value.(*v1.LedgerHead)
		}
	}
	if head.GetNode() != "" && head.GetNode() != node {
		return 0, fmt.Errorf("agent: the ledger belongs to node %q, this is %q: use its name, or another directory",
			head.GetNode(), node)
	}
	return head.GetIncarnation() + 1, nil
}

// Crashes of slots are counted by attempts, each slot gives up after a few; many slots may have a bad day at once.
const slotCrashes = 64

func treeOf(e *env) kit.Spec {
	k := &kin{}
	return kit.Spec{Name: "agent", New: func() kit.Behavior {
		return &kit.Supervisor{
			Children: []kit.Spec{
				{Name: "ledger", New: func() kit.Behavior { return &ledgerActor{env: e, kin: k} }},
				{
					Name: "attempts", New: func() kit.Behavior { return newAttempts(e, k) },
					Limit: kit.Limit{Max: slotCrashes, Per: 10 * time.Second},
				},
				{Name: "link", New: func() kit.Behavior { return &linkActor{env: e, kin: k} }},
			},
			Ready: func(_ *kit.Context, refs []kit.Ref) { k.ledger, k.attempts, k.link = refs[0], refs[1], refs[2] },
			Rest: func(ctx *kit.Context, message any) {
				switch m := message.(type) {
				case *v1.ToAgent:
					ctx.Forward(k.link, m)
				case *notice:
					ctx.Forward(k.attempts, m)
				case *drain:
					ctx.Forward(k.ledger, &drain{m.reason, ctx.Sender()})
				default:
					ctx.Unhandled(m)
				}
			},
		}
	}}
}

// Deliver hands in a frozen message of the master, from any goroutine. It never blocks; when the agent cannot keep up
// the message is lost, as on a fabric that loses, and the master sends it again.
func (a *Agent) Deliver(m *v1.ToAgent) { a.sys.Tell(a.top, m) }

// Logs copies captured output of an attempt; see driver.Driver.
func (a *Agent) Logs(ctx context.Context, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
	return a.rig.Logs(ctx, req, fn)
}

// Tree is the live tree of actors.
func (a *Agent) Tree() kit.Node { return a.sys.Tree() }

// Drain stops all that runs, takes nothing new, and waits until no slot is left or ctx, which needs a deadline, ends.
// What ended is in the ledger, and told to the master as long as the session lasts. After a restart the agent takes new
// work again. It is not for steppers.
func (a *Agent) Drain(ctx context.Context, reason string) error {
	if _, err := a.sys.Ask(ctx, a.top, &drain{reason: reason}); err != nil {
		return fmt.Errorf("agent: drain: %w", err)
	}
	return nil
}

// Close closes the drivers: what can outlive this process runs on, the rest is stopped. The system that the agent runs
// on must have ended.
func (a *Agent) Close() error { return a.rig.Close() }
