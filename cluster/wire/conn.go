package wire

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
)

// ConnOptions are the options of every NATS connection of the cell. Above all nothing is stored up while the connection
// is down: a stale write that leaves after a reconnect would be obeyed long after its sender gave up. Connections try to
// come back for ever; who needs an answer has a deadline of its own.
func ConnOptions(name string, log *slog.Logger) []nats.Option {
	log = log.With("connection", name)
	return []nats.Option{
		nats.Name(name),
		nats.ReconnectBufSize(-1),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(200*time.Millisecond, time.Second),
		nats.Timeout(3 * time.Second),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(10 * time.Second),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("nats connection lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("nats connection is back", "server", nc.ConnectedServerName())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if sub == nil {
				log.Warn("nats error", "error", err)
				return
			}
			level := slog.LevelWarn
			if errors.Is(err, nats.ErrPermissionViolation) {
				level = slog.LevelError
			}
			dropped, _ := sub.Dropped()
			log.Log(context.Background(), level, "nats error", "error", err, "subject", sub.Subject, "dropped", dropped)
		}),
	}
}
