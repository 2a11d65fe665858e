package actors

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// rebuildsMax is how often within rebuildsPer a master may be built again from its log before the cell gives up.
	rebuildsMax = 5
	rebuildsPer = time.Minute
	// reopenEvery is how often a follower looks for stores that cannot be opened, tellEvery how often it says so.
	reopenEvery, tellEvery = time.Second, 30 * time.Second
	// probeMax is how long the journal may take to answer before a campaign begins. Who was cut off, and whose question is
	// answered late because that is over, hears first whether somebody leads.
	probeMax = 500 * time.Millisecond
	// takeMax bounds a campaign.
	takeMax = 10 * time.Second
)

// errOutdone: another master has begun a later epoch.
var errOutdone = errors.New("another master leads")

// errOutranked: an agent has heard of a later epoch than the journal. Agents refuse older ones, so this reign is of no use:
// either another master leads, and the journal tells when it is read to its end, or the journal was restored from a backup
// and the later epochs are lost.
var errOutranked = errors.New("an agent follows a later epoch")

// epochLeap bounds by how much an agent may outrank a master: epochs are few, and one that speaks of a million more is mad.
const epochLeap = 1 << 20

// outrank ends the reign, if an agent speaks of an epoch beyond it that can be true.
func (c *Cell) outrank(r *reign, m *v1.FromAgent) {
	if m.GetEpoch() > r.env.Epoch+epochLeap {
		c.log.Error("an agent speaks of an epoch that cannot be; it is not heard", "node", m.GetNode(), "epoch", m.GetEpoch(), "mine", r.env.Epoch)
		return
	}
	for {
		known := c.outranked.Load()
		if m.GetEpoch() <= known || c.outranked.CompareAndSwap(known, m.GetEpoch()) {
			break
		}
	}
	select {
	case c.higher <- struct{}{}:
	default:
	}
}

// rule is the life of a master: it follows until it is its turn, leads until that ends, and follows again. A fenced master
// of a cell of one ends for good, because a second process must not be there. f is what it follows at first.
func (c *Cell) rule(f *following) {
	var failures []time.Time
	for {
		r, err := c.accede(f)
		f = nil
		if err == nil {
			err = c.lead(r)
		}
		if c.life.Err() != nil {
			if cause := context.Cause(c.life); !errors.Is(cause, context.Canceled) {
				c.finish(cause)
			} else {
				c.finish(nil)
			}
			return
		}
		fenced := errors.Is(err, journal.ErrFenced) || errors.Is(err, errOutdone)
		switch now := time.Now(); {
		case err == nil: // it has handed over
			continue
		case errors.Is(err, errOutranked):
			c.log.Warn("an agent follows an epoch beyond this one; this master begins anew, above it", "epoch", c.outranked.Load())
			continue
		case fenced && c.opts.Election != nil:
			c.log.Warn("another master leads; this one follows", "leader", c.opts.Election.Leader(), "reason", err)
			continue
		default:
			c.postMortem("failure", "%v", err)
			failures = append(failures, now)
			for now.Sub(failures[0]) > rebuildsPer {
				failures = failures[1:]
			}
		}
		if fenced || errors.Is(err, journal.ErrCorrupt) || r == nil || !c.isOpen() || len(failures) > rebuildsMax {
			c.finish(err)
			return
		}
		c.log.Error("master failed; it is built again from its journal", "reason", err)
	}
}

// accede returns the next reign of this master: at once in a cell of one, else when it has won an epoch.
func (c *Cell) accede(f *following) (*reign, error) {
	for {
		if f == nil {
			var err error
			if f, err = c.reopen(); err != nil {
				return nil, err
			}
		}
		r, err := c.campaign(f)
		if err == nil {
			return r, nil
		}
		err = errors.Join(err, f.close())
		if c.opts.Election == nil || errors.Is(err, journal.ErrCorrupt) || c.life.Err() != nil {
			return nil, err
		}
		f = nil
		c.log.Info("this master follows anew", "reason", err)
		if !errors.Is(err, journal.ErrFenced) {
			c.rest()
		}
	}
}

