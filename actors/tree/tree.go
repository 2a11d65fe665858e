// Package tree is the supervision tree of a master as a table, and the way to start it.
package tree

import (
	"context"
	"time"

	"github.com/troupe-sched/troupe/actors/gateway"
	"github.com/troupe-sched/troupe/actors/job"
	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/names"
	"github.com/troupe-sched/troupe/actors/node"
	"github.com/troupe-sched/troupe/actors/placer"
	"github.com/troupe-sched/troupe/actors/policy/place"
	"github.com/troupe-sched/troupe/actors/queue"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Config is what a master needs of the world: its hard state, and the ports of its actors.
type Config struct {
	Cell, Host, Version string
	Limits              msg.Limits
	// State as journal.Recover and journal.Begin left it; it belongs to the tree from now on.
	State *model.State
	Log   journal.Log
	Snap  journal.Snapshotter
	// SnapshotRecords overrides how much is appended between snapshots; 0 means the default.
	SnapshotRecords uint64
	// Publish is called with every job event once it is durable; it must not block.
	Publish func(*v1.JobEvent)
	Fabric  node.Fabric
	// Memory of this process, as the gateway needs it.
	Memory gateway.Ports
	// Place says which filters and scores there are beyond the built-in ones, and which score is used unless one is named.
	Place place.Options
	// Record makes what hears the placer; nil if nobody does. env is filled before the placer's first message, tell sends it
	// a message.
	Record func(env *msg.Env, tell func(message any)) kit.Tap
	// Guests are actors of the program that embeds the cell; they are started last and supervised with the rest.
	Guests []kit.Spec
}

// Entry is one line of the table.
type Entry struct {
	Name    string
	Restart kit.Restart
	// Mailbox bounds waiting messages.
	Mailbox int
	// Limit of its children's failures.
	Limit kit.Limit
	New   func(c *Config, env *msg.Env) kit.Behavior
	// Ref is where its address is kept for the others.
	Ref func(*msg.Refs) *kit.Ref
}

const wide = 1 << 16

// many is the limit for supervisors of thousands: one child that fails again and again passes it in a minute, a bad
// moment of many does not.
var many = kit.Limit{Max: 100, Per: time.Minute}

// Table is the tree of a master. Children start top-down and stop bottom-up.
var Table = []Entry{
	// What the journal holds cannot be rebuilt alone: when it fails, everything is built again from the log.
	{"journal", kit.Escalating, wide, kit.Limit{}, newJournal, func(r *msg.Refs) *kit.Ref { return &r.Journal }},
	{"names", kit.Permanent, wide, kit.Limit{}, func(_ *Config, e *msg.Env) kit.Behavior { return names.New(e) }, func(r *msg.Refs) *kit.Ref { return &r.Names }},
	{"placer", kit.Permanent, wide, kit.Limit{}, func(c *Config, e *msg.Env) kit.Behavior { return placer.New(e, c.Place) }, func(r *msg.Refs) *kit.Ref { return &r.Placer }},
	{"queues", kit.Permanent, wide, many, func(_ *Config, e *msg.Env) kit.Behavior { return queue.NewSupervisor(e) }, func(r *msg.Refs) *kit.Ref { return &r.Queues }},
	{"jobs", kit.Permanent, wide, many, func(_ *Config, e *msg.Env) kit.Behavior { return job.NewSupervisor(e) }, func(r *msg.Refs) *kit.Ref { return &r.Jobs }},
	{"nodes", kit.Permanent, wide, many, func(c *Config, e *msg.Env) kit.Behavior { return node.NewSupervisor(e, c.Fabric) }, func(r *msg.Refs) *kit.Ref { return &r.Nodes }},
	{"gateway", kit.Permanent, wide, kit.Limit{}, func(c *Config, e *msg.Env) kit.Behavior { return gateway.New(e, c.Memory, c.Version) }, func(r *msg.Refs) *kit.Ref { return &r.Gateway }},
}

func newJournal(c *Config, env *msg.Env) kit.Behavior {
	return journal.New(journal.Config{
		Env: env, State: c.State, Log: c.Log, Snap: c.Snap, Publish: c.Publish, SnapshotRecords: c.SnapshotRecords,
	})
}

// recorded is the actor that decides who gets what.
const recorded = "placer"

// tap is what hears an actor; nil if nobody does.
func (c *Config) tap(name string, env *msg.Env, sys *kit.System) kit.Tap {
	if name != recorded || c.Record == nil {
		return nil
	}
	return c.Record(env, func(message any) { sys.Tell(env.Refs.Placer, message) })
}

// Start spawns the tree in sys and returns what its actors share. The system's Done tells when it has failed for good.
func Start(ctx context.Context, sys *kit.System, c Config) (*msg.Env, error) {
	if c.Publish == nil {
		c.Publish = func(*v1.JobEvent) {}
	}
	env := &msg.Env{
		Cell: c.Cell, Host: c.Host, Epoch: c.State.Epoch(), Limits: c.Limits,
		IDs: msg.NewIDs(c.State.Epoch(), c.State.NextUID()),
	}
	for _, score := range c.Place.Scores {
		env.Scores = append(env.Scores, score.Name())
	}
	ready := make(chan struct{})
	// The root never restarts its top actor: what fails past its limit ends the system, and the owner begins anew.
	top := kit.Spec{Name: "cell", Limit: kit.Limit{Max: 10, Per: time.Minute}, New: func() kit.Behavior {
		s := &kit.Supervisor{Ready: func(_ *kit.Context, refs []kit.Ref) {
			for i, e := range Table {
				*e.Ref(&env.Refs) = refs[i]
			}
			close(ready)
		}}
		for _, e := range Table {
			s.Children = append(s.Children, kit.Spec{
				Name: e.Name, Restart: e.Restart, Mailbox: e.Mailbox, Limit: e.Limit,
				New: func() kit.Behavior { return e.New(&c, env) },
				Tap: c.tap(e.Name, env, sys),
			})
		}
		s.Children = append(s.Children, c.Guests...)
		return s
	}}
	if _, err := sys.Start(top); err != nil {
		return nil, err
	}
	if err := sys.Await(ctx, ready); err != nil {
		return nil, err
	}
	return env, nil
}
