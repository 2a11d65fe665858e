package journal_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/journal/journaltest"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
)

// TestMain fails the package if anything that follows or saves is left behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func noClock() time.Time { return time.Unix(1, 0) }

// following is a follower whose Run is under way.
type following struct {
	*journal.Follower
	wrote  chan uint64
	cancel context.CancelFunc
	end    chan error
}

func follow(t fataler, log journal.Log, local journal.Snapshots, opts journal.FollowerOptions) *following {
	f := &following{wrote: make(chan uint64, 1000), end: make(chan error, 1)}
	opts.Now = noClock
	opts.Wrote = func(seq, _ uint64) { f.wrote <- seq }
	f.Follower = journal.NewFollower(log, local, opts)
	if err := f.Recover(context.Background()); err != nil {
		t.Fatal(err)
	}
	f.run()
	return f
}

func (f *following) run() {
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	go func() { f.end <- f.Run(ctx) }()
}

func (f *following) stop() error {
	f.cancel()
	err := <-f.end
	f.Close()
	return err
}

// until waits until record seq is applied.
func (f *following) until(seq uint64) {
	for at, _, _ := f.Seen(); at < seq; at, _, _ = f.Seen() {
		<-f.wrote
	}
}

func (f *following) digest() (d [32]byte) {
	f.View(func(s *model.State) { d = s.Digest() })
	return d
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func put(t fataler, log journal.Log, seq uint64, data []byte) {
	t.Helper()
	log.Append(seq, data, func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	})
}

// At every prefix the follower has the state of the full replay, over restarts, snapshots of its own and trims; and at
// any moment it hands over the state of the whole log.
func TestB30_F30_FollowerIsTheReplayAtEveryPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stored, full := journaltest.Draw(t, 25)
		log, local, shared := memlog.New(memlog.Options{}), memlog.NewSnapshots(), memlog.NewSnapshots()
		opts := journal.FollowerOptions{SnapshotRecords: uint64(rapid.IntRange(1, 5).Draw(t, "snapshot every")), Shared: shared}
		prefix := model.NewState()
		f := follow(t, log.Reopen(), local, opts)
		defer func() { _ = f.stop() }()
		take := uint64(rapid.IntRange(1, len(stored)).Draw(t, "take"))
		for i, s := range stored {
			seq := uint64(i + 1)
			put(t, log, seq, s.Data)
			if err := journal.Replay(prefix, seq, s.Data); err != nil {
				t.Fatal(err)
			}
			f.until(seq)
			if f.digest() != prefix.Digest() {
				t.Fatalf("after record %d the follower has another state than the replay", seq)
			}
			if rapid.IntRange(0, 4).Draw(t, "restart") == 0 {
				if err := f.stop(); err != nil {
					t.Fatal(err)
				}
				f = follow(t, log.Reopen(), local, opts)
			}
			if rapid.IntRange(0, 6).Draw(t, "trim") == 0 {
				if err := shared.Save(context.Background(), seq, prefix.Entries()); err != nil {
					t.Fatal(err)
				}
				if err := log.Trim(context.Background(), seq+1); err != nil {
					t.Fatal(err)
				}
			}
			if seq != take {
				continue
			}
			// The rest comes while the follower is being taken from.
			var rest sync.WaitGroup
			rest.Go(func() {
				for i, s := range stored[seq:] {
					log.Append(seq+1+uint64(i), s.Data, func(error) {})
				}
			})
			state, err := f.Take(context.Background())
			if err != nil || state.Seq() < seq {
				t.Fatalf("taken at record %d: %v", state.Seq(), err)
			}
			rest.Wait()
			if f.View(func(*model.State) {}) {
				t.Fatal("the follower keeps the state that it has handed over")
			}
			if err := log.Read(context.Background(), state.Seq()+1, func(seq uint64, data []byte) error {
				return journal.Replay(state, seq, data)
			}); err != nil || state.Digest() != full.Digest() {
				t.Fatalf("what was taken and its tail differ from the whole: %v", err)
			}
			return
		}
	})
}

// gated lets a tail go on when the test says so.
type gated struct {
	journal.Log
	gate chan struct{}
}

func (g gated) Tail(ctx context.Context, from uint64, fn func(uint64, []byte) error) error {
	select {
	case <-g.gate:
	case <-ctx.Done():
		return ctx.Err()
	}
	return g.Log.Tail(ctx, from, fn)
}

