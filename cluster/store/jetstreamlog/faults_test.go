package jetstreamlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/journal/journaltest"
	"github.com/troupe-sched/troupe/cluster/natsd"
)

// weather spoils connections, once each time it is told to.
type weather struct {
	// lose is what the connection breaks at next: text in what is written or in what is read. Nothing of that arrives.
	loseWrite, loseRead atomic.Pointer[string]
	// hit is called when it has.
	hit atomic.Pointer[func()]
}

func (w *weather) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return &spoiled{conn, w}, nil
}

type spoiled struct {
	net.Conn
	w *weather
}

// breaks reports whether p holds what is to be lost, and then breaks the connection.
func (s *spoiled) breaks(p []byte, lose *atomic.Pointer[string]) bool {
	text := lose.Load()
	if text == nil || !bytes.Contains(p, []byte(*text)) || !lose.CompareAndSwap(text, nil) {
		return false
	}
	s.Conn.Close()
	if hit := s.w.hit.Load(); hit != nil {
		(*hit)()
	}
	return true
}

func (s *spoiled) Write(p []byte) (int, error) {
	if s.breaks(p, &s.w.loseWrite) {
		return 0, net.ErrClosed
	}
	return s.Conn.Write(p)
}

func (s *spoiled) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if err == nil && s.breaks(p[:n], &s.w.loseRead) {
		return 0, net.ErrClosed
	}
	return n, err
}

