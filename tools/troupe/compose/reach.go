package compose

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/client"
	"github.com/troupe-sched/troupe/tools/troupe/config"
)

// ServersOf are the NATS servers that the configuration names. If it names none they are those of a cell that
// "troupe dev" opened on this machine.
func ServersOf(c *config.Config) string {
	if c.NATS.URL != "" {
		return c.NATS.URL
	}
	return "nats://" + c.Master.Listen
}

// Reach connects to the cell that the configuration names. With stale, any master answers reads; see client.Config.Stale.
func Reach(c *config.Config, log *slog.Logger, stale func(model.Mark)) (*client.Client, error) {
	cell, err := client.Dial(ServersOf(c), c.Cell.Name, log, append(credentials(c), nats.Name(c.NATS.Name))...)
	if err != nil {
		return nil, fmt.Errorf("%w (start a cell with \"troupe dev\", or name another by --nats or \"troupe context use\")", err)
	}
	cell.Stale = stale
	return cell, nil
}

// credentials are what opens the NATS servers, if the configuration names any.
func credentials(c *config.Config) []nats.Option {
	if c.NATS.Creds == "" {
		return nil
	}
	return []nats.Option{nats.UserCredentials(c.NATS.Creds)}
}

// redacted is a list of servers without what opens them.
func redacted(servers string) string {
	list := strings.Split(servers, ",")
	for i, server := range list {
		if u, err := url.Parse(strings.TrimSpace(server)); err == nil {
			list[i] = u.Redacted()
		}
	}
	return strings.Join(list, ",")
}
