package jetstreamlog

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/journal/journaltest"
	"github.com/troupe-sched/troupe/cluster/natsd"
)

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

// Servers check what is expected of a stream in another way when it has replicas.
func TestReplicatedLog(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers take their time to find each other")
	}
	servers := three(t)
	n := 0
	journaltest.RunLog(t, func(t *testing.T) journaltest.LogStore {
		cell := newCell()
		reopen := func() (journal.Log, error) {
			n++ // now over one server, now over another
			return Open(t.Context(), connect(t, servers[n%3]), Options{Cell: cell, Replicas: 3})
		}
		return journaltest.LogStore{
			Open: reopen, Second: reopen,
			Small: func(t *testing.T) journal.Log {
				return open(t, connect(t, servers[0]), Options{Cell: newCell(), Replicas: 3, BytesMax: 3 << 20})
			},
		}
	})
	for name, run := range traps() {
		t.Run(name, func(t *testing.T) { run(t, servers[:]) })
	}
	t.Run("TrapAckLossWithStepDowns", func(t *testing.T) {
		nc := connect(t, servers[1])
		stepDown := func() {
			_, _ = nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+StreamName(lastCell()), nil, 5*time.Second)
		}
		lostMessages(t, servers[0], 3, stepDown)
	})
	t.Run("TrapDeposed", func(t *testing.T) { anotherMaster(t, servers[2], 3) })
	t.Run("TrapReadRightAfterAStepDown", func(t *testing.T) { readAfterStepDown(t, servers) })
	t.Run("S5_LeaderSteppingDown", func(t *testing.T) { steppingDown(t, servers) })
	t.Run("S5_ServerDies", func(t *testing.T) { serverDies(t, servers) })
}

// steady appends records until told to stop and returns how many it has, each of which must succeed.
func steady(t *testing.T, log journal.Log, stop <-chan struct{}) <-chan uint64 {
	last := make(chan uint64, 1)
	go func() {
		seq := uint64(0)
		defer func() { last <- seq }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := appendOne(log, seq+1, fmt.Sprint("record", seq+1)); err != nil {
				t.Errorf("record %d: %v", seq+1, err)
				return
			}
			seq++
		}
	}()
	return last
}

func wantSteady(t *testing.T, log journal.Log, last uint64) {
	t.Helper()
	next := uint64(1)
	err := log.Read(t.Context(), 1, func(seq uint64, data []byte) error {
		if seq != next || string(data) != fmt.Sprint("record", seq) {
			return fmt.Errorf("record %d is %q, want record %d", seq, data, next)
		}
		next++
		return nil
	})
	if err != nil || next != last+1 {
		t.Fatalf("read to record %d of %d: %v", next-1, last, err)
	}
}

func steppingDown(t *testing.T, servers [3]*natsd.Server) {
	opts := Options{Cell: newCell(), Replicas: 3}
	log := open(t, connect(t, servers[0]), opts)
	nc := connect(t, servers[1])
	stop := make(chan struct{})
	last := steady(t, log, stop)
	for range 5 {
		waitLeader(t, log)
		if _, err := nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+StreamName(opts.Cell), nil, 10*time.Second); err != nil {
			t.Error(err)
		}
	}
	waitLeader(t, log)
	close(stop)
	wantSteady(t, log, <-last)
}

// waitLeader waits until the stream has a leader, and says which.
func waitLeader(t *testing.T, log *Log) (leader string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := retry(ctx, time.Minute, func(ctx context.Context) error {
		info, err := log.stream.Info(ctx)
		if err != nil {
			return err
		}
		if leader = info.Cluster.Leader; leader == "" {
			return nats.ErrNoResponders
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return leader
}

// serverDies stops the server that leads the stream; what two of three have goes on.
func serverDies(t *testing.T, servers [3]*natsd.Server) {
	opts := Options{Cell: newCell(), Replicas: 3, Patience: time.Minute}
	leader := waitLeader(t, open(t, connect(t, servers[0]), opts))
	log := (*Log)(nil)
	for i, s := range servers {
		if fmt.Sprint("server", i) != leader {
			log = open(t, connect(t, s), opts)
			break
		}
	}
	stop := make(chan struct{})
	seen := tailing(t, log)
	last := steady(t, log, stop)
	for i, s := range servers {
		if fmt.Sprint("server", i) == leader {
			s.Close()
		}
	}
	if now := waitLeader(t, log); now == leader {
		t.Fatalf("server %s leads, and is stopped", now)
	}
	close(stop)
	n := <-last
	wantSteady(t, log, n)
	seen.want(n)
}
