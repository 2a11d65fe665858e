package cell

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-sched/troupe/cluster/store/jetstreamlog"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Leader is the master that leads now; with one master it is that one.
func (c *Cell) Leader(ctx context.Context) (*Part, error) {
	masters := c.Role("master")
	if len(masters) == 1 {
		return masters[0], nil
	}
	status, err := c.client.CellStatus(ctx, &v1.CellStatusRequest{})
	if err != nil {
		return nil, fmt.Errorf("who leads is not known: %w", err)
	}
	if p := c.Part(status.GetMaster()); p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("who leads is not known: the cell says %q", status.GetMaster())
}

// NATSLeader is the NATS server that leads the stream of the journal.
func (c *Cell) NATSLeader(ctx context.Context) (*Part, error) {
	servers := c.Role("nats")
	if len(servers) == 0 {
		return nil, fmt.Errorf("there is no NATS server beside the masters")
	}
	if len(servers) == 1 {
		return servers[0], nil
	}
	js, err := jetstream.New(c.conn)
	if err != nil {
		return nil, err
	}
	stream, err := js.Stream(ctx, jetstreamlog.StreamName(c.Name))
	if err != nil {
		return nil, fmt.Errorf("which server leads the journal's stream is not known: %w", err)
	}
	info := stream.CachedInfo()
	if info.Cluster == nil || c.Part(info.Cluster.Leader) == nil {
		return nil, fmt.Errorf("the journal's stream has no leader now")
	}
	return c.Part(info.Cluster.Leader), nil
}
