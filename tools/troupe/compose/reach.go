package compose

import (
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"

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

// Reach connects to the cell that the configuration names.
func Reach(c *config.Config, log *slog.Logger) (*client.Client, error) {
	cell, err := client.Dial(ServersOf(c), c.Cell.Name, log, connOptions(c)...)
	if err != nil {
		return nil, fmt.Errorf("%w (start a cell with \"troupe dev\", or name another by --nats or \"troupe context use\")", err)
	}
	return cell, nil
}

// connOptions are what the configuration says of NATS connections.
func connOptions(c *config.Config) []nats.Option {
	options := []nats.Option{nats.Name(c.NATS.Name)}
	if c.NATS.Creds != "" {
		options = append(options, nats.UserCredentials(c.NATS.Creds))
	}
	return options
}
