// Package actors is a cell inside a Go program: open one, submit jobs whose instances are Go functions or processes,
// watch them, ask why they wait, close it. It needs no NATS and, in memory, no files; a cell opens in milliseconds, so
// a test can have its own. The same actors run in the troupe binary, where NATS carries requests and agents.
//
// The actors themselves are part of the API: Ref finds the address of a queue, a job or a node; package msg documents
// what they can be told and asked; Subscribe sends job events to an actor of the program; Options.Guests are the
// program's own actors, supervised with the rest.
package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb"
	"github.com/troupe-sched/troupe/cluster/store/badgerlog"
	"github.com/troupe-sched/troupe/cluster/store/badgersnap"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Cell is an open cell. It is safe for use from several goroutines.
type Cell struct {
	opts  Options
	log   *slog.Logger
	hub   hub
	local atomic.Pointer[localAgent] // nil if there is none
	// backups are those that are being taken.
	backups atomic.Int32

	// relieving is set while a dump is written and memory given back.
	relieving atomic.Bool

	// life ends when the cell is closed, or with the cause for which it cannot go on; orders reach the loop that leads.
	life    context.Context
	end     context.CancelCauseFunc
	orders  chan order
	closing atomic.Bool
	// stalled: a drill makes the leader deaf and dumb.
	stalled atomic.Bool
	// outranked is the greatest epoch that an agent has told of: the next one begins above it. higher wakes the loop.
	outranked atomic.Uint64
	higher    chan struct{}

	mu        sync.Mutex
	reign     *reign     // nil while the master is being built, and while it follows
	answering bool       // the reign may answer
	following *following // nil while it leads
	// open is closed when the cell is ready for the first time.
	open chan struct{}
	done chan struct{}
	err  error
}

// Open opens a cell and returns when it takes requests, or, with an election, when it follows.
func Open(ctx context.Context, opts Options) (*Cell, error) {
	if opts.Name == "" {
		opts.Name = "local"
	}
	if !model.ValidName(opts.Name) {
		return nil, model.Invalid("the name of the cell is not valid", &v1.FieldError{Field: "name", Problem: model.Quote(opts.Name) + " is not a name", Hint: "small letters, digits, - and _, at most 63"})
	}
	for i, s := range opts.Scores {
		if !strings.HasPrefix(s.Name(), model.ExtraScore) || !model.ValidName(s.Name()) {
			return nil, model.Invalid("a score has a name that cannot be used", &v1.FieldError{Field: model.FieldIndex("scores", i),
				Problem: model.Quote(s.Name()) + " does not begin with " + model.ExtraScore, Hint: "such as " + model.ExtraScore + "mine"})
		}
	}
	if opts.Limits == (msg.Limits{}) {
		opts.Limits = msg.DefaultLimits()
	}
	if opts.Election != nil && opts.Limits.ReadLease == 0 {
		opts.Limits.ReadLease = readLease
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if opts.Host == "" {
		opts.Host, _ = os.Hostname()
	}
	if opts.Memory == nil {
		opts.Memory = processMemory
	}
	if opts.Limits.MemoryBytes == 0 {
		opts.Limits.MemoryBytes = processLimit()
	}
	if opts.Dumps == "" && opts.Dir != "" {
		opts.Dumps = filepath.Join(opts.Dir, "dumps")
	}
	if opts.Journal == nil {
		opts.Journal = OpenStores(opts)
	}
	if opts.ID == "" {
		opts.ID = opts.Host
	}
	if opts.Election != nil && opts.Agent != nil {
		return nil, model.Invalid("an agent in the process needs a master that always leads", &v1.FieldError{Field: "agent", Problem: "there is an election", Hint: "run the agent as a process of its own"})
	}
	c := &Cell{opts: opts, log: opts.Log, orders: make(chan order), higher: make(chan struct{}, 1), open: make(chan struct{}), done: make(chan struct{})}
	c.life, c.end = context.WithCancelCause(context.WithoutCancel(ctx))
	f, err := c.follow(ctx)
	if err != nil {
		c.end(nil)
		return nil, err
	}
	go c.rule(f)
	if opts.Election == nil {
		select {
		case <-c.open:
		case <-c.done:
			return nil, c.Err()
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), c.Close(context.WithoutCancel(ctx)))
		}
	}
	if opts.Agent != nil {
		if err := c.openAgent(ctx, *opts.Agent); err != nil {
			return nil, errors.Join(err, c.Close(context.WithoutCancel(ctx)))
		}
	}
	return c, nil
}

