package redisstream

import (
	"log/slog"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
)

// Settings are the keys of the section durable.redisstream of a configuration file; see Config.
type Settings struct {
	Addr            string        `yaml:"addr"` // host:port; required
	Username        string        `yaml:"username"`
	Password        string        `yaml:"password"`
	DB              int           `yaml:"db"`
	TLS             settings.TLS  `yaml:"tls"`
	DialTimeout     time.Duration `yaml:"dial_timeout"`
	Timeout         time.Duration `yaml:"timeout"`
	PoolSize        int           `yaml:"pool_size"`
	MaxLen          int64         `yaml:"max_len"`
	MaxMessageBytes int           `yaml:"max_message_bytes"`
	AppendTimeout   time.Duration `yaml:"append_timeout"`
	ClaimIdle       time.Duration `yaml:"claim_idle"`
	LeaseTTL        time.Duration `yaml:"lease_ttl"`
	Persistence     string        `yaml:"persistence"`
	MinReplicas     int           `yaml:"min_replicas"`
}

// Check returns a *durable.InvalidError that names a key.
func (s Settings) Check() error {
	if s.Username != "" && s.Password == "" {
		return durable.Invalid("password", "", "set it: username is set")
	}
	if p := s.Persistence; p != "" && p != PersistenceWarn && p != PersistenceRequire {
		return durable.Invalid("persistence", p, "write warn or require")
	}
	return settings.First(
		settings.Address("addr", s.Addr),
		settings.NotNegative("db", int64(s.DB)),
		settings.Duration("dial_timeout", s.DialTimeout),
		settings.Duration("timeout", s.Timeout),
		settings.NotNegative("pool_size", int64(s.PoolSize)),
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
	secure, err := s.TLS.Config()
	if err != nil {
		return Config{}, err
	}
	return Config{
		Connection: Connection{
			Addr: s.Addr, Username: s.Username, Password: s.Password, DB: s.DB, TLS: secure,
			DialTimeout: s.DialTimeout, Timeout: s.Timeout, PoolSize: s.PoolSize,
		},
		MaxLen: s.MaxLen, MaxMessageBytes: s.MaxMessageBytes, AppendTimeout: s.AppendTimeout,
		ClaimIdle: s.ClaimIdle, LeaseTTL: s.LeaseTTL, Persistence: s.Persistence, MinReplicas: s.MinReplicas, Logger: logger,
	}, nil
}