// reopen opens the stores again. A master among several waits for them, because it is not missed.
func (c *Cell) reopen() (*following, error) {
	var told time.Time
	for {
		f, err := c.follow(c.life)
		if err == nil || c.opts.Election == nil || c.life.Err() != nil {
			return f, err
		}
		if now := time.Now(); now.Sub(told) > tellEvery {
			told = now
			c.log.Warn("the journal cannot be opened; this master tries it again and again", "reason", err)
		}
		c.rest()
	}
}

// rest waits before something is tried again that has failed.
func (c *Cell) rest() {
	pause := time.NewTimer(reopenEvery)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-c.life.Done():
	}
}

// following is a master that does not lead: its stores, and the state that it keeps warm.
type following struct {
	*journal.Follower
	stores Stores
	// newest is the last record that came, at its time. Run and Take write them, one after the other.
	newest uint64
	at     time.Time
	// ctx ends with Run; its cause is why.
	ctx  context.Context
	stop context.CancelCauseFunc
	done chan struct{}
}

// follow opens the stores and builds the state; with others it goes on with what they write.
func (c *Cell) follow(ctx context.Context) (*following, error) {
	stores, err := c.opts.Journal(ctx)
	if err != nil {
		return nil, err
	}
	o := journal.FollowerOptions{Now: time.Now, Shared: stores.Shared, SnapshotRecords: c.opts.SnapshotRecords, Log: c.log}
	f := &following{stores: stores}
	if c.opts.Election != nil {
		o.Wrote = func(seq, epoch uint64) {
			f.newest, f.at = seq, time.Now()
			c.opts.Election.Seen(epoch, seq)
		}
	}
	f.Follower = journal.NewFollower(stores.Log, stores.Snapshots, o)
	if err := f.Recover(ctx); err != nil {
		return nil, errors.Join(err, f.close())
	}
	if c.opts.Election != nil {
		seq, epoch, _ := f.Seen()
		f.newest, f.at = seq, time.Now()
		c.opts.Election.Seen(epoch, seq)
		f.run(c.life)
	}
	return f, nil
}

// quiet is since when the writer of the last record of a state has written nothing, as far as is known: it has sent that
// record before it came here.
func (f *following) quiet(seq uint64) time.Time {
	if f.newest != seq {
		return time.Now() // the state has come by a snapshot
	}
	return f.at
}

// run applies what others write until it is stopped.
func (f *following) run(life context.Context) {
	f.ctx, f.stop = context.WithCancelCause(life)
	f.done = make(chan struct{})
	go func() {
		defer close(f.done)
		err := f.Run(f.ctx)
		if err == nil {
			err = context.Canceled // taken, or the cell is closed
		}
		f.stop(err)
	}()
}

// close ends it, and closes the stores unless a reign has them.
func (f *following) close() error {
	f.halt()
	f.Close()
	return f.stores.Shut()
}

// halt ends run.
func (f *following) halt() {
	if f.stop != nil {
		f.stop(context.Canceled)
		<-f.done
	}
}

// campaign waits until it is this master's turn, reads the journal to its end and begins an epoch. It tries until it has
// succeeded, or what it follows cannot be used any more; then the error says why.
func (c *Cell) campaign(f *following) (*reign, error) {
	e := c.opts.Election
	if e == nil {
		state, err := f.Take(c.life)
		if err != nil {
			return nil, err
		}
		return c.begin(c.life, f, state)
	}
	c.setFollowing(f)
	defer c.setFollowing(nil)
	for {
		if err := e.Due(f.ctx, f.Heard); err != nil {
			return nil, context.Cause(f.ctx)
		}
		state, err := c.take(f)
		if err != nil {
			c.log.Warn("this master tried to lead, but the journal's end cannot be reached", "reason", err)
			e.Lost()
			f.halt()
			f.run(c.life)
			continue
		}
		f.halt()
		ctx, cancel := context.WithTimeout(c.life, takeMax)
		r, err := c.begin(ctx, f, state)
		cancel()
		if err != nil {
			e.Lost()
		}
		return r, err
	}
}