// OpenStores returns the default of Options.Journal: it opens the stores of Dir, or in memory. What is in memory outlives a failure of the master, not the cell.
func OpenStores(opts Options) func(context.Context) (Stores, error) {
	if opts.Dir == "" {
		mem, snaps := memlog.New(memlog.Options{}), memlog.NewSnapshots()
		return func(context.Context) (Stores, error) {
			mem, snaps = mem.Reopen(), snaps.Reopen()
			return Stores{Log: mem, Snapshots: snaps}, nil
		}
	}
	return func(context.Context) (Stores, error) {
		db, err := badgerdb.OpenWith(badgerdb.Options{Dir: filepath.Join(opts.Dir, "journal"), Log: opts.Log, Quota: opts.Quota})
		if err != nil {
			return Stores{}, fmt.Errorf("open journal: %w", err)
		}
		log, err := badgerlog.New(db)
		if err != nil {
			return Stores{}, errors.Join(fmt.Errorf("open journal: %w", err), db.Close())
		}
		return Stores{Log: log, Snapshots: badgersnap.New(db), Close: db.Close}, nil
	}
}

// setReign says which reign there is, and whether it may answer.
func (c *Cell) setReign(r *reign, answering bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reign, c.answering = r, answering
}

func (c *Cell) setFollowing(f *following) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.following = f
}

// opened tells Open that the cell takes requests.
func (c *Cell) opened() {
	select {
	case <-c.open:
	default:
		close(c.open)
	}
}

// isOpen reports whether the cell has ever taken requests, or may follow until it does.
func (c *Cell) isOpen() bool {
	select {
	case <-c.open:
		return true
	default:
		return c.opts.Election != nil
	}
}

func (c *Cell) finish(err error) {
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
	c.hub.close()
	close(c.done)
}

// Done is closed when the cell has ended: after Close, or because it failed for good.
func (c *Cell) Done() <-chan struct{} { return c.done }

// Err says why a cell that is done has failed; nil if it was closed.
func (c *Cell) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the cell in order, the agent first; a leader among several masters hands over. Attempts of driver process end
// with it if the agent was told so (AgentOptions.StopAll), else they run on and are found again. ctx bounds the wait.
// Closing again only waits.
func (c *Cell) Close(ctx context.Context) error {
	var err error
	if l := c.local.Load(); l != nil && !c.closing.Swap(true) {
		err = l.close(ctx)
	}
	c.end(nil)
	select {
	case <-c.done:
		return errors.Join(err, c.Err())
	case <-ctx.Done():
		return errors.Join(err, ctx.Err())
	}
}

// retrySoon is when a request should come again that no reign takes.
const retrySoon = 500 * time.Millisecond

// current is the reign that takes requests now.
func (c *Cell) current() (*reign, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var f *model.Fault
	switch {
	case c.life.Err() != nil:
		return nil, model.Unavailable("the cell is closed")
	case c.reign != nil && c.answering:
		return c.reign, nil
	case c.opts.Election == nil:
		f = model.Unavailable("the master is being built again from its journal")
	case c.reign != nil:
		f = model.Unavailable("this master has just begun to lead, or is stalled by a drill")
	default:
		f = model.Unavailable("this master follows; the leader is %s", cmp.Or(c.opts.Election.Leader(), "not known yet"))
	}
	f.RetryAfter = retrySoon
	return nil, f
}

// Name is the name of the cell.
func (c *Cell) Name() string { return c.opts.Name }

// Epoch is the number of this master's reign; it grows with every start and every failure.
func (c *Cell) Epoch() uint64 {
	r, err := c.current()
	if err != nil {
		return 0
	}
	return r.env.Epoch
}

// Deliver hands in a message of an agent outside this process. A master that does not lead drops it.
func (c *Cell) Deliver(m *v1.FromAgent) {
	c.mu.Lock()
	r := c.reign
	c.mu.Unlock()
	if r != nil && !c.stalled.Load() {
		if m.GetEpoch() > r.env.Epoch {
			c.outrank(r, m)
			return
		}
		r.sys.Tell(r.env.Refs.Nodes, &msg.FromAgent{Message: m})
	}
}

// Send implements the port of the node actors: to the agent in this process, or by the fabric.
func (c *Cell) Send(m *v1.ToAgent) {
	l := c.local.Load()
	switch {
	case c.stalled.Load():
	case l != nil && m.GetNode() == l.id:
		l.node.Deliver(m)
	case c.opts.Fabric != nil:
		c.opts.Fabric.Send(m)
	}
}

func (c *Cell) publish(e *v1.JobEvent) {
	c.hub.publish(e)
	if c.opts.Events != nil {
		c.opts.Events(e)
	}
}
