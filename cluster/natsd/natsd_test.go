package natsd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// The server's clock of ticks (package ats) runs as long as the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))
}

func start(t *testing.T, opts Options) *Server {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	s, err := Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func connect(t *testing.T, s *Server, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := s.Connect("test", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestInProcessOnlyAndOnTheNetwork(t *testing.T) {
	inside := start(t, Options{})
	if url := inside.ClientURL(); url != "" {
		t.Errorf("a server without a port says that it is at %q", url)
	}
	outside := start(t, Options{Port: RandomPort})
	if url := outside.ClientURL(); !strings.HasPrefix(url, "nats://127.0.0.1:") || strings.HasSuffix(url, ":4222") {
		t.Errorf("a server on any port says that it is at %q", url)
	}
	dialed, err := Dial(outside.ClientURL(), "dialed", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dialed.Close()
	for _, nc := range []*nats.Conn{connect(t, inside), connect(t, outside), dialed} {
		if nc.MaxPayload() != MaxPayload {
			t.Errorf("max payload %d, want %d", nc.MaxPayload(), MaxPayload)
		}
		if nc.Opts.ReconnectBufSize != -1 || nc.Opts.MaxReconnect != -1 {
			t.Errorf("reconnect buffer %d, reconnects %d; want -1 of both", nc.Opts.ReconnectBufSize, nc.Opts.MaxReconnect)
		}
		sub, err := nc.SubscribeSync("a")
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.Publish("a", []byte("x")); err != nil {
			t.Fatal(err)
		}
		if m, err := sub.NextMsg(10 * time.Second); err != nil || string(m.Data) != "x" {
			t.Fatalf("got %v, %v", m, err)
		}
	}
}

func TestStreamsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	for round := uint64(1); round <= 3; round++ {
		s, err := Start(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		nc, err := s.Connect("test")
		if err != nil {
			t.Fatal(err)
		}
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		if _, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
			t.Fatal(err)
		}
		ack, err := js.Publish(ctx, "s", nil)
		if err != nil || ack.Sequence != round {
			t.Fatalf("ack %v, %v; want sequence %d", ack, err, round)
		}
		nc.Close()
		s.Close()
		s.Close() // again
	}
	if _, err := os.Stat(filepath.Join(StoreDir(dir), "$G", "streams", "S")); err != nil {
		t.Error(err)
	}
}

// A publish while the server is away fails at once, and is not stored after all when it is back.
func TestTrapReconnectBuffer_NothingIsWrittenOutOfTime(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Options{Dir: dir, Port: RandomPort})
	url := s.ClientURL()
	var port int
	if _, err := fmt.Sscanf(url, "nats://127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	down, up := make(chan bool, 1), make(chan bool, 1)
	nc, err := Dial(url, "test", nil,
		nats.DisconnectErrHandler(func(*nats.Conn, error) { down <- true }),
		nats.ReconnectHandler(func(*nats.Conn) { up <- true }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	s.Close()
	<-down
	if err := nc.Publish("a", []byte("late")); !errors.Is(err, nats.ErrReconnectBufExceeded) {
		t.Errorf("publish while the server is away: %v, want %v", err, nats.ErrReconnectBufExceeded)
	}
	again := start(t, Options{Dir: dir, Port: port})
	<-up
	if got := again.ClientURL(); got != url {
		t.Errorf("the server is at %s, it was at %s", got, url)
	}
	other := connect(t, again)
	sub, err := other.SubscribeSync("a")
	if err == nil {
		err = other.Flush() // or the publish, by another connection, may come before it
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Publish("a", []byte("in time")); err != nil {
		t.Fatal(err)
	}
	if m, err := sub.NextMsg(10 * time.Second); err != nil || string(m.Data) != "in time" {
		t.Fatalf("got %v, %v", m, err)
	}
}

func TestWrongOptionsAreNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	taken := start(t, Options{Port: RandomPort})
	var port int
	if _, err := fmt.Sscanf(taken.ClientURL(), "nats://127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	for want, opts := range map[string]Options{
		"no directory":           {},
		"not a directory":        {Dir: file},
		"port 70000":             {Dir: t.TempDir(), Port: 70000},
		"port -2":                {Dir: t.TempDir(), Port: -2},
		"in use":                 {Dir: t.TempDir(), Port: port},
		"max payload of 5 bytes": {Dir: t.TempDir(), MaxPayload: 5},
		"store of at most 1 MiB": {Dir: t.TempDir(), StoreMax: 1 << 20},
		"there is room for":      {Dir: t.TempDir(), StoreMax: 1 << 60},
		"needs its own name":     {Dir: t.TempDir(), Port: -1, Cluster: &Cluster{Name: "c", Port: -1, Routes: []string{"nats://a"}}},
		"port for clients":       {Dir: t.TempDir(), Name: "a", Cluster: &Cluster{Name: "c", Port: -1, Routes: []string{"nats://a"}}},
		"route to one":           {Dir: t.TempDir(), Name: "a", Cluster: &Cluster{Name: "c", Port: -1}},
		`cluster route 0, "10."`: {Dir: t.TempDir(), Name: "a", Port: -1, Cluster: &Cluster{Name: "c", Port: -1, Routes: []string{"10."}}},
	} {
		if s, err := Start(opts); err == nil {
			s.Close()
			t.Errorf("%+v starts", opts)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: it should say %q", err, want)
		}
	}
}

// What the store has taken already is part of its size, not gone from its room.
func TestRoomOfAStoreIsFreeAndUsed(t *testing.T) {
	dir := t.TempDir()
	empty, err := roomFor(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(StoreDir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(StoreDir(dir), "block"))
	if err != nil {
		t.Fatal(err)
	}
	const size = 1 << 50 // sparse: it takes nothing from the disk, and shows in the sum above any noise
	if err := errors.Join(f.Truncate(size>>7), f.Close()); err != nil {
		t.Fatal(err)
	}
	if used, err := roomFor(dir); err != nil || used < empty+size>>8 {
		t.Fatalf("room for %d with %d in the store, %d without; %v", used, size>>7, empty, err)
	}
}

func TestServersLinesGoToOurLog(t *testing.T) {
	var out bytes.Buffer
	s, err := Start(Options{Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if got := out.String(); !strings.Contains(got, "level=DEBUG") || strings.Contains(got, "level=ERROR") {
		t.Fatalf("log is %s", got)
	}
}

func TestThreeServersMakeACluster(t *testing.T) {
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
	var first *Server
	servers := map[string]*Server{}
	for i, port := range ports {
		first = start(t, Options{Name: fmt.Sprint("server", i), Port: RandomPort, Cluster: &Cluster{Name: "c", Port: port, Routes: routes}})
		if got := first.ClusterURL(); got != routes[i] {
			t.Fatalf("server %d is at %s, want %s", i, got, routes[i])
		}
		servers[fmt.Sprint("server", i)] = first
	}
	js, err := jetstream.New(connect(t, first))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for { // until they have found each other and chosen a leader
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := js.CreateStream(try, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: 3})
		cancel()
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	if ack, err := js.Publish(ctx, "s", nil); err != nil || ack.Sequence != 1 {
		t.Fatalf("ack %v, %v", ack, err)
	}
	// The server that leads the stream retires: the stream has another leader before it is gone.
	stream, err := js.Stream(ctx, "S")
	if err != nil {
		t.Fatal(err)
	}
	leader := stream.CachedInfo().Cluster.Leader
	for name, other := range servers {
		if name == leader {
			continue
		}
		servers[leader].Retire()
		if js, err = jetstream.New(connect(t, other)); err != nil {
			t.Fatal(err)
		}
		info, err := js.Stream(ctx, "S")
		if err != nil || info.CachedInfo().Cluster.Leader == "" || info.CachedInfo().Cluster.Leader == leader {
			t.Fatalf("after %s has retired: %+v, %v", leader, info, err)
		}
		if ack, err := js.Publish(ctx, "s", nil); err != nil || ack.Sequence != 2 {
			t.Fatalf("ack %v, %v", ack, err)
		}
		break
	}
}
