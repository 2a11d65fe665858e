package compose

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/grafana/pyroscope-go"
)

// ProfileConfig says where profiles of this process are sent.
type ProfileConfig struct {
	// Address of the Pyroscope server, such as http://127.0.0.1:4040.
	Address string
	// App is the name under which they are sent, Token what opens the server; empty if nothing must.
	App, Token string
	// Tags tell this process from others.
	Tags map[string]string
	Log  *slog.Logger
}

// StartProfiles begins to send CPU, heap and goroutine profiles. The function ends it.
func StartProfiles(c ProfileConfig) (stop func() error, err error) {
	settings := pyroscope.Config{
		ApplicationName: c.App, ServerAddress: c.Address, Tags: c.Tags, Logger: profileLog{c.Log.With("part", "pyroscope")},
		// A run of the garbage collector for every profile would cost more than the profile tells.
		DisableGCRuns: true,
		ProfileTypes: []pyroscope.ProfileType{
			pyroscope.ProfileCPU, pyroscope.ProfileAllocObjects, pyroscope.ProfileAllocSpace,
			pyroscope.ProfileInuseObjects, pyroscope.ProfileInuseSpace, pyroscope.ProfileGoroutines,
		},
	}
	if c.Token != "" {
		settings.HTTPHeaders = map[string]string{"Authorization": "Bearer " + c.Token}
	}
	p, err := pyroscope.Start(settings)
	if err != nil {
		return nil, fmt.Errorf("pyroscope.address: %w", err)
	}
	return p.Stop, nil
}

// profileLog takes what the profiler says. That profiles do not arrive is worth a warning, not more.
type profileLog struct{ log *slog.Logger }

func (l profileLog) Infof(format string, args ...any)  { l.write(slog.LevelDebug, format, args) }
func (l profileLog) Debugf(format string, args ...any) { l.write(slog.LevelDebug, format, args) }
func (l profileLog) Errorf(format string, args ...any) { l.write(slog.LevelWarn, format, args) }

func (l profileLog) write(level slog.Level, format string, args []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, fmt.Sprintf(format, args...))
	}
}
