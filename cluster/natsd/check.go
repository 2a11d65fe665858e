package natsd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// checkWait is how long servers have to tell their settings.
const checkWait = 2 * time.Second

// CheckSettings asks all servers that can be reached from nc, a connection of the system account, how they keep streams.
// It fails, naming the servers and the setting, if one of them acknowledges what is not on disk yet, or if fewer than
// replicas keep streams at all.
func CheckSettings(ctx context.Context, nc *nats.Conn, replicas int) error {
	answers, err := nc.SubscribeSync(nats.NewInbox())
	if err != nil {
		return err
	}
	defer func() { _ = answers.Unsubscribe() }() // it fails only when the connection is closed
	if err := nc.PublishRequest("$SYS.REQ.SERVER.PING.JSZ", answers.Subject, nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkWait)
	defer cancel()
	var keeping, lazy []string
	heard := 0
	for {
		m, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			break // everybody has had the time
		}
		var told struct {
			Server server.ServerInfo `json:"server"`
			Data   *server.JSInfo    `json:"data"`
			Error  *server.ApiError  `json:"error"`
		}
		if err := json.Unmarshal(m.Data, &told); err != nil || told.Error != nil {
			return fmt.Errorf("natsd: a server does not tell its settings: %.200s", m.Data)
		}
		heard++
		if told.Data == nil || told.Data.Disabled {
			continue
		}
		keeping = append(keeping, told.Server.Name)
		if !told.Data.Config.SyncAlways {
			lazy = append(lazy, told.Server.Name)
		}
	}
	return judge(heard, keeping, lazy, replicas)
}

// judge says what is wrong, and what would be right.
func judge(heard int, keeping, lazy []string, replicas int) error {
	slices.Sort(lazy)
	switch {
	case heard == 0:
		return errors.New("natsd: no server has told its settings: are the credentials (nats.system_creds) those of the system account?")
	case len(keeping) < cmp.Or(replicas, 1):
		return fmt.Errorf("natsd: %d of %d servers have JetStream, and the journal shall have %d copies: enable it on more of them, or lower --replicas (master.replicas)",
			len(keeping), heard, cmp.Or(replicas, 1))
	case len(lazy) > 0:
		return fmt.Errorf("natsd: %s acknowledges what is not on disk yet, and a power cut would lose it: set \"jetstream { sync_interval: always }\" in its configuration",
			strings.Join(lazy, ", "))
	}
	return nil
}
