package natsd

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
)

// Dial opens a connection to the servers that url names (several with commas between), named for the server's lists.
// The caller closes it. opts come last and override.
//
// The connection keeps nothing for later while it is down: a publish then fails at once, because one that was stored
// after its caller gave up would be a write out of time. It reconnects for ever, with jitter, so that thousands of
// clients do not come back in one moment.
func Dial(url, name string, log *slog.Logger, opts ...nats.Option) (*nats.Conn, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	log = log.With("conn", name)
	nc, err := nats.Connect(url, append([]nats.Option{
		nats.Name(name),
		nats.Timeout(5 * time.Second),
		nats.ReconnectBufSize(-1),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("disconnected from NATS", "err", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("connected to NATS again", "url", nc.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			log.Warn("NATS reports an error", "err", err, "subject", subject)
		}),
	}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("natsd: connect %s to %q: %w", name, url, err)
	}
	return nc, nil
}
