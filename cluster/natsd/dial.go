package natsd

import (
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/cluster/wire"
)

// Dial opens a connection to the servers that url names (several with commas between), with the options that every
// connection of the cell has, named for the server's lists. The caller closes it. opts come last and override.
func Dial(url, name string, log *slog.Logger, opts ...nats.Option) (*nats.Conn, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	nc, err := nats.Connect(url, append(wire.ConnOptions(name, log), opts...)...)
	if err != nil {
		return nil, fmt.Errorf("natsd: connect %s to %q: %w", name, url, err)
	}
	return nc, nil
}
