package redisdedupe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

const (
	name               = "redisdedupe"
	defaultPrefix      = "ds:dedupe:"
	defaultCallTimeout = time.Second
)

// Connection says how to reach the server.
type Connection = rediskit.Config

// Cluster names nodes of a Redis Cluster.
type Cluster = rediskit.Cluster

// Config describes a Store.
type Config struct {
	Connection // Addr, Sentinel or Cluster is required where there is no Client
	// Client is used instead of a connection of the store's own, such as that of a Redis Cluster. It stays the
	// caller's to close.
	Client redis.UniversalClient
	// Prefix stands before every key. Defaults to "ds:dedupe:". Braces would move keys between the slots of a cluster:
	// they are refused.
	Prefix string
	// CallTimeout bounds every pipeline. Defaults to 1 s; at least 1 ms.
	CallTimeout time.Duration
}

// Validate returns an error that names the first setting that is not acceptable.
func (c Config) Validate() error {
	if c.Client == nil {
		if err := c.Connection.Validate(); err != nil {
			return err
		}
	}
	if strings.ContainsAny(c.Prefix, "{}") {
		return durable.Invalid("Config.Prefix", c.Prefix, "use a prefix without braces")
	}
	if c.CallTimeout < 0 || c.CallTimeout > 0 && c.CallTimeout < time.Millisecond {
		return durable.Invalid("Config.CallTimeout", c.CallTimeout.String(), "use at least 1ms, or 0 for the default")
	}
	return nil
}

// Store is a middleware.DedupeStore on Redis. Its methods are safe for concurrent use.
type Store struct {
	prefix  string
	timeout time.Duration
	via     transport
	stop    chan struct{} // closed when Close begins
	stopped chan struct{} // closed when everything has ended
	closing sync.Once
}

// transport sends batches; calls that come at the same time share pipelines.
type transport interface {
	// reserve sets the states of rs, but of those at own, which the token holds already.
	reserve(ctx context.Context, prefix string, rs []middleware.Reservation) (own []int, err error)
	// extend gives the reservations at own their lease anew.
	extend(ctx context.Context, prefix string, rs []middleware.Reservation, own []int) error
	settle(ctx context.Context, prefix string, ss []middleware.Settlement) error
	ping(ctx context.Context) error
	// close sends what waits; it is bounded by the timeouts of what is in flight.
	close()
}

var (
	_ middleware.DedupeStore = (*Store)(nil)
	_ durable.HealthChecker  = (*Store)(nil)
)

// Open connects and checks that the server can do what the store asks for.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("redisdedupe: open: %w", err)
	}
	s := &Store{prefix: cfg.Prefix, timeout: cfg.CallTimeout, stop: make(chan struct{}), stopped: make(chan struct{})}
	if s.prefix == "" {
		s.prefix = defaultPrefix
	}
	if s.timeout == 0 {
		s.timeout = defaultCallTimeout
	}
	client := cfg.Client
	if client == nil {
		own := cfg.Connection.Client(rediskit.Control)
		defer func() { _ = own.Close() }() // it has asked what there is to ask
		if err := cfg.Ping(ctx, name, own); err != nil {
			return nil, err
		}
		client = own
	}
	if err := s.probe(ctx, client); err != nil {
		return nil, fmt.Errorf("redisdedupe: open: %w", err)
	}
	if cfg.Client != nil {
		s.via = newShared(client, s.timeout)
	} else {
		s.via = &wire{cfg.NewWriter(s.timeout, nil)}
	}
	return s, nil
}

// probe writes and reads one key as Reserve does.
func (s *Store) probe(ctx context.Context, client redis.UniversalClient) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := client.Do(ctx, "set", s.prefix+"probe", "0", "nx", "get", "px", 1).Err()
	var refused redis.Error
	switch {
	case err == nil || errors.Is(err, redis.Nil):
		return nil
	case rediskit.Denied(err):
		return down(err)
	case errors.As(err, &refused):
		return fmt.Errorf("the server refuses SET NX GET PX, which needs Redis 7.0 and the right to write: %w", err)
	default:
		return down(err)
	}
}

// down adds the sentinel to why the server did not do what was asked.
func down(err error) error { return rediskit.Marked(err, durable.ErrDenied, durable.ErrUnavailable) }

// Reserve implements middleware.DedupeStore: one round trip, and a second one where it extends leases.
func (s *Store) Reserve(ctx context.Context, rs []middleware.Reservation) error {
	if len(rs) == 0 {
		return nil
	}
	if s.closed() {
		return fmt.Errorf("redisdedupe: reserve: %w", durable.ErrClosed)
	}
	own, err := s.via.reserve(ctx, s.prefix, rs)
	if err != nil {
		return fmt.Errorf("redisdedupe: reserve %d keys: %w", len(rs), err)
	}
	if len(own) == 0 {
		return nil
	}
	if err := s.via.extend(ctx, s.prefix, rs, own); err != nil {
		return fmt.Errorf("redisdedupe: extend %d leases: %w", len(own), err)
	}
	return nil
}

// Settle implements middleware.DedupeStore in one round trip.
func (s *Store) Settle(ctx context.Context, ss []middleware.Settlement) error {
	if len(ss) == 0 {
		return nil
	}
	if s.closed() {
		return fmt.Errorf("redisdedupe: settle: %w", durable.ErrClosed)
	}
	if err := s.via.settle(ctx, s.prefix, ss); err != nil {
		return fmt.Errorf("redisdedupe: settle %d keys: %w", len(ss), err)
	}
	return nil
}

// Health returns nil when the server answers.
func (s *Store) Health(ctx context.Context) error {
	if s.closed() {
		return fmt.Errorf("redisdedupe: health: %w", durable.ErrClosed)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.via.ping(ctx); err != nil {
		return fmt.Errorf("redisdedupe: health: %w", down(err))
	}
	return nil
}

// Close sends what waits, then closes what Open made. It is idempotent and bounded by ctx.
func (s *Store) Close(ctx context.Context) error {
	s.closing.Do(func() {
		close(s.stop)
		go func() { // bounded by CallTimeout; Close waits for it
			s.via.close()
			close(s.stopped)
		}()
	})
	select {
	case <-s.stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("redisdedupe: close: %w", context.Cause(ctx))
	}
}

func (s *Store) closed() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// What a key holds whose event was handled, and the scripts for what needs to look first.
const (
	handled = "+"
	extend  = "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('PEXPIRE',KEYS[1],ARGV[2]) end return 0"
	release = "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0"
)

// extended is the state after the script extend returned n.
func extended(n int64) middleware.DedupeState {
	if n == 0 {
		return middleware.DedupeBusy // the lease ended in between
	}
	return middleware.DedupeReserved
}

// ms is d in milliseconds, at least 1.
func ms(d time.Duration) int64 { return max(d.Milliseconds(), 1) }
