package rediskit

import (
	"strconv"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
)

// Settings are the keys of a connection in a configuration file; see Config.
type Settings struct {
	Addr         string          `yaml:"addr" zero:"required, unless sentinel or cluster is set" doc:"host:port of the server" example:"redis:6379"`
	Username     string          `yaml:"username" zero:"the default user of the server" doc:"ACL user" example:"orders"`
	Password     settings.Secret `yaml:"password" doc:"of the user; a secret" example:"${REDIS_PASSWORD}"`
	PasswordFile string          `yaml:"password_file" doc:"file that holds the password, instead of password" example:"/run/secrets/redis"`
	DB           int             `yaml:"db" min:"0" zero:"0" doc:"number of the database" example:"3"`
	TLS          settings.TLS    `yaml:"tls"`
	DialTimeout  time.Duration   `yaml:"dial_timeout" min:"1ms" doc:"of one attempt to connect" example:"2s"`
	Timeout      time.Duration   `yaml:"timeout" min:"1ms" doc:"of one command" example:"2s"`
	PoolSize     int             `yaml:"pool_size" min:"1" unit:"connections" zero:"that of the client library, 10 for each processor" doc:"of each client" example:"20"`

	Sentinel struct {
		Addrs        []string        `yaml:"addrs" zero:"not used" doc:"host:port of some of them; one that answers is enough" example:"[redis-1:6379, redis-2:6379]"`
		Master       string          `yaml:"master" zero:"required with addrs" doc:"what the sentinels call the server" example:"mymaster"`
		Username     string          `yaml:"username" zero:"the default user of the server" doc:"ACL user" example:"orders"`
		Password     settings.Secret `yaml:"password" doc:"of the user; a secret" example:"${REDIS_PASSWORD}"`
		PasswordFile string          `yaml:"password_file" doc:"file that holds the password, instead of password" example:"/run/secrets/sentinel"`
	} `yaml:"sentinel"`

	Cluster struct {
		Addrs []string `yaml:"addrs" zero:"not used" doc:"host:port of some of them; one that answers is enough" example:"[redis-1:6379, redis-2:6379]"`
	} `yaml:"cluster"`
}

// Check returns a *durable.InvalidError that names a key.
func (s Settings) Check() error {
	return settings.First(
		settings.OneSecret("password", s.Username != "", s.Password, s.PasswordFile),
		settings.OneSecret("sentinel.password", s.Sentinel.Username != "", s.Sentinel.Password, s.Sentinel.PasswordFile),
		s.TLS.Check(),
		s.checkAddr(),
		settings.NotNegative("db", int64(s.DB)),
		settings.Duration("dial_timeout", s.DialTimeout),
		settings.Duration("timeout", s.Timeout),
		settings.NotNegative("pool_size", int64(s.PoolSize)),
	)
}

func (s Settings) checkAddr() error {
	if len(s.Cluster.Addrs) > 0 {
		return s.checkCluster()
	}
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

func (s Settings) checkCluster() error {
	if s.Addr != "" || len(s.Sentinel.Addrs) > 0 {
		return durable.Invalid("cluster.addrs", "", "set one of addr, sentinel and cluster")
	}
	if s.DB > 0 {
		return durable.Invalid("db", strconv.Itoa(s.DB), "remove the key: a cluster has the database 0 alone")
	}
	for _, addr := range s.Cluster.Addrs {
		if err := settings.Address("cluster.addrs", addr); err != nil {
			return err
		}
	}
	return nil
}

// Config is the connection that s describes. It reads the files of secrets and of TLS, the latter again when they change.
func (s Settings) Config() (Config, error) {
	files, err := s.TLS.Files()
	if err != nil {
		return Config{}, err
	}
	c := Config{
		Addr: s.Addr, Username: s.Username, DB: s.DB, TLS: files.Config(), files: files,
		DialTimeout: s.DialTimeout, Timeout: s.Timeout, PoolSize: s.PoolSize,
		Sentinel: Sentinel{Addrs: s.Sentinel.Addrs, Master: s.Sentinel.Master, Username: s.Sentinel.Username},
		Cluster:  Cluster(s.Cluster),
	}
	if c.Password, err = settings.SecretOf(s.Password, "password_file", s.PasswordFile); err != nil {
		return Config{}, err
	}
	c.Sentinel.Password, err = settings.SecretOf(s.Sentinel.Password, "sentinel.password_file", s.Sentinel.PasswordFile)
	return c, err
}
