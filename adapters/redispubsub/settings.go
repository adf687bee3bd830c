package redispubsub

import (
	"log/slog"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/realtime"
)

// ConnectionSettings are the keys of the connection: addr, username, password, db, tls, dial_timeout, timeout and
// pool_size.
type ConnectionSettings = rediskit.Settings

// Settings are the keys of the section realtime.redispubsub of a configuration file; see Config.
type Settings struct {
	ConnectionSettings `yaml:",inline"`

	Classic       bool          `yaml:"classic" doc:"on a cluster: Pub/Sub that every node passes on to all others, with patterns, instead of sharded Pub/Sub" example:"true"`
	NotifyTimeout time.Duration `yaml:"notify_timeout" min:"1ms" doc:"bound on every exchange that announces" example:"500ms"`
	Buffer        int           `yaml:"buffer" min:"1" unit:"notifications" doc:"that a subscription holds; then the oldest are dropped and reported" example:"8192"`
	ProbeIdle     time.Duration `yaml:"probe_idle" min:"1ms" doc:"silence before the connection is probed, and the wait for the answer" example:"5s"`
}

// Defaults are the settings of an empty section.
func Defaults() Settings {
	return Settings{
		ConnectionSettings: rediskit.Defaults(),
		NotifyTimeout:      defaultNotifyTimeout, Buffer: realtime.DefaultInbox, ProbeIdle: defaultProbeIdle,
	}
}

// Check returns a *durable.InvalidError that names a key.
func (s Settings) Check() error {
	return settings.First(
		s.ConnectionSettings.Check(),
		settings.Duration("notify_timeout", s.NotifyTimeout),
		settings.NotNegative("buffer", int64(s.Buffer)),
		settings.Duration("probe_idle", s.ProbeIdle),
	)
}

// Config is what Open takes. It reads the files that TLS names.
func (s Settings) Config(logger *slog.Logger) (Config, error) {
	connection, err := s.ConnectionSettings.Config()
	if err != nil {
		return Config{}, err
	}
	return Config{
		Connection: connection, Classic: s.Classic, NotifyTimeout: s.NotifyTimeout, Buffer: s.Buffer, ProbeIdle: s.ProbeIdle, Logger: logger,
	}, nil
}
