package jetstreamlog

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/journal/journaltest"
)

// limited is a server of somebody else, whose account has limits.
func limited(t *testing.T, limits server.JetStreamAccountLimits) *nats.Conn {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		DontListen: true, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(), MaxPayload: 2 << 20, SyncAlways: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server does not start")
	}
	if err := s.GlobalAccount().UpdateJetStreamLimits(map[string]server.JetStreamAccountLimits{"": limits}); err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect("", nats.InProcessServer(s), nats.ReconnectBufSize(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// What an account may take is told late, by the server, in words of its own: a journal at that limit is full as any other,
// and a stream that may not be made at all says why.
func TestTrapAccountLimits(t *testing.T) {
	wide := server.JetStreamAccountLimits{MaxMemory: -1, MaxStore: -1, MaxStreams: -1, MaxConsumers: -1}
	narrow := wide
	narrow.MaxStore = 4 << 20
	log := open(t, limited(t, narrow), Options{Cell: newCell()})
	seq := uint64(1)
	for ; seq < 20; seq++ {
		err := appendOne(log, seq, string(journaltest.Noise(seq, 512<<10)))
		if errors.Is(err, journal.ErrFull) {
			break
		}
		if err != nil {
			t.Fatalf("record %d: %v, want %v", seq, err, journal.ErrFull)
		}
	}
	if seq < 4 || seq == 20 {
		t.Fatalf("%d records of half a MiB went into 4 MiB", seq)
	}
	if err := log.Trim(t.Context(), seq-1); err != nil {
		t.Fatal(err)
	}
	if err := appendOne(log, seq, "record"); err != nil {
		t.Fatalf("when there is room again: %v", err)
	}
	none := wide
	none.MaxStreams = 1
	nc := limited(t, none)
	open(t, nc, Options{Cell: newCell()})
	begin := time.Now()
	if _, err := Open(t.Context(), nc, Options{Cell: newCell()}); err == nil || !strings.Contains(err.Error(), "maximum number of streams") {
		t.Errorf("a second stream: %v after %v", err, time.Since(begin))
	}
}