// take reads the journal to its end, if it answers soon.
func (c *Cell) take(f *following) (*model.State, error) {
	probe, cancel := context.WithTimeout(c.life, probeMax)
	_, _, err := f.stores.Log.Bounds(probe)
	cancel()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.life, takeMax)
	defer cancel()
	return f.Take(ctx)
}

// order is something that is asked of the leader and changes its role.
type order struct {
	// to is the successor; with stall, the leader is deaf and dumb for so long instead.
	to    string
	stall time.Duration
}

// lead answers for the cell until the reign ends. It returns nil if this master has handed over or the cell is closed.
func (c *Cell) lead(r *reign) error {
	answer := time.NewTimer(time.Until(r.answers))
	defer answer.Stop()
	for {
		select {
		case <-answer.C:
			if err := c.answer(r); err != nil {
				return c.step(r, err)
			}
		case <-r.sys.Done():
			return c.step(r, r.sys.Err())
		case <-r.outdone:
			return c.step(r, errOutdone)
		case <-c.higher:
			if c.outranked.Load() > r.env.Epoch {
				return c.step(r, errOutranked)
			}
		case o := <-c.orders:
			if o.stall == 0 {
				return c.handOver(r, o.to)
			}
			c.stall(r, o.stall)
			answer.Reset(o.stall)
		case <-c.life.Done():
			to := ""
			if e := c.opts.Election; e != nil {
				to, _ = e.Successor("") // without one it just goes
			}
			return c.handOver(r, to)
		}
	}
}

// answer begins to take requests, for the first time or again.
func (c *Cell) answer(r *reign) (err error) {
	if c.stalled.Swap(false) {
		c.opts.Election.Mute(0)
		r.gate.open()
	}
	c.hub.lose() // of who began to watch just when the reign before ended
	c.setReign(r, true)
	if r.serve, err = c.hook(c.life, c.opts.Serve); err == nil {
		c.opened()
	}
	return err
}

// stall makes the leader deaf and dumb, as if its process slept: nothing is taken, sent or written.
func (c *Cell) stall(r *reign, d time.Duration) {
	c.log.Warn("drill: this leader is stalled", "for", d)
	c.stalled.Store(true)
	c.setReign(r, false)
	r.gate.hold()
	c.opts.Election.Mute(d)
	ctx, cancel := context.WithTimeout(c.life, answerMax)
	defer cancel()
	if err := shut(ctx, &r.serve); err != nil {
		c.log.Warn("drill: requests were under way", "reason", err)
	}
}

// step ends a reign that has failed or is outdone.
func (c *Cell) step(r *reign, why error) error {
	c.setReign(nil, false)
	c.unstall()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.life), stopMax)
	defer cancel()
	err := r.stop(ctx)
	c.hub.lose()
	if e := c.opts.Election; e != nil {
		e.Deposed()
	}
	err = errors.Join(err, r.close(ctx))
	if errors.Is(why, kit.ErrEnded) || c.life.Err() != nil {
		return err
	}
	return errors.Join(why, err)
}

// handOver ends a reign in order: no more answers, everything acknowledged is durable, the others are told, the successor
// by name.
func (c *Cell) handOver(r *reign, to string) error {
	ctx := context.WithoutCancel(c.life)
	err := r.stop(ctx)
	c.setReign(nil, false)
	c.hub.lose()
	c.unstall()
	if e := c.opts.Election; e != nil {
		if unsettled := r.settled(ctx); unsettled != nil {
			err = errors.Join(err, unsettled)
			e.Deposed()
		} else {
			e.Resigned(to)
		}
	}
	if err != nil {
		c.log.Warn("the reign did not end in order; what was acknowledged is durable all the same", "reason", err)
	}
	ctx, cancel := context.WithTimeout(ctx, stopMax)
	defer cancel()
	if err := r.close(ctx); err != nil {
		c.log.Warn("the stores did not close in order", "reason", err)
	}
	return nil
}

func (c *Cell) unstall() {
	if c.stalled.Swap(false) {
		c.opts.Election.Mute(0)
	}
}
