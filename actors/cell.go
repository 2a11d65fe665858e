// Package actors is a cell inside a Go program: open one, submit jobs whose instances are Go functions or processes,
// watch them, ask why they wait, close it. It needs no NATS and, in memory, no files; a cell opens in milliseconds, so
// a test can have its own. The same actors run in the troupe binary, where NATS carries requests and agents.
//
// The actors themselves are part of the API: Ref finds the address of a queue, a job or a node; package msg documents
// what they can be told and asked; Subscribe sends job events to an actor of the program; Options.Guests are the
// program's own actors, supervised with the rest.
package actors

import (
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

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/place"
	"github.com/troupe-sched/troupe/actors/tree"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb"
	"github.com/troupe-sched/troupe/cluster/store/badgerlog"
	"github.com/troupe-sched/troupe/cluster/store/badgersnap"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// rebuildsMax is how often within rebuildsPer a master may be built again from its log before the cell gives up.
const (
	rebuildsMax = 5
	rebuildsPer = time.Minute
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

	mu     sync.Mutex
	reign  *reign // nil while the master is being built
	closed bool
	done   chan struct{}
	err    error
}

// reign is one life of the master: from a recovered state to a failure or the end.
type reign struct {
	sys    *kit.System
	env    *msg.Env
	stores Stores
	keeper *journal.Keeper
}

// Open opens a cell and returns when it takes requests.
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
	c := &Cell{opts: opts, log: opts.Log, done: make(chan struct{})}
	r, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	c.reign = r
	go c.rule(r)
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
		db, err := badgerdb.Open(filepath.Join(opts.Dir, "journal"), opts.Log)
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

// begin recovers the hard state, starts an epoch and the tree.
func (c *Cell) begin(ctx context.Context) (*reign, error) {
	stores, err := c.opts.Journal(ctx)
	if err != nil {
		return nil, err
	}
	r := &reign{stores: stores}
	state, err := journal.Recover(ctx, stores.Log, stores.Snapshots)
	if err == nil {
		_, err = journal.Begin(ctx, stores.Log, state, c.opts.Host, time.Now())
	}
	if err != nil {
		return nil, errors.Join(err, r.closeStores())
	}
	r.keeper = journal.NewKeeper(stores.Log, stores.Snapshots, nil)
	r.sys = kit.New(kit.Config{Name: c.opts.Name, Log: c.log.With("epoch", state.Epoch())})
	r.env, err = tree.Start(ctx, r.sys, tree.Config{
		Cell: c.opts.Name, Host: c.opts.Host, Version: c.opts.Version, Limits: c.opts.Limits,
		State: state, Log: stores.Log, Snap: r.keeper, SnapshotRecords: c.opts.SnapshotRecords,
		Publish: c.publish, Fabric: c, Memory: c.memoryPorts(), Guests: c.opts.Guests,
		Place: place.Options{Filters: c.opts.Filters, Scores: c.opts.Scores},
	})
	if err != nil {
		return nil, errors.Join(err, r.closeStores())
	}
	return r, nil
}

func (r *reign) closeStores() error {
	if r.keeper != nil {
		r.keeper.Close()
	}
	return r.stores.Shut()
}

// rule waits for the end of each reign. After a failure it builds the master again from its log; a fenced master steps
// down for good, because another one has taken over.
func (c *Cell) rule(r *reign) {
	var failures []time.Time
	for {
		<-r.sys.Done()
		c.setReign(nil)
		err := errors.Join(r.sys.Err(), r.closeStores())
		if errors.Is(r.sys.Err(), kit.ErrEnded) || c.isClosed() {
			c.finish(nil)
			return
		}
		if !errors.Is(err, journal.ErrFenced) {
			c.postMortem("failure", "%v", err)
		}
		now := time.Now()
		failures = append(failures, now)
		for now.Sub(failures[0]) > rebuildsPer {
			failures = failures[1:]
		}
		if errors.Is(err, journal.ErrFenced) || len(failures) > rebuildsMax {
			c.finish(err)
			return
		}
		c.log.Error("master failed; it is built again from its journal", "reason", err)
		next, err := c.begin(context.Background())
		if err != nil {
			c.finish(err)
			return
		}
		r = next
		if !c.setReign(r) { // closed meanwhile
			_ = r.sys.Stop(context.Background())
		}
	}
}

func (c *Cell) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// setReign reports whether the cell is still open.
func (c *Cell) setReign(r *reign) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reign = r
	return !c.closed
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

// Close ends the cell in order, the agent first. Attempts of driver process end with it if the agent was told so
// (AgentOptions.StopAll), else they run on and are found again. ctx bounds the wait. Closing again only waits.
func (c *Cell) Close(ctx context.Context) error {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	r := c.reign
	c.mu.Unlock()
	var err error
	if l := c.local.Load(); l != nil && !again {
		err = l.close(ctx)
	}
	if r != nil {
		err = errors.Join(err, r.sys.Stop(ctx))
	}
	select {
	case <-c.done:
		return errors.Join(err, c.Err())
	case <-ctx.Done():
		return errors.Join(err, ctx.Err())
	}
}

// current is the reign that takes requests now.
func (c *Cell) current() (*reign, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, model.Unavailable("the cell is closed")
	case c.reign == nil:
		return nil, model.Unavailable("the master is being built again from its journal")
	}
	return c.reign, nil
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

// Deliver hands in a message of an agent outside this process.
func (c *Cell) Deliver(m *v1.FromAgent) {
	if r, err := c.current(); err == nil {
		r.sys.Tell(r.env.Refs.Nodes, &msg.FromAgent{Message: m})
	}
}

// Send implements the port of the node actors: to the agent in this process, or by the fabric.
func (c *Cell) Send(m *v1.ToAgent) {
	l := c.local.Load()
	switch {
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
