package natsd

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// foreign starts a server as another might have configured it, and connects to its system account.
func foreign(t *testing.T, change func(*server.Options)) *nats.Conn {
	t.Helper()
	sys := server.NewAccount("SYS")
	o := &server.Options{
		ServerName: "foreign", DontListen: true, NoSigs: true, NoLog: true, StoreDir: t.TempDir(), JetStream: true, SyncAlways: true,
		Accounts: []*server.Account{sys, server.NewAccount("APP")}, SystemAccount: "SYS",
		Users: []*server.User{{Username: "sys", Password: "sys", Account: sys}, {Username: "app", Password: "app"}},
	}
	change(o)
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server did not come up")
	}
	nc, err := Dial("", "test", nil, nats.InProcessServer(s), nats.UserInfo("sys", "sys"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestB30_SettingsThatLoseRecordsAreFoundAtTheStart(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(*server.Options)
		replicas int
		want     string
	}{
		"right":         {func(*server.Options) {}, 1, ""},
		"lazy":          {func(o *server.Options) { o.SyncAlways = false }, 1, `foreign acknowledges what is not on disk yet, and a power cut would lose it: set "jetstream { sync_interval: always }"`},
		"too few":       {func(*server.Options) {}, 3, "1 of 1 servers have JetStream, and the journal shall have 3 copies"},
		"no JetStream":  {func(o *server.Options) { o.JetStream = false }, 1, "0 of 1 servers have JetStream"},
		"no privileges": {func(o *server.Options) { o.Users[0].Account = nil }, 1, "are the credentials (nats.system_creds) those of the system account?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits for all that could answer
			err := CheckSettings(t.Context(), foreign(t, c.change), c.replicas)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