func TestB30_F30_AFollowerBehindTheTrimBeginsFromASharedSnapshot(t *testing.T) {
	log, records, full := chain(t, "host")
	log2 := store(t, records[:2]...)
	shared := memlog.NewSnapshots()
	gate := make(chan struct{})
	f := follow(t, gated{log2, gate}, memlog.NewSnapshots(), journal.FollowerOptions{Shared: shared})
	for i, r := range records[2:] {
		put(t, log2, uint64(i+3), r)
	}
	at5 := model.NewState()
	if err := log.Read(t.Context(), 1, func(seq uint64, data []byte) error {
		if seq > 5 {
			return nil
		}
		return journal.Replay(at5, seq, data)
	}); err != nil {
		t.Fatal(err)
	}
	if err := shared.Save(t.Context(), 5, at5.Entries()); err != nil {
		t.Fatal(err)
	}
	if err := log2.Trim(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	close(gate)
	state, err := untilTaken(t, f, 6)
	if err != nil || state.Digest() != full.Digest() {
		t.Fatalf("state of record %d: %v", state.Seq(), err)
	}
}

// untilTaken waits for the state of record seq and takes it.
func untilTaken(t *testing.T, f *following, seq uint64) (*model.State, error) {
	t.Helper()
	state, err := f.Take(t.Context())
	if err == nil && state.Seq() < seq {
		t.Fatalf("taken at record %d, want %d", state.Seq(), seq)
	}
	if err := <-f.end; err != nil {
		t.Fatal(err)
	}
	f.Close()
	return state, err
}

func TestS5_AFollowerBelievesNoOtherLog(t *testing.T) {
	_, records, _ := chain(t, "one")
	_, other, _ := chain(t, "another")
	log := store(t, records[:3]...)
	f := follow(t, log, nil, journal.FollowerOptions{})
	put(t, log, 4, other[3])
	if err := <-f.end; !errors.Is(err, journal.ErrCorrupt) {
		t.Fatalf("the follower ends with %v, want %v", err, journal.ErrCorrupt)
	}
}

// A take over that fails loses nothing: the follower goes on from where it was.
func TestB30_AFollowerGoesOnAfterAFailedTake(t *testing.T) {
	log, records, _ := chain(t, "host")
	deaf := &deaf{Log: log.Reopen()}
	f := follow(t, deaf, nil, journal.FollowerOptions{})
	deaf.is = true
	if _, err := f.Take(t.Context()); !errors.Is(err, errDeaf) {
		t.Fatalf("a take over from a log that does not answer: %v", err)
	}
	deaf.is = false
	if err := f.stop(); err != nil {
		t.Fatal(err)
	}
	if seq, _, _ := f.Seen(); int(seq) != len(records) {
		t.Fatalf("it had everything, and now it is at record %d", seq)
	}
	f.run()
	state, err := untilTaken(t, f, 6)
	if err != nil || int(state.Seq()) != len(records) {
		t.Fatalf("record %d: %v", state.Seq(), err)
	}
}

// deaf is a log that sometimes cannot be read.
type deaf struct {
	journal.Log
	is bool
}

var errDeaf = errors.New("no answer")

func (d *deaf) Read(ctx context.Context, from uint64, fn func(uint64, []byte) error) error {
	if d.is {
		return errDeaf
	}
	return d.Log.Read(ctx, from, fn)
}

// How far it lags, and how old what it has may be, the follower knows from what the leader says alone, and never claims
// less than is true.
func TestB31_AFollowerKnowsItsLag(t *testing.T) {
	_, records, _ := chain(t, "host")
	log := memlog.New(memlog.Options{})
	now := time.Unix(100, 0)
	f := journal.NewFollower(log, nil, journal.FollowerOptions{Now: func() time.Time { return now }})
	want := func(what string, lag uint64, at time.Time) {
		t.Helper()
		if _, _, got := f.Seen(); f.Lag() != lag || !got.Equal(at) {
			t.Fatalf("%s: lag %d as of %v, want %d as of %v", what, f.Lag(), got, lag, at)
		}
	}
	if err := f.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := now
	want("recovered", 0, began)
	now = now.Add(time.Second)
	f.Heard(0)
	want("nothing new", 0, now)
	asOf := now
	now = now.Add(time.Second)
	first := now
	f.Heard(2)
	want("two records behind", 2, asOf)
	now = now.Add(time.Second)
	f.Heard(4)
	want("four records behind", 4, asOf)
	apply := func(seq uint64) {
		t.Helper()
		if err := f.Apply(seq, records[seq-1]); err != nil {
			t.Fatal(err)
		}
	}
	apply(1)
	want("one came", 3, asOf)
	apply(2)
	want("what was first awaited is here", 2, first)
	now = now.Add(time.Second)
	f.Heard(4)
	apply(3)
	apply(4)
	want("all is here", 0, now)
	apply(5)
	want("ahead of what was said", 0, now)
}
