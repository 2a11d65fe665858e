package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/actors/model"
)

// FollowerOptions say how a Follower follows. Now is required.
type FollowerOptions struct {
	// Now is the clock.
	Now func() time.Time
	// Shared are the snapshots that all masters share; nil if there are none.
	Shared Snapshots
	// Wrote is called with every record that comes while the follower follows: a sign of life of the master of that epoch.
	Wrote func(seq, epoch uint64)
	// SnapshotRecords is how many records are applied between two snapshots of its own; 0 means the default.
	SnapshotRecords uint64
	// Log gets a line when the follower begins anew; nil drops them.
	Log *slog.Logger
}

// Follower keeps the state of the cell as the log tells it, and goes on with what comes: a master that could lead at
// once. It applies nothing that is not durable. It is safe for use from several goroutines.
type Follower struct {
	log    Log
	local  Snapshots
	opts   FollowerOptions
	keeper *Keeper

	mu    sync.Mutex
	state *model.State // nil until it is recovered, and when it was taken
	// said is the greatest sequence that the leader's log is known to have; since pending the follower lacks what was
	// then its end, awaits.
	said, awaits uint64
	pending      time.Time
	current      time.Time // as of then it had all that there was; zero if never
	saved        uint64    // record of the last snapshot of its own
	running      *tailing  // nil if Run is not under way
	taken        bool      // or being taken: Run does nothing
}

// tailing is one run.
type tailing struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// NewFollower makes a follower of log that keeps snapshots of its own in local, which may be nil.
func NewFollower(log Log, local Snapshots, opts FollowerOptions) *Follower {
	if opts.SnapshotRecords == 0 {
		opts.SnapshotRecords = defaultSnapshotRecords
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	f := &Follower{log: log, local: local, opts: opts}
	if local != nil {
		f.keeper = NewKeeper(nil, local, nil)
	}
	return f
}

var errFollowing = errors.New("journal: the follower is running already")

// Run recovers the state if there is none yet, and applies what comes until ctx ends or Take is called; then it returns
// nil. It fails with ErrCorrupt when the log cannot be believed, and with ErrClosed. It may be called again.
func (f *Follower) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	run := &tailing{cancel, make(chan struct{})}
	f.mu.Lock()
	switch {
	case f.taken: // by a Take that was quicker
		f.mu.Unlock()
		return nil
	case f.running != nil:
		f.mu.Unlock()
		return errFollowing
	}
	f.running = run
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.running = nil
		f.mu.Unlock()
		close(run.done)
	}()
	for {
		err := f.Recover(ctx)
		if err == nil {
			seq, _, _ := f.Seen()
			err = f.log.Tail(ctx, seq+1, f.Apply)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrTrimmed):
			// The leader was so far ahead that it forgot what is missing here. A snapshot has it.
			f.opts.Log.Warn("follower lags behind the trimmed part of the journal, it begins from a snapshot", "reason", err)
			f.drop()
		default:
			return fmt.Errorf("follow: %w", err)
		}
	}
}

// Recover builds the state from the newest snapshot and the log, if there is none yet. Run does it by itself.
func (f *Follower) Recover(ctx context.Context) error {
	if f.View(func(*model.State) {}) {
		return nil
	}
	begin := f.opts.Now()
	state, err := Recover(ctx, f.log, f.local, f.opts.Shared)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state, f.current = state, begin
	if f.keeper != nil {
		f.saved = f.keeper.Newest()
	}
	return nil
}

func (f *Follower) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state = nil
}

// Apply takes the next record, as the log holds it. Run calls it with everything that Tail tells.
func (f *Follower) Apply(seq uint64, data []byte) error {
	f.mu.Lock()
	if f.state == nil {
		f.mu.Unlock()
		return errors.New("journal: the follower has no state")
	}
	err := Replay(f.state, seq, data)
	epoch := f.state.Epoch()
	f.advance()
	f.mu.Unlock()
	if err != nil {
		return err
	}
	f.save()
	if f.opts.Wrote != nil {
		f.opts.Wrote(seq, epoch)
	}
	return nil
}

// advance notes that what was awaited is here.
func (f *Follower) advance() {
	if !f.pending.IsZero() && f.state.Seq() >= f.awaits {
		f.current, f.pending = f.pending, time.Time{}
	}
}

// Heard tells that the log had record seq just now, as the leader says with every beat. By this alone the follower knows
// how far it lags, and how old what it has may be.
func (f *Follower) Heard(seq uint64) {
	now := f.opts.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = max(f.said, seq)
	if f.state == nil {
		return
	}
	if f.pending.IsZero() {
		f.pending, f.awaits = now, seq
	}
	f.advance()
}

// Seen is the last record applied, the highest epoch in what was applied, and the time as of which nothing was missing;
// zeros before there is a state.
func (f *Follower) Seen() (seq, epoch uint64, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state == nil {
		return 0, 0, time.Time{}
	}
	return f.state.Seq(), f.state.Epoch(), f.current
}

// Lag is how many records the leader is known to have that are not applied.
func (f *Follower) Lag() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state == nil {
		return f.said
	}
	return max(f.said, f.state.Seq()) - f.state.Seq()
}

// View calls fn with the state, which fn must neither change nor keep; records and other readers wait.
// It reports false, and does nothing, while there is no state.
func (f *Follower) View(fn func(*model.State)) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state == nil {
		return false
	}
	fn(f.state)
	return true
}

// save keeps a snapshot of its own now and then, so that a restart is short.
func (f *Follower) save() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.keeper == nil || f.state == nil || f.state.Seq() < f.saved+snapshotAfter(f.saved, f.opts.SnapshotRecords) || f.keeper.Busy() {
		return
	}
	seq := f.state.Seq()
	f.saved = seq // only the one who applies comes here
	f.keeper.Save(seq, f.state.Entries(), func(err error) {
		if err != nil {
			f.opts.Log.Warn("follower's snapshot failed; the one before it stays", "seq", seq, "reason", err)
		}
	})
}

// Take ends Run, reads the log to its end and hands the state over: what a master needs to Begin. The follower has none
// from then on. After an error it keeps what it has, and Run may be called again.
func (f *Follower) Take(ctx context.Context) (*model.State, error) {
	f.mu.Lock()
	f.taken = true
	run := f.running
	f.mu.Unlock()
	var err error
	if run != nil {
		run.cancel()
		select {
		case <-run.done:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err == nil {
		err = f.catchUp(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.taken = false
		return nil, fmt.Errorf("take over: %w", err)
	}
	state := f.state
	f.state = nil
	return state, nil
}

// catchUp reads the log to its end.
func (f *Follower) catchUp(ctx context.Context) error {
	for {
		err := f.Recover(ctx)
		if err == nil && !plant.Is(plant.TakenBeforeTheEnd) {
			seq, _, _ := f.Seen()
			err = f.log.Read(ctx, seq+1, f.Apply)
		}
		if !errors.Is(err, ErrTrimmed) {
			return err
		}
		f.drop()
	}
}

// Close waits for a snapshot that is being saved; call it before the stores are closed.
func (f *Follower) Close() {
	if f.keeper != nil {
		f.keeper.Close()
	}
}
