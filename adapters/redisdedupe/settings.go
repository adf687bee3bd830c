package redisdedupe

import (
	"strings"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
)

// ConnectionSettings are the keys of the connection: addr, username, password, db, tls, dial_timeout, timeout and
// pool_size.
type ConnectionSettings = rediskit.Settings

// Settings are the keys of a dedupe store on Redis in a configuration file; see Config.
type Settings struct {
	ConnectionSettings `yaml:",inline"`

	Prefix      string        `yaml:"prefix" doc:"before every key in Redis; without braces" example:"'shop:dedupe:'"`
	CallTimeout time.Duration `yaml:"call_timeout" min:"1ms" doc:"bound on every exchange with the server" example:"500ms"`
}

// Defaults are the settings of an empty section.
func Defaults() Settings {
	return Settings{ConnectionSettings: rediskit.Defaults(), Prefix: defaultPrefix, CallTimeout: defaultCallTimeout}
}

// Check returns a *durable.InvalidError that names a key.
func (s Settings) Check() error {
	if strings.ContainsAny(s.Prefix, "{}") {
		return durable.Invalid("prefix", s.Prefix, "use a prefix without braces")
	}
	return settings.First(s.ConnectionSettings.Check(), settings.Duration("call_timeout", s.CallTimeout))
}

// Config is what Open takes. It reads the files that TLS names.
func (s Settings) Config() (Config, error) {
	connection, err := s.ConnectionSettings.Config()
	if err != nil {
		return Config{}, err
	}
	return Config{Connection: connection, Prefix: s.Prefix, CallTimeout: s.CallTimeout}, nil
}
