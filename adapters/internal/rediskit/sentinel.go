package rediskit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/internal/settings"
)

// Sentinel says which Redis Sentinels know the address of the server.
type Sentinel struct {
	Addrs    []string // host:port; one that answers is enough
	Master   string   // what they call the server; required
	Username string   // ACL user of the sentinels; defaults to their default user
	Password string   // of the sentinels; defaults to none
}

// used tells whether s is set.
func (s Sentinel) used() bool { return len(s.Addrs) > 0 }

// validate returns an error that names the first setting that is not acceptable.
func (s Sentinel) validate() error {
	for _, addr := range s.Addrs {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("setting \"sentinel.addrs\": %q is not host:port", addr)
		}
	}
	if s.Master == "" {
		return errors.New("setting \"sentinel.master\": it is required where \"sentinel.addrs\" is set")
	}
	return nil
}

// String shows the settings with the password masked.
func (s Sentinel) String() string {
	return fmt.Sprintf("{addrs:%s master:%s username:%s password:%s}", s.Addrs, s.Master, s.Username, settings.Mask(s.Password))
}

// GoString is String, so that %#v shows no password either.
func (s Sentinel) GoString() string { return s.String() }

// LogValue implements slog.LogValuer.
func (s Sentinel) LogValue() slog.Value { return slog.StringValue(s.String()) }

// dialer makes connections, secured as the settings say.
type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// connect connects to an address. The files of TLS are those at that moment.
func (c Config) connect(o *redis.Options) dialer {
	plain := &net.Dialer{Timeout: o.DialTimeout, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		secure := c.TLS
		if c.files != nil {
			secure = c.files.Config()
		}
		if secure == nil {
			return plain.DialContext(ctx, network, addr)
		}
		return (&tls.Dialer{NetDialer: plain, Config: secure}).DialContext(ctx, network, addr)
	}
}

// dialer connects to the server, whose address the sentinels are asked for each time: after a failover the next
// connection reaches the new master.
func (c Config) dialer(o *redis.Options) dialer {
	dial := c.connect(o)
	if !c.Sentinel.used() {
		return dial
	}
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		addr, err := c.Sentinel.ask(ctx, o, dial)
		if err != nil {
			return nil, err
		}
		return dial(ctx, network, addr)
	}
}

// ask is the address of the master, by the first sentinel that knows it.
func (s Sentinel) ask(ctx context.Context, o *redis.Options, dial dialer) (string, error) {
	var errs []error
	for _, at := range s.Addrs {
		client := redis.NewSentinelClient(&redis.Options{
			Addr: at, Username: s.Username, Password: s.Password, Dialer: quiet(dial),
			DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, DialerRetries: 1,
			MaxRetries: -1, Protocol: 2, DisableIdentity: true, ContextTimeoutEnabled: true, PoolSize: 2,
		})
		addr, err := client.GetMasterAddrByName(ctx, s.Master).Result()
		_ = client.Close()
		switch {
		case err == nil && len(addr) == 2:
			return net.JoinHostPort(addr[0], addr[1]), nil
		case errors.Is(err, redis.Nil):
			errs = append(errs, fmt.Errorf("sentinel %s knows no master %q", at, s.Master))
		default:
			errs = append(errs, fmt.Errorf("sentinel %s: %w", at, err))
		}
	}
	return "", errors.Join(errs...)
}
