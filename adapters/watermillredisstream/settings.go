package watermillredisstream

import (
	"errors"
	"log/slog"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// ConnectionSettings are the keys that both sides have.
type ConnectionSettings struct {
	Addrs    []string        `yaml:"addrs" zero:"required" doc:"one server, the sentinels of master, or some nodes of a cluster, as host:port" example:"[redis:6379]"`
	Master   string          `yaml:"master" zero:"addrs are no sentinels" doc:"what the sentinels call the server" example:"orders"`
	Username string          `yaml:"username" zero:"the default user" doc:"of the ACL" example:"orders"`
	Password settings.Secret `yaml:"password" zero:"no login" doc:"of username; a secret" example:"${REDIS_PASSWORD}"`
	DB       int             `yaml:"db" min:"0" doc:"number of the database" example:"1"`
	TLS      settings.TLS    `yaml:"tls"`
	MaxLen   int64           `yaml:"max_len" min:"0" unit:"entries" zero:"no bound" doc:"about so many are left in a stream by a publish" example:"1000000"`
}

// Settings are the keys of the section durable.watermill-redisstream of a configuration file; see Config.
type Settings struct {
	ConnectionSettings `yaml:",inline"`
	ClaimIdle          time.Duration `yaml:"claim_idle" min:"1ms" doc:"an entry that is with a member for longer is given to another one, or the same" example:"5m"`
}

// Defaults are the settings of an empty section.
func Defaults() Settings { return Settings{ClaimIdle: DefaultClaimIdle} }

// RealtimeSettings are the keys of the section realtime.watermill-redisstream.
type RealtimeSettings struct {
	ConnectionSettings `yaml:",inline"`
	Topic              string `yaml:"topic" doc:"stream that carries the notifications of all channels" example:"orders.notifications"`
}

// RealtimeDefaults are the settings of an empty section.
func RealtimeDefaults() RealtimeSettings {
	return RealtimeSettings{
		ConnectionSettings: ConnectionSettings{MaxLen: DefaultRealtimeMaxLen}, Topic: realtime.DefaultTopic,
	}
}

// Check returns a *durable.InvalidError that names a key.
func (s ConnectionSettings) Check() error {
	for _, a := range s.Addrs {
		if err := settings.Address("addrs", a); err != nil {
			return err
		}
	}
	return settings.First(s.TLS.Check(), s.config().check())
}

// Check returns a *durable.InvalidError that names a key.
func (s Settings) Check() error {
	return settings.First(s.ConnectionSettings.Check(), settings.Duration("claim_idle", s.ClaimIdle))
}

// Config is what OpenRealtime takes. It reads the files that TLS names.
func (s ConnectionSettings) Config(logger *slog.Logger) (Config, error) {
	c := s.config()
	c.Logger = logger
	var err error
	c.TLS, err = s.TLS.Config()
	return c, err
}

// Config is what Open takes. It reads the files that TLS names.
func (s Settings) Config(logger *slog.Logger) (Config, error) {
	c, err := s.ConnectionSettings.Config(logger)
	c.ClaimIdle = s.ClaimIdle
	return c, err
}

func (s ConnectionSettings) config() Config {
	return Config{
		Addrs: s.Addrs, Master: s.Master, Username: s.Username, Password: s.Password.Reveal(), DB: s.DB, MaxLen: s.MaxLen,
	}
}

// Blame names the setting that an error of Open points at.
func Blame(err error) error {
	var invalid *durable.InvalidError
	switch {
	case errors.As(err, &invalid):
		return &settings.Blamed{Setting: invalid.Field, Err: err}
	case errors.Is(err, durable.ErrUnavailable):
		return &settings.Blamed{Setting: "addrs", Err: err}
	default:
		return err
	}
}
