package compose

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-sched/troupe/cluster/natsd"
	"github.com/troupe-sched/troupe/cluster/store/jetstreamlog"
	"github.com/troupe-sched/troupe/tools/troupe/config"
)

func TestB30_ServersThatOpenNoJournalAreRefusedWithTheRemedy(t *testing.T) {
	for want, o := range map[string]*server.Options{
		`JetStream is off at these servers or for this account`:                                                          {},
		`3 copies need as many servers with JetStream in one cluster; start them, or lower --replicas (master.replicas)`: {JetStream: true, StoreDir: t.TempDir()},
	} {
		o.DontListen, o.NoSigs, o.NoLog, o.MaxPayload = true, true, true, natsd.MaxPayload
		s, err := server.NewServer(o)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		if !s.ReadyForConnections(10 * time.Second) {
			t.Fatal("the server did not come up")
		}
		nc, err := natsd.Dial("", "test", nil, nats.InProcessServer(s))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		_, err = jetstreamlog.Open(t.Context(), nc, jetstreamlog.Options{Cell: "c", Replicas: 3, Patience: time.Millisecond})
		if err == nil || !strings.Contains(remedy(err, 3).Error(), want) {
			t.Errorf("%v: it should say %q", remedy(err, 3), want)
		}
	}
	if err := remedy(jetstream.ErrStreamNameAlreadyInUse, 1); err != jetstream.ErrStreamNameAlreadyInUse {
		t.Errorf("what no remedy is known for became %v", err)
	}
}

func TestB30_CopiesOfTheJournal(t *testing.T) {
	three, five := []string{"a", "b", "c"}, []string{"a", "b", "c", "d", "e"}
	for _, c := range []struct {
		own  bool
		m    config.Master
		want int
	}{
		{true, config.Master{}, 1},
		{false, config.Master{}, 1},
		{false, config.Master{Replicas: 3}, 3},
		{true, config.Master{Peers: three, Cluster: config.Cluster{Listen: ":1", Routes: three}}, 3},
		{true, config.Master{Peers: five, Cluster: config.Cluster{Listen: ":1", Routes: five}}, 5},
		{true, config.Master{Replicas: 1, Cluster: config.Cluster{Listen: ":1", Routes: three}}, 1},
		{true, config.Master{Cluster: config.Cluster{Listen: ":1", Routes: three[:2]}}, 3},
	} {
		if got := replicas(masterSpec{Env: Env{Config: &config.Config{Master: c.m}}, own: c.own}); got != c.want {
			t.Errorf("own %v, %+v: %d copies, want %d", c.own, c.m, got, c.want)
		}
	}
}
