package compose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/client"
	"github.com/troupe-sched/troupe/cluster/fabric"
	"github.com/troupe-sched/troupe/node"
	"github.com/troupe-sched/troupe/node/agent"
	"github.com/troupe-sched/troupe/node/driver/process"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// reachEvery is how often a process that lasts looks for NATS servers that are not there yet.
const reachEvery = time.Second

// Node opens the agent of this machine, which reaches its master over the NATS servers that the configuration names.
func Node(ctx context.Context, e Env) (opened *Process, err error) {
	c := e.Config
	p := &Process{facts: Facts{Cell: c.Cell.Name, Role: "node", Node: c.Node.ID, NATS: ServersOf(c), Dirs: []string{c.Node.Dir}}}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.parts.close(context.WithoutCancel(ctx)))
		}
	}()
	dial := func(purpose string) (*nats.Conn, error) {
		return patient(ctx, e, func() (*nats.Conn, error) { return dialer(e)(purpose) })
	}
	nc, err := dial("results")
	if err != nil {
		return nil, err
	}
	p.parts.add("connection results", quiet(nc.Close))
	cell, err := client.New(client.Config{Conn: nc, Cell: c.Cell.Name})
	if err != nil {
		return nil, err
	}
	metrics := newNodeMetrics(c.Cell.Name, c.Node.ID)
	offer := c.Node.Offer()
	options := node.Options{
		Cell: c.Cell.Name, ID: c.Node.ID, Dir: c.Node.Dir, Log: e.Log, Clock: e.clock(), Attributes: c.Node.Attributes,
		Capacity: model.Resources{model.CPU: c.Node.CPU, model.Memory: c.Node.Memory, model.Disk: c.Node.Disk, model.Net: c.Node.Net},
		Pool:     offer.Pool, Taints: offer.Taints, Devices: offer.Devices, Custom: offer.Custom,
		PortFrom: offer.PortFrom, PortTo: offer.PortTo, Packages: offer.Packages,
		Process: process.Options{Shim: e.Shim},
		Connect: func(n *node.Node) (agent.Uplink, error) {
			link, err := fabric.OpenAgent(fabric.AgentConfig{
				Cell: c.Cell.Name, Node: c.Node.ID, Deliver: n.Deliver, Logs: n.Logs, Log: e.Log,
				Dial: func(purpose string) (*nats.Conn, error) { return dial("fabric-" + purpose) },
			})
			if err != nil {
				return nil, err
			}
			p.parts.add("link", quiet(link.Close))
			metrics.link, metrics.lanes.lanes = link.Stats, link.Lanes
			return link, nil
		},
		Results: func(ctx context.Context, uid uint64, queue, job, stage string, fn func(*v1.InstanceResult) error) error {
			return fabric.Inputs(ctx, cell, queue, job, uid, stage, fn)
		},
		Count: metrics.count,
	}
	n, err := waitForRoom(ctx, e.Log, func() (*node.Node, error) { return node.Open(ctx, options) })
	if err != nil {
		return nil, err
	}
	p.done, p.err = n.Done(), n.Err
	p.parts.add("node", n.Close)
	lastWords(c.Node.Dir, e.Log)
	metrics.tree = n.Tree
	err = p.web(e, WebConfig{
		Live:    func() error { return ended(n.Done(), n.Err) },
		Ready:   func(context.Context) error { return connected(nc) },
		Metrics: []prometheus.Collector{metrics},
	})
	if err == nil {
		err = p.profiles(e)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// patient dials until the servers are there: machines start in any order.
func patient(ctx context.Context, e Env, dial func() (*nats.Conn, error)) (*nats.Conn, error) {
	told := false
	for {
		nc, err := dial()
		if err == nil || !absent(err) {
			return nc, err
		}
		if !told {
			told = true
			e.Log.Warn("no NATS server answers; looking for it again and again", "servers", redacted(ServersOf(e.Config)), "error", err)
		}
		wait := time.NewTimer(reachEvery)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil, fmt.Errorf("%w while no NATS server answered: %w", context.Cause(ctx), err)
		}
	}
}

// absent says whether a connection failed because nobody is there, or nobody who stays: a server that is just coming or
// going, or a proxy before none, takes the connection and ends it.
func absent(err error) bool {
	var broken net.Error
	for _, why := range []error{nats.ErrNoServers, nats.ErrTimeout, nats.ErrConnectionClosed, io.EOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, why) {
			return true
		}
	}
	return errors.As(err, &broken)
}

// connected says whether the servers can be reached now.
func connected(nc *nats.Conn) error {
	if !nc.IsConnected() {
		return fmt.Errorf("the connection to NATS is %s", nc.Status())
	}
	return nil
}

// ended is why a part is done; nil if it is not.
func ended(done <-chan struct{}, why func() error) error {
	select {
	case <-done:
		return fmt.Errorf("it has ended: %w", why())
	default:
		return nil
	}
}
