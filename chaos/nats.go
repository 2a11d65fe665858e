package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"

	"github.com/troupe-sched/troupe/chaos/proc"
	"github.com/troupe-sched/troupe/cluster/natsd"
)

// NATSServer is a NATS server as a process of its own: what the command "chaos nats" runs.
type NATSServer struct {
	// Dir is where it keeps its streams, Name its name.
	Dir, Name string
	// Listen is where clients reach it, ClusterListen where the other servers do, as host:port. Routes are URLs of servers of
	// its cluster; without them it is alone.
	Listen, ClusterListen string
	Routes                []string
	// Log takes its lines.
	Log io.Writer
}

// Run runs the server until ctx ends. When it is up it says so on out, as package proc asks for.
func (s NATSServer) Run(ctx context.Context, out io.Writer) error {
	o := natsd.Options{Dir: s.Dir, Name: s.Name, Log: slog.New(slog.NewTextHandler(s.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	var err error
	if o.Host, o.Port, err = hostPort(s.Listen); err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	if len(s.Routes) > 0 {
		// Silent, or clients would find their way around the proxies that stand before the servers.
		o.Cluster = &natsd.Cluster{Name: "chaos", Routes: s.Routes, Silent: true}
		if o.Cluster.Host, o.Cluster.Port, err = hostPort(s.ClusterListen); err != nil {
			return fmt.Errorf("--cluster-listen: %w", err)
		}
	}
	server, err := natsd.Start(o)
	if err != nil {
		return err
	}
	defer server.Close()
	if err := json.NewEncoder(out).Encode(proc.Facts{NATS: server.ClientURL()}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func hostPort(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil {
		return "", 0, fmt.Errorf("%q is not an address; right would be host:port, such as 127.0.0.1:4222", address)
	}
	return host, port, nil
}
