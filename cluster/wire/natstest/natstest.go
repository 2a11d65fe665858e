// Package natstest runs a real NATS server inside a test, reached without a port.
package natstest

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/cluster/wire"
)

// Server starts a server that ends with the test. It takes payloads of 2 MiB, so that the cell's own limits show.
func Server(t testing.TB) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		ServerName: t.Name(), DontListen: true, NoSigs: true, NoLog: true, MaxPayload: 2 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server did not come up")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

// Conn connects to s with the options of the cell; the connection ends with the test.
func Conn(t testing.TB, s *server.Server, options ...nats.Option) *nats.Conn {
	t.Helper()
	options = append(append(wire.ConnOptions(t.Name(), slog.New(slog.DiscardHandler)), nats.InProcessServer(s)), options...)
	nc, err := nats.Connect("", options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}
