package redisstream

import (
	"log/slog"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
)

// ConnectionSettings are the keys of the connection: addr, username, password, db, tls, dial_timeout, timeout and
// pool_size.
type ConnectionSettings = rediskit.Settings

// Settings are the keys of the section durable.redisstream of a configuration file; see Config.
type Settings struct {
	ConnectionSettings `yaml:",inline"`

	MaxLen          int64         `yaml:"max_len"`
	MaxMessageBytes int           `yaml:"max_message_bytes"`
	AppendTimeout   time.Duration `yaml:"append_timeout"`
	OrderedAppend   bool          `yaml:"ordered_append"`
	ClaimIdle       time.Duration `yaml:"claim_idle"`
	LeaseTTL        time.Duration `yaml:"lease_ttl"`
	Persistence     string        `yaml:"persistence"`
	MinReplicas     int           `yaml:"min_replicas"`
}

// Check returns a *durable.InvalidError that names a key.
func (s Settings) Check() error {
	if p := s.Persistence; p != "" && p != PersistenceWarn && p != PersistenceRequire {
		return durable.Invalid("persistence", p, "write warn or require")
	}
	return settings.First(
		s.ConnectionSettings.Check(),
		settings.NotNegative("max_len", s.MaxLen),
		settings.NotNegative("max_message_bytes", int64(s.MaxMessageBytes)),
		settings.Duration("append_timeout", s.AppendTimeout),
		settings.Duration("claim_idle", s.ClaimIdle),
		settings.Duration("lease_ttl", s.LeaseTTL),
		settings.NotNegative("min_replicas", int64(s.MinReplicas)),
	)
}

// Config is what Open takes. It reads the files that TLS names.
func (s Settings) Config(logger *slog.Logger) (Config, error) {
	connection, err := s.ConnectionSettings.Config()
	if err != nil {
		return Config{}, err
	}
	return Config{
		Connection: connection,
		MaxLen:     s.MaxLen, MaxMessageBytes: s.MaxMessageBytes, AppendTimeout: s.AppendTimeout,
		ClaimIdle: s.ClaimIdle, LeaseTTL: s.LeaseTTL, OrderedAppend: s.OrderedAppend, Persistence: s.Persistence, MinReplicas: s.MinReplicas, Logger: logger,
	}, nil
}
