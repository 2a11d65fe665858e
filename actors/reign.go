package actors

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/place"
	"github.com/troupe-sched/troupe/actors/tree"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// readLease is how long, in a cell of several masters, a leader answers reads after it has sent its last append that
	// succeeded, unless Limits.ReadLease says otherwise; until that is over the next one answers nothing.
	readLease = 300 * time.Millisecond
	// answerMax bounds the wait for requests under way when a reign ends, stopMax that for its actors, and settleMax that
	// for what they have appended.
	answerMax, stopMax, settleMax = 300 * time.Millisecond, 5 * time.Second, 2 * time.Second
)

// reign is one life of the master: from a recovered state to a failure, to another's reign or to the end.
type reign struct {
	sys    *kit.System
	env    *msg.Env
	stores Stores
	keeper *journal.Keeper
	gate   *gate
	// outdone is closed when another leads; nil in a cell of one master.
	outdone <-chan struct{}
	// answers is when it may answer the first request.
	answers time.Time
	// follower has kept the state until the reign began.
	follower *journal.Follower
	// agents closes the link to agents, serve ends to answer clients; nil while they are not open.
	agents, serve func(context.Context) error
}

// begin starts an epoch on a state that has all that the log has, and the tree. After an error the stores are left to f.
func (c *Cell) begin(ctx context.Context, f *following, state *model.State) (*reign, error) {
	stores := f.stores
	r := &reign{stores: stores, gate: &gate{Log: stores.Log}, follower: f.Follower}
	e := c.opts.Election
	before, quiet := state.Epoch(), f.quiet(state.Seq())
	started := &v1.EpochStarted{Host: c.opts.Host}
	if above := c.outranked.Load(); above > before {
		started.Epoch = above + 1
	}
	epoch, err := journal.BeginWith(ctx, stores.Log, state, started, time.Now())
	if err != nil {
		return nil, err
	}
	if e != nil {
		r.gate.durable = func(seq uint64) { e.Seen(epoch, seq) }
		r.outdone = e.Won(epoch)
		e.Seen(epoch, state.Seq())
		if before != 0 && !e.Yielded(before) {
			// Its leader may answer for as long after it has sent its last record, which was before that came here; a little
			// longer, for its clock may be slow, and this one fast.
			lease := c.opts.Limits.ReadLease
			r.answers = quiet.Add(lease + lease/40)
		}
	}
	r.keeper = journal.NewKeeper(stores.Log, stores.Snapshots, stores.Shared)
	r.sys = kit.New(kit.Config{Name: c.opts.Name, Log: c.log.With("epoch", epoch), Clock: c.opts.Clock})
	// The link first: what the nodes ask their agents at once would be lost.
	if r.agents, err = c.hook(ctx, c.opts.Agents); err == nil {
		r.env, err = tree.Start(ctx, r.sys, tree.Config{
			Cell: c.opts.Name, Host: c.opts.Host, Version: c.opts.Version, Limits: c.opts.Limits,
			State: state, Log: r.gate, Snap: r.keeper, SnapshotRecords: c.opts.SnapshotRecords,
			Publish: c.publish, Fabric: c, Memory: c.memoryPorts(), Guests: c.opts.Guests, Record: c.opts.Record,
			Place: place.Options{Filters: c.opts.Filters, Scores: c.opts.Scores},
		})
	}
	if err != nil {
		ctx = context.WithoutCancel(ctx)
		return nil, errors.Join(err, r.stop(ctx), r.release(ctx))
	}
	c.setReign(r, false) // and what they answer as well
	return r, nil
}

// hook calls a hook, if there is one.
func (c *Cell) hook(ctx context.Context, h Hook) (func(context.Context) error, error) {
	if h == nil {
		return nil, nil
	}
	return h(ctx, c)
}

// shut calls what a hook returned, and forgets it.
func shut(ctx context.Context, close *func(context.Context) error) error {
	if *close == nil {
		return nil
	}
	defer func() { *close = nil }()
	return (*close)(ctx)
}

// stop ends the answers and the actors; from then on nothing is appended.
func (r *reign) stop(ctx context.Context) error {
	answering, cancel := context.WithTimeout(ctx, answerMax)
	err := shut(answering, &r.serve)
	cancel()
	stopping, cancel := context.WithTimeout(ctx, stopMax)
	defer cancel()
	if late := r.sys.Stop(stopping); late != nil {
		r.sys.Kill()
		err = errors.Join(err, late)
	}
	return err
}

// settled waits until nothing that was appended is under way.
func (r *reign) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleMax)
	defer cancel()
	return r.gate.settled(ctx)
}

// release ends what stands between the actors and the stores.
func (r *reign) release(ctx context.Context) error {
	err := shut(ctx, &r.agents)
	r.keeper.Close()
	r.follower.Close()
	return err
}

// close closes what is under the actors.
func (r *reign) close(ctx context.Context) error {
	err := errors.Join(r.release(ctx), r.stores.Shut())
	r.gate.open() // what a drill held back fails in the log, which is closed
	return err
}