// through opens a log whose connection is subject to the weather.
func through(t *testing.T, s *natsd.Server, w *weather, opts Options) *Log {
	t.Helper()
	nc, err := natsd.Dial(s.ClientURL(), "test", nil, nats.SetCustomDialer(w),
		nats.ReconnectWait(time.Millisecond), nats.ReconnectJitter(time.Millisecond, time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return open(t, nc, opts)
}

func appendOne(log journal.Log, seq uint64, data string) error {
	stored := make(chan error, 1)
	log.Append(seq, []byte(data), func(err error) { stored <- err })
	return <-stored
}

func text(s string) *string { return &s }

// Whatever is lost on the way, each record is stored once, in its place, and its append succeeds; however the servers
// check first whether a message comes twice or whether it is in its place.
func TestTrapAckLoss_B14_LostMessagesAreFoundOut(t *testing.T) {
	lostMessages(t, start(t, natsd.Options{Port: natsd.RandomPort}), 1, func() {})
}

// lostMessages loses messages and calls between now and then.
func lostMessages(t *testing.T, s *natsd.Server, replicas int, between func()) {
	w := &weather{}
	opts := Options{Cell: newCell(), Replicas: replicas}
	log := through(t, s, w, opts)
	lost := 0
	hit := func() { lost++ }
	w.hit.Store(&hit)
	random := rand.New(rand.NewPCG(1, 2))
	const rounds = 60
	for seq := uint64(1); seq <= rounds; seq++ {
		switch random.IntN(3) {
		case 0: // it never arrives
			w.loseWrite.Store(text(Subject(opts.Cell)))
		case 1: // it is stored, and nobody hears of it
			w.loseRead.Store(text(`"stream":"` + StreamName(opts.Cell)))
		}
		if seq%(rounds/4) == 0 {
			between()
		}
		if err := appendOne(log, seq, fmt.Sprint("record", seq)); err != nil {
			t.Fatalf("record %d: %v", seq, err)
		}
	}
	if lost < rounds/3 {
		t.Fatalf("only %d messages were lost", lost)
	}
	next := uint64(1)
	err := log.Read(t.Context(), 1, func(seq uint64, data []byte) error {
		if seq != next || string(data) != fmt.Sprint("record", seq) {
			return fmt.Errorf("record %d is %q", seq, data)
		}
		next++
		return nil
	})
	if err != nil || next != rounds+1 {
		t.Fatalf("read to record %d: %v", next-1, err)
	}
}

// Another master writes while this one does not know what became of its record.
func TestTrapDeposed_S5_AnotherMasterInTheGap(t *testing.T) {
	anotherMaster(t, start(t, natsd.Options{Port: natsd.RandomPort}), 1)
}

func anotherMaster(t *testing.T, s *natsd.Server, replicas int) {
	for name, test := range map[string]struct {
		spoil func(w *weather, opts Options)
		want  error
		last  uint64
	}{
		// The record never arrived: the other master's is in its place.
		"not stored": {func(w *weather, opts Options) { w.loseWrite.Store(text(Subject(opts.Cell))) }, journal.ErrFenced, 2},
		// It did: the other master came after it.
		"stored": {func(w *weather, opts Options) { w.loseRead.Store(text(`"stream":"` + StreamName(opts.Cell))) }, nil, 3},
	} {
		t.Run(name, func(t *testing.T) {
			w := &weather{}
			opts := Options{Cell: newCell(), Replicas: replicas}
			old, young := through(t, s, w, opts), open(t, connect(t, s), opts)
			if err := appendOne(old, 1, "old"); err != nil {
				t.Fatal(err)
			}
			hit := func() {
				_, last, err := young.Bounds(context.Background())
				if err == nil {
					err = appendOne(young, last+1, "young")
				}
				if err != nil {
					t.Errorf("the new master cannot write: %v", err)
				}
			}
			w.hit.Store(&hit)
			test.spoil(w, opts)
			if err := appendOne(old, 2, "old"); !errors.Is(err, test.want) {
				t.Errorf("the old master's record: %v, want %v", err, test.want)
			}
			if err := appendOne(old, 3, "old"); !errors.Is(err, journal.ErrFenced) {
				t.Errorf("the old master's next record: %v, want %v", err, journal.ErrFenced)
			}
			if _, last, err := young.Bounds(t.Context()); err != nil || last != test.last {
				t.Errorf("the log ends with record %d, %v; want %d", last, err, test.last)
			}
		})
	}
}

// A stream that is gone, or was emptied by hand, is a disaster and not an empty journal.
func TestS5_VanishedStreamIsCorrupt(t *testing.T) {
	s := start(t, natsd.Options{})
	nc := connect(t, s)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(stream string) error{
		"deleted": func(stream string) error { return js.DeleteStream(t.Context(), stream) },
		"purged": func(stream string) error {
			st, err := js.Stream(t.Context(), stream)
			if err != nil {
				return err
			}
			return st.Purge(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			opts := Options{Cell: newCell()}
			log := open(t, nc, opts)
			if err := appendOne(log, 1, "x"); err != nil {
				t.Fatal(err)
			}
			if err := spoil(StreamName(opts.Cell)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := log.Bounds(t.Context()); !errors.Is(err, journal.ErrCorrupt) {
				t.Errorf("bounds: %v, want %v", err, journal.ErrCorrupt)
			}
			if name == "deleted" {
				if err := appendOne(log, 2, "x"); !errors.Is(err, journal.ErrCorrupt) {
					t.Errorf("append: %v, want %v", err, journal.ErrCorrupt)
				}
			}
		})
	}
}

func TestAStoreThatDoesNotAnswerIsGivenUp(t *testing.T) {
	s := start(t, natsd.Options{Port: natsd.RandomPort})
	opts := Options{Cell: newCell(), Patience: time.Millisecond}
	log := through(t, s, &weather{}, opts)
	if err := appendOne(log, 1, "x"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	err := appendOne(log, 2, "x")
	if err == nil || errors.Is(err, journal.ErrFenced) || !strings.Contains(err.Error(), "could not be found out") {
		t.Errorf("append: %v", err)
	}
	if _, _, err := log.Bounds(t.Context()); err == nil || !strings.Contains(err.Error(), "given up") {
		t.Errorf("bounds: %v", err)
	}
}

// Close does not wait for a store that does not answer.
func TestCloseEndsTheSearch(t *testing.T) {
	s := start(t, natsd.Options{Port: natsd.RandomPort})
	log := through(t, s, &weather{}, Options{Cell: newCell(), Patience: time.Hour})
	if err := appendOne(log, 1, "x"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	stored := make(chan error, 1)
	log.Append(2, []byte("x"), func(err error) { stored <- err })
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-stored; !errors.Is(err, journal.ErrClosed) {
		t.Fatalf("%v, want %v", err, journal.ErrClosed)
	}
}

// A hole that the server's operator has made in a stream without protection is found.
func TestS5_DeletedMessageIsFound(t *testing.T) {
	s := start(t, natsd.Options{})
	for _, gone := range []uint64{2, 5, 9, 10} {
		t.Run(fmt.Sprint(gone), func(t *testing.T) {
			t.Parallel()
			nc := connect(t, s)
			opts := Options{Cell: newCell(), Replicas: 1, Patience: time.Minute}
			js, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			config := streamConfig(opts)
			config.DenyDelete = false
			stream, err := js.CreateStream(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			log, err := newLog(nc, opts)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { log.Close() })
			log.stream = stream
			for seq := uint64(1); seq <= 10; seq++ {
				if err := appendOne(log, seq, "x"); err != nil {
					t.Fatal(err)
				}
			}
			if err := stream.DeleteMsg(t.Context(), gone); err != nil {
				t.Fatal(err)
			}
			if err := log.Read(t.Context(), 1, func(uint64, []byte) error { return nil }); !errors.Is(err, journal.ErrCorrupt) {
				t.Errorf("message %d is gone, and a read says %v", gone, err)
			}
		})
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	s := start(t, natsd.Options{})
	nc := connect(t, s)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	// The server removes the folder of streams with the last of them, at its leisure, also under a new one: one stays.
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "stays", Subjects: []string{"stays"}}); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(c *jetstream.StreamConfig){
		"max age is 1h0m0s and must be 0s":            func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour },
		"storage is Memory and must be File":          func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"discard is DiscardOld":                       func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld },
		"deny delete is false":                        func(c *jetstream.StreamConfig) { c.DenyDelete = false },
		"deny purge is true":                          func(c *jetstream.StreamConfig) { c.DenyPurge = true },
		"allow direct is true":                        func(c *jetstream.StreamConfig) { c.AllowDirect = true },
		"retention is Interest":                       func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy },
		"max messages is 7":                           func(c *jetstream.StreamConfig) { c.MaxMsgs = 7 },
		"max message size is 7":                       func(c *jetstream.StreamConfig) { c.MaxMsgSize = 7 },
		"duplicates window at least is 2m0s":          func(c *jetstream.StreamConfig) { c.Duplicates = time.Second },
		"subjects is [other]":                         func(c *jetstream.StreamConfig) { c.Subjects = []string{"other"} },
		"message TTLs is true":                        func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true },
		"no acknowledgements is true and must be fal": func(c *jetstream.StreamConfig) { c.NoAck = true },
		"persist mode is":                             func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode },
	} {
		opts := Options{Cell: newCell(), Replicas: 1}
		config := streamConfig(opts)
		change(&config)
		if _, err := js.CreateStream(t.Context(), config); err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		_, err := Open(t.Context(), nc, opts)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "nats stream edit "+config.Name) {
			t.Errorf("got %v, want it to say %q and how to mend it", err, want)
		}
		if err := js.DeleteStream(t.Context(), config.Name); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWrongOptionsAreNamed(t *testing.T) {
	s := start(t, natsd.Options{})
	narrow := start(t, natsd.Options{MaxPayload: 1 << 20})
	for want, test := range map[string]struct {
		nc   *nats.Conn
		opts Options
	}{
		`cell "A b" is not a name`:   {connect(t, s), Options{Cell: "A b"}},
		"2 replicas":                 {connect(t, s), Options{Cell: "c", Replicas: 2}},
		"ReconnectBufSize(-1)":       {connect(t, s, nats.ReconnectBufSize(1000)), Options{Cell: "c"}},
		"set its max_payload to 2MB": {connect(t, narrow), Options{Cell: "c"}},
		"replicas > 1 not supported": {connect(t, s), Options{Cell: "c", Replicas: 3, Patience: time.Millisecond}},
	} {
		if _, err := Open(t.Context(), test.nc, test.opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
}

func FuzzDecodeFrame(f *testing.F) {
	f.Add(encodeFrame(1, [][]byte{[]byte("a"), []byte("bc")}))
	f.Add(encodeFrame(1<<64-1, [][]byte{[]byte("a")}))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, records, err := decodeFrame(data)
		if err != nil {
			if !errors.Is(err, journal.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		again, same, err := decodeFrame(encodeFrame(first, records))
		if err != nil || again != first || len(same) != len(records) {
			t.Fatalf("%d records from %d come back as %d from %d, %v", len(records), first, len(same), again, err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	s := start(b, natsd.Options{})
	for _, window := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint("window=", window), func(b *testing.B) {
			log := open(b, connect(b, s), Options{Cell: newCell()})
			journaltest.BenchAppend(b, log, window)
		})
	}
}
