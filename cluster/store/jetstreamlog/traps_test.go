package jetstreamlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/journal/journaltest"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/natsd"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
)

// traps are those that one server and three must avoid alike. (There is no lease in a key-value bucket, so the traps of
// leases have nothing to catch: masters hear each other, and the journal's own order decides.)
func traps() map[string]func(*testing.T, []*natsd.Server) {
	return map[string]func(*testing.T, []*natsd.Server){
		"TrapEveryWriteNamesItsPlace":   everyWriteNamesItsPlace,
		"TrapADeposedMasterThatTails":   deposedThatTails,
		"TrapReconnectsLeaveNoConsumer": noConsumerLeft,
		"TrapVanishedStream":            vanished,
		"TrapSameIdOtherContent":        otherCompany,
		"TrapConsumerRemoved":           consumerRemoved,
	}
}

func TestTraps(t *testing.T) {
	s := start(t, natsd.Options{Port: natsd.RandomPort})
	for name, run := range traps() {
		t.Run(name, func(t *testing.T) { run(t, []*natsd.Server{s}) })
	}
}

// A message without the place that it expects would not be fenced: no write goes without.
func everyWriteNamesItsPlace(t *testing.T, servers []*natsd.Server) {
	opts := Options{Cell: newCell(), Replicas: len(servers)}
	log := open(t, connect(t, servers[0]), opts)
	nc := connect(t, servers[0]) // the others hear of a subscription later
	messages := make(chan *nats.Msg, 1000)
	sub, err := nc.ChanSubscribe(Subject(opts.Cell), messages)
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	const n = 100
	stored := make(chan error, n)
	for seq := uint64(1); seq <= n; seq++ {
		log.Append(seq, fmt.Append(nil, seq), func(err error) { stored <- err })
	}
	for range n {
		if err := <-stored; err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(sub.Unsubscribe(), nc.Flush()); err != nil {
		t.Fatal(err)
	}
	if len(messages) == 0 {
		t.Fatal("nothing was heard")
	}
	ids := map[string]bool{}
	for len(messages) > 0 {
		m := <-messages
		id := m.Header.Get(jetstream.MsgIDHeader)
		if m.Header.Get(jetstream.ExpectedLastSeqHeader) == "" || m.Header.Get(jetstream.ExpectedStreamHeader) == "" || id == "" || ids[id] {
			t.Fatalf("a write with the headers %v", m.Header)
		}
		ids[id] = true
	}
}

// A deposed master learns from its tail where the log ends now, and still writes nothing.
func deposedThatTails(t *testing.T, servers []*natsd.Server) {
	opts := Options{Cell: newCell(), Replicas: len(servers)}
	old, young := open(t, connect(t, servers[0]), opts), open(t, connect(t, servers[len(servers)-1]), opts)
	seen := tailing(t, old)
	if err := appendOne(old, 1, "record1"); err != nil {
		t.Fatal(err)
	}
	if err := appendOne(young, 2, "record2"); err != nil {
		t.Fatal(err)
	}
	seen.want(2)
	for _, seq := range []uint64{3, 2, 3} {
		if err := appendOne(old, seq, "zombie"); !errors.Is(err, journal.ErrFenced) {
			t.Errorf("record %d of the deposed master: %v, want %v", seq, err, journal.ErrFenced)
		}
	}
	if _, last, err := young.Bounds(t.Context()); err != nil || last != 2 {
		t.Errorf("the log ends with record %d: %v", last, err)
	}
}

// A write that the server took although it said that it did not (it was full, say) is not taken for another with the same
// first record: then records would be acknowledged that nobody has stored.
func otherCompany(t *testing.T, servers []*natsd.Server) {
	log := open(t, connect(t, servers[0]), Options{Cell: newCell(), Replicas: len(servers)})
	one, two := []byte("record1"), []byte("record2")
	if err := log.storeFrame(1, [][]byte{one}); err != nil {
		t.Fatal(err)
	}
	log.end = &end{} // it was told that it was not
	if err := log.storeFrame(1, [][]byte{one, two}); !errors.Is(err, journal.ErrFenced) {
		t.Fatalf("record 1 in other company: %v, want %v", err, journal.ErrFenced)
	}
	if _, last, err := log.Bounds(t.Context()); err != nil || last != 1 {
		t.Fatalf("the log ends with record %d: %v", last, err)
	}
	// The same once more is what it was.
	if err := log.storeFrame(1, [][]byte{one}); err != nil {
		t.Fatalf("the same records again: %v", err)
	}
}

// A consumer that somebody removes, or that its server has lost, is made anew.
func consumerRemoved(t *testing.T, servers []*natsd.Server) {
	opts := Options{Cell: newCell(), Replicas: len(servers)}
	log := open(t, connect(t, servers[0]), opts)
	seen := tailing(t, log)
	for seq := uint64(1); seq <= 9; seq++ {
		if err := appendOne(log, seq, fmt.Sprint("record", seq)); err != nil {
			t.Fatal(err)
		}
		seen.until(seq)
		if seq%3 != 0 {
			continue
		}
		for _, name := range consumers(t, log) {
			if err := log.stream.DeleteConsumer(t.Context(), name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
				t.Fatal(err)
			}
		}
	}
	seen.stop()
}

// tailed is a tail of records as steady writes them.
type tailed struct {
	t      *testing.T
	cancel context.CancelFunc
	seen   chan uint64
	end    chan error
}

func tailing(t *testing.T, log *Log) *tailed {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	w := &tailed{t: t, cancel: cancel, seen: make(chan uint64, 1_000_000), end: make(chan error, 1)}
	next := uint64(1)
	go func() {
		w.end <- log.Tail(ctx, 1, func(seq uint64, data []byte) error {
			if seq != next || string(data) != fmt.Sprint("record", seq) {
				return fmt.Errorf("record %d, %q, where record %d belongs", seq, data, next)
			}
			next++
			w.seen <- seq
			return nil
		})
	}()
	return w
}

// until waits until record last has come.
func (w *tailed) until(last uint64) {
	w.t.Helper()
	for {
		select {
		case seq := <-w.seen:
			if seq == last {
				return
			}
		case err := <-w.end:
			w.t.Fatalf("the tail ends before record %d: %v", last, err)
		}
	}
}

// want waits until record last has come, and ends the tail.
func (w *tailed) want(last uint64) {
	w.t.Helper()
	w.until(last)
	w.stop()
}

func (w *tailed) stop() {
	w.t.Helper()
	w.cancel()
	if err := <-w.end; !errors.Is(err, context.Canceled) {
		w.t.Fatalf("the tail ends with %v", err)
	}
}

// Connections that break again and again cost the tail no record, and the server keeps no consumers of the past.
func noConsumerLeft(t *testing.T, servers []*natsd.Server) {
	opts := Options{Cell: newCell(), Replicas: len(servers)}
	w := &weather{}
	far := through(t, servers[0], w, opts)
	near := open(t, connect(t, servers[len(servers)-1]), opts)
	seen := tailing(t, far)
	seq := uint64(0)
	add := func() {
		t.Helper()
		seq++
		if err := appendOne(near, seq, fmt.Sprint("record", seq)); err != nil {
			t.Fatal(err)
		}
	}
	add()
	seen.until(1)
	lost := 0
	hit := func() { lost++ }
	w.hit.Store(&hit)
	for range 10 {
		w.loseRead.Store(text(fmt.Sprint("record", seq+1)))
		add()
		add()
		seen.until(seq)
	}
	if lost < 5 {
		t.Fatalf("the connection broke %d times", lost)
	}
	names := consumers(t, near)
	if len(names) > 2 {
		t.Errorf("after %d breaks there are %d consumers: %v", lost, len(names), names)
	}
	seen.stop()
}

func consumers(t *testing.T, log *Log) []string {
	t.Helper()
	var names []string
	list := log.stream.ListConsumers(t.Context())
	for info := range list.Info() {
		names = append(names, info.Name)
	}
	if list.Err() != nil {
		t.Fatal(list.Err())
	}
	return names
}

// A stream that is gone when a master starts is not the journal of a new cell, if anybody has a snapshot.
func vanished(t *testing.T, servers []*natsd.Server) {
	nc := connect(t, servers[0])
	opts := Options{Cell: newCell(), Replicas: len(servers)}
	log, state, snaps := open(t, nc, opts), model.NewState(), memlog.NewSnapshots()
	if _, err := journal.Begin(t.Context(), log, state, "a", time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := snaps.Save(t.Context(), state.Seq(), state.Entries()); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err == nil {
		err = js.DeleteStream(t.Context(), StreamName(opts.Cell))
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Recover(t.Context(), open(t, nc, opts), snaps); !errors.Is(err, journal.ErrCorrupt) {
		t.Errorf("recovered from a stream that was made anew: %v, want %v", err, journal.ErrCorrupt)
	}
}

// While the leader of the stream changes the server refuses reads for a while; they are asked again.
func readAfterStepDown(t *testing.T, servers [3]*natsd.Server) {
	opts := Options{Cell: newCell(), Replicas: 3}
	log := open(t, connect(t, servers[0]), opts)
	const n = 20
	for seq := uint64(1); seq <= n; seq++ {
		if err := appendOne(log, seq, fmt.Sprint("record", seq)); err != nil {
			t.Fatal(err)
		}
	}
	nc := connect(t, servers[1])
	for range 5 {
		waitLeader(t, log)
		if _, err := nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+StreamName(opts.Cell), nil, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		wantSteady(t, log, n)
		tailing(t, log).want(n)
	}
}

// A tail outlives the restart of its server: it begins anew where it was.
func TestTrapTailGoesOnAfterTheServersRestart(t *testing.T) {
	dir := t.TempDir()
	s := start(t, natsd.Options{Dir: dir, Port: natsd.RandomPort})
	url := s.ClientURL()
	nc, err := natsd.Dial(url, "test", nil, nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	log := open(t, nc, Options{Cell: newCell()})
	seen := tailing(t, log)
	for seq := uint64(1); seq <= 3; seq++ {
		if err := appendOne(log, seq, fmt.Sprint("record", seq)); err != nil {
			t.Fatal(err)
		}
	}
	seen.until(3)
	s.Close()
	start(t, natsd.Options{Dir: dir, Port: portOf(t, url)})
	for seq := uint64(4); seq <= 6; seq++ {
		if err := appendOne(log, seq, fmt.Sprint("record", seq)); err != nil {
			t.Fatal(err)
		}
	}
	seen.want(6)
}

// A tail that meets a hole says so, and one that is closed leaves nothing on the server.
func TestTrapTailFindsHolesAndCleansUp(t *testing.T) {
	nc := connect(t, start(t, natsd.Options{}))
	opts := Options{Cell: newCell(), Replicas: 1}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	config := streamConfig(opts)
	config.DenyDelete = false
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	log, err := newLog(nc, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	if log.stream, err = js.Stream(t.Context(), StreamName(opts.Cell)); err != nil {
		t.Fatal(err)
	}
	log.opts.Patience = Patience
	for seq := uint64(1); seq <= 6; seq++ {
		if err := appendOne(log, seq, fmt.Sprint("record", seq)); err != nil {
			t.Fatal(err)
		}
	}
	tailing(t, log).want(6)
	if err := log.stream.DeleteMsg(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	w := tailing(t, log)
	if err := <-w.end; !errors.Is(err, journal.ErrCorrupt) || len(w.seen) > 3 {
		t.Errorf("record 4 is gone, and the tail ends after %d records with %v", len(w.seen), err)
	}
	w.cancel()
	for range 100 { // the server removes them when it has read that it shall
		if len(consumers(t, log)) == 0 {
			return
		}
	}
	t.Errorf("consumers are left: %v", consumers(t, log))
}

// The limit of the server's store, and not only that of the stream, is a journal that is full, and goes on when there is
// room.
func TestTrapMaxFileStoreIsFull(t *testing.T) {
	nc := connect(t, start(t, natsd.Options{StoreMax: natsd.StoreMin}))
	log := open(t, nc, Options{Cell: newCell()})
	seq := uint64(1)
	for {
		err := appendOne(log, seq, string(journaltest.Noise(seq, 1<<20)))
		if errors.Is(err, journal.ErrFull) {
			break
		}
		if err != nil || seq > 2*natsd.StoreMin>>20 {
			t.Fatalf("record %d: %v", seq, err)
		}
		seq++
	}
	if err := log.Trim(t.Context(), seq-1); err != nil {
		t.Fatal(err)
	}
	if err := appendOne(log, seq, "record"); err != nil {
		t.Fatalf("when there is room again: %v", err)
	}
	if _, last, err := log.Bounds(t.Context()); err != nil || last != seq {
		t.Fatalf("the log ends with record %d: %v", last, err)
	}
}

func portOf(t *testing.T, url string) (port int) {
	t.Helper()
	if _, err := fmt.Sscanf(url[slices.Index([]byte(url), ':')+1:], "//127.0.0.1:%d", &port); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return port
}
