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
	Limits             `yaml:",inline"`

	NoAck        bool `yaml:"no_ack"`
	OnlyExisting bool `yaml:"only_existing"`
	ExactTrim    bool `yaml:"exact_trim"`
	AllowUnread  bool `yaml:"allow_unread"`
	SlidingTTL   bool `yaml:"sliding_ttl"`
}

// Limits are those of Settings that have a range; see Config.
type Limits struct {
	MaxLen          int64         `yaml:"max_len"`
	Retention       time.Duration `yaml:"retention"`
	TTL             time.Duration `yaml:"ttl"`
	MaxMessageBytes int           `yaml:"max_message_bytes"`
	AppendTimeout   time.Duration `yaml:"append_timeout"`
	ClaimIdle       time.Duration `yaml:"claim_idle"`
	OrderedAppend   bool          `yaml:"ordered_append"`
	LeaseTTL        time.Duration `yaml:"lease_ttl"`
	Persistence     string        `yaml:"persistence"`
	MinReplicas     int           `yaml:"min_replicas"`
}

// Check returns a *durable.InvalidError that names a key.
func (l Limits) Check() error {
	if p := l.Persistence; p != "" && p != PersistenceWarn && p != PersistenceRequire {
		return durable.Invalid("persistence", p, "write warn or require")
	}
	return settings.First(
		settings.NotNegative("max_len", l.MaxLen),
		settings.Duration("retention", l.Retention),
		settings.Duration("ttl", l.TTL),
		settings.NotNegative("max_message_bytes", int64(l.MaxMessageBytes)),
		settings.Duration("append_timeout", l.AppendTimeout),
		settings.Duration("claim_idle", l.ClaimIdle),
		settings.Duration("lease_ttl", l.LeaseTTL),
		settings.NotNegative("min_replicas", int64(l.MinReplicas)),
	)
}

// limits is the part of c that has a range.
func (c Config) limits() Limits {
	return Limits{
		MaxLen: c.MaxLen, Retention: c.Retention, TTL: c.TTL, MaxMessageBytes: c.MaxMessageBytes, AppendTimeout: c.AppendTimeout,
		ClaimIdle: c.ClaimIdle, LeaseTTL: c.LeaseTTL, Persistence: c.Persistence, MinReplicas: c.MinReplicas,
	}
}

// Check returns a *durable.InvalidError that names a key.
func (s Settings) Check() error {
	return settings.First(s.ConnectionSettings.Check(), s.Limits.Check())
}

// Config is what Open takes. It reads the files that TLS names.
func (s Settings) Config(logger *slog.Logger) (Config, error) {
	connection, err := s.ConnectionSettings.Config()
	if err != nil {
		return Config{}, err
	}
	return Config{
		Connection: connection, Logger: logger,
		MaxMessageBytes: s.MaxMessageBytes, AppendTimeout: s.AppendTimeout, ClaimIdle: s.ClaimIdle, OrderedAppend: s.OrderedAppend, LeaseTTL: s.LeaseTTL,
		Persistence: s.Persistence, MinReplicas: s.MinReplicas, NoAck: s.NoAck, OnlyExisting: s.OnlyExisting,
		MaxLen: s.MaxLen, Retention: s.Retention, ExactTrim: s.ExactTrim, AllowUnread: s.AllowUnread,
		TTL: s.TTL, SlidingTTL: s.SlidingTTL,
	}, nil
}
