package failover

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-sched/troupe/chaos/cell"
	"github.com/troupe-sched/troupe/chaos/pause"
	"github.com/troupe-sched/troupe/cluster/store/jetstreamlog"
)

// joinWithin bounds the move of the stream's leader.
const joinWithin = 30 * time.Second

// join makes the NATS server within a master the leader of the journal's stream, so that both die together.
func (m *measurement) join(ctx context.Context, leader *cell.Part) error {
	ctx, cancel := context.WithTimeout(ctx, joinWithin)
	defer cancel()
	name := jetstreamlog.StreamName(m.cell.Name)
	js, err := jetstream.New(m.cell.Conn())
	if err != nil {
		return err
	}
	for {
		stream, err := js.Stream(ctx, name)
		if err == nil {
			c := stream.CachedInfo().Cluster
			if c != nil && of(c.Leader, leader) {
				return nil
			}
			if err := m.stepDown(ctx, name, c, leader); err != nil {
				return err
			}
		}
		if pause.For(ctx, 100*time.Millisecond) != nil {
			return fmt.Errorf("the server of %s does not become the stream's leader: %v", leader.ID, err)
		}
	}
}

// of reports whether a server is that of a part.
func of(server string, p *cell.Part) bool {
	return server == p.ID || strings.HasSuffix(server, "-"+p.ID)
}

// stepDown asks the stream's leader to step down in favour of a master's own server.
func (m *measurement) stepDown(ctx context.Context, stream string, c *jetstream.ClusterInfo, to *cell.Part) error {
	if c == nil {
		return nil // nobody leads now
	}
	for _, peer := range c.Replicas {
		if !of(peer.Name, to) {
			continue
		}
		if !peer.Current {
			return nil // it must catch up first
		}
		body, err := json.Marshal(map[string]any{"placement": map[string]string{"preferred": peer.Name}})
		if err != nil {
			return err
		}
		one, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, err = m.cell.Conn().RequestWithContext(one, "$JS.API.STREAM.LEADER.STEPDOWN."+stream, body)
		if err != nil && ctx.Err() != nil {
			return err
		}
		return nil
	}
	return fmt.Errorf("the stream has no replica on the server of %s", to.ID)
}
