package rediskit

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/redis/go-redis/v9"
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

// dialer connects to the server, whose address the sentinels are asked for each time: after a failover the next
// connection reaches the new master.
func (c Config) dialer(o *redis.Options) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := redis.NewDialer(o)
	if !c.Sentinel.used() {
		return dial
	}
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		addr, err := c.Sentinel.ask(ctx, o)
		if err != nil {
			return nil, err
		}
		return dial(ctx, network, addr)
	}
}

// ask is the address of the master, by the first sentinel that knows it.
func (s Sentinel) ask(ctx context.Context, o *redis.Options) (string, error) {
	var errs []error
	for _, at := range s.Addrs {
		client := redis.NewSentinelClient(&redis.Options{
			Addr: at, Username: s.Username, Password: s.Password, TLSConfig: o.TLSConfig,
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
