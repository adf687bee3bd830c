package rediskit

import (
	"time"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
)

// Settings are the keys of a connection in a configuration file; see Config.
type Settings struct {
	Addr        string        `yaml:"addr"` // host:port; required unless sentinel is set, which is asked instead
	Username    string        `yaml:"username"`
	Password    string        `yaml:"password"`
	DB          int           `yaml:"db"`
	TLS         settings.TLS  `yaml:"tls"`
	DialTimeout time.Duration `yaml:"dial_timeout"`
	Timeout     time.Duration `yaml:"timeout"`
	PoolSize    int           `yaml:"pool_size"`

	Sentinel struct {
		Addrs    []string `yaml:"addrs"`
		Master   string   `yaml:"master"`
		Username string   `yaml:"username"`
		Password string   `yaml:"password"`
	} `yaml:"sentinel"`
}

// Check returns a *durable.InvalidError that names a key.
func (s Settings) Check() error {
	if s.Username != "" && s.Password == "" {
		return durable.Invalid("password", "", "set it: username is set")
	}
	return settings.First(
		s.checkAddr(),
		settings.NotNegative("db", int64(s.DB)),
		settings.Duration("dial_timeout", s.DialTimeout),
		settings.Duration("timeout", s.Timeout),
		settings.NotNegative("pool_size", int64(s.PoolSize)),
	)
}

func (s Settings) checkAddr() error {
	if len(s.Sentinel.Addrs) == 0 {
		return settings.Address("addr", s.Addr)
	}
	if s.Sentinel.Master == "" {
		return durable.Invalid("sentinel.master", "", "write what the sentinels call the server")
	}
	for _, addr := range s.Sentinel.Addrs {
		if err := settings.Address("sentinel.addrs", addr); err != nil {
			return err
		}
	}
	return nil
}

// Config is the connection that s describes. It reads the files that TLS names.
func (s Settings) Config() (Config, error) {
	secure, err := s.TLS.Config()
	if err != nil {
		return Config{}, err
	}
	return Config{
		Addr: s.Addr, Username: s.Username, Password: s.Password, DB: s.DB, TLS: secure,
		DialTimeout: s.DialTimeout, Timeout: s.Timeout, PoolSize: s.PoolSize,
		Sentinel: Sentinel(s.Sentinel),
	}, nil
}
