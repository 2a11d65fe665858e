package objectsnap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/journal/journaltest"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/natsd"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
)

func TestMain(m *testing.M) {
	// The server's clock of ticks (package ats) runs as long as the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))
}

func start(t testing.TB, opts natsd.Options) *natsd.Server {
	t.Helper()
	opts.Dir = t.TempDir()
	s, err := natsd.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func connect(t testing.TB, s *natsd.Server) *nats.Conn {
	t.Helper()
	nc, err := s.Connect("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func opened(t testing.TB, nc *nats.Conn, opts Options) *Snapshots {
	t.Helper()
	s, err := Open(t.Context(), nc, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var cells atomic.Int64

func newCell() string { return fmt.Sprint("cell", cells.Add(1)) }

// store is one cell's bucket for the suite.
func store(t *testing.T, nc *nats.Conn, opts Options) journaltest.SnapshotStore {
	return journaltest.SnapshotStore{
		Open: func() (journal.Snapshots, error) { return Open(t.Context(), nc, opts) },
		Damage: func(t *testing.T, generation int) {
			s := opened(t, nc, opts)
			list, err := s.generations(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			chunks := s.chunks(current(list)[generation].nuid)
			// A chunk too many, or chunks that are gone.
			if generation == 0 {
				err = nc.Publish(chunks, []byte("x"))
				err = errors.Join(err, nc.Flush())
			} else {
				err = s.stream.Purge(t.Context(), jetstream.WithPurgeSubject(chunks))
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		Crash: func(t *testing.T, seq uint64) { orphan(t, nc, opts, fmt.Sprint("died", seq)) },
	}
}

// orphan leaves what a save leaves that dies before its end.
func orphan(t *testing.T, nc *nats.Conn, opts Options, nuid string) {
	t.Helper()
	s := opened(t, nc, opts)
	for range 3 {
		if _, err := nc.Request(s.chunks(nuid), bytes.Repeat([]byte("x"), 1000), 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSnapshots(t *testing.T) {
	nc := connect(t, start(t, natsd.Options{}))
	journaltest.RunSnapshots(t, func(t *testing.T) journaltest.SnapshotStore {
		return store(t, nc, Options{Cell: newCell()})
	})
}

func TestReplicatedSnapshots(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers take their time to find each other")
	}
	servers := three(t)
	n := 0
	journaltest.RunSnapshots(t, func(t *testing.T) journaltest.SnapshotStore {
		n++
		return store(t, connect(t, servers[n%3]), Options{Cell: newCell(), Replicas: 3})
	})
}

// three starts a cluster of three servers.
func three(t *testing.T) (servers [3]*natsd.Server) {
	t.Helper()
	var ports [3]int
	var routes []string
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = l.Addr().(*net.TCPAddr).Port
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[i]))
		l.Close()
	}
	for i, port := range ports {
		servers[i] = start(t, natsd.Options{
			Name: fmt.Sprint("server", i), Port: natsd.RandomPort,
			Cluster: &natsd.Cluster{Name: "c", Port: port, Routes: routes},
		})
	}
	return servers
}

// What dead saves have left is removed by a later one, but not while it could be a save under way.
func TestTrapOrphanChunksAreSweptUp(t *testing.T) {
	nc := connect(t, start(t, natsd.Options{}))
	opts := Options{Cell: newCell()}
	s := opened(t, nc, opts)
	orphan(t, nc, opts, "dead")
	save := func(seq uint64) {
		t.Helper()
		if err := s.Save(t.Context(), seq, [][]byte{fmt.Append(nil, seq)}); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (subjects int) {
		t.Helper()
		chunks, err := s.chunkCounts(t.Context(), s.chunks(">"))
		if err != nil {
			t.Fatal(err)
		}
		return len(chunks)
	}
	save(1)
	if n := left(); n != 2 {
		t.Fatalf("%d objects have chunks; the one under way must stay", n)
	}
	s.sweepAge = 0
	for seq := uint64(2); seq < 20; seq++ {
		save(seq)
	}
	if n := left(); n != keep {
		t.Fatalf("%d objects have chunks, want %d", n, keep)
	}
	info, err := s.stream.Info(t.Context())
	if err != nil || info.State.Msgs != 2*keep {
		t.Fatalf("the bucket holds %d messages, want one chunk and one description for each of %d: %v", info.State.Msgs, keep, err)
	}
}

// Masters that save at the same time, one of them deposed, leave whole snapshots behind.
func TestTrapConcurrentSavesDoNoHarm(t *testing.T) {
	s := start(t, natsd.Options{})
	opts := Options{Cell: newCell()}
	body := func(seq uint64) [][]byte { return [][]byte{journaltest.Noise(seq, 3<<20), fmt.Append(nil, seq)} }
	var both sync.WaitGroup
	for range 2 {
		snaps := opened(t, connect(t, s), opts)
		both.Go(func() {
			for seq := uint64(1); seq <= 6; seq++ {
				if err := snaps.Save(context.Background(), seq, body(seq)); err != nil && !strings.Contains(err.Error(), "older") {
					t.Error(err)
				}
			}
		})
	}
	both.Wait()
	snaps := opened(t, connect(t, s), opts)
	seq, entries, err := snaps.Load(t.Context())
	if err != nil || seq != 6 || !slices.EqualFunc(entries, body(6), bytes.Equal) {
		t.Fatalf("snapshot of record %d: %v", seq, err)
	}
	if kept, err := snaps.Kept(t.Context()); err != nil || !slices.Equal(kept, []uint64{6, 5}) {
		t.Fatalf("kept %v, %v", kept, err)
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	s := start(t, natsd.Options{})
	nc := connect(t, s)
	narrow := connect(t, start(t, natsd.Options{MaxPayload: 1 << 20}))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	wrong := newCell()
	if _, err := js.CreateObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: Bucket(wrong), TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	for want, test := range map[string]struct {
		nc   *nats.Conn
		opts Options
	}{
		"is not a name":              {nc, Options{Cell: "a.b"}},
		"set its max_payload to 2MB": {narrow, Options{Cell: "c"}},
		"nats stream edit OBJ_":      {nc, Options{Cell: wrong}},
		"replicas > 1 not supported": {nc, Options{Cell: newCell(), Replicas: 3}},
	} {
		if _, err := Open(t.Context(), test.nc, test.opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
}

func TestAFullBucketIsFull(t *testing.T) {
	nc := connect(t, start(t, natsd.Options{}))
	s := opened(t, nc, Options{Cell: newCell(), BytesMax: 3 << 20})
	if err := s.Save(t.Context(), 1, [][]byte{[]byte("small")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), 2, [][]byte{journaltest.Noise(1, 6<<20)}); !errors.Is(err, journal.ErrFull) {
		t.Fatalf("6 MiB into 3: %v, want %v", err, journal.ErrFull)
	}
	if seq, _, err := s.Load(t.Context()); err != nil || seq != 1 {
		t.Fatalf("snapshot of record %d: %v", seq, err)
	}
}

// The Keeper of a leader trims behind the older of two shared generations and not before: at every moment a master with
// nothing of its own comes to the state of the full replay, and so does one with an old snapshot of its own.
func TestS5_F30_SharedSnapshotAndTailAreTheReplayAtEveryPrefix(t *testing.T) {
	nc := connect(t, start(t, natsd.Options{}))
	type drawn struct {
		stored []journaltest.Stored
		state  *model.State
	}
	d := rapid.Custom(func(t *rapid.T) drawn {
		stored, state := journaltest.Draw(t, 40)
		return drawn{stored, state}
	}).Filter(func(d drawn) bool { return len(d.stored) >= 20 }).Example(11)
	shared := opened(t, nc, Options{Cell: newCell()})
	log, local := memlog.New(memlog.Options{}), memlog.NewSnapshots()
	keeper := journal.NewKeeper(log, local, shared)
	prefix := model.NewState()
	old := memlog.NewSnapshots()
	for i, r := range d.stored {
		seq := uint64(i + 1)
		log.Append(seq, r.Data, func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		})
		if err := journal.Replay(prefix, seq, r.Data); err != nil {
			t.Fatal(err)
		}
		if seq == 3 {
			if err := old.Save(t.Context(), seq, prefix.Entries()); err != nil {
				t.Fatal(err)
			}
		}
		if seq%4 == 0 {
			done := make(chan error, 1)
			if !keeper.Save(seq, prefix.Entries(), func(err error) { done <- err }) {
				t.Fatal("the keeper is busy")
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			keeper.Close()
			if first, _, err := log.Bounds(t.Context()); err != nil || seq >= 8 && first != seq-3 || seq < 8 && first != 1 {
				t.Fatalf("after the snapshot of record %d the log begins with record %d: %v", seq, first, err)
			}
		}
		for name, snaps := range map[string][]journal.Snapshots{"nothing": {nil, shared}, "old": {old, shared}, "own": {local, shared}} {
			state, err := journal.Recover(t.Context(), log, snaps...)
			if err != nil || state.Digest() != prefix.Digest() {
				t.Fatalf("at record %d, with %s of its own: %v", seq, name, err)
			}
		}
	}
}
