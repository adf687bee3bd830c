// Package rediskit holds what the Redis adapters share: connection settings, separate clients per role, and the
// check at open.
package rediskit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/internal/settings"
)

const (
	defaultDialTimeout = 5 * time.Second
	defaultTimeout     = 5 * time.Second
)

// Config says how to reach a Redis server. Its texts and log values never show the password.
type Config struct {
	Addr        string        // host:port; required unless Sentinel or Cluster is set
	Sentinel    Sentinel      // asked for the address where it is set
	Cluster     Cluster       // instead of Addr and Sentinel, where it is set
	Username    string        // ACL user; defaults to the server's default user
	Password    string        // defaults to none
	DB          int           // database number; defaults to 0
	TLS         *tls.Config   // nil: no TLS
	DialTimeout time.Duration // of one connection attempt; defaults to 5 s
	Timeout     time.Duration // of one command, and of the ping at open; defaults to 5 s
	PoolSize    int           // connections of each client, to each node; defaults to the client library's

	shared *topology       // see Ready
	files  *settings.Files // instead of TLS; nil: there are none
}

// Role is what a client is for. Every role has its own connections, so that none starves another.
type Role int

// The roles.
const (
	Control   Role = iota // short commands that are safe to repeat
	Appending             // writes; never retried, so that nothing is stored twice
	Blocking              // blocking reads; their read timeout stands above the block
)

// MaxBlock is the longest block for which a client of the Blocking role is made.
const MaxBlock = time.Second

// Validate returns an error that names the first setting that is not acceptable.
func (c Config) Validate() error {
	if err := c.validateAddrs(); err != nil {
		return err
	}
	if c.DB < 0 {
		return fmt.Errorf("setting \"db\": %d is negative", c.DB)
	}
	if c.Username != "" && c.Password == "" {
		return errors.New("setting \"password\": it is required where \"username\" is set")
	}
	if c.DialTimeout < 0 || c.Timeout < 0 || c.PoolSize < 0 {
		return errors.New("settings \"dial_timeout\", \"timeout\" and \"pool_size\": use 0 or more")
	}
	return nil
}

// validateAddrs looks at where the server is said to be.
func (c Config) validateAddrs() error {
	switch {
	case c.Clustered() && (c.Sentinel.used() || c.Addr != ""):
		return errors.New("setting \"cluster.addrs\": set one of \"addr\", \"sentinel\" and \"cluster\"")
	case c.Clustered() && c.DB > 0:
		return errors.New("setting \"db\": a cluster has the database 0 alone")
	case c.Clustered():
		return c.Cluster.validate()
	case c.Sentinel.used():
		return c.Sentinel.validate()
	}
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		return fmt.Errorf("setting \"addr\": %q is not host:port", c.Addr)
	}
	return nil
}

// String shows the settings with the password masked.
func (c Config) String() string {
	return fmt.Sprintf("{addr:%s username:%s password:%s db:%d tls:%t}",
		c.where(), c.Username, settings.Mask(c.Password), c.DB, c.TLS != nil)
}

// where is the address, the master's name and its sentinels, or nodes of the cluster.
func (c Config) where() string {
	if c.Sentinel.used() {
		return c.Sentinel.Master + "@" + strings.Join(c.Sentinel.Addrs, ",")
	}
	if c.Clustered() {
		return strings.Join(c.Cluster.Addrs, ",")
	}
	return c.Addr
}

// GoString is String, so that %#v shows no password either.
func (c Config) GoString() string { return c.String() }

// LogValue implements slog.LogValuer.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Client returns a new client for role; the caller closes it. It dials when it is first used.
func (c Config) Client(role Role) Client {
	if c.Clustered() {
		return c.clusterClient(role)
	}
	return redis.NewClient(c.options(role))
}

// CommandTimeout is Timeout or its default.
func (c Config) CommandTimeout() time.Duration { return positive(c.Timeout, defaultTimeout) }

func (c Config) options(role Role) *redis.Options {
	timeout := positive(c.Timeout, defaultTimeout)
	o := &redis.Options{
		Addr: c.Addr, Username: c.Username, Password: c.Password, DB: c.DB,
		DialTimeout: positive(c.DialTimeout, defaultDialTimeout), DialerRetries: 1,
		ReadTimeout: timeout, WriteTimeout: timeout, ContextTimeoutEnabled: true,
		PoolSize: c.PoolSize, Protocol: 2, DisableIdentity: true,
	}
	if c.Sentinel.used() {
		o.Addr = c.Sentinel.Master // only a name: the dialer asks for the address
	}
	o.Dialer = quiet(c.dialer(o))
	switch role {
	case Appending:
		o.MaxRetries = -1
	case Blocking:
		o.MaxRetries = -1
		o.ReadTimeout = timeout + MaxBlock
	case Control:
	}
	return o
}

// Ping checks within Timeout that client reaches the server and is let in. adapter begins the error, which names
// the setting to look at.
func (c Config) Ping(ctx context.Context, adapter string, client Client) error {
	ctx, cancel := context.WithTimeout(ctx, positive(c.Timeout, defaultTimeout))
	defer cancel()
	err := EachMaster(ctx, client, func(ctx context.Context, node *redis.Client) error { return node.Ping(ctx).Err() })
	if err == nil {
		return nil
	}
	setting, remedy := c.suspect(err)
	if c.Clustered() && strings.Contains(err.Error(), notClustered) {
		err = errNotClustered
	}
	switch {
	case setting == "addr" && c.Sentinel.used():
		setting = "sentinel"
	case setting == "addr" && c.Clustered():
		setting = "cluster.addrs"
	}
	if remedy != "" {
		remedy = ": " + remedy
	}
	return &settings.Blamed{
		Setting: setting,
		Err:     fmt.Errorf("%s: connect to addr %q: %w: check the setting %q%s", adapter, c.where(), err, setting, remedy),
	}
}

// suspect is the setting that an error of a connection points at, and what to do.
func (c Config) suspect(err error) (setting, remedy string) {
	if setting, remedy = settings.Handshake(err); setting != "" {
		return setting, remedy
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "WRONGPASS"), strings.Contains(text, "NOAUTH"), strings.Contains(text, "invalid password"),
		strings.Contains(text, "without any password"):
		return "password", ""
	case strings.Contains(text, "NOPERM"):
		return "username", "grant the user the command by ACL SETUSER, or name another user"
	case strings.Contains(text, "DB index"):
		return "db", ""
	case strings.Contains(text, "tls:"), strings.Contains(text, "x509:"):
		return "tls", ""
	case c.TLS != nil && cut(err):
		return "tls.cert_file", "the server closed the connection behind the handshake, as one does that does not accept the " +
			"certificate of the client: name a certificate of your own that an authority of the server has signed"
	case c.TLS != nil && errors.Is(err, context.DeadlineExceeded):
		return "addr", `the server does not answer, as one does not that speaks no TLS there (setting "tls.enabled")`
	case cut(err):
		return "addr", `the server closed the connection, as one does that asks for TLS (setting "tls.enabled")`
	default:
		return "addr", ""
	}
}

// cut tells whether the other side ended the connection.
func cut(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func positive(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
