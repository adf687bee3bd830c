package redisstream

import (
	"errors"
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

	NoAck        bool   `yaml:"no_ack" doc:"without order by key: what is read counts as acknowledged, at most once" example:"true"`
	OnlyExisting bool   `yaml:"only_existing" doc:"appending to a topic that does not exist is an error instead of making it" example:"true"`
	ExactTrim    bool   `yaml:"exact_trim" doc:"trims to the entry; otherwise some more stay, for less work" example:"true"`
	AllowUnread  bool   `yaml:"allow_unread" doc:"trims what a group has not acknowledged, too" example:"true"`
	Fields       Fields `yaml:"fields"`
	SlidingTTL   bool   `yaml:"sliding_ttl" doc:"ttl counts from the last append instead of the first" example:"true"`
}

// Limits are those of Settings that have a range; see Config.
type Limits struct {
	MaxLen          int64         `yaml:"max_len" min:"1" unit:"entries" zero:"no limit" doc:"of a partition that are kept" example:"1000000"`
	Retention       time.Duration `yaml:"retention" min:"1ms" zero:"no limit" doc:"age after which entries are trimmed" example:"168h"`
	TTL             time.Duration `yaml:"ttl" min:"1ms" zero:"never" doc:"after which the streams of a topic end as a whole, read or not" example:"720h"`
	MaxMessageBytes int           `yaml:"max_message_bytes" min:"1" unit:"bytes" zero:"no limit of ours" doc:"of one message" example:"1048576"`
	AppendTimeout   time.Duration `yaml:"append_timeout" min:"1ms" doc:"after which an append without an answer fails with an unknown outcome" example:"2s"`
	ClaimIdle       time.Duration `yaml:"claim_idle" min:"1ms" doc:"without order by key: after which others take over what a dead member held" example:"30s"`
	OrderedAppend   bool          `yaml:"ordered_append" doc:"an append stops at the first message of a partition that is refused" example:"true"`
	LeaseTTL        time.Duration `yaml:"lease_ttl" min:"1ms" doc:"with order by key: after which another member may follow a dead one" example:"5s"`
	Persistence     string        `yaml:"persistence" oneof:"warn,require" doc:"what happens where the server can lose acknowledged events: a warning, or Open fails" example:"require"`
	MinReplicas     int           `yaml:"min_replicas" min:"0" unit:"replicas" zero:"none is waited for" doc:"that must have acknowledged an append" example:"1"`
}

// Defaults are the settings of an empty section.
func Defaults() Settings {
	return Settings{
		ConnectionSettings: rediskit.Defaults(),
		Limits: Limits{
			AppendTimeout: defaultAppendTimeout, ClaimIdle: defaultClaimIdle, LeaseTTL: defaultLeaseTTL, Persistence: PersistenceWarn,
		},
	}
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
	return settings.First(s.ConnectionSettings.Check(), s.Limits.Check(), s.checkFields())
}

func (s Settings) checkFields() error {
	if s.Fields == (Fields{}) {
		return nil
	}
	var bad *durable.InvalidError
	if !errors.As(s.Fields.Check(), &bad) {
		return nil
	}
	return durable.Invalid("fields."+bad.Field, bad.Value, bad.Remedy)
}

// marshaller is nil for the default layout.
func (s Settings) marshaller() Marshaller {
	if s.Fields == (Fields{}) {
		return nil
	}
	return s.Fields
}

// Config is what Open takes. It reads the files that TLS names.
func (s Settings) Config(logger *slog.Logger) (Config, error) {
	connection, err := s.ConnectionSettings.Config()
	if err != nil {
		return Config{}, err
	}
	return Config{
		Connection: connection, Logger: logger, Marshaller: s.marshaller(),
		MaxMessageBytes: s.MaxMessageBytes, AppendTimeout: s.AppendTimeout, ClaimIdle: s.ClaimIdle, OrderedAppend: s.OrderedAppend, LeaseTTL: s.LeaseTTL,
		Persistence: s.Persistence, MinReplicas: s.MinReplicas, NoAck: s.NoAck, OnlyExisting: s.OnlyExisting,
		MaxLen: s.MaxLen, Retention: s.Retention, ExactTrim: s.ExactTrim, AllowUnread: s.AllowUnread,
		TTL: s.TTL, SlidingTTL: s.SlidingTTL,
	}, nil
}
