package rediskit

import (
	"strconv"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
)

// Settings are the keys of a connection in a configuration file; see Config.
type Settings struct {
	Addr        string        `yaml:"addr" zero:"required, unless sentinel or cluster is set" doc:"host:port of the server" example:"redis:6379"`
	Username    string        `yaml:"username" zero:"the default user of the server" doc:"ACL user" example:"orders"`
	Password    string        `yaml:"password" doc:"of the user; a secret" example:"${REDIS_PASSWORD}"`
	DB          int           `yaml:"db" min:"0" zero:"0" doc:"number of the database" example:"3"`
	TLS         settings.TLS  `yaml:"tls"`
	DialTimeout time.Duration `yaml:"dial_timeout" min:"1ms" doc:"of one attempt to connect" example:"2s"`
	Timeout     time.Duration `yaml:"timeout" min:"1ms" doc:"of one command" example:"2s"`
	PoolSize    int           `yaml:"pool_size" min:"1" unit:"connections" zero:"that of the client library, 10 for each processor" doc:"of each client" example:"20"`

	Sentinel struct {
		Addrs    []string `yaml:"addrs" zero:"not used" doc:"host:port of some of them; one that answers is enough" example:"[redis-1:6379, redis-2:6379]"`
		Master   string   `yaml:"master" zero:"required with addrs" doc:"what the sentinels call the server" example:"mymaster"`
		Username string   `yaml:"username" zero:"the default user of the server" doc:"ACL user" example:"orders"`
		Password string   `yaml:"password" doc:"of the user; a secret" example:"${REDIS_PASSWORD}"`
	} `yaml:"sentinel"`

	Cluster struct {
		Addrs []string `yaml:"addrs" zero:"not used" doc:"host:port of some of them; one that answers is enough" example:"[redis-1:6379, redis-2:6379]"`
	} `yaml:"cluster"`
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

// Config is the connection that s describes. It reads the files that TLS names.
func (s Settings) Config() (Config, error) {
	secure, err := s.TLS.Config()
	if err != nil {
		return Config{}, err
	}
	return Config{
		Addr: s.Addr, Username: s.Username, Password: s.Password, DB: s.DB, TLS: secure,
		DialTimeout: s.DialTimeout, Timeout: s.Timeout, PoolSize: s.PoolSize,
		Sentinel: Sentinel(s.Sentinel), Cluster: Cluster(s.Cluster),
	}, nil
}
